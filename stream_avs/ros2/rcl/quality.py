# mypy: disable-error-code="import-not-found"
"""`Qos` to rclpy profiles, and what is said when two sides do not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

from stream_avs.ros2.qos import Durability, Qos, Reliability, remedy

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

_RELIABILITY = {
    Reliability.RELIABLE: ReliabilityPolicy.RELIABLE,
    Reliability.BEST_EFFORT: ReliabilityPolicy.BEST_EFFORT,
}
_DURABILITY = {
    Durability.VOLATILE: DurabilityPolicy.VOLATILE,
    Durability.TRANSIENT_LOCAL: DurabilityPolicy.TRANSIENT_LOCAL,
}


def profile(qos: Qos) -> Any:
    """The rclpy profile of a `Qos`."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=_RELIABILITY[qos.reliability],
        durability=_DURABILITY[qos.durability],
    )


def subscription_events(topic: str, tell: Callable[[str, str], None]) -> Any:
    """Event callbacks of a subscription; `tell(topic, sentence)` hears of publishers offering too little."""
    return SubscriptionEventCallbacks(incompatible_qos=lambda event: tell(topic, _sentence(topic, event)))


def publisher_events(topic: str, tell: Callable[[str, str], None]) -> Any:
    """Event callbacks of a publisher; `tell(topic, sentence)` hears of subscribers that ask for more."""
    return PublisherEventCallbacks(incompatible_qos=lambda event: tell(topic, _sentence(topic, event)))


def _sentence(topic: str, event: Any) -> str:
    policy = str(qos_policy_name_from_kind(event.last_policy_kind))
    return f"incompatible QoS on {topic}: {policy}; nothing travels. {remedy(policy)}"
