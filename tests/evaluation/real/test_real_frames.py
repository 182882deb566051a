"""The annotated real frames are complete and possible, and the scores of masks on them are right."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stream_avs.errors import DatasetError
from stream_avs.evaluation.real.annotations import BUNDLED, KINDS, read_annotations
from stream_avs.evaluation.real.run import SCORED_SHAPE, enlarged, frame_scores, load_approaches
from stream_avs.models.consensus.table import read_table

SQUARE = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]


def write(path: Path, **changes: object) -> Path:
    frame = {
        "clip": "a.mp4",
        "time_s": 1.0,
        "kind": "class",
        "sources": [{"label": "dog", "class_id": 12, "polygons": [SQUARE]}],
    }
    content = {"version": 1, "clips": {"a.mp4": {"folder": "clips"}}, "frames": [{**frame, **changes}]}
    path.write_text(json.dumps(content))
    return path


def test_there_are_enough_frames_of_every_kind() -> None:
    frames = read_annotations()
    kinds = Counter(f.kind for f in frames)
    assert len(frames) >= 60
    assert set(kinds) == set(KINDS)
    assert len({f.clip for f in frames}) >= 30
    assert len({(f.clip, f.time_s) for f in frames}) == len(frames)


def test_every_clip_has_its_origin_and_every_class_a_label() -> None:
    content, labels = json.loads(BUNDLED.read_text()), read_table().labels
    for clip in content["clips"].values():
        assert all(clip[key] for key in ("repository", "path", "commit", "licence", "folder"))
    for frame in read_annotations():
        assert all(s.class_id in labels for s in frame.sources if s.class_id is not None)
        assert all(s.polygons or s.mask for s in frame.sources if s.class_id is not None)


def test_polygons_cover_a_plausible_part_of_the_frame() -> None:
    for frame in read_annotations():
        if frame.kind == "class" and not any(s.mask for s in frame.sources):
            area = (frame.class_mask(SCORED_SHAPE, Path()) > 0).mean()
            assert 0.01 < area < 0.95, frame


def test_a_polygon_becomes_its_pixels(tmp_path: Path) -> None:
    frame = read_annotations(write(tmp_path / "a.json"))[0]
    mask = frame.class_mask((100, 100), tmp_path)
    assert set(np.unique(mask)) == {0, 12}
    assert abs((mask == 12).mean() - 0.25) < 0.02
    assert mask[50, 50] == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "noise"}, "kind 'noise'"),
        ({"time_s": 0}, "time 0"),
        ({"sources": []}, "does not fit"),
        ({"sources": [{"label": "x", "class_id": 21, "polygons": [SQUARE]}]}, "class 21"),
        ({"sources": [{"label": "x", "class_id": 1, "polygons": [[[0, 0], [2, 0], [1, 1]]]}]}, "leaves"),
        ({"sources": [{"label": "x", "class_id": 1, "polygons": [[[0, 0], [1, 1]]]}]}, "under 3 corners"),
    ],
)
def test_impossible_annotations_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_annotations(write(tmp_path / "a.json", **changes))


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    frames = read_annotations(write(tmp_path / "a.json"))
    with pytest.raises(DatasetError, match=r"a\.mp4 does not exist"):
        load_approaches(frames, tmp_path, 32_000)


def test_scores_of_one_frame() -> None:
    truth = np.zeros((10, 10), np.uint8)
    truth[:, :5] = 15
    assert frame_scores(truth, truth)[:4] == (1.0, 1.0, pytest.approx(1.0), 0.5)
    other = np.where(truth > 0, 12, 0).astype(np.uint8)
    assert frame_scores(other, truth)[:2] == (0.0, 1.0)
    nothing = np.zeros_like(truth)
    assert frame_scores(truth, nothing) == (0.0, 0.0, 0.0, 0.5, 1.0)
    assert frame_scores(nothing, nothing) == (1.0, 1.0, 0.0, 0.0, 0.0)


def test_enlarging_keeps_ids_and_shares() -> None:
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert np.bincount(enlarged(mask).ravel()).tolist() == [SCORED_SHAPE[0] * SCORED_SHAPE[1] // 16] * 16
