"""Headers and times keep every nanosecond; building goes from the inside out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plain_messages import plain

from stream_avs.ros2.fields import Fields, Header, build, header_fields, header_of, time_fields, time_ns


@given(st.integers(0, 2**31 * 10**9 - 1), st.text(max_size=40))
def test_a_header_comes_back_as_it_was(stamp_ns: int, frame_id: str) -> None:
    header = Header(stamp_ns=stamp_ns, frame_id=frame_id)
    assert header_of(plain(Fields("x", {"header": header_fields(header)}))) == header


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_a_time_has_nanoseconds_below_a_second(stamp_ns: int) -> None:
    stamp = plain(time_fields(stamp_ns))
    assert 0 <= stamp.nanosec < 10**9
    assert time_ns(stamp) == stamp_ns


def test_parts_are_made_before_the_whole() -> None:
    inner = Fields("inner", {"x": 1})
    made: list[str] = []

    def make(name: str, values: dict[str, object]) -> tuple[str, dict[str, object]]:
        made.append(name)
        return name, values

    whole = build(Fields("outer", {"one": inner, "many": (inner, inner), "numbers": (1, 2)}), make)
    assert made == ["inner", "inner", "inner", "outer"]
    assert whole == (
        "outer",
        {"one": ("inner", {"x": 1}), "many": [("inner", {"x": 1})] * 2, "numbers": [1, 2]},
    )
