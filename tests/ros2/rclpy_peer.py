"""A node of the tests' own that talks to the nodes under test, and those as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dds_loopback import URI

# A domain of our own, on this machine only, whatever the middleware.
os.environ["ROS_DOMAIN_ID"] = str(20 + os.getpid() % 80)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["CYCLONEDDS_URI"] = URI
os.environ["ROS2CLI_NO_DAEMON"] = "1"

ROOT = Path(__file__).parents[2]
CAPTURE, OVERLAY = (
    [sys.executable, "-c", f"from stream_avs.nodes.{name} import main_ros; raise SystemExit(main_ros())"]
    for name in ("capture", "overlay")
)
DISC_SEGMENTER = [sys.executable, str(Path(__file__).with_name("rclpy_disc_segmenter.py"))]
TIMEOUT_S = 20.0


def wait_for(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> bool:
    """Poll until the condition holds; False when the time is over."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True


class Peer:
    """A node that spins on a thread; one per test module."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        rclpy.init()
        self.node = rclpy.create_node("peer")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        with suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        import rclpy

        rclpy.try_shutdown()
        self._thread.join(5)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Call a service and wait for its answer."""
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(timeout_sec=TIMEOUT_S), f"no service {name}"
        future = client.call_async(request)
        assert wait_for(future.done), f"no answer from {name}"
        self.node.destroy_client(client)
        return future.result()

    def transition(self, node: str, label: str) -> bool:
        """Send a lifecycle transition, e.g. "configure"; True if it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f"TRANSITION_{label.upper()}")
        return bool(self.call(ChangeState, f"{node}/change_state", request).success)

    def state(self, node: str) -> str:
        """Lifecycle state of a node, e.g. "active"."""
        from lifecycle_msgs.srv import GetState

        return str(self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label)

    def set(self, node: str, **values: Any) -> Any:
        """Set one parameter, `__` standing for a dot; returns the node's verdict."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        request = SetParameters.Request()
        for name, value in values.items():
            request.parameters.append(Parameter(name.replace("__", "."), value=value).to_parameter_msg())
        return self.call(SetParameters, f"{node}/set_parameters", request).results[0]

    def hear(self, type_name: str, topic: str, qos: Any) -> list[Any]:
        """A list that fills with the messages of a topic."""
        from stream_avs.ros2.rcl.messages import message_class

        heard: list[Any] = []
        self.node.create_subscription(message_class(type_name), topic, heard.append, qos)
        return heard


class Running:
    """A process and what it has said so far."""

    def __init__(self, command: list[str], **environment: str) -> None:
        unbuffered = {"PYTHONUNBUFFERED": "1", "RCUTILS_LOGGING_BUFFERED_STREAM": "0"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={**os.environ, **unbuffered, **environment},
        )  # fmt: skip
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """Everything on stdout and stderr."""
        return "".join(self._lines)

    @property
    def pid(self) -> int:
        """Process id, which is also that of its group."""
        return self._process.pid

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal to this process alone; returns its exit code."""
        self._process.send_signal(number)
        code = self._process.wait(TIMEOUT_S)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """End it and its children whatever they do."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[Running]:
    """A process for the length of a `with` block."""
    process = Running(command, **environment)
    try:
        yield process
    finally:
        process.kill()


def ros_arguments(**values: Any) -> list[str]:
    """`--ros-args -p name:=value ...`, `__` standing for a dot."""
    arguments = ["--ros-args"]
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name.replace('__', '.')}:={text}"]
    return arguments


def ament_prefix(folder: Path) -> Path:
    """A prefix with this package in it, as `colcon build` makes one, but of links."""
    for target, link in {
        "resource/stream_avs": "share/ament_index/resource_index/packages/stream_avs",
        "package.xml": "share/stream_avs/package.xml",
        "launch": "share/stream_avs/launch",
        "launch/parameters": "share/stream_avs/parameters",
        "nodes/bin": "lib/stream_avs",
    }.items():
        path = folder / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(ROOT / target)
    return folder
