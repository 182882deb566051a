"""Real DDS between real processes, on loopback: what matches, what does not, and the whole segmenter."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds", reason="needs stream-avs[dds]: cyclonedds has no wheel here")
pytest.importorskip("rosbags", reason="needs stream-avs[dds]: rosbags")

from dds_loopback import DOMAIN, URI

from stream_avs.benchmarks.stand_ins import DiscModel
from stream_avs.errors import PublishError
from stream_avs.ros2.dds.masks import masks
from stream_avs.ros2.dds.participant import GRAPH_TOPIC, GRAPH_TYPE, Participant, absolute
from stream_avs.ros2.dds.segmenter_process import DdsConfig, DdsSegmenter, run_dds
from stream_avs.ros2.dds.wire_types import sample_type
from stream_avs.ros2.fields import IMAGE, LABEL_INFO, Header, header_of
from stream_avs.ros2.image_fields import image_fields, label_info_fields
from stream_avs.ros2.qos import PROFILES

PEER = Path(__file__).with_name("dds_peer.py")
COUNT = 40


def peer(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(PEER), *arguments], stdout=subprocess.PIPE, text=True)


def wait_for(condition: Any, timeout_s: float = 10.0) -> bool:
    end_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.01)
    return bool(condition())


def hear(offered: str, requested: str, domain: int, type_name: str = IMAGE, count: int = COUNT) -> list[Any]:
    """What a reader of `requested` quality hears of a process that offers `offered`."""
    heard: list[Any] = []
    with Participant("reader", domain_id=domain) as participant:
        participant.listen("/avs/mask", type_name, heard.append, PROFILES[requested])
        participant.start()
        running = peer("images", offered, str(domain), str(count))
        running.communicate(timeout=30)
        wait_for(lambda: len(heard) == count, 1.0)
    return heard


@pytest.mark.parametrize(
    ("offered", "requested"),
    [("reliable", "reliable"), ("reliable", "sensor_data"), ("sensor_data", "sensor_data")],
)
def test_masks_travel_between_processes(offered: str, requested: str) -> None:
    heard = hear(offered, requested, DOMAIN)
    needed = COUNT if offered == requested == "reliable" else COUNT - 4
    assert needed <= len(heard) <= COUNT
    assert all(header_of(m).frame_id == "cam" and m.data[0] == header_of(m).stamp_ns for m in heard)


def test_best_effort_is_not_heard_by_reliable() -> None:
    assert hear("sensor_data", "reliable", DOMAIN, count=10) == []


def test_another_type_on_the_topic_is_not_heard() -> None:
    assert hear("reliable", "reliable", DOMAIN, "sensor_msgs/msg/CompressedImage", 10) == []


def test_what_was_latched_reaches_late_readers() -> None:
    heard: list[Any] = []
    with Participant("late_writer", domain_id=DOMAIN) as writer:
        out = writer.advertise("~/label_info", LABEL_INFO, PROFILES["latched"])
        out.publish(label_info_fields({1: "person"}, 0.5, Header(stamp_ns=0, frame_id="")))
        with Participant("late_reader", domain_id=DOMAIN) as reader:
            reader.listen("/late_writer/label_info", LABEL_INFO, heard.append, PROFILES["latched"])
            reader.start()
            assert wait_for(lambda: len(heard) == 1)
    assert [c.class_name for c in heard[0].class_map] == ["not_sounding", "person"]


def test_writers_carry_their_type_hash() -> None:
    from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
    from cyclonedds.core import Policy
    from cyclonedds.domain import DomainParticipant

    with Participant("hashed", domain_id=DOMAIN) as participant:
        participant.advertise("~/mask", IMAGE, PROFILES["reliable"])
        other = DomainParticipant(DOMAIN)
        reader = BuiltinDataReader(other, BuiltinTopicDcpsPublication)
        found: dict[str, bytes] = {}

        def seen() -> bool:
            for sample in reader.take(100):
                if getattr(sample, "topic_name", "") == "rt/hashed/mask":
                    found[sample.type_name] = sample.qos[Policy.Userdata].data
            return bool(found)

        assert wait_for(seen)
        expected = f"typehash={participant.store.type_hash(IMAGE)};".encode()
    assert found == {"sensor_msgs::msg::dds_::Image_": expected}


def test_the_node_graph_has_an_entry() -> None:
    from cyclonedds.core import Policy, Qos
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
    from cyclonedds.util import duration

    with Participant("seen_node", namespace="robot1", domain_id=DOMAIN) as participant:
        out = participant.advertise("~/mask", IMAGE, PROFILES["reliable"])
        other = DomainParticipant(DOMAIN)
        topic = Topic(other, GRAPH_TOPIC, sample_type(participant.store.types, GRAPH_TYPE))
        qos = Qos(
            Policy.Reliability.Reliable(duration(seconds=1)), Policy.Durability.TransientLocal,
            Policy.History.KeepAll, Policy.DataRepresentation(use_cdrv0_representation=True),
        )  # fmt: skip
        reader = DataReader(other, topic, qos)
        entries: list[Any] = []

        def seen() -> bool:
            for sample in reader.take(100):
                if hasattr(sample, "cdr"):
                    message = participant.store.decode(sample.cdr, GRAPH_TYPE)
                    entries.extend(e for e in message.node_entities_info_seq if e.node_name == "seen_node")
            return bool(entries) and bool(entries[-1].writer_gid_seq)

        assert wait_for(seen)
        assert entries[-1].node_namespace == "/robot1"
        assert bytes(entries[-1].writer_gid_seq[-1].data) == out.writer.guid.bytes


def test_names_are_resolved_as_ros_does() -> None:
    assert absolute("~/mask", "segmenter", "robot1") == "/robot1/segmenter/mask"
    assert absolute("image_raw", "segmenter", "/robot1/") == "/robot1/image_raw"
    assert absolute("/diagnostics", "segmenter", "robot1") == "/diagnostics"
    assert absolute("~/mask", "segmenter") == "/segmenter/mask"


def test_the_segmenter_runs_on_the_wire_alone() -> None:
    """A robot process sends images and sound; masks come back with the images' stamps, quickly."""
    stop, said = threading.Event(), []
    config = DdsSegmenter(dds=DdsConfig(domain_id=DOMAIN))
    thread = threading.Thread(target=run_dds, args=(config, said.append, DiscModel(), stop))
    thread.start()
    assert wait_for(lambda: bool(said), 30)
    output, _ = peer("robot", str(DOMAIN), "5").communicate(timeout=40)
    stop.set()
    thread.join(10)
    took_ms = json.loads(output)
    assert len(took_ms) >= 60
    # Goal: 3 ms (p50). Half of it is spare, since other processes share the machine.
    assert sorted(took_ms)[len(took_ms) // 4] <= 6
    assert "masks" in said[-1]


def test_masks_are_read_with_their_labels() -> None:
    ids = np.zeros((8, 8), np.uint8)
    ids[2:4, 2:4] = 15
    ids[0, 0] = 255
    with Participant("sender", domain_id=DOMAIN) as sender:
        latched = sender.advertise("~/label_info", LABEL_INFO, PROFILES["latched"])
        latched.publish(label_info_fields({15: "person"}, 0.5, Header(stamp_ns=0, frame_id="")))
        out = sender.advertise("~/mask", IMAGE, PROFILES["reliable"])
        stop = threading.Event()

        def send() -> None:
            k = 0
            while not stop.wait(0.05):
                k += 1
                out.publish(image_fields(ids, "mono8", Header(stamp_ns=k, frame_id="cam")))

        thread = threading.Thread(target=send)
        thread.start()
        found = [mask for mask, _ in zip(masks("/sender/mask", domain_id=DOMAIN), range(10), strict=False)]
        stop.set()
        thread.join()
    stamps = [mask.stamp_ns for mask in found]
    assert stamps == sorted(set(stamps))
    assert found[-1].sounding == ("person",)
    assert found[-1].frame_id == "cam"
    assert found[-1].ids.max() == 15


def test_silence_says_where_it_listened() -> None:
    with pytest.raises(PublishError, match="/nobody/mask"):
        next(masks("/nobody/mask", domain_id=DOMAIN, timeout_s=0.5))


def test_profile_keeps_to_loopback() -> None:
    assert 'name="lo"' in URI
    with Participant("first", domain_id=DOMAIN) as first, Participant("second", domain_id=DOMAIN) as second:
        heard: list[Any] = []
        second.listen("/first/mask", IMAGE, heard.append, PROFILES["sensor_data"])
        second.start()
        out = first.advertise("~/mask", IMAGE, PROFILES["reliable"])
        assert wait_for(lambda: out.readers == 1)
        out.publish(image_fields(np.zeros((4, 4), np.uint8), "mono8", Header(stamp_ns=1, frame_id="c")))
        assert wait_for(lambda: len(heard) == 1)
