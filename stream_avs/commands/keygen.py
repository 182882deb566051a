"""`stream-avs keygen`: the keys of one machine or person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from stream_avs.publish.key_files import Role, make_keys

DESCRIPTION = """\
Write a pair of keys: NAME.key to give away, NAME.key_secret to keep (mode 0600, refused otherwise).

The side that binds an address has a key of its own and a folder with the NAME.key files of those it lets
in; the side that connects has its own key and the NAME.key of the side it trusts. For example, so that a
laptop may read a robot's masks:

  robot:   stream-avs keygen ~/.stream-avs robot --role publisher
  laptop:  stream-avs keygen ~/.stream-avs laptop --role subscriber
  then copy robot.key to the laptop, and laptop.key to ~/.stream-avs/readers/ on the robot
  robot:   stream-avs run --source webcam --publish tcp://0.0.0.0:5557
               --publish.key ~/.stream-avs/robot.key_secret --publish.clients ~/.stream-avs/readers
  laptop:  stream-avs subscribe tcp://robot:5557
               --key ~/.stream-avs/laptop.key_secret --server-key ~/.stream-avs/robot.key

A key without a role may publish and read; only one of role control may command (`stream-avs control`).
A file put into such a folder counts from the next connection on; one taken out ends the connections of its
owner within two seconds, and the others reconnect by themselves.
"""
NEXT_STEPS = {
    Role.PUBLISHER: "copy it to those who connect, for their --server-key",
    Role.SUBSCRIBER: "copy it into the folder --publish.clients (or --link.clients) of what it may read",
    Role.CONTROL: "copy it into the folder --control.clients of what it may command",
    Role.ANY: "copy it to the machines that shall know this one",
}


@dataclass(frozen=True, kw_only=True)
class KeygenCommand:
    """Where the keys go and what they are for."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Made if need be, for this user alone."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Of the machine or person: letters, digits, _ or -."""
    role: Literal["", "publisher", "subscriber", "control"] = ""
    """publisher binds addresses, subscriber reads, control commands; without one: publish and read."""


def run(argv: list[str]) -> int:
    """Make one pair of keys; returns the exit code.

    Raises:
        PublishError: the files exist already, or cannot be written.
    """
    config = tyro.cli(KeygenCommand, prog="stream-avs keygen", args=argv, description=DESCRIPTION)
    role = Role(config.role)
    public, secret = make_keys(config.folder.expanduser(), config.name, role)
    print(f"{public}  public: {NEXT_STEPS[role]}")
    print(f"{secret}  secret: keep it on this machine")
    return 0
