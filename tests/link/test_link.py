"""Sender and source over real sockets: exact stamps, discontinuities, keys, strangers and noise."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from media_sink import KeepingSink, wait_for

from stream_avs.errors import ConfigError, PublishError, SourceError
from stream_avs.ledger import Ledger
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.publish.allowed_keys import AllowedKeys
from stream_avs.publish.curve import READERS
from stream_avs.publish.key_files import load_public, load_secret, make_keys
from stream_avs.types import NS_PER_MS, AudioBlock, Event, StampSource

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def open_sender(**changes: object) -> MediaSender:
    values = {"address": "tcp://127.0.0.1:*", "jpeg_quality": 0, **changes}
    return MediaSender(LinkConfig(**values), "cam0")  # type: ignore[arg-type]


def follow(address: str, sink: KeepingSink, **changes: object) -> ZmqSource:
    config = {k: v for k, v in changes.items() if k != "own_host"}
    source = ZmqSource(
        LinkConfig(address=address, **config),  # type: ignore[arg-type]
        "cam0",
        own_host=changes.get("own_host"),  # type: ignore[arg-type]
    )
    source.open()
    source.start(sink)
    return source


@pytest.fixture
def sink() -> KeepingSink:
    return KeepingSink()


@pytest.fixture
def pair(sink: KeepingSink) -> Iterator[MediaSender]:
    with open_sender() as sender:
        source = follow(sender.address, sink)
        assert wait_for(lambda: sender.subscribers == 1)
        yield sender
        source.stop()


def block(stamp_ns: int, n: int = 320) -> AudioBlock:
    samples = np.linspace(-1, 1, n, dtype=np.float32).reshape(-1, 1)
    return AudioBlock(
        samples=samples, stamp_ns=stamp_ns, sample_rate_hz=16000, stamp_source=StampSource.DRIVER
    )


def test_frames_and_sound_arrive_with_their_own_stamps(pair: MediaSender, sink: KeepingSink) -> None:
    for k in range(10):
        pair.audio(block(1000 + k))
        pair.frame(IMAGE + k, 5000 + k, 6000, frame_id="optical", stamp_source=StampSource.DRIVER)
        assert wait_for(lambda k=k: len(sink.frames) == k + 1)
    assert wait_for(lambda: len(sink.blocks) == 10)
    assert [f[1] for f in sink.frames] == [5000 + k for k in range(10)]
    for k, (image, _, arrival_ns, frame_id, stamp_source) in enumerate(sink.frames):
        np.testing.assert_array_equal(image, IMAGE + k)
        assert (frame_id, stamp_source) == ("optical", StampSource.DRIVER)
        assert arrival_ns > 6000
    assert [b.stamp_ns for b in sink.blocks] == [1000 + k for k in range(10)]
    np.testing.assert_allclose(sink.blocks[0].samples, block(0).samples, atol=1e-4)
    assert not sink.events


def test_breaks_and_the_end_are_told_once(pair: MediaSender, sink: KeepingSink) -> None:
    pair.frame(IMAGE, 1, 1)
    assert wait_for(lambda: len(sink.frames) == 1)
    pair.discontinuity("seek", 2)
    pair.audio(block(3))
    pair.frame(IMAGE, 4, 4)
    pair.audio_ended()
    assert wait_for(lambda: len(sink.frames) == 2)
    pair.frame(IMAGE, 5, 5)
    pair.ended()
    assert wait_for(lambda: sink.has_ended)
    assert sink.breaks == ["seek"]
    assert sink.audio_has_ended
    assert sink.error is None


def test_an_error_at_the_far_end_is_an_error_here(pair: MediaSender, sink: KeepingSink) -> None:
    pair.ended(SourceError("camera 3 was unplugged"))
    assert wait_for(lambda: sink.has_ended)
    assert "camera 3 was unplugged" in str(sink.error)


def test_a_sender_that_is_started_again_is_followed(sink: KeepingSink, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    address = f"ipc://{tmp_path}/link"
    source = None
    for run in (1, 2):
        with open_sender(address=address) as sender:
            source = source or follow(address, sink)
            assert wait_for(lambda sender=sender: sender.subscribers == 1)
            sender.frame(IMAGE, run, run)
            assert wait_for(lambda run=run: len(sink.frames) == run)
    assert source is not None
    source.stop()
    assert sink.breaks == ["reconnect"]
    assert sink.events[Event.RECONNECT] == 1


def test_a_slow_reader_gets_the_newest_frame_and_all_sound(sink: KeepingSink) -> None:
    gate = threading.Event()

    class Slow(KeepingSink):
        def frame(self, *args: object, **kwargs: object) -> None:
            gate.wait(5)
            super().frame(*args, **kwargs)  # type: ignore[arg-type]

    slow = Slow()
    with open_sender() as sender:
        source = follow(sender.address, slow)
        assert wait_for(lambda: sender.subscribers == 1)
        for k in range(12):
            sender.frame(IMAGE, k, k)
            sender.audio(block(k))
            time.sleep(0.02)
        gate.set()
        assert wait_for(lambda: len(slow.blocks) == 12)
        assert wait_for(lambda: slow.frames[-1][1] == 11)
        source.stop()
    assert len(slow.frames) <= 3
    assert slow.events[Event.SUPERSEDED] == 12 - len(slow.frames)


def test_nothing_is_encoded_for_nobody() -> None:
    ledger = Ledger()
    with MediaSender(LinkConfig(address="tcp://127.0.0.1:*"), "cam0", ledger) as sender:
        for k in range(100):
            sender.frame(IMAGE, k, k)
        assert sender._seq == 0
    assert ledger.counts() == {}


def test_another_machines_clock_is_mapped(sink: KeepingSink) -> None:
    shift_ns = 10**12
    ours = LinkConfig(address="tcp://127.0.0.1:*", jpeg_quality=0)
    with MediaSender(ours, "cam0", clock=lambda: time.monotonic_ns() + shift_ns) as sender:
        source = follow(sender.address, sink, own_host="another")
        assert wait_for(lambda: sender.subscribers == 1)
        for k in range(20):
            stamp_ns = time.monotonic_ns()
            sender.frame(IMAGE, stamp_ns + shift_ns, stamp_ns + shift_ns)
            assert wait_for(lambda k=k: len(sink.frames) == k + 1)
            error_ns = sink.frames[-1][1] - stamp_ns
        source.stop()
    assert 0 <= error_ns <= 20 * NS_PER_MS


def test_messages_that_are_noise_are_counted_and_passed_over(sink: KeepingSink) -> None:
    rng = np.random.default_rng(1)
    context = zmq.Context.instance()
    with context.socket(zmq.PUB) as socket, open_sender() as sender:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        source = follow(f"tcp://127.0.0.1:{port}", sink)
        good: list[bytes] = []
        spy = KeepingSink()
        other = follow(sender.address, spy)
        assert wait_for(lambda: sender.subscribers == 1)
        reader = context.socket(zmq.SUB)
        reader.subscribe(b"")
        reader.connect(sender.address)
        assert wait_for(lambda: sender.subscribers == 2)
        sender.frame(IMAGE, 1, 1)
        good = reader.recv_multipart()
        sender.frame(IMAGE, 2, 2)
        last = reader.recv_multipart()
        reader.close(0)
        other.stop()
        time.sleep(0.3)
        for _ in range(200):
            parts = [bytearray(part) for part in good]
            for _ in range(rng.integers(1, 4)):
                part = parts[rng.integers(1, 3)]
                if len(part):
                    part[rng.integers(len(part))] = rng.integers(256)
            cut = int(rng.integers(0, 3))
            socket.send_multipart([bytes(parts[0]), *(bytes(p[: len(p) - cut]) for p in parts[1:])])
            time.sleep(0.002)
        socket.send_multipart([good[0]])
        socket.send_multipart([*good, b"more"])
        socket.send_multipart(last)
        assert wait_for(lambda: sink.frames and sink.frames[-1][1] == 2)
        source.stop()
        socket.close(0)
    assert sink.events[Event.DECODE_ERROR] >= 2
    np.testing.assert_array_equal(sink.frames[-1][0], IMAGE)


class Keys:
    """Key files of a capture side, a friend and a stranger."""

    def __init__(self, folder: Path) -> None:
        self.clients = folder / "clients"
        self.clients.mkdir()
        self.server, self.server_secret = make_keys(folder, "robot")
        self.friend, self.friend_secret = make_keys(folder, "gpu")
        self.stranger, self.stranger_secret = make_keys(folder, "stranger")
        (self.clients / "gpu.key").write_bytes(self.friend.read_bytes())


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def heard(address: str, sender: MediaSender, **client: object) -> int:
    """How many frames arrive at a client within a second and a half."""
    sink = KeepingSink()
    source = follow(address, sink, **client)
    end_s = time.monotonic() + 1.5
    while time.monotonic() < end_s and not sink.frames:
        sender.frame(IMAGE, time.monotonic_ns(), 0)
        time.sleep(0.02)
    source.stop()
    return len(sink.frames)


def test_only_a_listed_key_hears_anything(keys: Keys) -> None:
    with open_sender(key=str(keys.server_secret), clients=str(keys.clients)) as sender:
        friend = {"key": str(keys.friend_secret), "server_key": str(keys.server)}
        stranger = {"key": str(keys.stranger_secret), "server_key": str(keys.server)}
        wrong_server = {"key": str(keys.friend_secret), "server_key": str(keys.stranger)}
        assert heard(sender.address, sender, **stranger) == 0
        assert heard(sender.address, sender, **wrong_server) == 0
        assert heard(sender.address, sender) == 0
        assert heard(sender.address, sender, **friend) > 0


def test_what_travels_is_encrypted(keys: Keys) -> None:
    """A proxy in between sees neither the picture nor the topic."""
    seen = bytearray()
    with open_sender(key=str(keys.server_secret), clients=str(keys.clients)) as sender:
        port = int(sender.address.rsplit(":", 1)[1])
        proxy = _Tap(port, seen)
        friend = {"key": str(keys.friend_secret), "server_key": str(keys.server)}
        assert heard(f"tcp://127.0.0.1:{proxy.port}", sender, **friend) > 0
        proxy.close()
    assert len(seen) > IMAGE.size
    assert IMAGE.tobytes()[1000:1032] not in bytes(seen)
    assert b"frame/cam0" not in bytes(seen)


class _Tap:
    """A TCP proxy that keeps what the server says."""

    def __init__(self, port: int, seen: bytearray) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target, self._seen = port, seen
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # or the thread would wait in `accept` for ever
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, True), daemon=True).start()

    def _copy(self, source: object, target: object, keep: bool) -> None:
        try:
            while data := source.recv(65536):  # type: ignore[attr-defined]
                if keep:
                    self._seen.extend(data)
                target.sendall(data)  # type: ignore[attr-defined]
        except OSError:
            return


def test_key_files_open_to_others_are_refused(keys: Keys) -> None:
    os.chmod(keys.server_secret, 0o640)
    with pytest.raises(PublishError, match="chmod 600"):
        open_sender(key=str(keys.server_secret), clients=str(keys.clients))
    with pytest.raises(PublishError, match="no secret key"):
        load_secret(keys.server)


def test_made_keys_are_private_and_never_overwritten(keys: Keys, tmp_path: Path) -> None:
    assert keys.friend_secret.stat().st_mode & 0o777 == 0o600
    assert load_public(keys.friend) == load_secret(keys.friend_secret).public
    with pytest.raises(PublishError, match="exists"):
        make_keys(tmp_path, "robot")
    with pytest.raises(PublishError, match="name"):
        make_keys(tmp_path, "../x")


def test_damaged_key_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.key_secret"
    path.write_bytes(b"\xff\x00")
    path.chmod(0o600)
    with pytest.raises(PublishError, match=r"bad\.key_secret"):
        load_secret(path)
    with pytest.raises(PublishError, match="missing"):
        load_public(tmp_path / "missing.key")


def test_half_a_set_of_keys_is_refused(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clients"):
        open_sender(key=str(keys.server_secret))
    with pytest.raises(ConfigError, match="go together"):
        ZmqSource(LinkConfig(key=str(keys.friend_secret)))
    empty = tmp_path / "nobody"
    empty.mkdir()
    with pytest.raises(PublishError, match="nobody could connect"):
        AllowedKeys(empty, READERS)


def test_other_machines_are_kept_out_without_keys(keys: Keys) -> None:
    for address in ("tcp://0.0.0.0:*", "tcp://*:*"):
        with pytest.raises(PublishError, match=r"--link\.key"):
            open_sender(address=address)
    open_sender(address="tcp://0.0.0.0:*", insecure=True).close()
    open_sender(address="tcp://0.0.0.0:*", key=str(keys.server_secret), clients=str(keys.clients)).close()
