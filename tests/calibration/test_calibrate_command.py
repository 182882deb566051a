"""`stream-avs calibrate` from its command line to the files it writes."""

from __future__ import annotations

import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from av_film import write_film
from av_scene import Scene
from board_scene import Lens, poses, render

from stream_avs.calibration.av_calib import read_av_calib
from stream_avs.calibration.boards import BoardConfig
from stream_avs.calibration.camera_info import read_camera_info
from stream_avs.calibration.errors import CalibrationError, CalibrationFileError
from stream_avs.calibration.kalibr import read_kalibr
from stream_avs.commands.calibrate import SUBCOMMANDS, run
from stream_avs.errors import ConfigError, SourceError

EXAMPLES = Path(__file__).parents[2] / "calib" / "examples"
SMALL = ["--video.width-px", "160", "--video.height-px", "90", "--video.events", "12"]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    config, lens = BoardConfig(), Lens()
    for number, pose in enumerate(poses(config, lens, 16, seed=5)):
        cv2.imwrite(str(folder / f"{number:02d}.png"), render(config, lens, pose))
    cv2.imwrite(str(folder / "empty.png"), np.full((480, 640), 80, np.uint8))
    return folder


def test_camera_from_a_folder(boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "front.yaml"
    assert run(["camera", "--images", str(boards), "--name", "front", "--out", str(out)]) == 0
    info = read_camera_info(out)
    assert info.camera_name == "front"
    assert info.camera_matrix[0] == pytest.approx(620, rel=0.005)
    assert cv2.imread(str(out.with_suffix(".png"))) is not None
    said = capsys.readouterr().out
    assert "empty.png: no board" in said
    assert "RMS reprojection error 0.0" in said
    assert run(["show", str(out)]) == 0
    assert "front: 640x480, plumb_bob" in capsys.readouterr().out


def test_camera_from_a_video(boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "boards.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=4, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for picture in sorted(boards.glob("[0-9]*.png")):
            grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    out = tmp_path / "front.yaml"
    assert run(["camera", "--source", str(path), "--out", str(out)]) == 0
    assert read_camera_info(out).camera_matrix[0] == pytest.approx(620, rel=0.005)
    assert "over 16 views" in capsys.readouterr().out


def test_camera_refuses_the_wrong_board(boards: Path, tmp_path: Path) -> None:
    arguments = ["camera", "--images", str(boards), "--out", str(tmp_path / "front.yaml")]
    with pytest.raises(CalibrationError, match="in none of 17 pictures"):
        run([*arguments, "--board.dictionary", "DICT_4X4_100"])
    with pytest.raises(CalibrationError, match="are needed"):
        run([*arguments, "--lens.min-views", "50"])
    with pytest.raises(ConfigError, match="name is 'my camera'"):
        run([*arguments, "--name", "my camera"])
    assert list(tmp_path.iterdir()) == []


def test_camera_gives_up_when_no_board_is_shown(tmp_path: Path) -> None:
    # The synthetic scene is a live source: it is looked at for the given time only.
    arguments = ["camera", "--source", "synthetic", "--duration-s", "1", "--out", str(tmp_path / "c.yaml")]
    with pytest.raises(CalibrationError, match=r"in none of \d+ pictures"):
        run(arguments)
    assert list(tmp_path.iterdir()) == []


def test_target_then_sync(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, out = tmp_path / "target.mp4", tmp_path / "av_calib.yaml"
    assert run(["target", str(target), *SMALL, "--video.fps", "30", "--video.shift-s", "0.1"]) == 0
    assert "12 flashes with beeps at 30 fps" in capsys.readouterr().out
    assert run(["sync", "--source", str(target), "--out", str(out), "--distance-m", "3.43"]) == 0
    calib = read_av_calib(out)
    assert calib.timeshift_cam_mic_s == pytest.approx(0.1 - 0.01, abs=0.001)
    assert (calib.method, calib.events, calib.fps, calib.distance_m) == ("flash", 12, 30.0, 3.43)
    assert calib.camera == calib.microphone
    assert "target.mp4" in calib.camera
    assert cv2.imread(str(tmp_path / "av_calib.png")) is not None
    said = capsys.readouterr().out
    assert re.search(r"t_mic = t_cam \+(89|90)\.\d ms, standard error 0\.5 ms", said)
    assert "a drawn video" in said
    assert run(["show", str(out)]) == 0
    assert "12 flash events, of today" in capsys.readouterr().out


def test_sync_of_claps(tmp_path: Path) -> None:
    film = write_film(tmp_path / "claps.mp4", Scene(kind="clap", shift_s=-0.15, seed=7))
    out, plot = tmp_path / "claps.yaml", tmp_path / "fit.png"
    arguments = ["sync", "--source", str(film), "--method", "clap", "--out", str(out), "--plot", str(plot)]
    assert run([*arguments, "--exposure-ms", "10"]) == 0
    calib = read_av_calib(out)
    assert abs(calib.timeshift_cam_mic_s + 0.15) <= 0.005
    assert (calib.method, calib.exposure_ms) == ("clap", 10.0)
    assert plot.exists()


def test_sync_that_is_not_sure_writes_nothing(talkers: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no sure shift"):
        run(["sync", "--source", str(talkers), "--out", str(tmp_path / "av_calib.yaml")])
    assert list(tmp_path.iterdir()) == []


def test_sync_needs_sound(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64), np.uint8), format="gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(CalibrationError, match="gave no sound"):
        run(["sync", "--source", str(silent), "--out", str(tmp_path / "o.yaml")])


def test_mic_of_a_file(talkers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mic.yaml"
    code = run(["mic", "--source", str(talkers), "--out", str(out)])
    raw = yaml.safe_load(out.read_text())
    assert code == (0 if raw["good"] else 1)
    assert raw["seconds"] == pytest.approx(12, abs=0.1)
    assert -90 < raw["noise_floor_dbfs"] < raw["loud_dbfs"] < raw["peak_dbfs"] <= 0
    assert f"noise floor {raw['noise_floor_dbfs']:.0f} dBFS" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["charuco", "checkerboard"])
@pytest.mark.parametrize("ending", ["pdf", "png"])
def test_boards_to_print(kind: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"board.{ending}"
    assert run(["target", str(out), "--kind", kind, "--page.paper", "letter"]) == 0
    assert out.stat().st_size > 10_000
    assert f"{kind}, 9x6 squares of 25 mm" in capsys.readouterr().out


def test_kalibr_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = EXAMPLES / "camchain.yaml"
    assert run(["kalibr", str(chain), "--out", str(tmp_path), "--name", "left"]) == 0
    assert read_camera_info(tmp_path / "left.yaml") == read_kalibr(chain, "left")[0].info
    assert read_av_calib(tmp_path / "av_calib.yaml").timeshift_cam_mic_s == 0.0318
    text = chain.read_text().replace("timeshift_cam_mic:", "timeshift_cam_imu:")
    (tmp_path / "imu.yaml").write_text(text)
    other = tmp_path / "imu"
    capsys.readouterr()
    assert run(["kalibr", str(tmp_path / "imu.yaml"), "--out", str(other)]) == 0
    assert [p.name for p in other.iterdir()] == ["cam0.yaml"]
    assert "--microphone-on-imu-clock" in capsys.readouterr().out
    assert run(["kalibr", str(tmp_path / "imu.yaml"), "--out", str(other), "--microphone-on-imu-clock"]) == 0
    assert read_av_calib(other / "av_calib.yaml").method == "kalibr"


def test_examples_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_camera_info(EXAMPLES / "camera_info.yaml").calibrated
    assert read_av_calib(EXAMPLES / "av_calib.yaml").events == 22
    assert {p.name for p in EXAMPLES.iterdir()} == {"camera_info.yaml", "av_calib.yaml", "camchain.yaml"}
    for name in ("camera_info.yaml", "av_calib.yaml"):
        assert run(["show", str(EXAMPLES / name)]) == 0
    said = capsys.readouterr().out
    assert "fx 620.32" in said
    assert "+42.3 ms" in said


def test_show_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("image_width: 3\n")
    with pytest.raises(CalibrationFileError, match="is missing"):
        run(["show", str(tmp_path / "a.yaml")])
    (tmp_path / "b.yaml").write_text("what: 3\n")
    with pytest.raises(CalibrationFileError, match="no such key"):
        run(["show", str(tmp_path / "b.yaml")])


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_every_subcommand_has_help(subcommand: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run([subcommand, "--help"])
    assert caught.value.code == 0
    assert f"calibrate {subcommand}" in capsys.readouterr().out


def test_manners(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert run(["--help"]) == 0
    assert "flash-beep.mp4" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="unknown subcommand 'calibrate camra'"):
        run(["camra"])
    with pytest.raises(SourceError, match="is no file"):
        run(["sync", "--source", "none.mp4"])
