"""The browser's reader of the wire format against this package's writer, in Node."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest
from wire_results import make_result

import stream_avs.publish
from stream_avs.config import Encoding
from stream_avs.publish import wire
from stream_avs.publish.header import encode_header

WEB = Path(stream_avs.publish.__file__).parent / "web"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node 18 or newer (Debian: nodejs)")

PROGRAM = """
import * as wire from "file://%s";
let text = "";
for await (const part of process.stdin) text += part;
const answers = [];
for (const item of JSON.parse(text)) {
  try {
    const message = wire.readMessage(Buffer.from(item, "base64"));
    const mask = await wire.decodeMask(message);
    const confidence = await wire.decodeConfidence(message);
    const { header } = message;
    answers.push({
      kind: message.kind, stream: message.stream, width: mask.width, height: mask.height,
      ids: Buffer.from(mask.ids).toString("base64"),
      confidence: confidence && Buffer.from(confidence.values).toString("base64"),
      stamp: String(header.t_capture_ns), offset: String(header.clock_offset_ns), labels: header.labels,
      sounding: header.sounding, state: header.state, ms: wire.captureTimeMs(header),
      there: wire.maskToSource(header.transform, 3, 5),
      back: wire.sourceToMask(header.transform, ...wire.maskToSource(header.transform, 3, 5)),
    });
  } catch (error) {
    answers.push({ error: error instanceof wire.WireError ? "wire" : String(error.stack) });
  }
}
console.log(JSON.stringify(answers));
"""


def read(*messages: bytes) -> list[dict]:
    """What wire.js makes of each message."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", PROGRAM % (WEB / "wire.js")],
        input=json.dumps([base64.b64encode(m).decode() for m in messages]),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    noise = rng.choice(np.array([0, 0, 1, 7, 254], np.uint8), (37, 53))
    return [noise, np.zeros((5, 9), np.uint8), np.full((1, 1), 3, np.uint8), make_result().mask]


@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_encoding(encoding: Encoding) -> None:
    results = [
        make_result(mask, stamp_ns=2**60 + k, transform=(2.5, 0.25, -3, -0.5, 1.5, 8))
        for k, mask in enumerate(masks())
    ]
    found = read(*[wire.to_packed(wire.encode(r, encoding)) for r in results])
    for result, answer in zip(results, found, strict=True):
        assert "error" not in answer, answer
        height, width = result.mask.shape
        assert (answer["width"], answer["height"]) == (width, height)
        assert base64.b64decode(answer["ids"]) == result.mask.tobytes()
        assert base64.b64decode(answer["confidence"]) == result.confidence.tobytes()
        assert int(answer["stamp"]) == result.stamp_ns
        assert int(answer["offset"]) == result.unix_offset_ns
        assert answer["labels"] == {str(k): v for k, v in result.labels.items()}
        assert answer["sounding"][0]["name"] == "guitar"
        assert (answer["kind"], answer["stream"], answer["state"]) == ("latest", "cam0", "ok")
        assert answer["there"] == [2.5 * 3 + 0.25 * 5 - 3, -0.5 * 3 + 1.5 * 5 + 8]
        assert np.allclose(answer["back"], (3, 5))
        assert abs(answer["ms"] - (result.stamp_ns + result.unix_offset_ns) / 1e6) < 1


def test_hostile_messages_are_refused() -> None:
    good = wire.to_packed(wire.encode(make_result()))
    newer = good.replace(b"\xa1v\x01", b"\xa1v\x02", 1)
    bomb = wire.encode(make_result(np.ones((4096, 4096), np.uint8), confidence=None))
    small = wire.encode(make_result(np.ones((8, 8), np.uint8), confidence=None))
    swapped = wire.to_packed(
        wire.WireMessage(
            header=(h := msgspec.structs.replace(small.header, payload_bytes=bomb.header.payload_bytes)),
            header_bytes=encode_header(h),
            payloads=bomb.payloads,
        )
    )
    cuts = [good[:k] for k in range(0, len(good), 23)]
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 256, 400).astype(np.uint8).tobytes() for _ in range(40)]
    nested = b"latest/cam0\0" + (200).to_bytes(4, "little") + b"\x91" * 200
    found = read(newer, swapped, nested, *cuts, *noise)
    assert [a.get("error") for a in found] == ["wire"] * len(found)


def test_types_name_what_is_exported() -> None:
    """wire.d.ts declares exactly the exports of wire.js, and every header key."""
    script = (WEB / "wire.js").read_text()
    types = (WEB / "wire.d.ts").read_text()

    def exported(text: str) -> set[str]:
        words = ("function ", "const ", "class ", "async function ")
        lines = [line.removeprefix("export ") for line in text.splitlines() if line.startswith("export ")]
        names = [line[len(w) :] for line in lines for w in words if line.startswith(w)]
        return {name.replace("(", " ").replace(":", " ").split()[0] for name in names}

    assert exported(script) == exported(types) != set()
    from stream_avs.publish.header import Header

    for key in Header.__struct_fields__:
        assert f"  {key}: " in types or f"  {key}: 1;" in types
