"""Files are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream_avs.errors import ConfigError
from stream_avs.training.files import make_folder, remove_partial, write_text_whole, write_whole


def test_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last"
    write_text_whole(path, "old")

    def crash(partial: Path) -> None:
        partial.write_text("half of the n")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_whole(path, crash)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["last"]


def test_new_content_replaces_the_old_and_follows_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "last"
    write_text_whole(path, "old")

    def private(partial: Path) -> None:
        partial.write_text("new")
        partial.chmod(0o600)

    write_whole(path, private)
    (tmp_path / "plain").touch()
    assert path.read_text() == "new"
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["last", "plain"]


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".last.safetensors.4711.partial").write_text("half")
    (tmp_path / "last.safetensors").write_text("whole")
    remove_partial(tmp_path)
    assert os.listdir(tmp_path) == ["last.safetensors"]


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to .*file/run: .*--out"):
        make_folder(tmp_path / "file" / "run")
    make_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []
