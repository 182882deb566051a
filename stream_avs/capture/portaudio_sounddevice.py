"""PortAudio through sounddevice."""

from __future__ import annotations

from typing import Any

from stream_avs.capture.portaudio import Format, InputStream, MicrophoneInfo, OnBlock
from stream_avs.errors import SourceError, missing_package


class SounddeviceLibrary:
    """See `AudioLibrary`.

    Raises:
        MissingPackageError: sounddevice or PortAudio is not installed.
    """

    name = "sounddevice"
    _open_streams = 0

    def __init__(self) -> None:
        try:
            import sounddevice
        except ImportError:
            raise missing_package("sounddevice", "live") from None
        except OSError:
            # sounddevice is there, the C library under it is not.
            raise missing_package("PortAudio", "live", debian="libportaudio2") from None
        self._sd = sounddevice

    def devices(self) -> list[MicrophoneInfo]:
        """See `AudioLibrary.devices`."""
        apis = self._sd.query_hostapis()
        default = self._sd.default.device[0]
        return [
            MicrophoneInfo(
                index=device["index"],
                name=device["name"],
                channels=device["max_input_channels"],
                default_rate_hz=round(device["default_samplerate"]),
                host_api=apis[device["hostapi"]]["name"],
                is_default=device["index"] == default,
            )
            for device in self._sd.query_devices()
            if device["max_input_channels"] > 0
        ]

    def open(self, device: MicrophoneInfo, form: Format, on_block: OnBlock) -> InputStream:
        """See `AudioLibrary.open`."""

        def callback(samples: Any, count: int, time: Any, status: Any) -> None:
            on_block(samples, time.inputBufferAdcTime, time.currentTime, bool(status.input_overflow))

        try:
            stream = self._sd.InputStream(
                device=device.index,
                samplerate=form.rate_hz,
                channels=form.channels,
                blocksize=form.block,
                latency=form.latency_s,
                dtype="float32",
                callback=callback,
            )
        except self._sd.PortAudioError as error:
            raise cannot_open(device, form, error) from None
        return _Stream(stream, self._sd.PortAudioError)

    def refresh(self) -> None:
        """See `AudioLibrary.refresh`."""
        if SounddeviceLibrary._open_streams == 0:
            # PortAudio lists devices once, when it is initialised; sounddevice offers no public way.
            self._sd._terminate()
            self._sd._initialize()


class _Stream:
    def __init__(self, stream: Any, portaudio_error: type[Exception]) -> None:
        self._stream = stream
        self._portaudio_error = portaudio_error
        self._closed = False
        SounddeviceLibrary._open_streams += 1

    def start(self) -> None:
        try:
            self._stream.start()
        except self._portaudio_error as error:
            raise SourceError(f"microphone does not start: {error}", "Replug it or choose another") from None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._stream.close(ignore_errors=True)
            SounddeviceLibrary._open_streams -= 1


def cannot_open(device: MicrophoneInfo, form: Format, error: Exception) -> SourceError:
    """The error for a device that refuses its format."""
    return SourceError(
        f"cannot open microphone {device.index} ({device.name}) with {form.channels} channels"
        f" at {form.rate_hz} Hz: {error}",
        f"It prefers {device.default_rate_hz} Hz and has {device.channels} channels;"
        " close other programs that use it",
    )
