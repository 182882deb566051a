"""`stream-avs view`: see in a browser what sounds, live or recorded."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from stream_avs.capture.open_source import is_recording
from stream_avs.capture.tap import NoSink
from stream_avs.clock import monotonic_ns, unix_offset_ns
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import require
from stream_avs.errors import ConfigError, SourceError, StreamAvsError
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.settings import LinkConfig
from stream_avs.publish.address import parse
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.view_config import ViewConfig
from stream_avs.publish.view_feed import ViewFeed
from stream_avs.publish.websocket import ViewServer
from stream_avs.types import NS_PER_S, SourceState

DESCRIPTION = """\
Serve a page with the masks of live streams or recordings, to this machine only.

`stream-avs view tcp://127.0.0.1:5557` shows the masks that `stream-avs run` publishes; a stream that is
not named cam0 is given as ADDRESS#NAME. Masks alone travel there: `stream-avs run --view` shows them over
the picture, and so does `--pictures ADDRESS` with the capture node's. A recording is shown as it was.
"""
SILENT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class ViewCommand:
    """What to show and where."""

    what: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ADDRESS|RECORDING")]
    """Where masks are published, e.g. tcp://127.0.0.1:5557#cam0, or MCAP files; any number of them."""
    pictures: tuple[str, ...] = ()
    """Addresses of capture nodes, e.g. tcp://127.0.0.1:5560#cam0, for pictures and sound."""
    key: str = ""
    """Own secret key file (NAME.key_secret), for publishers with keys; see `stream-avs keygen --help`."""
    server_key: str = ""
    """The publishers' public key file (NAME.key); goes with `--key`."""
    pictures_server_key: str = ""
    """The capture nodes' public key file, where it is not `--server-key`."""
    loop: bool = True
    """Play recordings again and again."""
    duration_s: float = 0.0
    """End after this long; 0 goes on until Ctrl-C."""
    view: ViewConfig = field(default_factory=ViewConfig)

    def __post_init__(self) -> None:
        require(self.duration_s >= 0, "duration_s", self.duration_s, "0 or more seconds")


def run(argv: list[str]) -> int:
    """Serve until Ctrl-C; returns the exit code.

    Raises:
        StreamAvsError: an address is malformed, or a recording cannot be read.
    """
    config = parse_arguments(ViewCommand, "view", argv, DESCRIPTION)
    if not config.what and not config.pictures:
        raise ConfigError("nothing to view", "Give an address, e.g. tcp://127.0.0.1:5557, or a recording")
    signal.signal(signal.SIGTERM, _interrupt)
    feed = ViewFeed()
    stop = threading.Event()
    with ExitStack() as stack:
        threads = [_reader(what, config, feed, stop, stack) for what in config.what]
        for what in config.pictures:
            stack.callback(_start_pictures(what, config, feed).stop)
        server = stack.enter_context(ViewServer(config.view, feed))
        stack.callback(stop.set)
        for thread in threads:
            thread.start()
        print(f"open {server.url} in a browser; Ctrl-C ends", file=sys.stderr)
        with suppress(KeyboardInterrupt):
            stop.wait(config.duration_s or None)
    return 0


def _reader(
    what: str, config: ViewCommand, feed: ViewFeed, stop: threading.Event, stack: ExitStack
) -> threading.Thread:
    """A thread that shows one stream or recording; it opens here, so that mistakes are told at once."""
    path = Path(what)
    if is_recording(path) or path.suffix == ".mcap":
        play = _Player(path, feed, stop, config.loop)
        return threading.Thread(target=play, name=f"view {path.name}", daemon=True)
    address, stream = _address(what)
    feed.tell(stream, SourceState.WAITING, source=address)
    subscriber = stack.enter_context(
        Subscriber(address, stream, key=config.key, server_key=config.server_key)
    )
    return threading.Thread(
        target=_receive, args=(subscriber, feed, stop), name=f"view {stream}", daemon=True
    )


def _receive(subscriber: Subscriber, feed: ViewFeed, stop: threading.Event) -> None:
    heard_s = time.monotonic()
    while not stop.is_set():
        result = subscriber.recv(0.1)
        if result is not None:
            heard_s = time.monotonic()
            feed.tell(subscriber.stream, SourceState.LIVE)
            feed.publish(result)
        elif time.monotonic() - heard_s > SILENT_S:
            silent_s = time.monotonic() - heard_s
            feed.tell(subscriber.stream, SourceState.WAITING, f"nothing heard for {silent_s:.0f} s")


class _Player:
    """Shows a recording at its own pace, as if it happened now."""

    def __init__(self, path: Path, feed: ViewFeed, stop: threading.Event, loop: bool) -> None:
        # Imported here: the package mcap is needed for recordings only.
        from stream_avs.record.reader import Recording

        self._recording = Recording(path)
        self._feed = feed
        self._stop = stop
        self._loop = loop
        self._stream = self._recording.info.stream
        feed.tell(self._stream, SourceState.WAITING, source=str(path))

    def __call__(self) -> None:
        try:
            while self._play() and self._loop:
                pass
            self._feed.tell(self._stream, SourceState.ENDED, self._recording.damage())
        except StreamAvsError as error:
            self._feed.tell(self._stream, SourceState.FAILED, error.what)

    def _play(self) -> bool:
        from stream_avs.record.items import AudioItem, FrameItem, ResultItem

        self._feed.tell(self._stream, SourceState.LIVE, "recording")
        shown = 0
        for item, shift_ns in self._due():
            shown += 1
            if isinstance(item, FrameItem):
                self._feed.picture(self._stream, item.image, item.stamp_ns + shift_ns)
            elif isinstance(item, AudioItem):
                block = item.block
                self._feed.sound(self._stream, replace(block, stamp_ns=block.stamp_ns + shift_ns))
            elif isinstance(item, ResultItem):
                result = item.result
                self._feed.publish(
                    replace(result, stamp_ns=result.stamp_ns + shift_ns, unix_offset_ns=unix_offset_ns())
                )
        if not shown:
            raise SourceError("the recording is empty", "Record it again")
        return not self._stop.is_set()

    def _due(self) -> Iterator[tuple[object, int]]:
        """Yield each item when it is due, with what to add to its stamps."""
        shift_ns: int | None = None
        for item in self._recording.items():
            if shift_ns is None:
                shift_ns = monotonic_ns() - item.log_ns
            wait_ns = item.log_ns + shift_ns - monotonic_ns()
            if self._stop.wait(max(0, wait_ns) / NS_PER_S):
                return
            yield item, shift_ns


def _start_pictures(what: str, config: ViewCommand, feed: ViewFeed) -> ZmqSource:
    address, stream = _address(what)
    server_key = config.pictures_server_key or config.server_key
    source = ZmqSource(LinkConfig(address=address, key=config.key, server_key=server_key), stream)
    source.start(feed.tap(stream)(NoSink(), source.open()))
    return source


def _address(what: str) -> tuple[str, str]:
    address, _, stream = what.partition("#")
    if "://" not in address:
        raise ConfigError(f"{what!r} is no address and no recording", "Give e.g. tcp://127.0.0.1:5557#cam0")
    parse(address)
    return address, stream or "cam0"


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
