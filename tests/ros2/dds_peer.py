"""The other process: publishes what a robot would, or writes down what it hears. Run by the DDS tests."""

from __future__ import annotations

import json
import sys
import time

import dds_loopback
import numpy as np

from stream_avs.ros2.audio_fields import AudioKind, audio_fields, audio_info_fields
from stream_avs.ros2.dds.participant import Participant
from stream_avs.ros2.fields import IMAGE, Header
from stream_avs.ros2.image_fields import image_fields
from stream_avs.ros2.qos import PROFILES


def send_images(qos: str, domain: int, count: int) -> None:
    """Publish `count` masks at 50 Hz on /avs/mask once there is a reader, or after 2 s without one."""
    with Participant("dds_peer", domain_id=domain) as participant:
        out = participant.advertise("/avs/mask", IMAGE, PROFILES[qos])
        end_s = time.monotonic() + 2
        while not out.readers and time.monotonic() < end_s:
            time.sleep(0.01)
        time.sleep(0.2)
        for k in range(count):
            mask = np.full((480, 640), k, np.uint8)
            out.publish(image_fields(mask, "mono8", Header(stamp_ns=k, frame_id="cam")))
            time.sleep(0.02)
        time.sleep(0.3)


def robot(domain: int, seconds: float) -> None:
    """Publish 640x480 images at 30 Hz and the sound before each; print how long each mask took."""
    sent_s: dict[int, float] = {}
    took_ms: list[float] = []

    def mask(message: object) -> None:
        now_s = time.perf_counter()
        stamp = message.header.stamp  # type: ignore[attr-defined]
        begin_s = sent_s.pop(stamp.sec * 10**9 + stamp.nanosec, None)
        if begin_s is not None:
            took_ms.append((now_s - begin_s) * 1000)

    with Participant("robot", domain_id=domain) as participant:
        image = participant.advertise("image_raw", IMAGE, PROFILES["reliable"])
        audio = participant.advertise("audio", "audio_common_msgs/msg/AudioDataStamped", PROFILES["default"])
        info = participant.advertise("audio_info", "audio_common_msgs/msg/AudioInfo", PROFILES["latched"])
        participant.listen("/segmenter/mask", IMAGE, mask, PROFILES["sensor_data"])
        participant.start()
        info.publish(audio_info_fields(16000, 1))
        picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        samples = np.random.default_rng(1).uniform(-0.1, 0.1, (640, 1)).astype(np.float32)
        start_ns = time.time_ns()
        for k in range(round(seconds * 25)):
            stamp_ns = start_ns + k * 40_000_000
            time.sleep(max(0.0, (stamp_ns - time.time_ns()) / 1e9))
            # Sound ahead of the picture: what is measured is the path of the picture, not the wait for sound.
            sound = Header(stamp_ns=stamp_ns + 40_000_000, frame_id="mic")
            audio.publish(audio_fields(AudioKind.ROS_DRIVERS, samples, 16000, sound))
            time.sleep(0.003)
            sent_s[stamp_ns] = time.perf_counter()
            image.publish(image_fields(picture, "rgb8", Header(stamp_ns=stamp_ns, frame_id="front_optical")))
        time.sleep(0.3)
    sys.stdout.write(json.dumps(took_ms))


if __name__ == "__main__":
    assert dds_loopback.URI
    role, *rest = sys.argv[1:]
    if role == "images":
        send_images(rest[0], int(rest[1]), int(rest[2]))
    else:
        robot(int(rest[0]), float(rest[1]))
