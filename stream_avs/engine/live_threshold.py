"""The threshold one stream decides at, which may be changed while it runs.

Thresholds are applied behind the compiled parts of every network, so nothing is built anew. A model
is shared by streams and holds nothing that changes; hence the number is kept here, and each window is
stepped with the model's likeness at that number.
"""

from __future__ import annotations

from stream_avs.config import require
from stream_avs.errors import ConfigError
from stream_avs.models.base import AnyModel, Thresholded


class LiveThreshold:
    """Shared by the sessions that follow one another in a stream, whatever models they step.

    Set by any thread and read by the one that steps, once per window; it is one attribute, so no lock.
    """

    def __init__(self) -> None:
        self._asked: float | None = None

    def set(self, model: AnyModel, threshold: float | None) -> float:
        """Decide at another threshold from the next window on.

        Args:
            model: of the stream.
            threshold: as `--model.threshold`, between 0 and 1; None for the preset's own.

        Returns:
            The threshold in use from now on.

        Raises:
            ConfigError: out of range, or the model has no threshold.
        """
        if not isinstance(model, Thresholded):
            raise ConfigError(
                f"model {model.id} has no threshold to set", "See `stream-avs model list` for others"
            )
        if threshold is not None:
            require(0 < threshold < 1, "model.threshold", threshold, "between 0 and 1")
        self._asked = model.own_threshold if threshold is None else threshold
        return self._asked

    def of(self, model: AnyModel) -> float | None:
        """The threshold that `model` decides at here; None if it has none."""
        if not isinstance(model, Thresholded):
            return None
        asked = self._asked
        return model.threshold if asked is None else asked

    def on(self, model: AnyModel) -> AnyModel:
        """`model`, deciding at this threshold."""
        asked = self._asked
        if asked is None or not isinstance(model, Thresholded):
            return model
        return model.with_threshold(asked)
