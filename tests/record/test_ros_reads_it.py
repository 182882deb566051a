"""Recordings as ROS tools see them: types from the file's own schemas, messages through a ROS decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import EchoModel, block, image, record, recorder

pytest.importorskip("rosbags", reason="needs the Python package rosbags")
from mcap.reader import make_reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from stream_avs.capture.synthetic import Synthetic
from stream_avs.config import RunConfig, SyntheticConfig
from stream_avs.ledger import Ledger
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.record.reader import Recording


def messages(path: Path) -> dict[str, list]:
    """Messages of every topic, decoded by rosbags with nothing but what the file says."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    found: dict[str, list] = {}
    with path.open("rb") as file:
        for schema, channel, message in make_reader(file).iter_messages(log_time_order=False):
            assert schema is not None
            if schema.name not in store.fielddefs:
                own = schema.data.decode().split("=" * 80)[0]  # Time is in every store
                store.register(get_types_from_msg(own, schema.name))
            decoded = store.deserialize_cdr(message.data, schema.name)
            found.setdefault(channel.topic, []).append(decoded)
    return found


def test_pictures_and_sound(tmp_path: Path) -> None:
    record(tmp_path / "a.mcap", 4)
    offset_ns = Recording(tmp_path / "a.mcap").info.offset_ns
    found = messages(tmp_path / "a.mcap")
    for k, picture in enumerate(found["/cam0/picture"]):
        assert (picture.width, picture.height, picture.encoding, picture.step) == (32, 24, "rgb8", 96)
        assert np.array_equal(picture.data.reshape(24, 32, 3), image(k))
        stamp_ns = picture.timestamp.sec * 10**9 + picture.timestamp.nanosec
        assert stamp_ns - offset_ns == 10_000_000_007 + k * 40_000_000
        assert picture.frame_id == f"eye{k % 2}"
    for k, sound in enumerate(found["/cam0/audio"]):
        assert (sound.format, sound.sample_rate, sound.number_of_channels) == ("pcm-s16", 16_000, 1)
        pcm = sound.data.view("<i2")
        given = np.clip(block(k, exact=k % 2 == 0).samples[:, 0], -1, 32767 / 32768)
        assert np.abs(pcm / 32768 - given).max() <= 2**-16 + 1e-7
    assert len(found["/cam0/audio_exact"]) == 2
    assert {note.kind for note in found["/cam0/notes"]} >= {"event", "discontinuity", "frame_stamps"}


def test_masks_and_results(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    config = RunConfig(
        source="synthetic", synthetic=SyntheticConfig(width_px=64, height_px=48, duration_s=1.0)
    )
    ledger, results = Ledger(), []
    with recorder(tmp_path / "a.mcap", ledger) as out:
        source = Synthetic(config.synthetic)
        with Pipeline(
            config, source, EchoModel(), (results.append, out.publish), out.tap, ledger
        ) as pipeline:
            run_until_done(pipeline, 10)
    found = messages(tmp_path / "a.mcap")
    assert len(found["/cam0/result"]) == len(found["/cam0/mask"]) == len(results) > 10
    for result, said, mask in zip(results, found["/cam0/result"], found["/cam0/mask"], strict=True):
        assert said.state == result.state.value
        assert said.age_ms == pytest.approx(result.age_ms, rel=1e-5)
        assert said.sounding_score == pytest.approx(result.sounding_score, rel=1e-5)
        assert mask.format == "png"
        assert cv2.imdecode(np.asarray(mask.data), cv2.IMREAD_COLOR).shape[:2] == result.mask.shape
