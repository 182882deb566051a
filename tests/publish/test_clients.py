"""The client kit: each reader against this package's writer, and geometry there and back."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_results import make_result, masks

import stream_avs.publish
from stream_avs.config import Encoding, PublishConfig
from stream_avs.publish import wire
from stream_avs.publish.clients import latest_mask
from stream_avs.publish.clients.pose_history import (
    Camera,
    Pose,
    PoseHistory,
    mask_to_source,
    rotate,
    slerp,
    source_to_mask,
)
from stream_avs.publish.key_files import make_keys
from stream_avs.publish.zeromq import Publisher

CLIENTS = Path(stream_avs.publish.__file__).parent / "clients"
COMPILER = shutil.which("c++") or shutil.which("g++")
K = np.array([[520.0, 0, 318.5], [0, 518.0, 241.2], [0, 0, 1]])
LENS = Camera(matrix=K, distortion=np.array([-0.21, 0.07, 0.0011, -0.0008, -0.012]))
TRANSFORMS = {
    "stretch": (640 / 384, 0.0, (640 / 384 - 1) / 2, 0.0, 480 / 384, (480 / 384 - 1) / 2),
    "letterbox": (640 / 384, 0.0, (640 / 384 - 1) / 2, 0.0, 640 / 384, (640 / 384 - 1) / 2 - 80),
    "crop": (0.5, 0.0, 223.75, 0.0, 0.5, 143.75),
    "turned": (0.0, -1.25, 479.0, 1.25, 0.0, 0.125),
}


def test_python_client_is_short_and_needs_little() -> None:
    text = (CLIENTS / "latest_mask.py").read_text()
    assert len(text.splitlines()) <= 70
    imports = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import)]
    names = {alias.name for node in imports for alias in node.names}
    assert names <= {"numpy", "zmq", *sys.stdlib_module_names}


@given(mask=masks, stamp_ns=st.integers(-(2**63), 2**63 - 1))
def test_python_client_reads_any_mask(mask: np.ndarray, stamp_ns: int) -> None:
    sent = make_result(mask, stamp_ns=stamp_ns)
    header, ids = latest_mask.read(wire.to_packed(wire.encode(sent)))
    assert np.array_equal(ids, mask)
    assert header["t_capture_ns"] == stamp_ns
    assert tuple(header["transform"]) == sent.transform
    assert header["labels"] == sent.labels


@pytest.mark.parametrize("keys", [False, True])
def test_python_client_over_a_socket(tmp_path: Path, keys: bool) -> None:
    done = threading.Event()
    own: list[str] = []
    config = PublishConfig(address="tcp://127.0.0.1:*")
    if keys:
        public, secret = make_keys(tmp_path, "robot")
        _, friend = make_keys(tmp_path / "friend", "friend")
        (tmp_path / "friend" / "friend.key_secret").rename(tmp_path / "friend.key_secret")
        config = replace(config, key=str(secret), clients=str(tmp_path / "friend"))
        own = ["cam0", str(tmp_path / friend.name), str(public)]
    with Publisher(config, "cam0") as publisher:
        command = [sys.executable, str(CLIENTS / "latest_mask.py"), publisher.address, *own]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        sender = threading.Thread(
            target=lambda: [publisher.publish(make_result()) for _ in iter(lambda: done.wait(0.05), True)]
        )
        sender.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            done.set()
            sender.join()
            process.kill()
            process.wait()
    assert line.startswith(f"41 ok {np.count_nonzero(make_result().mask)} ")
    assert "guitar" in line


@pytest.fixture(scope="module")
def read_mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("needs a C++ compiler (Debian: g++ and zlib1g-dev)")
    program = tmp_path_factory.mktemp("cpp") / "read_mask"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [COMPILER, *flags, "-o", str(program), str(CLIENTS / "read_mask.cpp"), "-lz"],
        capture_output=True, text=True,
    )  # fmt: skip
    if "zlib.h" in done.stderr and "No such file" in done.stderr:
        pytest.skip("needs zlib's headers (Debian: zlib1g-dev)")
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("encoding", list(Encoding))
def test_cpp_client(read_mask: Path, tmp_path: Path, encoding: Encoding) -> None:
    rng = np.random.default_rng(0)
    for mask in (
        make_result().mask,
        rng.choice(np.array([0, 1, 7, 254], np.uint8), (33, 47)),
        np.zeros((3, 5), np.uint8),
    ):
        sent = make_result(mask, transform=(1.5, 0.1, -20.25, 0.0, 1.5, 7.0), stamp_ns=2**53 + 1)
        (tmp_path / "frame").write_bytes(wire.to_packed(wire.encode(sent, encoding)))
        done = subprocess.run(
            [str(read_mask), str(tmp_path / "frame"), str(tmp_path / "ids")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "ids").read_bytes() == mask.tobytes()
        lines = done.stdout.splitlines()
        assert lines[0] == "cam0 ok"
        assert lines[1] == f"{2**53 + 1} {sent.unix_offset_ns}"
        assert lines[2] == f"{mask.shape[1]} {mask.shape[0]}"
        assert tuple(map(float, lines[3].split())) == sent.transform
        assert lines[4] == "7 0.75 guitar"


def test_cpp_client_refuses_damage(read_mask: Path, tmp_path: Path) -> None:
    frame = wire.to_packed(wire.encode(make_result(confidence=None)))
    cuts = [frame[:k] for k in range(0, len(frame), 41)]
    newer = frame.replace(b"\xa1v\x01", b"\xa1v\x09", 1)
    nested = b"latest/cam0\0" + (200).to_bytes(4, "little") + b"\x91" * 200
    for data in (*cuts, newer, nested, b"\x00" * 30):
        (tmp_path / "frame").write_bytes(data)
        done = subprocess.run(
            [str(read_mask), str(tmp_path / "frame"), str(tmp_path / "ids")], capture_output=True, text=True
        )
        assert done.returncode == 1, done
        assert done.stderr.startswith("read_mask: ")


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
@given(x=st.floats(0, 383), y=st.floats(0, 383))
def test_mask_to_ray_and_back(transform: tuple[float, ...], x: float, y: float) -> None:
    """Letterbox, crop and a lens: a mask pixel's ray meets the picture where the mask pixel is."""
    pixel = np.array([x, y])
    source = mask_to_source(transform, pixel)
    ray = LENS.rays(source)
    assert np.isclose(np.linalg.norm(ray), 1)
    back = source_to_mask(transform, LENS.pixels(7.5 * ray))
    inside = (source >= 0).all() and (source <= (639, 479)).all()
    assert np.allclose(back, pixel, atol=1e-3 if inside else 5)


