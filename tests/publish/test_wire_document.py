"""WIRE.md shows bytes; these tests make the same bytes and read the document's."""

import re
from pathlib import Path

import numpy as np
import pytest
from wire_results import assert_same

import stream_avs.publish
from stream_avs.config import Encoding
from stream_avs.publish import limits, mask_codec, wire
from stream_avs.publish.header import VERSION, Header, SoundingEntry
from stream_avs.types import MaskResult, ResultState, Sounding

DOCUMENT = (Path(stream_avs.publish.__file__).parent / "WIRE.md").read_text("utf-8")

MASK = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 7, 0],
        [0, 1, 1, 0, 0, 7, 7, 7],
        [0, 1, 1, 0, 0, 0, 7, 0],
    ],
    np.uint8,
)
EXAMPLE = MaskResult(
    mask=MASK,
    stream="cam0",
    seq=300,
    window_seq=42,
    stamp_ns=1_000_000_000,
    arrival_ns=1_004_000_000,
    publish_ns=1_061_000_000,
    unix_offset_ns=1_790_000_000_000_000_000,
    frame_id="camera",
    source_size=(640, 480),
    transform=(80.0, 0.0, 39.5, 0.0, 120.0, 59.5),
    labels={1: "person", 7: "guitar"},
    sounding=(Sounding(class_id=7, name="guitar", score=0.75, area=0.15625),),
    sounding_score=0.875,
    audio_level_dbfs=-20.0,
    state=ResultState.OK,
    model_id="example",
    latency_ms={"step": 41.5},
)


def block(heading: str) -> str:
    """The first code block under a heading."""
    return re.search(rf"#+ {re.escape(heading)}\n.*?```\w*\n(.*?)```", DOCUMENT, re.DOTALL)[1]


def hexdump(data: bytes) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{at:04x}  {row.hex(' '):<47}  {text}".rstrip())
    return "\n".join(lines) + "\n"


def from_hexdump(text: str) -> bytes:
    return b"".join(bytes.fromhex(line[6:53]) for line in text.splitlines())


def test_the_example_is_what_the_encoder_writes():
    written = hexdump(wire.to_packed(wire.encode(EXAMPLE, Encoding.RLE)))
    assert block("Worked example") == written, f"put this into WIRE.md:\n{written}"


def test_the_example_reads_back():
    assert_same(wire.decode(wire.from_packed(from_hexdump(block("Worked example")))), EXAMPLE)


def test_the_planes_example_reads_back():
    """Read only: zlib libraries may write other bytes for the same content."""
    payload = bytes.fromhex(block("`packbits+zlib`"))
    assert np.array_equal(mask_codec.decode_mask(payload, Encoding.PACKBITS_ZLIB, (8, 4), [1, 7]), MASK)


def test_the_reader_in_the_document_runs():
    names: dict[str, object] = {}
    exec(block("A reader without this package"), names)
    header, mask = names["read_latest"](from_hexdump(block("Worked example")))
    assert header["window_seq"] == 42
    assert mask == MASK.tobytes()
    planes = wire.to_packed(wire.encode(EXAMPLE))
    assert names["read_latest"](planes)[1] == MASK.tobytes()


@pytest.mark.parametrize("struct", [Header, SoundingEntry])
def test_every_key_is_described(struct):
    for key in struct.__struct_fields__:
        assert f"| `{key}` |" in DOCUMENT


def test_every_state_and_encoding_is_described():
    for name in (*ResultState, *Encoding):
        assert f"`{name.value}`" in DOCUMENT


def test_the_numbers_are_those_of_the_code():
    for number in (
        f"| version | {VERSION} |",
        f"| header | {limits.MAX_HEADER_BYTES} bytes |",
        f"| mask side | {limits.MAX_SIDE_PX} px |",
        f"| one payload | {limits.MAX_PAYLOAD_BYTES} bytes |",
        f"| payloads | {limits.MAX_PAYLOADS} |",
        f"| one frame | {limits.MAX_MESSAGE_BYTES} bytes |",
        f"| unpacked planes | {limits.MAX_PIXELS} bytes |",
    ):
        assert number in DOCUMENT
