"""From clips to the tensors of one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.audio.front_end import VGGISH, AudioInput, FrontEnd
from stream_avs.datasets.augment import resize_clip
from stream_avs.datasets.sample import ClipSample
from stream_avs.errors import DatasetError
from stream_avs.models.loss import Targets
from stream_avs.models.preprocess import IMAGENET_MEAN


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B clips of T frames at network size.

    Attributes:
        frames: uint8 [B, T, 3, S, S], RGB.
        audio: float32 [B, T, ...], what the network hears of each frame; see `AudioInput`.
        masks: uint8 [B, T, S, S], class ids; 0 / 1 for a network of one class.
        labelled: bool [B, T], frames whose mask is known.
        valid: bool [B, T], frames that are no padding.
        present: bool [B, T, K], which of the data set's classes 1..K are in the mask.
        names: of the clips.
        tags: what happens in each clip; see `ClipSample`.
    """

    frames: Tensor
    audio: Tensor
    masks: Tensor
    labelled: Tensor
    valid: Tensor
    present: Tensor
    names: tuple[str, ...]
    tags: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.names)

    def to(self, device: torch.device) -> Batch:
        """The same on `device`."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory; called by torch's DataLoader."""
        return self._each(Tensor.pin_memory)

    def pictures(self) -> Tensor:
        """Frames as the network wants them: float32 [B, T, 3, S, S] in 0..1.

        Padded frames hold ImageNet's mean colour, which is zero once normalised, as in the published code.
        """
        scaled = self.frames.float() / 255
        mean = scaled.new_tensor(IMAGENET_MEAN).view(3, 1, 1)
        return torch.where(self.valid[:, :, None, None, None], scaled, mean)

    def targets(self) -> Targets:
        """What the loss compares with."""
        return Targets(
            masks=self.masks.long(), labelled=self.labelled, valid=self.valid, present=self.present
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            frames=change(self.frames),
            audio=change(self.audio),
            masks=change(self.masks),
            labelled=change(self.labelled),
            valid=change(self.valid),
            present=change(self.present),
        )


@dataclass(frozen=True, kw_only=True)
class Collate:
    """Turns clips into a `Batch`; picklable, so that worker processes can run it.

    Attributes:
        size_px: side of the network's input; pictures are resized to it, aspect ratio not kept.
        audio: what the network hears.
        binary: the network has one class: every id above 0 becomes 1.
        named: K of `Batch.present`; 0 when nobody asks which classes there are.
    """

    size_px: int
    audio: AudioInput
    binary: bool
    named: int = 0

    def __call__(self, clips: Sequence[ClipSample]) -> Batch:
        clips = [resize_clip(clip, self.size_px) for clip in clips]
        masks = torch.from_numpy(np.stack([clip.masks for clip in clips]))
        frames = torch.from_numpy(np.stack([clip.frames for clip in clips]))
        return Batch(
            frames=frames.permute(0, 1, 4, 2, 3).contiguous(),
            audio=torch.from_numpy(np.stack([hears(clip, self.audio) for clip in clips])),
            masks=(masks > 0).to(torch.uint8) if self.binary else masks,
            labelled=torch.from_numpy(np.stack([clip.mask_valid for clip in clips])),
            valid=torch.from_numpy(np.stack([clip.frame_valid for clip in clips])),
            present=_present(masks, self.named),
            names=tuple(clip.name for clip in clips),
            tags=tuple(clip.tags for clip in clips),
        )


def _present(masks: Tensor, classes: int) -> Tensor:
    """Which ids 1..classes each mask holds: uint8 [B, T, S, S] -> bool [B, T, classes]."""
    holds = torch.zeros(*masks.shape[:2], classes, dtype=torch.bool)
    for k in range(classes):
        holds[..., k] = (masks == k + 1).flatten(2).any(-1)
    return holds


def hears(clip: ClipSample, audio: AudioInput) -> NDArray[np.float32]:
    """What a network hears of each frame, float32 [T, *audio.shape].

    Raises:
        DatasetError: the clip was read without that kind of sound.
    """
    return audio.pack([_log_mels(clip, front_end) for front_end in audio.front_ends])


def _log_mels(clip: ClipSample, front_end: FrontEnd) -> NDArray[np.float32]:
    """float32 [T, *shape]; VGGish's come with the clip, in the timing of its data set."""
    if front_end == VGGISH:
        if clip.log_mel is None:
            raise DatasetError(f"clip {clip.name} has no log-mel", "Read the data set with log-mel")
        return clip.log_mel
    rate_hz = front_end.sample_rate_hz
    if clip.waveform is None or clip.sample_rate_hz != rate_hz:
        raise DatasetError(
            f"clip {clip.name} has sound at {clip.sample_rate_hz} Hz", f"The network hears {rate_hz} Hz"
        )
    return np.stack([front_end(row, rate_hz) for row in clip.audio_context(front_end.context_s)])
