"""Run in a process of its own: record the microphone for some seconds and save what came.

usage: record_microphone.py OUT.npz SECONDS BACKEND [DEVICE]

PortAudio looks for devices when it is first loaded, so the sound system must be set up before.
Writes OUT.npz.ready once blocks come.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from recording_sink import RecordingSink

from stream_avs.capture.microphone import Microphone, list_microphones
from stream_avs.config import MicrophoneBackend, MicrophoneConfig


def main(out: str, seconds: str, backend: str, device: str = "") -> None:
    config = MicrophoneConfig(device=device, backend=MicrophoneBackend(backend), sample_rate_hz=16000)
    listed = list_microphones(config.backend)
    microphone = Microphone(config)
    info = microphone.open()
    sink = RecordingSink()
    microphone.start(sink)
    sink.wait_for(blocks=1)
    Path(out + ".ready").touch()
    time.sleep(float(seconds))
    stopping_s = time.monotonic()
    microphone.stop()
    stopped_s = time.monotonic() - stopping_s
    blocks = [seen.block for seen in sink.blocks]
    np.savez(
        out,
        samples=np.concatenate([b.samples for b in blocks]),
        counts=[len(b.samples) for b in blocks],
        stamps_ns=[b.stamp_ns for b in blocks],
        sources=[b.stamp_source.value for b in blocks],
        handed_ns=[seen.handed_ns for seen in sink.blocks],
        events=[f"{event}: {detail}" for event, _, detail in sink.events],
        devices=[f"{d.name}|{d.channels}|{d.is_default}" for d in listed],
        info=f"{info.name}|{info.sample_rate_hz}|{info.channels}",
        stop_s=stopped_s,
        error=str(sink.error or ""),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