def test_transforms_hit_the_corners_meant() -> None:
    """The letterbox's bars are outside of the picture, and the crop's corners inside of it."""
    corners = np.array([[-0.5, -0.5], [383.5, 383.5]])
    assert np.allclose(mask_to_source(TRANSFORMS["stretch"], corners), [[-0.5, -0.5], [639.5, 479.5]])
    assert np.allclose(mask_to_source(TRANSFORMS["letterbox"], corners), [[-0.5, -80.5], [639.5, 559.5]])
    assert np.allclose(mask_to_source(TRANSFORMS["crop"], corners), [[223.5, 143.5], [415.5, 335.5]])


def test_camera_from_ros_file_agrees_with_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    camera = Camera.from_ros(
        {
            "camera_matrix": {"rows": 3, "cols": 3, "data": K.ravel().tolist()},
            "distortion_model": "plumb_bob",
            "distortion_coefficients": {"rows": 1, "cols": 5, "data": LENS.distortion.tolist()},
        }
    )
    points = np.array([[0.3, -0.2, 1.0], [-0.5, 0.4, 2.0], [0, 0, 3.0]])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, LENS.distortion)
    assert np.allclose(camera.pixels(points), expected[:, 0], atol=1e-9)
    with pytest.raises(ValueError, match="uncalibrated"):
        Camera.from_ros({"camera_matrix": {"data": [0.0] * 9}, "distortion_model": "plumb_bob"})


def turn(degrees: float) -> np.ndarray:
    """About the camera's vertical axis."""
    half = np.radians(degrees) / 2
    return np.array([0, np.sin(half), 0, np.cos(half)])


def test_the_pose_of_capture_time_not_of_now() -> None:
    """A head turns at 100 degrees/s, the mask is 80 ms old: the pose of now would be 8 degrees off."""
    history = PoseHistory(span_s=1.0)
    for k in range(101):
        history.add(k * 10_000_000, Pose(position=np.array([k * 0.001, 0, 0]), rotation=turn(k)))
    captured_ns = 923_000_000
    truth = Pose(position=np.array([0.0923, 0, 0]), rotation=turn(92.3))
    source = truth.to_world(np.array([1.3, 0.4, 5.0]))  # in the world
    pixel = source_to_mask(TRANSFORMS["stretch"], LENS.pixels(truth.to_camera(source)))
    pose = history.at(captured_ns)
    ray = pose.to_world(LENS.rays(mask_to_source(TRANSFORMS["stretch"], pixel))) - pose.position
    away = source - truth.position
    cosine = ray @ away / np.linalg.norm(away)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 0.01
    now = history.at(1_003_000_000)
    late = now.to_world(LENS.rays(mask_to_source(TRANSFORMS["stretch"], pixel))) - now.position
    assert np.degrees(np.arccos(late @ away / np.linalg.norm(away))) > 7
    for outside in (-1, 1_100_000_000):
        with pytest.raises(LookupError):
            history.at(outside)
    with pytest.raises(ValueError, match="not later"):
        history.add(5, truth)


def test_history_forgets() -> None:
    history = PoseHistory(span_s=0.5)
    for k in range(1000):
        history.add(k * 10_000_000, Pose(position=np.zeros(3), rotation=turn(0)))
    with pytest.raises(LookupError):
        history.at(9_480_000_000)
    history.at(9_490_000_000)


@given(a=st.floats(-170, 170), b=st.floats(-170, 170), share=st.floats(0, 1), sign=st.sampled_from([1, -1]))
def test_slerp_turns_evenly_the_short_way(a: float, b: float, share: float, sign: int) -> None:
    way = (b - a + 180) % 360 - 180
    if abs(abs(way) - 180) < 1:
        return
    mixed = slerp(turn(a), sign * turn(b), share)
    point = np.array([0.3, 0.7, 1.0])
    assert np.allclose(rotate(mixed, point), rotate(turn(a + share * way), point), atol=1e-4)
