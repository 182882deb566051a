"""The wheel holds the nodes as `stream_avs.nodes` and nothing else at its top."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("stream_avs", "nodes", "launch", "calib", "resource")
FILES = ("pyproject.toml", "setup.py", "setup.cfg", "MANIFEST.in", "package.xml", "LICENSE", "README.md")


def setuptools_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in metadata.version("setuptools").split(".")[:1])
    except metadata.PackageNotFoundError:
        return (0,)


@pytest.mark.slow
@pytest.mark.skipif(setuptools_version() < (68,), reason="needs setuptools 68 or newer in this environment")
def test_a_wheel_has_one_top_level_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in TOP:
        if (ROOT / name).exists():
            skipped = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.mp4")
            shutil.copytree(ROOT / name, source / name, ignore=skipped)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {
        name.split("/")[0] for name in names if not name.split("/")[0].endswith((".dist-info", ".data"))
    }
    assert packages == {"stream_avs"}
    assert {
        f"stream_avs/nodes/{module}.py" for module in ("__init__", "capture", "segmenter", "overlay")
    } <= names
    data = {name.split(".data/data/")[1] for name in names if ".data/data/" in name}
    assert {
        "share/ament_index/resource_index/packages/stream_avs", "share/stream_avs/package.xml",
        "share/stream_avs/launch/robot.launch.py", "share/stream_avs/parameters/robot.yaml",
        "lib/stream_avs/segmenter",
    } <= data  # fmt: skip
