"""Every setting, once: the YAML file and the command line are both made from these dataclasses.

`config_file.load_yaml` fills them from a file and refuses unknown keys with the nearest valid name;
the command line turns them into flags (`--camera.width-px 1280`). Units are in the names.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from stream_avs.config_check import require as require
from stream_avs.config_file import from_mapping as from_mapping
from stream_avs.config_file import load_yaml as load_yaml
from stream_avs.config_file import read_yaml as read_yaml
from stream_avs.config_recovery import BackoffConfig as BackoffConfig
from stream_avs.config_recovery import ReconnectConfig as ReconnectConfig
from stream_avs.config_recovery import SuperviseConfig as SuperviseConfig


class Policy(enum.StrEnum):
    """What to do when frames come faster than masks."""

    AUTO = "auto"  # every for a file played `fast`, freshest for all else
    FRESHEST = "freshest"  # the newest frame wins, older ones are dropped and counted
    EVERY = "every"  # the source waits; no frame is dropped (files only)


class Pace(enum.StrEnum):
    """How fast a file is played."""

    REALTIME = "realtime"  # by its own time stamps
    FAST = "fast"  # as fast as the worker goes


class MicrophoneBackend(enum.StrEnum):
    """Library that reads the microphone."""

    AUTO = "auto"  # sounddevice, or pyaudio when that is missing
    SOUNDDEVICE = "sounddevice"
    PYAUDIO = "pyaudio"


class RtspTransport(enum.StrEnum):
    """How RTSP media travels."""

    TCP = "tcp"
    UDP = "udp"


class Encoding(enum.StrEnum):
    """How mask pixels are packed on the wire (see publish/WIRE.md)."""

    PACKBITS_ZLIB = "packbits+zlib"
    RLE = "rle"
    MONO8 = "mono8"
    PNG = "png"


class BackendName(enum.StrEnum):
    """What runs the network."""

    AUTO = "auto"  # the fastest that is installed and agrees with eager
    EAGER = "eager"  # PyTorch
    OPENVINO = "openvino"  # CPU
    CUDA = "cuda"  # PyTorch with CUDA graphs
    TENSORRT = "tensorrt"


class Precision(enum.StrEnum):
    """What the network computes in."""

    AUTO = "auto"  # half precision where the hardware has it
    F32 = "f32"
    BF16 = "bf16"
    F16 = "f16"


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """A camera on this machine."""

    width_px: int = 640
    """Width to ask the camera for."""
    height_px: int = 480
    """Height to ask the camera for."""
    fps: float = 30.0
    """Frame rate to ask the camera for, in Hz."""
    fourcc: str = ""
    """Pixel format to ask for, e.g. MJPG; empty leaves the camera's own."""
    frame_id: str = "camera"
    """Name of the camera's optical frame, copied to every result."""

    def __post_init__(self) -> None:
        require(self.width_px > 0, "camera.width_px", self.width_px, "a positive number of pixels")
        require(self.height_px > 0, "camera.height_px", self.height_px, "a positive number of pixels")
        require(0 < self.fps <= 1000, "camera.fps", self.fps, "a rate in (0, 1000] Hz")
        require(len(self.fourcc) in (0, 4), "camera.fourcc", self.fourcc, "four letters such as MJPG")


@dataclass(frozen=True, kw_only=True)
class MicrophoneConfig:
    """A microphone on this machine."""

    device: str = ""
    """Name, part of a name, or index as listed by `stream-avs devices`; empty for the default."""
    backend: MicrophoneBackend = MicrophoneBackend.AUTO
    """Library that reads it."""
    sample_rate_hz: int = 0
    """Rate to open the device at; 0 for the device's own."""
    channels: int = 1
    """Channels to open; they are averaged."""
    block_ms: float = 20.0
    """Length of one block the device hands over."""
    latency_s: float = 0.04
    """Buffering to ask the device for."""

    def __post_init__(self) -> None:
        require(
            self.sample_rate_hz == 0 or 8000 <= self.sample_rate_hz <= 192_000,
            "microphone.sample_rate_hz", self.sample_rate_hz, "0 or a rate in 8000..192000 Hz",
        )  # fmt: skip
        require(1 <= self.channels <= 64, "microphone.channels", self.channels, "1..64")
        require(1 <= self.block_ms <= 500, "microphone.block_ms", self.block_ms, "1..500 ms")
        require(0 < self.latency_s <= 2, "microphone.latency_s", self.latency_s, "(0, 2] s")


