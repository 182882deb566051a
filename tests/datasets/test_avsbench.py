"""Readers against files: what was composed is what is read, and every kind of damage is named."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream_avs.datasets.avsbench import AvsBenchReader, LogMelFrom
from stream_avs.datasets.avsbench_avss import AvssDataset, LabelsFrom
from stream_avs.datasets.avsbench_ms3 import Ms3Dataset
from stream_avs.datasets.avsbench_s4 import S4Dataset
from stream_avs.datasets.files import read_rgb, write_image
from stream_avs.datasets.log_mel import grid_examples
from stream_avs.datasets.safe_pickle import load_float_array
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig, SceneDataset
from stream_avs.datasets.scenes.write import Layout, layout_config, split_counts, write_scenes
from stream_avs.errors import ConfigError, DatasetError

CONFIG = SceneConfig(size_px=48)
SEED = 5
CLIPS = 12
SPLITS = ("train", "val", "test")
READERS = {Layout.S4: S4Dataset, Layout.MS3: Ms3Dataset, Layout.AVSS: AvssDataset}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layout], Path]:
    source = ProceduralSource()
    made: dict[Layout, Path] = {}

    def write(layout: Layout) -> Path:
        if layout not in made:
            out = tmp_path_factory.mktemp("sets") / str(layout)
            made[layout] = write_scenes(
                out, layout, dict.fromkeys(SPLITS, source), clips=CLIPS, seed=SEED, config=CONFIG
            )
        return made[layout]

    return write


@pytest.fixture
def copy(written: Callable[[Layout], Path], tmp_path: Path) -> Callable[[Layout], Path]:
    return lambda layout: Path(shutil.copytree(written(layout), tmp_path / str(layout)))


def composed(layout: Layout, split: str, frames: int = 5) -> SceneDataset:
    return SceneDataset(
        ProceduralSource(), layout_config(layout, CONFIG, frames=frames), seed=SEED, split=split
    )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("layout", [Layout.S4, Layout.MS3])
def test_s4_and_ms3_come_back_as_composed(
    written: Callable[[Layout], Path], layout: Layout, split: str
) -> None:
    read = READERS[layout](written(layout), split, waveform_hz=16_000)
    assert len(read) == split_counts(CLIPS)[split]
    for index in range(len(read)):
        found, made = read[index], composed(layout, split)[index]
        assert (found.name, found.split) == (made.name, split)
        np.testing.assert_array_equal(found.frames, made.frames)
        assert found.log_mel is not None
        np.testing.assert_array_equal(found.log_mel, made.log_mel)
        np.testing.assert_array_equal(found.waveform, made.waveform)
        np.testing.assert_allclose(found.frame_times_s, made.frame_times_s)
        first_only = layout is Layout.S4 and split == "train"
        assert found.mask_valid.tolist() == ([True] + 4 * [not first_only])
        np.testing.assert_array_equal(
            found.masks, (made.masks > 0) * found.mask_valid[:, None, None].astype(np.uint8)
        )
        assert found.frame_valid.all()
        if layout is Layout.S4:
            assert found.category == made.category.replace(" ", "_")
            assert found.masks[0].any()


@pytest.mark.parametrize("labels", list(LabelsFrom))
@pytest.mark.parametrize("split", SPLITS)
def test_avss_comes_back_as_composed_and_padded(
    written: Callable[[Layout], Path], split: str, labels: LabelsFrom
) -> None:
    read = AvssDataset(written(Layout.AVSS), split, labels=labels, waveform_hz=16_000)
    assert read.class_names == ProceduralSource().class_names
    for index in range(len(read)):
        count = (5, 5, 10)[index % 3]
        found, made = read[index], composed(Layout.AVSS, split, count)[index]
        subset = ("v1s", "v1m", "v2")[index % 3]
        assert found.name == f"{subset}/{made.name}"
        assert found.frame_valid.tolist() == [True] * count + [False] * (10 - count)
        labelled = 1 if (split, subset) == ("train", "v1s") else count
        assert found.mask_valid.tolist() == [True] * labelled + [False] * (10 - labelled)
        np.testing.assert_array_equal(found.masks[:labelled], made.masks[:labelled])
        assert not found.masks[labelled:].any()
        # JPEG is not exact: the mean error of a pixel is small, and red is still red.
        assert np.abs(found.frames[:count].astype(int) - made.frames).mean() < 8
        assert not found.frames[count:].any()
        assert made.waveform is not None
        assert found.log_mel is not None
        np.testing.assert_array_equal(found.log_mel[:count], grid_examples(made.waveform))
        assert not found.log_mel[count:].any()


def test_avss_subsets_can_be_read_alone(written: Callable[[Layout], Path]) -> None:
    read = AvssDataset(written(Layout.AVSS), "train", subsets=("v2",))
    assert {read[i].name.split("/")[0] for i in range(len(read))} == {"v2"}
    with pytest.raises(DatasetError, match=r"no subset 'v3'"):
        AvssDataset(written(Layout.AVSS), "train", subsets=("v3",))


def test_file_names_are_those_of_the_releases(written: Callable[[Layout], Path]) -> None:
    name = composed(Layout.MS3, "val")[0].name
    assert (written(Layout.MS3) / f"ms3_data/visual_frames/{name}/{name}.mp4_1.png").is_file()
    assert (written(Layout.MS3) / f"ms3_data/gt_masks/val/{name}/{name}_5.png").is_file()
    made = composed(Layout.S4, "train")[0]
    inside = f"train/{made.category.replace(' ', '_')}/{made.name}"
    data = written(Layout.S4) / "s4_data"
    assert (data / f"visual_frames/{inside}/{made.name}_5.png").is_file()
    assert [p.name for p in (data / f"gt_masks/{inside}").iterdir()] == [f"{made.name}_1.png"]
    assert (data / f"audio_log_mel/{inside}.pkl").is_file()


def test_log_mel_from_wav_equals_the_file(written: Callable[[Layout], Path]) -> None:
    root = written(Layout.S4)
    np.testing.assert_array_equal(
        S4Dataset(root, "val", log_mel=LogMelFrom.WAV)[0].log_mel, S4Dataset(root, "val")[0].log_mel
    )
    assert S4Dataset(root, "val", log_mel=LogMelFrom.NONE)[0].log_mel is None


@pytest.mark.parametrize("layout", list(Layout))
def test_unpacked_one_folder_too_deep_is_found(copy: Callable[[Layout], Path], layout: Layout) -> None:
    root = copy(layout)
    for inner in ("s4_data", "ms3_data", "v1s", "v2"):
        if (root / inner).is_dir():
            (root / inner).rename(root / "moved")
            (root / inner).mkdir()
            (root / "moved").rename(root / inner / inner)
    read = READERS[layout](root.parent, "val")
    assert all(read[i].frames.any() for i in range(len(read)))


# -- what can be wrong with a clip: (layout, what to break, what the error says)


def _clip(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def _remove(pattern: str) -> Callable[[Path], None]:
    return lambda root: _clip(root, pattern).unlink()


def _garbage(pattern: str) -> Callable[[Path], None]:
    return lambda root: _clip(root, pattern).write_bytes(b"not what it says")


def _paint(pattern: str, image: np.ndarray) -> Callable[[Path], None]:
    return lambda root: write_image(_clip(root, pattern), image)


def _drop_folder(pattern: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(_clip(root, pattern))


def _short_log_mel(root: Path) -> None:
    path = _clip(root, "s4_data/audio_log_mel/val/*/*.pkl")
    path.write_bytes(pickle.dumps(np.zeros((4, 1, 96, 64), np.float32)))


RGB = np.zeros((48, 48, 3), np.uint8)
GREY = np.zeros((48, 48), np.uint8)
S4_FRAME = "s4_data/visual_frames/val/*/*/*_3.png"
S4_MASK = "s4_data/gt_masks/val/*/*/*_3.png"
S4_MEL = "s4_data/audio_log_mel/val/*/*.pkl"
DAMAGES = [
    (Layout.S4, _remove(S4_FRAME), r"visual_frames/val/.*_3\.png does not exist"),
    (Layout.S4, _remove(S4_MASK), r"gt_masks/val/.*_3\.png does not exist"),
    (Layout.S4, _garbage(S4_FRAME), r"_3\.png is not a picture"),
    (Layout.S4, _paint(S4_FRAME, RGB[:40]), r"_3\.png is 48 x 40, the clip's frames are 48 x 48"),
    (Layout.S4, _paint(S4_MASK, GREY[:, :30]), r"gt_masks/.*_3\.png is 30 x 48"),
    (Layout.S4, _paint(S4_MASK, GREY + 1), r"_3\.png has values 1\. Expected 0 and 255"),
    (Layout.S4, _garbage(S4_MEL), r"\.pkl is (damaged|not a pickled)"),
    (Layout.S4, _remove(S4_MEL), r"\.pkl does not exist"),
    (Layout.S4, _short_log_mel, r"has shape \[4, 1, 96, 64\], expected \[5, 1, 96, 64\]"),
    (Layout.S4, _drop_folder("s4_data/visual_frames/val/*/*"), r"s4_meta_data\.csv line \d+ names it, but"),
    (Layout.MS3, _remove("ms3_data/visual_frames/*val*/*.mp4_2.png"), r"\.mp4_2\.png does not exist"),
    (Layout.MS3, _drop_folder("ms3_data/visual_frames/*val*"), r"ms3_meta_data\.csv line \d+ names it"),
    (Layout.AVSS, _paint("v1s/*val*/labels_rgb/2.png", RGB + 77), r"colour \(77, 77, 77\) at x 0, y 0"),
    (Layout.AVSS, _paint("v1s/*val*/labels_rgb/2.png", RGB + 128), r"labels_rgb/2\.png has colour \(128"),
    (Layout.AVSS, _remove("v1m/*val*/frames/4.jpg"), r"avss clip v1m/.*frames/4\.jpg does not exist"),
    (Layout.AVSS, _garbage("v1m/*val*/audio.wav"), r"audio\.wav cannot be read as sound"),
    (Layout.AVSS, _drop_folder("v1s/*val*"), r"metadata\.csv line \d+ names it"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "damage", "message"), DAMAGES, ids=[d[2] for d in DAMAGES])
def test_damage_is_named_by_clip_and_file(
    copy: Callable[[Layout], Path], layout: Layout, damage: Callable[[Path], None], message: str
) -> None:
    root = copy(layout)
    damage(root)
    read: AvsBenchReader = READERS[layout](root, "val")
    raised: dict[int, DatasetError] = {}
    for index in range(len(read)):
        try:
            read[index]
        except DatasetError as error:
            raised[index] = error
    ((broken, error),) = raised.items()
    assert error.what.startswith(f"{layout} clip ")
    assert re.search(message, str(error))
    for index in range(len(read)):  # the check finds what reading stumbles over, and nothing else
        listed = [str(problem) for problem in read.problems(index)]
        assert (str(error) in listed) if index == broken else not listed


def test_the_check_lists_every_problem_of_a_clip(copy: Callable[[Layout], Path]) -> None:
    root = copy(Layout.S4)
    for damage in (_remove(S4_FRAME), _remove(S4_MASK), _garbage(S4_MEL)):
        damage(root)
    (root / "s4_data/gt_masks/val").rename(root / "s4_data/gt_masks/vale")
    read = S4Dataset(root, "val")
    # Clip 0 lacks a frame, all five masks and its log-mel; every other clip lacks its masks.
    counts = sorted(len(list(read.problems(i))) for i in range(len(read)))
    assert counts == [5] * (len(read) - 1) + [7]


def test_unknown_colours_can_be_read_as_background(copy: Callable[[Layout], Path]) -> None:
    root = copy(Layout.AVSS)
    _paint("v1s/*val*/labels_rgb/2.png", RGB + 77)(root)
    read = AvssDataset(root, "val", allow_unknown=True, subsets=("v1s",))
    assert not read[0].masks[2].any()


def test_semantic_labels_may_be_stored_with_colours(copy: Callable[[Layout], Path]) -> None:
    root = copy(Layout.AVSS)
    before = AvssDataset(root, "val")[0].masks
    for path in root.glob("*/*/labels_semantic/*.png"):
        write_image(path, read_rgb(path.parents[1] / "labels_rgb" / path.name))
    after = AvssDataset(root, "val", labels=LabelsFrom.SEMANTIC)[0].masks
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,start,category\na,0,b\n", "has no column 'split'"),
        ("name,start,category,split\na,0,b,dev\n", "line 2 has split 'dev'. Expected one of: train"),
        ("name,start,category,split\na,0,b,val\nc\n", "line 3 has 1 cells, the header 4"),
    ],
)
def test_a_wrong_table_is_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s4_meta_data.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        S4Dataset(tmp_path, "val")


def test_roots_and_splits_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        S4Dataset(tmp_path / "nowhere", "val")
    with pytest.raises(DatasetError, match=r"no ms3_meta_data\.csv in"):
        Ms3Dataset(tmp_path, "val")
    with pytest.raises(DatasetError, match=r"no split 'vall'\. Did you mean 'val'"):
        S4Dataset(tmp_path, "vall")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s4_meta_data.csv").touch()
    with pytest.raises(DatasetError, match=r"holds 2 files s4_meta_data\.csv"):
        S4Dataset(tmp_path, "val")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"background": 0, "dog": 2}, r"has ids 0\.\.2 for 2 names"),
        ({str(i): i for i in range(72)}, "for 72 names"),
        ({"background": "zero"}, "not a table of names and ids"),
    ],
)
def test_a_wrong_class_table_is_refused(
    copy: Callable[[Layout], Path], table: dict[str, object], message: str
) -> None:
    root = copy(Layout.AVSS)
    (root / "label2idx.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        AvssDataset(root, "val")


def test_writing_is_the_same_for_the_same_seed(written: Callable[[Layout], Path], tmp_path: Path) -> None:
    again = write_scenes(
        tmp_path / "again", Layout.MS3, dict.fromkeys(SPLITS, ProceduralSource()),
        clips=CLIPS, seed=SEED, config=CONFIG,
    )  # fmt: skip
    first = written(Layout.MS3)
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for file in files:
        if file.suffix == ".pkl":  # a pickled tensor names its memory address
            old, new = load_float_array(first / file), load_float_array(again / file)
            np.testing.assert_array_equal(old, new)
        else:
            assert (first / file).read_bytes() == (again / file).read_bytes(), file


def test_writing_refuses_a_folder_in_use_and_too_few_clips(tmp_path: Path) -> None:
    sources = dict.fromkeys(SPLITS, ProceduralSource())
    (tmp_path / "mine").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        write_scenes(tmp_path, Layout.S4, sources, clips=3)
    with pytest.raises(ConfigError, match="clips is 2"):
        write_scenes(tmp_path / "new", Layout.S4, sources, clips=2)


def test_s4_keeps_one_source_sounding_throughout() -> None:
    busy = replace(CONFIG, p_silence=0.3, p_switch=1.0, p_several=1.0, p_off_screen=0.3)
    dataset = SceneDataset(ProceduralSource(), layout_config(Layout.S4, busy))
    for index in range(20):
        heard = [e for e in dataset.plan(index).events if e.source is not None]
        assert len(heard) == 1
        assert (heard[0].start_s, heard[0].end_s) == (0.0, 5.0)
