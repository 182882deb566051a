"""A live session seen over Foxglove's own protocol, by a client written from its specification."""

from __future__ import annotations

import asyncio
import json
import struct
import time

import numpy as np
import pytest
from recordings import INFO, image

aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
pytest.importorskip("foxglove", reason="needs foxglove-sdk (extra foxglove)")

from stream_avs.capture.tap import NoSink  # noqa: E402
from stream_avs.errors import PublishError  # noqa: E402
from stream_avs.record import codec  # noqa: E402
from stream_avs.record.config import FoxgloveConfig  # noqa: E402
from stream_avs.record.foxglove_live import FoxgloveLive  # noqa: E402
from stream_avs.types import AudioBlock  # noqa: E402


async def first_messages(url: str, topics: set[str], during) -> dict[str, tuple[dict, bytes]]:
    """Subscribe to topics; the advertisement and first message of each."""
    got: dict[str, tuple[dict, bytes]] = {}
    channels: dict[int, dict] = {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=("foxglove.sdk.v1",), max_msg_size=0) as socket,
        asyncio.timeout(15),
    ):
        while got.keys() != topics:
            message = await socket.receive(timeout=10)
            if message.type is aiohttp.WSMsgType.TEXT:
                said = json.loads(message.data)
                if said["op"] == "advertise":
                    new = {c["id"]: c for c in said["channels"] if c["topic"] in topics}
                    channels |= new
                    subscriptions = [{"id": c, "channelId": c} for c in new]
                    await socket.send_str(json.dumps({"op": "subscribe", "subscriptions": subscriptions}))
                    if len(channels) == len(topics):
                        await asyncio.sleep(0.3)
                        during()
            elif message.data[0] == 1:  # message data: opcode, subscription, time, payload
                (subscription,) = struct.unpack_from("<I", message.data, 1)
                channel = channels[subscription]
                got.setdefault(channel["topic"], (channel, message.data[13:]))
    return got


def test_topics_types_and_content() -> None:
    with FoxgloveLive(FoxgloveConfig(port=0, jpeg_quality=100), "cam0") as live:
        sink = live.tap(NoSink(), INFO)
        samples = np.full((160, 1), 0.25, np.float32)
        stamp_ns = time.monotonic_ns()

        def give() -> None:
            sink.frame(np.full((24, 32, 3), 77, np.uint8), stamp_ns, stamp_ns, frame_id="eye")
            sink.audio(AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=16_000))

        got = asyncio.run(first_messages(live.url, {"/cam0/picture", "/cam0/audio"}, give))
    channel, message = got["/cam0/picture"]
    assert channel["schemaName"] == "foxglove_msgs/msg/CompressedImage"
    assert (channel["encoding"], channel["schemaEncoding"]) == ("cdr", "ros2msg")
    picture, at_ns, frame_id = codec.decode_frame(message, channel["schemaName"])
    assert np.abs(picture.astype(int) - 77).max() <= 1
    assert frame_id == "eye"
    assert abs(at_ns - time.time_ns()) < 20e9
    heard, _, rate_hz = codec.decode_audio(got["/cam0/audio"][1])
    assert np.array_equal(heard, samples)
    assert rate_hz == 16_000


def test_nothing_is_copied_while_nobody_looks() -> None:
    with FoxgloveLive(FoxgloveConfig(port=0), "cam0") as live:
        assert not live.watched
        sink = live.tap(NoSink(), INFO)
        for k in range(20):
            sink.frame(image(k), k, k)
        assert live._sender.waiting == 0


def test_a_port_in_use_is_told() -> None:
    with FoxgloveLive(FoxgloveConfig(port=0), "cam0") as live:
        port = int(live.url.rsplit(":", 1)[1])
        with pytest.raises(PublishError, match="cannot be served"):
            FoxgloveLive(FoxgloveConfig(port=port), "cam0")
