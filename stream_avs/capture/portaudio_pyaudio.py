"""PortAudio through PyAudio, for machines that have it and not sounddevice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from stream_avs.capture.portaudio import Format, InputStream, MicrophoneInfo, OnBlock
from stream_avs.capture.portaudio_sounddevice import cannot_open
from stream_avs.errors import SourceError, missing_package

OPEN_ERRORS = (OSError, ValueError)
"""PyAudio reports PortAudio's refusals as OSError, impossible parameters as ValueError."""


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what C libraries print to standard error: ALSA and JACK complain of all they do not find."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class PyAudioLibrary:
    """See `AudioLibrary`. PyAudio chooses the latency itself: `Format.latency_s` has no effect.

    Raises:
        MissingPackageError: PyAudio is not installed, or the PortAudio it was built for is not.
    """

    name = "pyaudio"
    _open_streams = 0

    def __init__(self) -> None:
        try:
            import pyaudio
        except ImportError as error:
            if "libportaudio" in str(error):
                raise missing_package("PortAudio", "pyaudio", debian="libportaudio2") from None
            raise missing_package("pyaudio", "pyaudio") from None
        self._pyaudio = pyaudio
        self._session = self._initialise()

    def devices(self) -> list[MicrophoneInfo]:
        """See `AudioLibrary.devices`."""
        session = self._session
        try:
            default = session.get_default_input_device_info()["index"]
        except OSError:
            default = -1
        infos = [session.get_device_info_by_index(i) for i in range(session.get_device_count())]
        return [
            MicrophoneInfo(
                index=int(info["index"]),
                name=str(info["name"]),
                channels=int(info["maxInputChannels"]),
                default_rate_hz=round(float(info["defaultSampleRate"])),
                host_api=str(session.get_host_api_info_by_index(int(info["hostApi"]))["name"]),
                is_default=info["index"] == default,
            )
            for info in infos
            if int(info["maxInputChannels"]) > 0
        ]

    def open(self, device: MicrophoneInfo, form: Format, on_block: OnBlock) -> InputStream:
        """See `AudioLibrary.open`."""
        going_on = (None, self._pyaudio.paContinue)
        overflow = self._pyaudio.paInputOverflow

        def callback(data: bytes, count: int, time: Any, status: int) -> Any:
            samples = np.frombuffer(data, np.float32).reshape(count, form.channels)
            on_block(samples, time["input_buffer_adc_time"], time["current_time"], bool(status & overflow))
            return going_on

        try:
            stream = self._session.open(
                rate=form.rate_hz,
                channels=form.channels,
                format=self._pyaudio.paFloat32,
                input=True,
                input_device_index=device.index,
                frames_per_buffer=form.block,
                start=False,
                stream_callback=callback,
            )
        except OPEN_ERRORS as error:
            raise cannot_open(device, form, error) from None
        return _Stream(stream)

    def refresh(self) -> None:
        """See `AudioLibrary.refresh`."""
        if PyAudioLibrary._open_streams == 0:
            self._session.terminate()
            self._session = self._initialise()

    def _initialise(self) -> Any:
        """Start PortAudio, which asks every sound system there might be."""
        with quiet():
            return self._pyaudio.PyAudio()


class _Stream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._closed = False
        PyAudioLibrary._open_streams += 1

    def start(self) -> None:
        try:
            self._stream.start_stream()
        except OSError as error:
            raise SourceError(f"microphone does not start: {error}", "Replug it or choose another") from None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._stream.close()
            PyAudioLibrary._open_streams -= 1
