"""Quality of service by name, and whether two sides will hear each other. Pure data.

A subscriber that asks for `sensor_data` and a publisher that offers `reliable` match every partner;
a best-effort publisher is never heard by a reliable subscriber.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from stream_avs.errors import ConfigError, nearest

MAX_DEPTH = 1000


class Reliability(enum.StrEnum):
    """Whether lost messages are sent again."""

    RELIABLE = "reliable"
    BEST_EFFORT = "best_effort"


class Durability(enum.StrEnum):
    """Whether subscribers that come late get what was sent before."""

    VOLATILE = "volatile"
    TRANSIENT_LOCAL = "transient_local"


@dataclass(frozen=True, kw_only=True, slots=True)
class Qos:
    """What a publisher offers or a subscriber asks for; history is always keep last.

    Attributes:
        reliability, durability: see there.
        depth: messages kept.
    """

    reliability: Reliability
    durability: Durability = Durability.VOLATILE
    depth: int = 5


PROFILES = {
    "sensor_data": Qos(reliability=Reliability.BEST_EFFORT, depth=5),
    "best_effort": Qos(reliability=Reliability.BEST_EFFORT, depth=1),
    "reliable": Qos(reliability=Reliability.RELIABLE, depth=5),
    "default": Qos(reliability=Reliability.RELIABLE, depth=10),
    "latched": Qos(reliability=Reliability.RELIABLE, durability=Durability.TRANSIENT_LOCAL, depth=1),
}
"""By name; `sensor_data` and `default` are ROS 2's own profiles."""


def parse_qos(text: str) -> Qos:
    """Read a profile's name, with another depth if wanted: "sensor_data", "reliable:1".

    Raises:
        ConfigError: no such profile, or a depth that is no number in 1..1000.
    """
    name, _, depth = text.partition(":")
    if name not in PROFILES:
        raise ConfigError(f"quality of service is {text!r}", nearest(name, PROFILES))
    if not depth:
        return PROFILES[name]
    if not (depth.isascii() and depth.isdigit() and 1 <= int(depth) <= MAX_DEPTH):
        raise ConfigError(f"quality of service is {text!r}", f"Expected a depth of 1..{MAX_DEPTH}")
    return replace(PROFILES[name], depth=int(depth))


def incompatible(offered: Qos, requested: Qos) -> tuple[str, ...]:
    """Policies in which a publisher offers less than a subscriber asks for; empty if they match."""
    policies = []
    if requested.reliability is Reliability.RELIABLE and offered.reliability is Reliability.BEST_EFFORT:
        policies.append("RELIABILITY")
    if requested.durability is Durability.TRANSIENT_LOCAL and offered.durability is Durability.VOLATILE:
        policies.append("DURABILITY")
    return tuple(policies)


def remedy(policies: str) -> str:
    """What to do about a partner that offers less than is asked for in `policies`."""
    if "RELIABILITY" in policies:
        return "Set parameter ros.input_qos to sensor_data, or make the publisher reliable"
    if "DURABILITY" in policies:
        return "Make the publisher transient_local, or ask for volatile"
    return "Compare both sides with: ros2 topic info --verbose TOPIC"
