"""`stream-avs model`: list and info."""

import json
from pathlib import Path

import pytest

from stream_avs.cli import main
from stream_avs.engine.backends import cache


def test_list_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert {"consensus", "pvt2", "r50", "nano", "tiny", "tpavi-pvt2", "avsac-tiny"} <= set(names)


def test_info_puts_the_paper_beside(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "info", "pvt2"]) == 0
    rows = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert rows["EIM"][1:] == ["2.630", "5.469", "2.6", "+0.03", "5.5", "-0.03"]
    assert rows["total"][3] == "143.4"
    assert rows["total"][5] == "86.3"
    assert abs(float(rows["total"][1]) - 143.4) < 0.02 * 143.4


def test_info_at_another_size_has_no_paper_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "info", "tiny", "--input-px", "128", "--mode", "causal", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["input_px"] == 128
    assert info["total"]["paper"] is None
    assert info["total"]["macs"] == sum(row["macs"] for row in info["rows"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "pvt"], "did you mean"),
        (["info", "consensus"], "is not one network to train"),
        (["info", "tiny", "--input-px", "50"], "multiple of 16"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", *arguments]) == 2
    assert message.lower() in capsys.readouterr().err.lower()


def test_info_says_what_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", "avsac-tiny"]) == 0
    assert "AVSAC on tiny" in capsys.readouterr().out
    assert main(["model", "info", "tpavi-tiny", "--mode", "causal"]) == 2
    assert "TPAVI has no setting 'mode'" in capsys.readouterr().err


def test_compiled_networks_are_listed_and_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "DEFAULT_CACHE", tmp_path)
    cache.keep(
        tmp_path,
        "openvino-1-abc",
        lambda folder: (folder / "step.xml").write_bytes(bytes(1_500_000)) and None,
    )
    assert main(["model", "cache"]) == 0
    assert "1.5 MB" in (listed := capsys.readouterr().out)
    assert "openvino-1-abc" in listed
    assert main(["model", "cache", "--clear"]) == 0
    assert "removed" in capsys.readouterr().out
    assert main(["model", "cache"]) == 0
    assert "openvino-1-abc" not in capsys.readouterr().out
