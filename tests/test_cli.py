"""The command line as a user meets it: help, unknown commands, one-line errors and their exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stream_avs.cli import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in COMMANDS)


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devics"]) == 2
    assert capsys.readouterr().err == (
        "stream-avs: error: unknown command 'devics'. Did you mean 'devices'?\n"
    )


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([name, "--help"])
    except SystemExit as end:  # how argument parsing ends
        code = end.code
    assert code == 0
    assert f"stream-avs {name}" in capsys.readouterr().out


def test_subscriber_side_imports_no_heavy_package() -> None:
    heavy = ("torch", "cv2", "av", "sounddevice", "tyro", "rich")
    code = f"import sys, stream_avs; stream_avs.subscribe; print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
