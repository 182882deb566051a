"""`stream-avs subscribe` as a process, against a real publisher."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.config import PublishConfig
from stream_avs.publish.palette import PALETTE
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import MaskResult, ResultState, Sounding

MASK = np.zeros((12, 16), np.uint8)
MASK[2:8, 3:9] = 7


def result(k):
    now = monotonic_ns()
    return MaskResult(
        mask=MASK, stream="door/cam", seq=2 * k, window_seq=k, stamp_ns=now - 40_000_000,
        arrival_ns=now - 30_000_000, publish_ns=now, unix_offset_ns=unix_offset_ns(), frame_id="camera",
        source_size=(64, 48), transform=(4.0, 0.0, 1.5, 0.0, 4.0, 1.5), labels={7: "guitar\x1b[31m"},
        sounding=(Sounding(class_id=7, name="guitar\x1b[31m", score=0.75, area=0.1875),),
        sounding_score=0.9, audio_level_dbfs=-20.0,
        state=ResultState.OK if k % 2 else ResultState.RESET, reset_reason="" if k % 2 else "gap",
    )  # fmt: skip


@pytest.fixture
def address():
    """Where results of stream door/cam are published at 50 Hz."""
    stop = threading.Event()
    with Publisher(PublishConfig(address="tcp://127.0.0.1:*"), "door/cam") as publisher:

        def work():
            k = 0
            while not stop.wait(0.02):
                publisher.publish(result(k))
                k += 1

        thread = threading.Thread(target=work)
        thread.start()
        yield publisher.address
        stop.set()
        thread.join()


def subscribe(*arguments):
    command = [sys.executable, "-m", "stream_avs", "subscribe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_one_readable_line_per_mask(address):
    done = subscribe(address, "--stream", "door/cam", "--count", 4, "--profile", "stream")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(lines) == 4
    assert all("guitar?[31m 75% on 18.8% of the picture" in line and " ms" in line for line in lines)
    assert sum("reset (gap)" in line for line in lines) == 2
    assert "4 masks received, 0 missed, 0 malformed" in done.stderr


def test_json_lines(address):
    done = subscribe(address, "--stream", "door/cam", "--count", 3, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3
    assert all(39 < row["age_ms"] < 2000 for row in rows)
    assert rows[0]["sounding"][0]["score"] == 0.75
    assert rows[0]["mask_size"] == [16, 12]


def test_masks_are_saved_as_ids_and_colours(address, tmp_path):
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path / "a" / "b"
    done = subscribe(address, "--stream", "door/cam", "--count", 2, "--save", folder)
    assert done.returncode == 0
    ids, colours = sorted(folder.glob("*_ids.png")), sorted(folder.glob("*_colours.png"))
    assert (len(ids), len(colours)) == (2, 2)
    assert ids[0].name.startswith("door_cam_")
    assert np.array_equal(cv2.imread(str(ids[0]), cv2.IMREAD_UNCHANGED), MASK)
    assert np.array_equal(cv2.imread(str(colours[0]))[..., ::-1], PALETTE[MASK])


def test_ctrl_c_ends_with_a_summary(address):
    command = [sys.executable, "-m", "stream_avs", "subscribe", address, "--stream", "door/cam"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert "guitar" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == 0
    assert "masks received" in errors
    assert "Traceback" not in errors


def test_a_reader_that_goes_away_ends_it_quietly(address):
    command = f"{sys.executable} -m stream_avs subscribe {address} --stream door/cam | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert "guitar" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_dead_address_ends_in_one_line():
    done = subscribe("tcp://127.0.0.1:9", "--timeout-s", "0.3")
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "nothing heard from tcp://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["5557"], 5, "neither tcp://HOST:PORT nor ipc://PATH"),
        (["tcp://127.0.0.1:9", "--stream", "a b"], 6, "stream name is 'a b'"),
        (["tcp://127.0.0.1:9", "--count", "-1"], 2, "setting count is -1"),
        (["tcp://127.0.0.1:9", "--save", "/proc/none"], 5, "cannot write to folder /proc/none"),
    ],
)
def test_mistakes_end_in_one_line(arguments, code, message):
    done = subscribe(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_draw_without_windows_or_display_says_what_to_do():
    cv2 = pytest.importorskip("cv2")
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "stream_avs", "subscribe", "tcp://127.0.0.1:9", "--draw"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    headless = cv2.currentUIFramework() == ""
    assert done.returncode == (8 if headless else 5)
    assert ("pip install opencv-python" if headless else "no display") in done.stderr


def test_it_goes_on_through_silence(tmp_path):
    address = f"ipc://{tmp_path}/s"
    command = [sys.executable, "-m", "stream_avs", "subscribe", address, "--stream", "door/cam"]
    command += ["--count", "2", "--timeout-s", "5", "--profile", "stream"]
    with contextlib.ExitStack() as stack:
        child = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        for k in range(2):
            with Publisher(PublishConfig(address=address), "door/cam") as publisher:
                end_s = time.monotonic() + 20
                while not publisher.subscribers and child.poll() is None:
                    assert time.monotonic() < end_s
                    publisher.publish(result(k))
                    time.sleep(0.02)
                publisher.publish(result(k + 10))
                assert "guitar" in child.stdout.readline()
        child.communicate(timeout=20)
    assert child.returncode == 0
