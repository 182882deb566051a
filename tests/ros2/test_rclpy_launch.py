"""The launch files on a real ROS 2, found as `ros2 launch stream_avs FILE` finds them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if os.environ.get("REQUIRE_ROS2") == "1":
    import rclpy
else:
    rclpy = pytest.importorskip("rclpy", reason="needs rclpy, from a sourced ROS 2 distribution")
    pytest.importorskip("launch_ros", reason="needs launch_ros, from a sourced ROS 2 distribution")

from rclpy_peer import Peer, Running, ament_prefix, running, wait_for

from stream_avs.ros2.fields import IMAGE

pytestmark = [pytest.mark.ros2, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def prefixes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which ROS finds the package."""
    prefix = ament_prefix(tmp_path_factory.mktemp("prefix"))
    before = os.environ.get("AMENT_PREFIX_PATH", "")
    # The scripts start whatever `python3` comes first: let that be this one.
    return {
        "AMENT_PREFIX_PATH": f"{prefix}{os.pathsep}{before}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def ros2() -> str:
    command = shutil.which("ros2")
    assert command is not None, "the ros2 command is missing: install ros2cli of the distribution"
    return command


def launch(file: str, *arguments: str) -> list[str]:
    return [ros2(), "launch", "stream_avs", file, *arguments]


def say(command: list[str], prefixes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = {**os.environ, **prefixes}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def end(process: Running) -> None:
    """Ctrl-C once, to launch alone; it passes the signal on."""
    process.end(signal.SIGINT)
    assert "process has finished cleanly" in process.said, process.said
    assert "Traceback" not in process.said, process.said


@pytest.mark.parametrize("file", ["webcam.launch.py", "robot.launch.py", "split.launch.py"])
def test_every_argument_is_described(file: str, prefixes: dict[str, str]) -> None:
    shown = subprocess.run(
        launch(file, "--show-args"),
        env={**os.environ, **prefixes},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    for name in ("namespace", "autostart", "use_sim_time", "parameters"):
        assert f"'{name}'" in shown.stdout
    assert "no description" not in shown.stdout.lower()


def test_the_executables_are_listed(prefixes: dict[str, str]) -> None:
    shown = subprocess.run(
        [ros2(), "pkg", "executables", "stream_avs"],
        env={**os.environ, **prefixes},
        capture_output=True,
        text=True,
    )
    assert {line.split()[-1] for line in shown.stdout.splitlines()} >= {
        "capture", "segmenter", "overlay", "together",
    }  # fmt: skip


def test_several_nodes_live_in_one_process_and_namespace(peer: Peer, prefixes: dict[str, str]) -> None:
    command = launch("webcam.launch.py", "source:=synthetic", "nodes:=capture overlay", "namespace:=robot7")
    with running(command, **prefixes) as process:
        assert wait_for(lambda: peer.state("/robot7/capture") == "active", 40), process.said
        assert wait_for(lambda: peer.state("/robot7/overlay") == "active"), process.said
        images = peer.hear(IMAGE, "/robot7/image_raw", 5)
        assert wait_for(lambda: len(images) > 5), process.said
        end(process)


def test_robot_launch_waits_to_be_configured_when_told_so(peer: Peer, prefixes: dict[str, str]) -> None:
    command = launch("robot.launch.py", "autostart:=false", "image:=front/image", "namespace:=robot8")
    with running(command, **prefixes) as process:
        assert wait_for(lambda: peer.state("/robot8/segmenter") == "unconfigured", 40), process.said
        time.sleep(1)
        assert peer.state("/robot8/segmenter") == "unconfigured"
        assert peer.transition("/robot8/overlay", "configure")
        assert peer.transition("/robot8/overlay", "activate")
        # A deactivated node stays so.
        assert peer.transition("/robot8/overlay", "deactivate")
        time.sleep(1)
        assert peer.state("/robot8/overlay") == "inactive"
        end(process)


def test_split_launch_captures(peer: Peer, prefixes: dict[str, str]) -> None:
    command = launch("split.launch.py", "role:=capture", "source:=synthetic", "namespace:=robot9")
    with running(command, **prefixes) as process:
        assert wait_for(lambda: peer.state("/robot9/capture") == "active", 40), process.said
        from rclpy.qos import qos_profile_sensor_data

        images = peer.hear(
            "sensor_msgs/msg/CompressedImage", "/robot9/image_raw/compressed", qos_profile_sensor_data
        )
        assert wait_for(lambda: len(images) > 3), process.said
        assert bytes(images[-1].data[:2]) == b"\xff\xd8"
        end(process)


def test_split_launch_needs_its_role(prefixes: dict[str, str]) -> None:
    refused = say(launch("split.launch.py"), prefixes)
    assert refused.returncode != 0
    assert "role" in refused.stdout + refused.stderr
