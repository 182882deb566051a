"""A live session in Foxglove: the messages of a recording, sent instead of written.

Same topics and types as in FORMAT.md, pictures as JPEG, so a layout made for one serves the other.
Packing runs on a thread of its own; nothing is packed, or copied, while nobody looks.

Foxglove's own server asks nobody where they come from: while it runs, any page open in a browser on
this machine can read the stream. So it runs only when asked for, and on 127.0.0.1 only.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.errors import PublishError, missing_package
from stream_avs.ledger import Ledger
from stream_avs.record import codec, schemas
from stream_avs.record.config import FoxgloveConfig, Picture
from stream_avs.record.item_sender import ItemSender
from stream_avs.record.items import AudioItem, FrameItem, Item, NoteItem, ResultItem
from stream_avs.record.recorder import ItemTap
from stream_avs.timing.wall_clock import WallClock
from stream_avs.types import AudioBlock, Image, MaskResult, StampSource

try:
    import foxglove
except ImportError:
    raise missing_package("foxglove-sdk", "foxglove") from None

BACKLOG = 64
_TOPICS = {
    "picture": schemas.COMPRESSED_IMAGE,
    "audio": schemas.RAW_AUDIO,
    "result": schemas.RESULT,
    "mask": schemas.COMPRESSED_IMAGE,
    "notes": schemas.NOTE,
}


class FoxgloveLive:
    """Serves one stream; a context manager. Give `tap` and `publish` to the pipeline.

    Args:
        config: where.
        stream: name of the stream; topics are /<stream>/picture and so on.
        ledger: counts what could not be sent.
        clock: the monotonic clock.

    Raises:
        PublishError: the port is in use.
        MissingPackageError: foxglove-sdk is not installed.
    """

    def __init__(
        self,
        config: FoxgloveConfig,
        stream: str,
        ledger: Ledger | None = None,
        clock: MonotonicClock = monotonic_ns,
    ) -> None:
        self._config = config
        self._clock = clock
        self._wall_clock = WallClock(Ledger())  # the pipeline counts when it is set
        # Kept: a context that is forgotten takes its channels with it.
        self._context = context = foxglove.Context()
        try:
            self._server = foxglove.start_server(
                name=f"stream-avs {stream}",
                host="127.0.0.1",
                port=config.port,
                context=context,
                message_backlog_size=BACKLOG,
            )
        except (OSError, RuntimeError) as error:
            raise PublishError(
                f"port {config.port} cannot be served to Foxglove: {error}", "Choose another port"
            ) from None
        self._channels = {name: _channel(context, stream, name) for name in _TOPICS}
        self.url = f"ws://127.0.0.1:{self._server.port}"
        self._sender = ItemSender("foxglove", self._send, ledger if ledger is not None else Ledger())

    @property
    def watched(self) -> bool:
        """Somebody looks at one of the topics."""
        return any(channel.has_sinks() for channel in self._channels.values())

    def tap(self, sink: Sink, source: SourceInfo) -> Sink:
        """Return a sink that shows everything and passes it on to `sink`."""
        return _Tap(sink, self, self._clock)

    def publish(self, result: MaskResult) -> None:
        """Show one result; returns at once."""
        if self.watched:
            self.put(ResultItem(result=result, log_ns=self._clock()))

    def put(self, item: Item) -> None:
        """Queue one item; the oldest goes where they are too many."""
        self._sender.put(item)

    def close(self) -> None:
        """End. May be called twice."""
        self._sender.close()
        self._server.stop()

    def __enter__(self) -> FoxgloveLive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, item: Item) -> None:
        offset_ns = self._wall_clock()
        unix_ns = item.log_ns + offset_ns
        if isinstance(item, FrameItem):
            quality = self._config.jpeg_quality
            self._log("picture", codec.encode_frame(item, offset_ns, Picture.JPEG, quality), unix_ns)
        elif isinstance(item, AudioItem):
            self._log("audio", codec.encode_audio(item.block, offset_ns)[0], unix_ns)
        elif isinstance(item, ResultItem):
            self._log("result", codec.encode_result(item, offset_ns), unix_ns)
            self._log("mask", codec.encode_mask(item, offset_ns), unix_ns)
        elif isinstance(item, NoteItem):
            self._log("notes", codec.encode_note(item, offset_ns), unix_ns)

    def _log(self, topic: str, message: bytes, unix_ns: int) -> None:
        self._channels[topic].log(message, log_time=unix_ns)


def _channel(context: Any, stream: str, topic: str) -> Any:
    kind = _TOPICS[topic]
    schema = foxglove.Schema(name=kind.name, encoding="ros2msg", data=kind.definition.encode())
    return foxglove.Channel(f"/{stream}/{topic}", schema=schema, message_encoding="cdr", context=context)


class _Tap(ItemTap):
    """Copies only while somebody looks."""

    def __init__(self, sink: Sink, live: FoxgloveLive, clock: MonotonicClock) -> None:
        super().__init__(sink, live, clock)
        self._live = live

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        onward = super().frame if self._live.watched else self._pass_frame
        onward(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        if self._live.watched:
            super().audio(block)
        else:
            PassingSink.audio(self, block)

    def _pass_frame(
        self, image: Image, stamp_ns: int, arrival_ns: int, *, frame_id: str, stamp_source: StampSource
    ) -> None:
        PassingSink.frame(self, image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)
