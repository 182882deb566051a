"""Scenes cut from masked pictures and recordings, on a small folder made here."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.datasets.files import write_image, write_wav
from stream_avs.datasets.sample import SPLITS
from stream_avs.datasets.scenes import SceneConfig, SceneDataset
from stream_avs.datasets.scenes.assets import AssetLibrary
from stream_avs.datasets.scenes.render import render_frame
from stream_avs.datasets.scenes.sound_files import cut_sound, dense_sound, without_pauses
from stream_avs.datasets.scenes.splits import split_assets
from stream_avs.errors import DatasetError

RATE_HZ = 16_000
# name, id in the masks, sound folders, pitch of the recordings, colour of the object
CLASSES = [
    ("dog", 18, ["barks"], 400, (200, 40, 40)),
    ("cat", 17, ["meows"], 900, (40, 200, 40)),
    ("car", 3, ["engines"], 150, (40, 40, 200)),
    ("bus", 6, ["engines"], 150, (200, 200, 40)),
    ("boat", 9, [], 0, (200, 40, 200)),
]
IMAGES_PER_CLASS = 4
CONFIG = SceneConfig(size_px=64, object_side_min=0.3, p_noise=0.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey pictures with one coloured rectangle each, and four beeping recordings per sound folder."""
    root = tmp_path_factory.mktemp("assets")
    rng = np.random.default_rng(0)
    table = {}
    for name, mask_id, folders, pitch_hz, colour in CLASSES:
        table[name] = {"coco_category_id": mask_id, "sound_folders": folders}
        if name in ("dog", "cat"):
            table[name]["family"] = "animal"
        for k in range(IMAGES_PER_CLASS):
            image = rng.integers(100, 140, (120, 160, 3), dtype=np.uint8)
            mask = np.zeros((120, 160), np.uint8)
            y, x = int(rng.integers(5, 50)), int(rng.integers(5, 80))
            image[y : y + 50, x : x + 60] = colour
            mask[y : y + 50, x : x + 60] = mask_id
            write_image(root / f"masks/drawn/images/{name}{k}.png", image)
            write_image(root / f"masks/drawn/masks/{name}{k}.png", mask)
        for folder in folders:
            for k in range(8):  # takes A and B of four recordings
                time_s = np.arange(RATE_HZ) / RATE_HZ
                beeps = 0.4 * np.sin(2 * np.pi * pitch_hz * time_s) * (time_s % 0.5 < 0.2)
                path = root / f"sounds/{folder}/1-{k // 2:03d}-{'AB'[k % 2]}.wav"
                write_wav(path, beeps.astype(np.float32), RATE_HZ)
    (root / "sound_classes.json").write_text(json.dumps(table), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def library(root: Path) -> AssetLibrary:
    return AssetLibrary(root)


def test_what_is_in_the_folder_is_found(library: AssetLibrary) -> None:
    assert library.class_names == ("background", "dog", "cat", "car", "bus", "boat")
    assert len(library.pictures) == len(library.cutouts) == 5 * IMAGES_PER_CLASS
    for cutout in library.cutouts:
        assert cutout.inside.shape == (50, 60)
        assert cutout.inside.all()
        assert library.class_names[cutout.class_id] == cutout.picture.name[:-1]


def test_no_picture_and_no_recording_is_in_two_splits(library: AssetLibrary) -> None:
    sources = [library.source(split) for split in SPLITS]
    assert sum(len(s._pictures) for s in sources) == len(library.pictures)
    for source in sources:
        assert {source.class_names[c] for c in source.visible} == {name for name, *_ in CLASSES}
        assert {source.class_names[c] for c in source.sounding} == {"dog", "cat", "car", "bus"}
    by_recording = Counter(library.sound_split.values())
    # Two takes are one recording, and recordings of one name go together over folders: 001 is 001.
    assert sum(by_recording.values()) == 4
    assert set(by_recording) == set(SPLITS)


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=6), st.frozensets(st.integers(0, 4), max_size=3), max_size=40
    )
)
def test_every_class_of_three_alone_is_in_every_split(classes_of: dict[str, frozenset[int]]) -> None:
    result = split_assets(classes_of)
    assert set(result) == set(classes_of)
    assert result == split_assets(dict(reversed(classes_of.items())))
    sizes = Counter(c for classes in classes_of.values() for c in classes)
    rarest = min(sizes, key=lambda c: (sizes[c], c), default=None)
    if rarest is not None and sizes[rarest] >= 3:
        assert {result[n] for n, classes in classes_of.items() if rarest in classes} == set(SPLITS)


def test_shares_are_about_70_15_15() -> None:
    counts = Counter(split_assets({f"n{k}": frozenset({0}) for k in range(200)}).values())
    assert (counts["train"], counts["val"], counts["test"]) == (140, 30, 30)


def test_masks_are_the_objects_in_their_colours(library: AssetLibrary) -> None:
    dataset = SceneDataset(library.source("train"), CONFIG)
    colours = {k: np.array(c[4]) for k, c in enumerate(CLASSES, start=1)}
    pixels = 0
    for index in range(30):
        clip = dataset[index]
        for class_id in set(np.unique(clip.masks)) - {0}:
            found = clip.frames[clip.masks == class_id].astype(float)
            # Lit by 0.8 to 1.2; the colour's direction stays. Soft edges mix a little background in.
            direction = found / np.linalg.norm(found, axis=1, keepdims=True)
            wanted = colours[int(class_id)] / np.linalg.norm(colours[int(class_id)])
            assert np.quantile(direction @ wanted, 0.1) > 0.97
            pixels += len(found)
    assert pixels > 10_000


def test_pictures_of_the_background_count_as_seen(library: AssetLibrary) -> None:
    source = library.source("train")
    dataset = SceneDataset(source, CONFIG)
    for index in range(60):
        plan = dataset.plan(index)
        shown = set(np.unique(plan.background.classes)) - {0}
        seen = [thing.class_id for thing in plan.objects]
        assert shown <= set(seen)
        assert len(seen) == len(set(seen))  # never two of a class, pasted or not
        for event in plan.events:
            if event.class_id and event.source is None:
                assert not source.confusable(event.class_id) & set(seen)


def test_a_car_is_never_seen_beside_a_bus_that_sounds_alike(library: AssetLibrary) -> None:
    source = library.source("train")
    car, bus, dog = 3, 4, 1
    assert source.confusable(car) == {car, bus}
    assert source.confusable(dog) == {dog}
    dataset = SceneDataset(source, CONFIG)
    for index in range(60):
        placed = {thing.class_id for thing in dataset.plan(index).objects if thing.sprite is not None}
        assert not {car, bus} <= placed


def test_lookalikes_are_of_the_family(library: AssetLibrary) -> None:
    source = library.source("train")
    assert source.lookalikes(1) == {2}  # a dog: the cat
    assert source.lookalikes(3) == {1, 2, 5}  # a car has no family: all but car and bus


def test_an_object_of_the_background_can_be_the_source(library: AssetLibrary) -> None:
    from dataclasses import replace

    dataset = SceneDataset(library.source("train"), replace(CONFIG, p_in_place=1.0, pan_max=0.2))
    found = 0
    for index in range(40):
        plan = dataset.plan(index)
        if "in_place" not in plan.tags:
            continue
        (lead,) = [k for k, o in enumerate(plan.objects) if o.sprite is None][:1]
        for time_s in plan.frame_times_s:
            _, owner = render_frame(plan, float(time_s))
            if lead in plan.sounding(float(time_s)) and (owner == lead + 1).any():
                found += 1
    assert found > 20


def test_classes_can_be_chosen_and_ordered(root: Path) -> None:
    library = AssetLibrary(root, classes=["cat", "dog"], image_sets=["drawn"])
    assert library.class_names == ("background", "cat", "dog")
    assert {c.class_id for c in library.cutouts} == {1, 2}
    assert library.source("val").background(32, np.random.default_rng(0)).classes.max() <= 2


def test_pauses_are_shortened_and_silence_at_both_ends_removed() -> None:
    tone = np.sin(np.arange(1600) / 5).astype(np.float32)  # 0.1 s
    silence = np.zeros(16_000, np.float32)
    dense = without_pauses(np.concatenate([silence, tone, silence, tone, silence]), RATE_HZ)
    # 0.1 s + 0.25 s of the pause + 0.1 s, to within two steps of 20 ms.
    assert dense.size / RATE_HZ == pytest.approx(0.45, abs=0.04)
    assert without_pauses(silence, RATE_HZ).size == 0
    assert without_pauses(silence[:100], RATE_HZ).size == 0


def test_a_recording_gives_any_length_at_even_loudness(root: Path) -> None:
    path = root / "sounds/barks/1-000-A.wav"
    for samples in (800, 16_000, 100_000):
        cut = cut_sound(path, samples, RATE_HZ, np.random.default_rng(1))
        assert cut.shape == (samples,)
        assert cut.dtype == np.float32
    assert np.sqrt(np.mean(cut**2)) == pytest.approx(1.0, abs=1e-3)
    assert dense_sound(path, 32_000).size == pytest.approx(2 * dense_sound(path, RATE_HZ).size, rel=0.02)


def test_a_silent_recording_is_named(tmp_path: Path) -> None:
    write_wav(tmp_path / "mute.wav", np.zeros(8000, np.float32), RATE_HZ)
    with pytest.raises(DatasetError, match=r"mute\.wav is silent"):
        dense_sound(tmp_path / "mute.wav", RATE_HZ)


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"sound_classes\.json does not exist"):
        AssetLibrary(tmp_path)
    with pytest.raises(DatasetError, match=r"no class 'dogg'\. Did you mean 'dog'"):
        AssetLibrary(root, classes=["dogg"])
    (tmp_path / "sound_classes.json").write_text('{"dog": {"coco_category_id": 300}}', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"not a table of classes \(class 'dog'|'sound_folders'"):
        AssetLibrary(tmp_path)
    table = {"dog": {"coco_category_id": 18, "sound_folders": ["howls"]}}
    (tmp_path / "sound_classes.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DatasetError, match="no picture in"):
        AssetLibrary(tmp_path)
    write_image(tmp_path / "masks/a/images/x.png", np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"x\.png has no mask"):
        AssetLibrary(tmp_path)
    write_image(tmp_path / "masks/a/masks/x.png", np.zeros((40, 40), np.uint8))
    with pytest.raises(DatasetError, match="howls does not exist"):
        AssetLibrary(tmp_path)
