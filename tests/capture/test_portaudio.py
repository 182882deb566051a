from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.capture.portaudio import MicrophoneInfo, pick_microphone
from stream_avs.errors import SourceError


def device(index: int, name: str, *, is_default: bool = False) -> MicrophoneInfo:
    return MicrophoneInfo(
        index=index, name=name, channels=2, default_rate_hz=48000, host_api="ALSA", is_default=is_default
    )


DEVICES = [
    device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)"),
    device(4, "USB Mic (hw:1,0)"),
    device(5, "pulse", is_default=True),
    device(7, "USB Mic Pro (hw:2,0)"),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [("", 5), ("4", 4), ("pulse", 5), ("hda intel", 0), ("Mic Pro", 7), ("USB Mic (hw:1,0)", 4)],
)
def test_a_microphone_is_found(wanted: str, index: int) -> None:
    assert pick_microphone(DEVICES, wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "what"),
    [("usb mic", "ambiguous"), ("headset", "there is no microphone"), ("3", "there is no microphone '3'")],
)
def test_a_wrong_one_lists_what_there_is(wanted: str, what: str) -> None:
    with pytest.raises(SourceError, match=what) as caught:
        pick_microphone(DEVICES, wanted)
    assert "4 (USB Mic (hw:1,0), ALSA)" in str(caught.value)


def test_no_microphone_and_no_default() -> None:
    with pytest.raises(SourceError, match="no microphone was found"):
        pick_microphone([], "")
    with pytest.raises(SourceError, match="no default microphone"):
        pick_microphone([DEVICES[0], DEVICES[1]], "")
    assert pick_microphone([DEVICES[0]], "").index == 0, "the only one needs no default"


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=6), unique=True, min_size=1))
def test_every_device_is_found_by_its_whole_name(names: list[str]) -> None:
    devices = [device(i, name) for i, name in enumerate(names)]
    for info in devices:
        assert pick_microphone(devices, info.name) == info


WITHOUT = """
import sys
{hide}
from stream_avs.errors import MissingPackageError
from stream_avs.capture.microphone import Microphone, list_microphones
from stream_avs.config import MicrophoneBackend, MicrophoneConfig
try:
    Microphone(MicrophoneConfig(backend=MicrophoneBackend("{backend}"))).open()
except MissingPackageError as error:
    print(error)
"""

NO_PORTAUDIO = (
    "import ctypes.util; ctypes.util.find_library = lambda name: None; sys.modules['pyaudio'] = None"
)


@pytest.mark.parametrize(
    ("hide", "backend", "says"),
    [
        ("sys.modules['sounddevice'] = sys.modules['pyaudio'] = None", "auto", "'stream-avs[live]'"),
        ("sys.modules['sounddevice'] = None", "sounddevice", "sounddevice is not installed. Run: pip"),
        ("sys.modules['pyaudio'] = None", "pyaudio", "'stream-avs[pyaudio]'"),
        (NO_PORTAUDIO, "auto", "PortAudio is not installed. Run: apt-get install libportaudio2"),
        (NO_PORTAUDIO, "sounddevice", "apt-get install libportaudio2"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_gets_it(hide: str, backend: str, says: str) -> None:
    # In a process of its own: a module that was imported once stays imported.
    script = WITHOUT.format(hide=hide, backend=backend)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert says in ran.stdout, ran.stderr


def test_no_driver_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys, stream_avs.capture.open_source, stream_avs.commands.devices\n"
        "print([m for m in ('av', 'cv2', 'sounddevice', 'pyaudio', 'torch') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr
