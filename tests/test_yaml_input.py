"""YAML that is meant well is read as before; YAML that is not costs little and is refused."""

from __future__ import annotations

import datetime
import time
import tracemalloc
from pathlib import Path

import pytest

from stream_avs.config import RunConfig, load_yaml
from stream_avs.errors import ConfigError
from stream_avs.yaml_input import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, MAX_NODES, YamlError, decode_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: [1, 0x1f, 1e3, -.inf, yes, ~]", {"a": [1, 31, "1e3", float("-inf"), True, None]}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ("at: 2026-11-20", {"at": datetime.date(2026, 11, 20)}),
        (f"note: 5 microphones {'x' * MAX_DIGITS}", {"note": f"5 microphones {'x' * MAX_DIGITS}"}),
        (f"id: '{'7' * 100}'", {"id": "7" * 100}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, eval("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    ],
)
def test_plain_yaml_is_read(text: str, value: object) -> None:
    assert decode_yaml(text.encode()) == value


def laughs(levels: int) -> str:
    """Each line twice the one before: 2 ** levels values in `levels` lines."""
    lines = [f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x]", *lines])


HOSTILE = {
    "a billion laughs": (laughs(30), "holds more than"),
    "laughs by merging": (
        "a: &a {" + ", ".join(f"k{k}: 1" for k in range(2000)) + "}\nb: {<<: [" + "*a, " * 9 + "]}",
        "holds more than",
    ),
    "long text laughs": (f"- &a {'x' * 9999}\n" + "- *a\n" * 100, "holds more than"),
    "an alias of itself": ("&a [*a]", "stands for nothing"),
    "flow nested past the stack": ("[" * (MAX_BYTES - 1), "nested more than"),
    "blocks nested past the stack": ("- " * (MAX_BYTES // 2), "nested more than"),
    "keys nested past the stack": ("? " * (MAX_BYTES // 2), "nested more than"),
    "too many values": ("- a\n" * (MAX_NODES + 1), "holds more than"),
    "too many documents": ("--- a\n" * (MAX_NODES + 1), "holds more than"),
    "a number in base 60": ("a: 1" + ":1" * 40_000, "digits"),
    "a long hexadecimal number": ("a: 0x" + "f" * 5000, "digits"),
    "a long decimal number": ("a: " + "9" * 5000, "digits"),
    "a number without digits": ("a: 0x_", "invalid literal"),
    "a date that is none": ("a: 2001-99-99", "month must be"),
    "a tag": ("a: !!timestamp x", "tags are not read"),
    "a tag of Python": ("a: !!python/object/apply:os.system [id]", "tags are not read"),
    "a list as a key": ("{[a]: b}", "unhashable"),
    "half a UTF-16 text": ("\udcff\udcfea", "unacceptable character"),
    "too long": (" " * (MAX_BYTES + 1), "the limit is"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_and_costs_little(name: str, tmp_path: Path) -> None:
    text, reason = HOSTILE[name]
    data = text.encode("utf-8", "surrogateescape")
    tracemalloc.start()
    begin_s = time.process_time()
    with pytest.raises(YamlError, match=reason):
        decode_yaml(data)
    spent_s = time.process_time() - begin_s
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 16 * len(data) + 8 * 2**20
    assert spent_s < 5
    path = tmp_path / "run.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"run\.yaml cannot be read"):
        load_yaml(path, RunConfig)
