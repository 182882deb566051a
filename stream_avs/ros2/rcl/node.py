# mypy: disable-error-code="import-not-found, misc, no-any-return"
"""What the three nodes share: parameters, lifecycle, publishers by topic, diagnostics.

A node fills in four verbs: `prepare` (configure), `begin` (activate), `finish` (deactivate, must not
fail) and `release` (clean up, must not fail).
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from stream_avs.errors import ConfigError, StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.ros2.diagnostics import Status, diagnostics_fields
from stream_avs.ros2.fields import DIAGNOSTIC_ARRAY, Fields, Header
from stream_avs.ros2.parameters import Parameter, config_from, parameters_of, refusal
from stream_avs.ros2.qos import PROFILES, Qos, parse_qos
from stream_avs.ros2.rcl.declare import descriptor
from stream_avs.ros2.rcl.messages import message_class, to_message
from stream_avs.ros2.rcl.quality import profile, publisher_events, subscription_events
from stream_avs.ros2.ros_clock import RosClock

SettingsT = TypeVar("SettingsT")

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class StreamNode(LifecycleNode, Generic[SettingsT]):
    """A lifecycle node whose parameters are the fields of a config dataclass.

    With the parameter `autostart` it configures and activates itself.

    Args:
        name: default name of the node.
        settings_class: the dataclass.
        options: handed to rclpy's Node.
    """

    def __init__(self, name: str, settings_class: type[SettingsT], **options: Any) -> None:
        super().__init__(name, **options)
        self.ledger = Ledger()
        self._settings_class = settings_class
        self._specs: dict[str, Parameter] = {p.name: p for p in parameters_of(settings_class)}
        self._is_active = False
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._mismatches: set[str] = set()
        for parameter in self._specs.values():
            self.declare_parameter(parameter.name, parameter.default, descriptor(parameter))
        autostart = ParameterDescriptor(
            description="Configure and activate the node as soon as it runs.", read_only=True
        )
        self.declare_parameter("autostart", False, autostart)
        self.add_on_set_parameters_callback(self._on_set)
        self._diagnostics_out = self.create_publisher(message_class(DIAGNOSTIC_ARRAY), "/diagnostics", 10)
        # Not on ROS time, which may stand still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        period_s = float(self.get_parameter("ros.diagnostics_period_s").value)
        self.every(period_s, self._send_diagnostics)
        self._start_timer: Any = None
        if self.get_parameter("autostart").value:
            self._start_timer = self.every(0.05, self._autostart)
        else:
            self.get_logger().info("waits to be configured")

    # What a node fills in

    def prepare(self) -> None:
        """Configure: load and allocate; may raise StreamAvsError."""

    def begin(self) -> None:
        """Activate: subscribe and start; may raise StreamAvsError."""

    def finish(self) -> None:
        """Deactivate: stop what `begin` started, also if that failed half way."""

    def release(self) -> None:
        """Clean up: free what `prepare` made."""

    def apply(self, name: str, value: Any) -> None:
        """Take over a parameter that may change at any time."""

    def statuses(self) -> tuple[Status, ...]:
        """What /diagnostics shall say while the node is active."""
        return ()

    # What a node uses

    def settings(self) -> SettingsT:
        """The parameters as they are now.

        Raises:
            ConfigError: they do not fit each other.
        """
        return config_from(self._settings_class, self._values())

    def ros_now_ns(self) -> int:
        """ROS time now; 0 while a simulation has not begun."""
        return int(self.get_clock().now().nanoseconds)

    def ros_clock(self) -> RosClock:
        """A fresh converter of stamps that knows whether time is simulated."""
        return RosClock(self.ledger, simulated=bool(self.get_parameter("use_sim_time").value))

    def every(self, period_s: float, callback: Callable[[], None]) -> Any:
        """A timer on the steady clock."""
        return self.create_timer(period_s, callback, clock=self._steady)

    def advertise(self, topic: str, type_name: str, qos: Qos) -> None:
        """Publish a topic while the node is active; see `emit`."""
        self._outputs[topic] = self.create_lifecycle_publisher(
            message_class(type_name), topic, profile(qos), event_callbacks=publisher_events(topic, self._tell)
        )

    def emit(self, topic: str, fields: Fields) -> None:
        """Publish a message; may be called from any thread."""
        if not self.context.ok():
            return
        try:
            self._outputs[topic].publish(to_message(fields))
        except Exception:
            if self.context.ok():  # else ROS was shut down meanwhile
                raise

    def wanted(self, topic: str) -> bool:
        """Whether anybody subscribes to a topic of ours."""
        return self.context.ok() and self._outputs[topic].get_subscription_count() > 0

    def listen(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Any], None],
        qos: Qos | None = None,
        *,
        loud: bool = True,
    ) -> None:
        """Subscribe until the node is deactivated.

        Args:
            type_name, topic, callback: of the subscription.
            qos: None for the parameter `ros.input_qos`.
            loud: tell the user of publishers that offer too little.
        """
        if qos is None:
            qos = parse_qos(str(self.get_parameter("ros.input_qos").value))
        events = subscription_events(topic, self._tell if loud else _say_nothing)
        self._inputs.append(
            self.create_subscription(
                message_class(type_name), topic, callback, profile(qos), event_callbacks=events
            )
        )

    def stop_listening(self) -> None:
        """End all subscriptions."""
        inputs, self._inputs = self._inputs, []
        for subscription in inputs:
            self.destroy_subscription(subscription)
        self._mismatches.clear()

    @property
    def mismatches(self) -> tuple[str, ...]:
        """Topics where somebody offers or asks for another quality of service."""
        return tuple(sorted(self._mismatches))

    # Lifecycle

    def on_configure(self, state: Any) -> Any:
        """See rclpy; loads and allocates."""
        result = self._guard("configured", self.prepare)
        if result != SUCCESS:
            self._let_go()
            return result
        return super().on_configure(state)

    def on_activate(self, state: Any) -> Any:
        """See rclpy; publishers are let through before anything is started."""
        super().on_activate(state)
        result = self._guard("activated", self.begin)
        if result != SUCCESS:
            self._end()
            super().on_deactivate(state)
            return result
        self._is_active = True
        return SUCCESS

    def on_deactivate(self, state: Any) -> Any:
        """See rclpy; stops and frees."""
        self._end()
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> Any:
        """See rclpy."""
        self._let_go()
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> Any:
        """See rclpy."""
        self._end()
        self._let_go()
        return super().on_shutdown(state)

    def on_error(self, state: Any) -> Any:
        """See rclpy; the node may be configured again."""
        self._end()
        self._let_go()
        return SUCCESS

    def destroy_node(self) -> Any:
        """Stop whatever runs, then destroy the node."""
        self._end()
        self.release()
        return super().destroy_node()

    def give_up(self, error: StreamAvsError) -> None:
        """Tell of a failure while active, and become inactive."""
        self.get_logger().error(str(error))
        self.trigger_deactivate()

    def _end(self) -> None:
        self._is_active = False
        self.finish()
        self.stop_listening()

    def _let_go(self) -> None:
        self.release()
        outputs, self._outputs = self._outputs, {}
        for publisher in outputs.values():
            self.destroy_lifecycle_publisher(publisher)

    def _guard(self, what: str, verb: Callable[[], None]) -> Any:
        # rclpy itself swallows what these callbacks raise.
        try:
            verb()
        except StreamAvsError as error:
            self.get_logger().error(f"cannot be {what}: {error}")
            return FAILURE
        except ModuleNotFoundError as error:
            self.get_logger().error(
                f"cannot be {what}: {error.name} is not installed. Run: pip install 'stream-avs[live]'"
            )
            return FAILURE
        except Exception:
            self.get_logger().error(f"cannot be {what}:\n{traceback.format_exc()}")
            return ERROR
        return SUCCESS

    def _autostart(self) -> None:
        timer, self._start_timer = self._start_timer, None
        if timer is None:
            return
        self.destroy_timer(timer)
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    # Parameters

    def _values(self) -> dict[str, Any]:
        return {name: self.get_parameter(name).value for name in self._specs}

    def _on_set(self, changes: list[Any]) -> Any:
        ours = {p.name: p.value for p in changes if p.name in self._specs}
        for name in ours:
            reason = refusal(self._specs[name], active=self._is_active)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        try:
            config_from(self._settings_class, {**self._values(), **ours})
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name, value in ours.items():
            self.apply(name, value)
        return SetParametersResult(successful=True)

    # Telling

    def _tell(self, topic: str, sentence: str) -> None:
        self._mismatches.add(topic)
        self.get_logger().warning(sentence)

    def _send_diagnostics(self) -> None:
        statuses = self.statuses() if self._is_active else ()
        if not statuses:
            statuses = (Status(level=0, name=self.get_name(), message="not active", values={}),)
        header = Header(stamp_ns=max(0, self.ros_now_ns()), frame_id="")
        self._diagnostics_out.publish(to_message(diagnostics_fields(statuses, socket.gethostname(), header)))


LATCHED = PROFILES["latched"]


def _say_nothing(topic: str, sentence: str) -> None:
    pass
