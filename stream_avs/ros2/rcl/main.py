# mypy: disable-error-code="import-not-found"
"""One process with one or several nodes.

    ros2 run stream_avs together capture segmenter overlay capture.source:=synthetic --ros-args ...

Parameter files reach every node by its name; NODE.PARAMETER:=VALUE before `--ros-args` sets one of a
node whatever its namespace.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from stream_avs.errors import ConfigError, MissingPackageError, StreamAvsError, nearest
from stream_avs.ros2.parameters import Parameter, Value, parameters_of
from stream_avs.ros2.settings import CaptureSettings, OverlaySettings, SegmenterSettings

NODES = {
    "capture": "stream_avs.ros2.rcl.capture:CaptureNode",
    "segmenter": "stream_avs.ros2.rcl.segmenter:SegmenterNode",
    "overlay": "stream_avs.ros2.rcl.overlay:OverlayNode",
}

SETTINGS: dict[str, type] = {
    "capture": CaptureSettings,
    "segmenter": SegmenterSettings,
    "overlay": OverlaySettings,
}
"""Node to the dataclass its parameters come from."""


def main(argv: list[str] | None = None) -> int:
    """Run the nodes named before `--ros-args`, all three if none is; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    own = arguments[: arguments.index("--ros-args")] if "--ros-args" in arguments else arguments
    # A launch file gives several names as one argument.
    names = [name for argument in own if ":=" not in argument for name in argument.split()]
    return run(names or list(NODES), argv, [argument for argument in own if ":=" in argument])


def run(names: Sequence[str], argv: list[str] | None = None, assignments: Sequence[str] = ()) -> int:
    """Run nodes in this process until it is told to stop; returns the exit code.

    Args:
        names: of `NODES`.
        argv: arguments for ROS; None for those of the process.
        assignments: parameters, each as NODE.PARAMETER:=VALUE.
    """
    try:
        values = read_assignments(assignments)
        for name in (*names, *values):
            if name not in NODES:
                raise ConfigError(f"unknown node {name!r}", nearest(name, NODES))
        return spin([_factory(name, values.get(name, {})) for name in names], argv)
    except StreamAvsError as error:
        sys.stderr.write(f"stream-avs: error: {error}\n")
        return error.exit_code


def spin(factories: Sequence[Callable[[], Any]], argv: list[str] | None = None) -> int:
    """Make the nodes and spin them on one thread; 0 after SIGINT or SIGTERM.

    Raises:
        ConfigError: a parameter given at the start is of the wrong type or out of range.
        MissingPackageError: rclpy is not there.
    """
    try:
        import rclpy
        from rclpy.exceptions import ParameterException
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    except ImportError as error:
        raise MissingPackageError(
            f"{error.name or 'rclpy'} is not installed",
            "Install a ROS 2 distribution and source its setup.bash; or use --transport zmq or dds",
        ) from None
    nodes: list[Any] = []
    rclpy.init(args=argv)
    try:
        executor = SingleThreadedExecutor()
        for factory in factories:
            nodes.append(factory())
            executor.add_node(nodes[-1])
        executor.spin()
    except ParameterException as error:
        raise ConfigError(f"a parameter is refused: {error}", "See: ros2 param describe NODE NAME") from None
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def read_assignments(assignments: Sequence[str]) -> dict[str, dict[str, Value]]:
    """Parameter values by node and name, from NODE.PARAMETER:=VALUE.

    Raises:
        ConfigError: not of that form, no such node or parameter, or not of its type.
    """
    values: dict[str, dict[str, Value]] = {}
    for assignment in assignments:
        target, _, text = assignment.partition(":=")
        node, _, name = target.partition(".")
        if node not in SETTINGS:
            raise ConfigError(f"unknown node {node!r} in {assignment!r}", nearest(node, SETTINGS))
        specs = {p.name: p for p in parameters_of(SETTINGS[node])}
        if name not in specs:
            raise ConfigError(f"node {node} has no parameter {name!r}", nearest(name, specs))
        values.setdefault(node, {})[name] = _read_value(specs[name], text)
    return values


def _read_value(parameter: Parameter, text: str) -> Value:
    kinds: dict[type, Callable[[str], Value]] = {
        bool: lambda t: {"true": True, "false": False}[t.lower()], int: int, float: float, str: str,
    }  # fmt: skip
    try:
        return kinds[parameter.kind](text)
    except (KeyError, ValueError):
        raise ConfigError(
            f"parameter {parameter.name} is {text!r}", f"Expected a value of type {parameter.kind.__name__}"
        ) from None


def _factory(name: str, values: dict[str, Value]) -> Callable[[], Any]:
    def make() -> Any:
        from rclpy.parameter import Parameter as RosParameter

        overrides = [RosParameter(key, value=value) for key, value in values.items()]
        module, cls = NODES[name].split(":")
        return getattr(import_module(module), cls)(parameter_overrides=overrides)

    return make
