"""Loss, learning rate, J and example overlays for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from stream_avs.errors import MissingPackageError
from stream_avs.training.pictures import sheet
from stream_avs.training.scoring import Example

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Curves:
    """Writes TensorBoard's files; a context manager.

    Args:
        folder: for the files.
        step: steps done so far; what older files say after it is hidden.
        enabled: False writes nothing.

    Raises:
        MissingPackageError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int, *, enabled: bool) -> None:
        self._writer: SummaryWriter | None = None
        if enabled:
            self._writer = _writer()(str(folder), purge_step=step + 1 if step else None)

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Add one point to each of the curves `group`/name."""
        if self._writer is not None:
            for name, value in values.items():
                if math.isfinite(value):
                    self._writer.add_scalar(f"{group}/{name}", value, step)

    def overlays(self, group: str, examples: Sequence[Example], step: int) -> None:
        """Add the example clips as pictures."""
        if self._writer is not None:
            for example in examples:
                self._writer.add_image(f"{group}/{example.name}", sheet(example), step, dataformats="HWC")


def require_tensorboard() -> None:
    """Find out early whether curves can be written.

    Raises:
        MissingPackageError: tensorboard is not installed.
    """
    _writer()


def _writer() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingPackageError(
            "tensorboard is not installed",
            "Run: pip install 'stream-avs[train]', or go without curves: --no-tensorboard",
        ) from None
    return SummaryWriter