@dataclass(frozen=True, kw_only=True)
class MediaConfig:
    """A file or a network stream."""

    pace: Pace = Pace.REALTIME
    """How fast a file is played; network streams come at their own pace."""
    loop: bool = False
    """Play a file again and again; carried state is reset at each turn."""
    rtsp_transport: RtspTransport = RtspTransport.TCP
    """How RTSP media travels."""
    timeout_s: float = 10.0
    """Give up opening or reading a network stream after this long."""

    def __post_init__(self) -> None:
        require(0.1 <= self.timeout_s <= 600, "media.timeout_s", self.timeout_s, "0.1..600 s")


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """Moving, sounding objects with known masks; needs no device and no file."""

    width_px: int = 320
    """Image width."""
    height_px: int = 240
    """Image height."""
    fps: float = 25.0
    """Frame rate, in Hz."""
    duration_s: float = 0.0
    """Length; 0 for endless."""
    camera_mic_shift_s: float = 0.0
    """How much later the sound is stamped than the picture, to test the calibrated shift."""
    seed: int = 0
    """Same seed, same scene."""

    def __post_init__(self) -> None:
        require(self.width_px >= 16, "synthetic.width_px", self.width_px, "at least 16")
        require(self.height_px >= 16, "synthetic.height_px", self.height_px, "at least 16")
        require(0 < self.fps <= 240, "synthetic.fps", self.fps, "(0, 240] Hz")
        require(self.duration_s >= 0, "synthetic.duration_s", self.duration_s, "0 or more seconds")


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How frames and audio are kept and joined."""

    frames: int = 5
    """Frames in a window."""
    frame_spacing_s: float = 0.0
    """Time between the frames of a window; 0 takes consecutive frames."""
    staleness_budget_s: float = 0.5
    """Under `freshest`, a frame older than this is dropped."""
    audio_wait_s: float = 0.25
    """How long a frame waits for its audio before it goes on without."""
    gap_s: float = 2.0
    """A hole in the frames, or in the frames with sound, longer than this resets the carried state."""
    timeshift_cam_mic_s: float = 0.0
    """Calibrated shift in seconds: t_mic = t_cam + timeshift_cam_mic (Kalibr's convention)."""
    frame_slots: int = 48
    """Images the frame ring can hold."""
    audio_buffer_s: float = 30.0
    """Seconds of audio the audio ring can hold."""

    def __post_init__(self) -> None:
        require(1 <= self.frames <= 64, "window.frames", self.frames, "1..64")
        require(0 <= self.frame_spacing_s <= 60, "window.frame_spacing_s", self.frame_spacing_s, "0..60 s")
        require(
            0 < self.staleness_budget_s <= 60,
            "window.staleness_budget_s", self.staleness_budget_s, "(0, 60] s",
        )  # fmt: skip
        require(0 <= self.audio_wait_s <= 10, "window.audio_wait_s", self.audio_wait_s, "0..10 s")
        require(0 < self.gap_s <= 3600, "window.gap_s", self.gap_s, "(0, 3600] s")
        require(
            abs(self.timeshift_cam_mic_s) <= 2,
            "window.timeshift_cam_mic_s", self.timeshift_cam_mic_s, "-2..2 s",
        )  # fmt: skip
        require(
            self.frames + 2 <= self.frame_slots <= 4096,
            "window.frame_slots", self.frame_slots, "at least window.frames + 2",
        )  # fmt: skip
        require(1 <= self.audio_buffer_s <= 600, "window.audio_buffer_s", self.audio_buffer_s, "1..600 s")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network and how it decides."""

    preset: str = "nano"
    """Which network; `stream-avs model list` shows them."""
    input_px: int = 0
    """Side of the square network input; 0 for the preset's own. A multiple of 16."""
    audio_context_s: float = 0.0
    """Seconds of audio the network hears for one frame; 0 for the preset's own."""
    threshold: float = -1.0
    """Score above which a pixel sounds, 0..1; negative for the preset's own."""
    threads: int = 2
    """CPU threads for the network."""
    backend: BackendName = BackendName.AUTO
    """What runs the network."""
    precision: Precision = Precision.AUTO
    """What the network computes in."""
    weights: str = ""
    """Checkpoint written by `stream-avs train`, for the preset of its architecture, e.g. `ccformer`."""

    def __post_init__(self) -> None:
        require(
            self.input_px == 0 or (64 <= self.input_px <= 1024 and self.input_px % 16 == 0),
            "model.input_px", self.input_px, "0 or a multiple of 16 in 64..1024",
        )  # fmt: skip
        require(
            self.audio_context_s == 0 or 0.1 <= self.audio_context_s <= 10,
            "model.audio_context_s", self.audio_context_s, "0 or 0.1..10 s",
        )  # fmt: skip
        require(self.threshold <= 1, "model.threshold", self.threshold, "at most 1")
        require(1 <= self.threads <= 256, "model.threads", self.threads, "1..256")


@dataclass(frozen=True, kw_only=True)
class OverloadConfig:
    """What to do when masks come too late (live sources only)."""

    ladder: bool = True
    """Give up rate, then input size, then hold the last mask marked stale; and take them back."""
    age_budget_s: float = 0.3
    """A mask older than this is too late, from the frame's arrival."""
    judge_s: float = 1.0
    """One rung down when half the masks of this span were too late."""
    climb_s: float = 5.0
    """One rung up after masks have been in time for this long; longer each time it fails."""
    small_px: int = 0
    """Side of the smaller input, prepared at the start; 0 leaves that rung out. A multiple of 16."""

    def __post_init__(self) -> None:
        require(0.01 <= self.age_budget_s <= 60, "overload.age_budget_s", self.age_budget_s, "0.01..60 s")
        require(0.1 <= self.judge_s <= 60, "overload.judge_s", self.judge_s, "0.1..60 s")
        require(0.1 <= self.climb_s <= 60, "overload.climb_s", self.climb_s, "0.1..60 s")
        require(
            self.small_px == 0 or (64 <= self.small_px <= 1024 and self.small_px % 16 == 0),
            "overload.small_px", self.small_px, "0 or a multiple of 16 in 64..1024",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """Where the masks go."""

    address: str = ""
    """ZeroMQ address to bind, e.g. tcp://127.0.0.1:5557 or ipc:///run/user/1000/avs.sock; empty for none.
    `--publish ADDRESS` for short."""
    encoding: Encoding = Encoding.PACKBITS_ZLIB
    """How mask pixels are packed."""
    confidence: bool = True
    """Send the confidence map too."""
    queue: int = 8
    """Messages kept for a subscriber that cannot follow, before its oldest connection queue drops."""
    key: str = ""
    """This side's own secret key file (NAME.key_secret); masks are then encrypted, and only keys in
    `clients` may read them. Made by `stream-avs keygen`."""
    clients: str = ""
    """Folder with the public key files (NAME.key) of those who may read; taking one out ends its reading."""
    insecure: bool = False
    """Allow binding an address that other machines can reach, without keys. `--insecure` for short."""

    def __post_init__(self) -> None:
        require(1 <= self.queue <= 1000, "publish.queue", self.queue, "1..1000")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One live session: a source, a model, and where the masks go."""

    source: str
    """webcam, camera:N, synthetic, a file, or an rtsp://, udp://, tcp:// or http:// address."""
    name: str = "cam0"
    """Name of the stream, the topic subscribers ask for."""
    policy: Policy = Policy.AUTO
    """What to do when frames come faster than masks."""
    calibration: str = ""
    """File written by `stream-avs calibrate sync`; gives `window.timeshift_cam_mic_s`."""
    duration_s: float = 0.0
    """Stop after this long; 0 runs until the source ends or Ctrl-C."""
    overlay: str = ""
    """Write a video with the masks drawn over the picture, e.g. out/overlay.mp4; empty for none."""
    status: bool = True
    """Show the live status."""
    publish: PublishConfig = field(default_factory=PublishConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    overload: OverloadConfig = field(default_factory=OverloadConfig)
    supervise: SuperviseConfig = field(default_factory=SuperviseConfig)
    reconnect: ReconnectConfig = field(default_factory=ReconnectConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    def __post_init__(self) -> None:
        require(bool(self.source), "source", self.source, "webcam, synthetic, a file or an address")
        require(
            0 < len(self.name) <= 64 and all(c.isalnum() or c in "_-./" for c in self.name),
            "name", self.name, "1..64 letters, digits or _ - . /",
        )  # fmt: skip
        require(self.duration_s >= 0, "duration_s", self.duration_s, "0 or more seconds")
