from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.capture.address import redact, scheme_of

SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=20)


@pytest.mark.parametrize(
    ("address", "scheme"),
    [("rtsp://h/x", "rtsp"), ("HTTP://h", "http"), ("clip.mp4", ""), ("C:/clip.mp4", ""), ("/a:b", "")],
)
def test_scheme(address: str, scheme: str) -> None:
    assert scheme_of(address) == scheme


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam.local:554/live", "rtsp://cam.local:554/live"),
        ("rtsp://user:pass@cam.local:554/live", "rtsp://cam.local:554/live"),
        ("http://cam/video.cgi?user=admin&pwd=1234", "http://cam/video.cgi?..."),
        ("rtsp://u:a/b?c#d@cam/live", "rtsp://cam/live"),
        ("clips/me@home.mp4", "clips/me@home.mp4"),
    ],
)
def test_redact(address: str, shown: str) -> None:
    assert redact(address) == shown


@given(password=SECRET, token=SECRET)
def test_no_credential_is_ever_shown(password: str, token: str) -> None:
    # The fixed parts share no character sequence of four with what is generated below.
    marked, hidden = f"PW{password}", f"TK{token.replace('@', 'a')}"
    shown = redact(f"rtsp://joe:{marked}@h/x?key={hidden}")
    assert marked not in shown
    assert hidden not in shown
    assert "joe" not in shown
