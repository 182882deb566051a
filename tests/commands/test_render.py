"""`stream-avs render` of a recording and of a film."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "publish"))
sys.path.insert(0, str(Path(__file__).parents[1] / "record"))
from recordings import INFO, block, recorder
from wire_results import make_result

from stream_avs.capture.tap import NoSink
from stream_avs.commands import render
from stream_avs.errors import PublishError, SourceError
from stream_avs.publish.contact_sheet import ContactSheet

START_NS = 10_000_000_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, grey, with a mask for every second frame."""
    path = tmp_path_factory.mktemp("render") / "a.mcap"
    with recorder(path) as out:
        sink = out.tap(NoSink(), INFO)
        for k in range(50):
            stamp_ns = START_NS + k * 40_000_000
            sink.audio(block(k))
            sink.frame(np.full((240, 320, 3), 90, np.uint8), stamp_ns, stamp_ns)
            if k % 2 == 0:
                out.publish(make_result(stamp_ns=stamp_ns, seq=k, window_seq=k // 2, source_size=(320, 240),
                                        transform=(10.0, 0.0, 4.5, 0.0, 10.0, 4.5)))  # fmt: skip
    return path


def test_video_of_a_recording(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    assert render.run([str(recorded), "--out", str(out)]) == 0
    with av.open(str(out)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 50
    assert frames[20].shape == (240, 320, 3)
    assert np.abs(frames[20][130, 250].astype(int) - 90).max() > 20  # tinted
    assert np.abs(frames[20][230, 10].astype(int) - 90).max() < 12  # not
    with av.open(str(out)) as container:
        sound = sum(f.samples for f in container.decode(audio=0))
        assert sound / container.streams.audio[0].rate == pytest.approx(2.0, abs=0.15)


def test_sheet_of_a_recording(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheets" / "a.png"
    assert render.run([str(recorded), "--sheet", str(path), "--pictures", "6", "--columns", "3"]) == 0
    sheet = cv2.imread(str(path))
    assert sheet is not None
    assert sheet.shape[1] == 3 * 360 + 4 * 12
    assert sheet.shape[0] == 2 * (270 + 26 + 12) + 12
    assert not list(tmp_path.glob("*.mp4"))


def test_sheet_is_evenly_spread() -> None:
    sheet = ContactSheet(pictures=5, columns=5)
    shown = []
    small = sheet._small
    sheet._small = lambda image, result: shown.append(result.seq) or small(image, result)  # type: ignore[method-assign]
    for k in range(1000):
        sheet.frame(np.full((24, 32, 3), 50, np.uint8), k)
        sheet.publish(make_result(stamp_ns=k, seq=k))
    stamps = [since for since, _ in sheet._kept]
    assert 5 <= len(stamps) <= 10
    assert set(np.diff(stamps)) == {sheet._step}
    assert stamps[-1] > 800
    assert len(shown) < 60
    assert ContactSheet().image() is None
    chosen = [since for since, _ in sheet._spread()]
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, 5)
    assert max(np.diff(chosen)) < 2 * min(np.diff(chosen))


@pytest.mark.slow
def test_film(talkers: Path, tmp_path: Path) -> None:
    clip = tmp_path / "short.mkv"
    with av.open(str(talkers)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k, frame in enumerate(source.decode(video=0)):
            if k == 40:
                break
            target.mux(stream.encode(frame.reformat(320, 240, "yuv420p")))
        target.mux(stream.encode(None))
    sheet, video = tmp_path / "s.png", tmp_path / "v.mp4"
    assert render.run([str(clip), "--sheet", str(sheet), "--out", str(video)]) == 0
    assert sheet.stat().st_size > 1000
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 40


def test_mistakes(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none"):
        render.run([str(tmp_path / "none.mp4"), "--out", str(tmp_path / "x.mp4")])
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError):
        render.run([str(recorded), "--sheet", str(tmp_path / "file" / "a.png")])
