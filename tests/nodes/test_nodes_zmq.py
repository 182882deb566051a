"""Capture, segmenter and overlay as processes, over real sockets, with and without keys."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from node_processes import COMMAND, DISC_SEGMENTER, free_port, interrupt, process

from stream_avs.commands.node import run
from stream_avs.errors import ConfigError
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.settings import LinkConfig
from stream_avs.publish.subscriber import Subscriber, age_ms
from stream_avs.types import AudioBlock, Image, ResultState, StampSource

SMALL = ("--source", "synthetic", "--synthetic.width-px", "160", "--synthetic.height-px", "120")


def test_split_over_processes_makes_masks_and_overlay(tmp_path: Path) -> None:
    link, masks, drawn = (f"tcp://127.0.0.1:{free_port()}" for _ in range(3))
    metrics = f"127.0.0.1:{free_port()}"
    told = ("--metrics.address", metrics, "--log.format", "json", "--log.level", "info")
    with (
        process(COMMAND, "capture", *SMALL, "--link.address", link) as capture,
        process(DISC_SEGMENTER, "--link.address", link, "--publish.address", masks, *told) as segmenter,
        process(
            COMMAND, "overlay", "--link.address", link, "--masks", masks, "--out.address", drawn
        ) as overlay,
        Subscriber(masks) as subscriber,
    ):
        results = []
        deadline_s = time.monotonic() + 40
        while len(results) < 25 and time.monotonic() < deadline_s:
            result = subscriber.recv(1.0)
            if result is not None:
                results.append(result)
                ages_ms = age_ms(result)
        assert len(results) == 25
        assert results[-1].state is ResultState.OK
        assert results[-1].source_size == (160, 120)
        assert ages_ms < 1000
        assert json.loads(urlopen(f"http://{metrics}/healthz").read())["live"] is True
        assert b"stream_avs_masks_total" in urlopen(f"http://{metrics}/metrics").read()
        pictures = _Pictures()
        source = ZmqSource(LinkConfig(address=drawn))
        source.start(pictures)
        while len(pictures.images) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.05)
        source.stop()
        assert len(pictures.images) >= 3
        assert pictures.images[-1].shape == (120, 160, 3)
        for node, word in ((overlay, "drawn"), (segmenter, "masks of"), (capture, "captured")):
            code, said = interrupt(node)
            assert code == 0, said
            assert word in said.splitlines()[-1]
            assert "Traceback" not in said


def test_split_with_keys_works_and_sigterm_ends_it(tmp_path: Path) -> None:
    for name in ("robot", "gpu"):
        assert run(["keygen", str(tmp_path), name]) == 0
    clients = tmp_path / "clients"
    clients.mkdir()
    (clients / "gpu.key").write_bytes((tmp_path / "gpu.key").read_bytes())
    link, masks = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    server = ("--link.key", str(tmp_path / "robot.key_secret"), "--link.clients", str(clients))
    client = (
        "--link.key",
        str(tmp_path / "gpu.key_secret"),
        "--link.server-key",
        str(tmp_path / "robot.key"),
    )
    with (
        process(COMMAND, "capture", *SMALL, "--link.address", link, *server) as capture,
        process(DISC_SEGMENTER, "--link.address", link, "--publish.address", masks, *client) as segmenter,
        Subscriber(masks) as subscriber,
    ):
        deadline_s = time.monotonic() + 30
        result = None
        while result is None and time.monotonic() < deadline_s:
            result = subscriber.recv(1.0)
        assert result is not None
        assert interrupt(segmenter, signal.SIGTERM)[0] == 0
        assert interrupt(capture, signal.SIGTERM)[0] == 0


@pytest.mark.slow
def test_a_file_that_ends_ends_both_nodes(talkers: Path) -> None:
    link, masks = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    with (
        process(DISC_SEGMENTER, "--link.address", link, "--publish.address", masks) as segmenter,
        process(COMMAND, "capture", "--source", str(talkers), "--link.address", link) as capture,
    ):
        _, said = capture.communicate(timeout=40)
        assert "captured 300 frames" in said
        _, said = segmenter.communicate(timeout=15)
        assert segmenter.returncode == 0, said
        assert int(said.splitlines()[-1].split()[0]) > 100


def test_the_overlay_node_takes_keys_on_all_sides(tmp_path: Path) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    key = str(tmp_path / "x.key_secret")
    for option, complaint in (
        ("--masks-key", "go together"),
        ("--masks-server-key", "go together"),
        ("--link.key", r"--link\.key and --link\.server-key go together"),
        ("--out.key", r"--out\.key is given without --out\.clients"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            run(["overlay", option, key])
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_mistakes_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="segmenter"):
        run(["segmentor"])
    with pytest.raises(ConfigError, match="Did you mean 'zmq'"):
        run(["capture", "--transport", "zqm"])
    with pytest.raises(ConfigError, match="no transport dds"):
        run(["overlay", "--transport=dds"])
    assert run(["--help"]) == 0
    assert run([]) == 2


class _Pictures:
    """A sink for pictures alone."""

    def __init__(self) -> None:
        self.images: list[Image] = []

    def frame(
        self, image: Image, stamp_ns: int, arrival_ns: int, *, frame_id: str = "",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:  # fmt: skip
        self.images.append(np.array(image))

    def audio(self, block: AudioBlock) -> None: ...
    def event(self, *_: object) -> None: ...
    def discontinuity(self, *_: object) -> None: ...
    def announce(self, *_: object) -> None: ...
    def audio_ended(self) -> None: ...
    def ended(self, *_: object) -> None: ...
