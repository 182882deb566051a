"""What networks hear of one frame: which log-mels, of how much sound, at which rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from stream_avs.audio import mn_mel, vggish_mel
from stream_avs.types import Samples


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontEnd:
    """A log-mel of the sound that ends at a frame.

    Attributes:
        name: whose it is.
        sample_rate_hz: of the sound; `compute` takes whole multiples where it says so.
        context_s: how much sound.
        shape: of the log-mel.
        compute: samples and their rate -> float32 [rows, columns].
    """

    name: str
    sample_rate_hz: int
    context_s: float
    shape: tuple[int, int, int]
    compute: Callable[[Samples, int], NDArray[np.float32]]

    def __call__(self, samples: Samples, sample_rate_hz: int) -> NDArray[np.float32]:
        """Samples [n] of `context_s` or more, the newest last -> float32 [*shape]."""
        heard = samples[-round(self.context_s * sample_rate_hz) :]
        return self.compute(heard, sample_rate_hz)[None]


def _mn_log_mel(samples: Samples, sample_rate_hz: int) -> NDArray[np.float32]:
    if sample_rate_hz != mn_mel.SAMPLE_RATE_HZ:
        raise ValueError(f"sample_rate_hz is {sample_rate_hz}, expected {mn_mel.SAMPLE_RATE_HZ}")
    return mn_mel.log_mel(samples)


VGGISH = FrontEnd(
    name="vggish",
    sample_rate_hz=vggish_mel.SAMPLE_RATE_HZ,
    context_s=0.975,
    shape=(1, vggish_mel.EXAMPLE_FRAMES, vggish_mel.BANDS),
    compute=vggish_mel.log_mel,
)
"""One example of VGGish; sound at 32 kHz will do too."""
MN04 = FrontEnd(
    name="mn04",
    sample_rate_hz=mn_mel.SAMPLE_RATE_HZ,
    context_s=2.0,
    shape=(1, mn_mel.BANDS, 200),
    compute=_mn_log_mel,
)
"""Two seconds for mn04."""


@dataclass(frozen=True, slots=True)
class AudioInput:
    """All that one network hears of a frame: one log-mel, or several made of the same sound.

    Several are handed on as one row of numbers, so that whatever carries sound to a network carries
    one array, however many parts of the network listen.

    Attributes:
        front_ends: in the order the network takes them apart again.
    """

    front_ends: tuple[FrontEnd, ...]

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the sound that all are made of."""
        return max(f.sample_rate_hz for f in self.front_ends)

    @property
    def context_s(self) -> float:
        """How much sound the one that hears furthest needs."""
        return max(f.context_s for f in self.front_ends)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the network is given for one frame: a log-mel, or the numbers of all in a row."""
        if len(self.front_ends) == 1:
            return self.front_ends[0].shape
        return (sum(prod(f.shape) for f in self.front_ends),)

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Samples [n] of `context_s` or more at `sample_rate_hz`, the newest last -> float32 [*shape]."""
        packed = self.pack([f(samples, self.sample_rate_hz)[None] for f in self.front_ends])
        return packed.reshape(self.shape)

    def pack(self, log_mels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Put the log-mels of T frames together: [T, *shape] of each front end -> [T, *self.shape]."""
        if len(log_mels) == 1:
            return log_mels[0]
        return np.concatenate([x.reshape(len(x), -1) for x in log_mels], axis=1)
