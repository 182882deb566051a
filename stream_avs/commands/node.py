"""`stream-avs node`: one process of a robot: capture, segmenter or overlay."""

from __future__ import annotations

import sys
from importlib import import_module

from stream_avs.commands import keygen
from stream_avs.commands.arguments import parse_arguments
from stream_avs.errors import ConfigError, nearest

USAGE = """\
usage: stream-avs node ROLE [--transport zmq|ros2|dds] [options]

roles:
  capture    camera and microphone -> link, or ROS topics
  segmenter  link, ROS topics or a device -> masks
  overlay    pictures and masks -> coloured pictures
  keygen     the same as `stream-avs keygen`

transports:
  zmq   ZeroMQ; between machines with keys (default)
  ros2  a rclpy node; options are those of ROS: --ros-args -p name:=value
  dds   ROS topics without ROS, for the segmenter

An address that other machines can reach needs keys (`stream-avs keygen --help`), or `--insecure`.
`stream-avs node ROLE --transport zmq --help` explains every option.
"""

ROLES = {"capture": "CaptureNode", "segmenter": "SegmenterNode", "overlay": "OverlayNode"}
"""Role to the config dataclass of its plain node."""
TRANSPORTS = ("zmq", "ros2", "dds")


def run(argv: list[str]) -> int:
    """Run one node; returns the exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    role, *rest = argv
    if role == "keygen":
        return keygen.run(rest)
    if role not in ROLES:
        raise ConfigError(f"unknown node {role!r}", nearest(role, [*ROLES, "keygen"]))
    transport, rest = _transport(rest)
    module = import_module(f"stream_avs.nodes.{role}")
    if transport == "ros2":
        return int(module.main_ros(rest))
    if transport == "dds":
        return _dds(role, rest)
    config = parse_arguments(getattr(module, ROLES[role]), f"node {role}", rest, None)
    module.run_zmq(config, _say)
    return 0


def _dds(role: str, argv: list[str]) -> int:
    if role != "segmenter":
        raise ConfigError(f"node {role} has no transport dds", "Use zmq or ros2, or the segmenter")
    from stream_avs.ros2.dds.segmenter_process import DdsSegmenter, run_dds

    run_dds(parse_arguments(DdsSegmenter, "node segmenter --transport dds", argv, None), _say)
    return 0


def _transport(argv: list[str]) -> tuple[str, list[str]]:
    """The value of `--transport` and the other arguments."""
    transport, rest = "zmq", list(argv)
    for i, argument in enumerate(argv):
        if argument == "--ros-args":
            break
        if argument == "--transport":
            if i + 1 == len(argv):
                raise ConfigError("--transport has no value", f"Valid: {', '.join(TRANSPORTS)}")
            transport, rest = argv[i + 1], argv[:i] + argv[i + 2 :]
            break
        if argument.startswith("--transport="):
            transport, rest = argument.partition("=")[2], argv[:i] + argv[i + 1 :]
            break
    if transport not in TRANSPORTS:
        raise ConfigError(f"transport is {transport!r}", nearest(transport, TRANSPORTS))
    return transport, rest


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
