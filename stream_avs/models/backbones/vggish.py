"""VGGish (Hershey et al., 2017): log-mel of 0.96 s to a 128-d embedding; 72,141,184 parameters.

Key names are those of the published file vggish-10086976.pth.
"""

from __future__ import annotations

from torch import Tensor, nn

from stream_avs.audio.front_end import VGGISH


class VGGish(nn.Module):
    """Six convolutions and three fully connected layers, ReLU after each, the last included."""

    channels = 128
    tokens = 1
    front_end = VGGISH

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_stage(1, 64),
            *_stage(64, 128),
            *_stage(128, 256, 256),
            *_stage(256, 512, 512),
        )
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(),
            nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, 128), nn.ReLU(),
        )  # fmt: skip

    def forward(self, log_mel: Tensor) -> Tensor:
        """Embed.

        Args:
            log_mel: [F, 1, 96, 64], 96 hops of 10 ms by 64 mel bands, natural logarithm.

        Returns:
            [F, 128], not negative.
        """
        x = self.features(log_mel)  # [F, 512, 6, 4]
        # the published weights were trained with channels last
        return self.embeddings(x.permute(0, 2, 3, 1).flatten(1))


def _stage(channels_in: int, *channels_out: int) -> list[nn.Module]:
    """3x3 convolutions with ReLU, then a 2x2 max-pool."""
    layers: list[nn.Module] = []
    for c in channels_out:
        layers += [nn.Conv2d(channels_in, c, 3, padding=1), nn.ReLU()]
        channels_in = c
    return [*layers, nn.MaxPool2d(2)]
