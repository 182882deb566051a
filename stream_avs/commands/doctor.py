"""`stream-avs doctor`: what is installed, what is missing, and the command to get it."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from stream_avs import __version__
from stream_avs.commands.arguments import parse_arguments

OK, MISSING = "ok", "missing"


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Which form to print."""

    json: bool = False
    """Print JSON, e.g. to attach to a bug report."""
    calibration: str = ""
    """File written by `stream-avs calibrate sync`, to show its shift and age."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing looked at: its name, what it is for, whether it is there, and how to get it."""

    name: str
    purpose: str
    status: str
    found: str
    get: str = ""
    required: bool = False


PACKAGES = (
    # module, distribution, purpose, how to get it, needed by `stream-avs run`
    ("zmq", "pyzmq", "masks over ZeroMQ", "pip install stream-avs", True),
    ("msgspec", "msgspec", "message headers, configuration", "pip install stream-avs", True),
    ("torch", "torch", "the network", "pip install 'stream-avs[live]'", True),
    ("safetensors", "safetensors", "weights", "pip install 'stream-avs[live]'", True),
    ("av", "av", "files, RTSP, overlay video", "pip install 'stream-avs[live]'", True),
    ("cv2", "opencv-python-headless", "cameras, drawing", "pip install 'stream-avs[live]'", True),
    ("rich", "rich", "live status", "pip install 'stream-avs[live]'", True),
    ("mcap", "mcap", "recordings", "pip install 'stream-avs[record]'", False),
    ("aiohttp", "aiohttp", "the page of `view`", "pip install 'stream-avs[web]'", False),
    ("openvino", "openvino", "faster networks on CPUs", "pip install 'stream-avs[openvino]'", False),
    ("cyclonedds", "cyclonedds", "ROS 2 topics without ROS", "pip install 'stream-avs[dds]'", False),
    ("pyaudio", "pyaudio", "second microphone backend", "pip install 'stream-avs[pyaudio]'", False),
    ("tensorboard", "tensorboard", "training curves", "pip install 'stream-avs[train]'", False),
)


def run(argv: list[str]) -> int:
    """Print the checks; returns 0 if everything `stream-avs run` needs on a file is there, else 1."""
    config = parse_arguments(DoctorConfig, "doctor", argv, __doc__)
    checks = [*map(_package, PACKAGES), _portaudio(), *_devices(), _machine(), _cuda(), _ros2(), _weights()]
    if config.calibration:
        checks.append(_calibration(Path(config.calibration)))
    if config.json:
        print(json.dumps({"version": __version__, "checks": [asdict(c) for c in checks]}, indent=2))
    else:
        _print(checks)
    return 1 if any(c.required and c.status == MISSING for c in checks) else 0


def _print(checks: list[Check]) -> None:
    print(f"stream-avs {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
    name_width = max(len(c.name) for c in checks)
    purpose_width = max(len(c.purpose) for c in checks)
    for c in checks:
        mark = "✓" if c.status == OK else ("✗" if c.required else "-")
        line = f" {mark} {c.name:<{name_width}}  {c.purpose:<{purpose_width}}  {c.found}"
        print(line.rstrip() + (f"   get it: {c.get}" if c.get and c.status == MISSING else ""))
    lacking = [c.name for c in checks if c.required and c.status == MISSING]
    print(f"\nneeded and missing: {', '.join(lacking)}" if lacking else "\nready for `stream-avs run`")


def _package(row: tuple[str, str, str, str, bool]) -> Check:
    module, distribution, purpose, get, required = row
    try:
        importlib.import_module(module)
        found, status = _version(distribution, module), OK
    except ImportError as error:
        found, status = _first_line(error), MISSING
    return Check(name=distribution, purpose=purpose, status=status, found=found, get=get, required=required)


def _version(distribution: str, module: str) -> str:
    for name in (distribution, distribution.removesuffix("-headless"), module):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "version unknown"


def _portaudio() -> Check:
    name, purpose = "sounddevice", "microphones"
    try:
        import sounddevice
    except ImportError:
        return Check(
            name=name, purpose=purpose, status=MISSING, found="not installed",
            get="pip install 'stream-avs[live]'",
        )  # fmt: skip
    except OSError as error:
        return Check(
            name=name, purpose=purpose, status=MISSING, found=_first_line(error),
            get="apt-get install libportaudio2",
        )  # fmt: skip
    version = sounddevice.get_portaudio_version()[1]
    return Check(name=name, purpose=purpose, status=OK, found=f"{_version(name, name)}, {version}")


def _devices() -> list[Check]:
    from stream_avs.capture.camera import list_cameras
    from stream_avs.capture.microphone import list_microphones
    from stream_avs.errors import StreamAvsError

    checks = []
    for name, find, hint in (
        ("cameras", list_cameras, "plug one in; /dev/video* must be readable (group video)"),
        ("microphones", list_microphones, "plug one in; `stream-avs devices` lists them"),
    ):
        try:
            found = find()
        except StreamAvsError as error:
            checks.append(Check(name=name, purpose="live capture", status=MISSING, found=str(error)))
            continue
        text = ", ".join(d.name for d in found) or "none found"
        checks.append(
            Check(name=name, purpose="live capture", status=OK if found else MISSING, found=text, get=hint)
        )
    return checks


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    policy = os.environ.get("OMP_WAIT_POLICY", "unset")
    found = f"{platform.machine()}, {cores} cores, OMP_WAIT_POLICY={policy}"
    return Check(name="CPU", purpose="runs everything", status=OK, found=found)


def _cuda() -> Check:
    name, purpose = "CUDA", "the network on a GPU"
    if "torch" not in sys.modules:
        return Check(name=name, purpose=purpose, status=MISSING, found="torch is missing")
    import torch

    if torch.cuda.is_available():
        return Check(name=name, purpose=purpose, status=OK, found=torch.cuda.get_device_name())
    return Check(name=name, purpose=purpose, status=MISSING, found="no device; the CPU is used")


def _ros2() -> Check:
    found = importlib.util.find_spec("rclpy") is not None
    return Check(
        name="rclpy", purpose="ROS 2 topics", status=OK if found else MISSING,
        found="importable" if found else "not importable",
        get="install ROS 2 and source its setup file; rclpy does not come from pip",
    )  # fmt: skip


def _weights() -> Check:
    from stream_avs.models.load import BUNDLED

    files = sorted(p.name for p in BUNDLED.glob("*.safetensors"))
    free_gb = shutil.disk_usage(BUNDLED).free / 1e9
    return Check(
        name="weights", purpose="bundled networks", status=OK if files else MISSING,
        found=f"{', '.join(files) or 'none'}; {free_gb:.0f} GB free on that disk",
        get="reinstall stream-avs: the package is incomplete", required=True,
    )  # fmt: skip


def _calibration(path: Path) -> Check:
    from stream_avs.calibration.av_calib import describe_av_calib, read_av_calib

    found = describe_av_calib(read_av_calib(path), datetime.datetime.now(datetime.UTC))
    return Check(name="calibration", purpose="camera-microphone shift", status=OK, found=found)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
