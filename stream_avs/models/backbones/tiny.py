"""Two very small encoders, for tests and for the demonstration that trains from scratch on a CPU.

They use GroupNorm, so that they learn from small batches and behave alike in training and use.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from stream_avs.audio.front_end import VGGISH


def _conv(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(8, channels_out),
        nn.ReLU(),
    )


class TinyImageEncoder(nn.Module):
    """Four maps at strides 4, 8, 16, 32; about 0.25 M parameters."""

    channels = (32, 48, 64, 96)
    strides = (4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16, 2)
        widths = (16, *self.channels)
        self.stages = nn.ModuleList(
            nn.Sequential(_conv(n_in, n_out, 2), _conv(n_out, n_out, 1))
            for n_in, n_out in itertools.pairwise(widths)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """[F, 3, H, W] normalised RGB -> four maps [F, C, H / stride, W / stride]."""
        x, maps = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class TinyAudioEncoder(nn.Module):
    """Hears VGGish's log-mel; four tokens of 64, one for each quarter of a second."""

    channels = 64
    tokens = 4
    front_end = VGGISH

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(_conv(1, 16, 2), _conv(16, 32, 2), _conv(32, 32, 2))  # [F, 32, 12, 8]
        self.pool = nn.AvgPool2d((12 // self.tokens, 1))
        self.project = nn.Linear(32 * 8, self.channels)

    def forward(self, log_mel: Tensor) -> Tensor:
        """[F, 1, 96, 64] -> [F, 4, 64]."""
        x = self.pool(self.layers(log_mel))  # [F, 32, 4, 8]
        return self.project(x.transpose(1, 2).flatten(2))
