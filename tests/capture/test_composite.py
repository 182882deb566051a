from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from clips import make_clip
from recording_sink import RecordingSink

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.composite import Composite
from stream_avs.capture.media import Media
from stream_avs.capture.synthetic import Synthetic
from stream_avs.clock import monotonic_ns
from stream_avs.config import MediaConfig, SyntheticConfig
from stream_avs.errors import SourceError, SourceLostError
from stream_avs.types import SourceState


def synthetic(duration_s: float = 0.0) -> Synthetic:
    return Synthetic(SyntheticConfig(width_px=64, height_px=48, duration_s=duration_s))


class Failing:
    """A source that can fail at each step, which no real one does on demand."""

    def __init__(
        self,
        *,
        at_open: bool = False,
        after_s: float = 0.0,
        stop_s: float = 0.0,
        error: SourceError | None = None,
    ) -> None:
        self._error = error or SourceError("it broke", "Replug it")
        self._at_open = at_open
        self._after_s = after_s
        self._stop_s = stop_s
        self.stopped = 0

    def open(self) -> SourceInfo:
        if self._at_open:
            raise SourceError("microphone is gone", "Plug it in")
        return SourceInfo(name="failing", sample_rate_hz=8000, channels=2, notes=("odd",))

    def start(self, sink: Sink) -> None:
        timer = threading.Timer(self._after_s, sink.ended, [self._error])
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        self.stopped += 1
        time.sleep(self._stop_s)


def test_pictures_of_one_and_sound_of_the_other(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", 1.0, audio="pcm_s16le")
    source = Composite(synthetic(1.5), Media(path, MediaConfig()))
    info = source.open()
    assert (info.width_px, info.height_px, info.sample_rate_hz) == (64, 48, 16000)
    assert "synthetic scene and " in info.name
    assert info.live, "one of the two cannot wait"
    sink = RecordingSink()
    source.start(sink)
    assert sink.over.wait(10)
    source.stop()
    assert {f.image.shape for f in sink.frames} == {(48, 64, 3)}
    assert sum(len(b.block.samples) for b in sink.blocks) == 16000
    # the sound ended half a second before the pictures did, and ended nothing else
    assert sink.audio_over.is_set()
    assert len(sink.frames) == round(1.5 * 25)
    assert sink.ends == 1
    assert sink.error is None


def test_sound_that_fails_is_told_and_pictures_go_on() -> None:
    source = Composite(synthetic(), Failing(after_s=0.2))
    assert source.open().notes == ("odd",)
    sink = RecordingSink()
    source.start(sink)
    assert sink.audio_over.wait(5)
    before = len(sink.frames)
    sink.wait_for(frames=before + 5)
    source.stop()
    assert sink.discontinuities[0][0] == "sound ended: it broke. Replug it"
    assert abs(sink.discontinuities[0][1] - monotonic_ns()) < 10e9
    assert sink.ends == 0
    assert not sink.blocks


def test_pictures_that_fail_end_it_with_their_error() -> None:
    source = Composite(Failing(after_s=0.1), synthetic())
    source.open()
    sink = RecordingSink()
    source.start(sink)
    assert sink.over.wait(5)
    source.stop()
    assert str(sink.error) == "it broke. Replug it"
    assert not sink.frames


def test_sound_that_is_given_up_ends_it_as_was_asked_for() -> None:
    source = Composite(synthetic(), Failing(after_s=0.2, error=SourceLostError("microphone is gone for 5 s")))
    source.open()
    sink = RecordingSink()
    source.start(sink)
    assert sink.over.wait(5)
    source.stop()
    assert str(sink.error) == "microphone is gone for 5 s"


def test_the_state_is_that_of_the_pictures_and_a_lost_microphone_is_silence() -> None:
    class Telling(Failing):
        def __init__(self, *states: SourceState) -> None:
            super().__init__(after_s=60)
            self._states = states

        def start(self, sink: Sink) -> None:
            for state in self._states:
                sink.announce(state, "so it is")

    every = tuple(SourceState)
    source = Composite(Telling(*every), Telling(*every))
    source.open()
    sink = RecordingSink()
    source.start(sink)
    told = [state for state, _ in sink.states]
    assert told == [SourceState.SILENT, *(state for state in every if state is not SourceState.SILENT)]


@pytest.mark.parametrize("which", ["video", "audio"])
def test_either_failing_to_open_fails_the_whole_and_frees_the_other(which: str) -> None:
    good, bad = Failing(), Failing(at_open=True)
    source = Composite(bad, good) if which == "video" else Composite(good, bad)
    with pytest.raises(SourceError, match="microphone is gone"):
        source.open()
    assert good.stopped == (1 if which == "audio" else 0)


def test_both_are_stopped_at_the_same_time() -> None:
    source = Composite(Failing(stop_s=0.5), Failing(stop_s=0.5))
    begun_s = time.monotonic()
    source.stop()
    assert time.monotonic() - begun_s < 0.9, "each may take most of the second a source has"
