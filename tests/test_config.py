"""Configuration: YAML fills the dataclasses; unknown keys, wrong types and ranges are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_avs.config import CameraConfig, Encoding, Policy, RunConfig, load_yaml
from stream_avs.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_yaml_fills_nested_settings(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.yaml",
        "source: webcam\npolicy: freshest\ncamera: {width_px: 1280, fps: 15}\npublish: {encoding: rle}\n",
    )
    config = load_yaml(file, RunConfig)
    assert (config.source, config.policy) == ("webcam", Policy.FRESHEST)
    assert config.camera == CameraConfig(width_px=1280, fps=15.0)
    assert config.publish.encoding is Encoding.RLE


def test_override_wins_and_supplies_what_is_missing(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "name: front\n")
    assert load_yaml(file, RunConfig, source="x.mp4").source == "x.mp4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source: a\nwindw: {}\n", r"'windw'.*Did you mean 'window'"),
        ("source: a\ncamera: {widht_px: 3}\n", r"'camera\.widht_px'.*Did you mean 'width_px'"),
        ("source: a\ncamera: {fps: fast}\n", r"'camera\.fps' is 'fast'.*float"),
        ("source: a\npolicy: newest\n", r"'policy' is 'newest'.*auto, freshest, every"),
        ("source: a\ncamera: {fps: -1}\n", r"camera\.fps is -1.*\(0, 1000\]"),
        ("source: a\nname: 'two words'\n", r"name is 'two words'"),
        ("name: cam0\n", r"source is missing"),
        ("- a\n- b\n", r"list"),
        ("source: [\n", r"cannot be read"),
        ("source: a\nwindow: {frame_slots: 3}\n", r"window\.frame_slots is 3"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path / "c.yaml", text)
    with pytest.raises(ConfigError, match=says):
        load_yaml(file, RunConfig)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_yaml(tmp_path / "none.yaml", RunConfig)


def test_empty_file_takes_every_default(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path / "c.yaml", ""), CameraConfig) == CameraConfig()
