"""Results for the tests of this folder."""

from __future__ import annotations

import string

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream_avs.types import MaskResult, ResultState, Sounding


def make_result(mask=None, **changes):
    """One plausible result; `changes` win over its fields."""
    if mask is None:
        mask = np.zeros((24, 32), np.uint8)
        mask[4:20, 6:18] = 1
        mask[10:16, 20:30] = 7
    fields = {
        "mask": mask,
        "confidence": (mask > 0).astype(np.uint8) * 200,
        "stream": "cam0",
        "seq": 41,
        "window_seq": 17,
        "stamp_ns": 5_000_000_000,
        "arrival_ns": 5_004_000_000,
        "publish_ns": 5_061_000_000,
        "unix_offset_ns": 1_790_000_000_000_000_000,
        "frame_id": "camera",
        "source_size": (640, 480),
        "transform": (20.0, 0.0, 9.5, 0.0, 20.0, 9.5),
        "labels": {1: "person", 7: "guitar"},
        "sounding": (Sounding(class_id=7, name="guitar", score=0.75, area=0.078125),),
        "sounding_score": 0.875,
        "audio_level_dbfs": -23.5,
        "state": ResultState.OK,
        "dropped": 2,
        "timeshift_cam_mic_ns": -12_000_000,
        "model_id": "consensus-1f2e3d4c",
        "latency_ms": {"wait": 12.5, "step": 41.25},
    }
    return MaskResult(**{**fields, **changes})


def assert_same(a: MaskResult, b: MaskResult) -> None:
    """Every field equal, arrays also in dtype and shape."""
    for name in MaskResult.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), name
            assert np.array_equal(x, y), name
        else:
            assert x == y, name


sides = st.integers(1, 40)
sparse_pixels = st.sampled_from([0, 0, 0, 1, 2, 7, 254, 255])
masks = st.tuples(sides, sides).flatmap(
    lambda shape: st.one_of(
        hnp.arrays(np.uint8, shape, elements=sparse_pixels),
        hnp.arrays(np.uint8, shape),
        st.integers(0, 255).map(lambda v: np.full(shape, v, np.uint8)),
    )
)
int64 = st.integers(-(2**63), 2**63 - 1)
unit = st.floats(0, 1)
finite = st.floats(-1e12, 1e12)
words = st.text(max_size=20)
sounding = st.builds(Sounding, class_id=st.integers(1, 254), name=words, score=unit, area=unit)


@st.composite
def results(draw):
    """Any result that may be sent."""
    mask = draw(masks)
    confidence = draw(st.none() | hnp.arrays(np.uint8, mask.shape))
    return MaskResult(
        mask=mask,
        confidence=confidence,
        stream=draw(st.text(string.ascii_letters + string.digits + "_-./é", min_size=1, max_size=64)),
        seq=draw(int64),
        window_seq=draw(st.integers(0, 2**63 - 1)),
        stamp_ns=draw(int64),
        arrival_ns=draw(int64),
        publish_ns=draw(int64),
        unix_offset_ns=draw(int64),
        frame_id=draw(words),
        source_size=draw(st.tuples(st.integers(1, 1_000_000), st.integers(1, 1_000_000))),
        transform=draw(st.tuples(*[finite] * 6)),
        labels=draw(st.dictionaries(st.integers(0, 255), words, max_size=8)),
        sounding=tuple(draw(st.lists(sounding, max_size=4))),
        sounding_score=draw(unit),
        audio_level_dbfs=draw(finite),
        state=draw(st.sampled_from(ResultState)),
        reset_reason=draw(words),
        dropped=draw(st.integers(0, 2**63 - 1)),
        timeshift_cam_mic_ns=draw(int64),
        model_id=draw(words),
        latency_ms=draw(st.dictionaries(words, finite, max_size=5)),
    )
