"""Where the files of one run are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from stream_avs.errors import ConfigError
from stream_avs.training.config import TrainConfig
from stream_avs.training.files import make_folder, remove_partial, write_text_whole


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The output folder of a run.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def last(self) -> Path:
        """Training state to resume from."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Network with the best J on val."""
        return self.path / "best.safetensors"

    @property
    def log(self) -> Path:
        """Loss, learning rate and scores, one JSON object per line."""
        return self.path / "log.jsonl"

    @property
    def curves(self) -> Path:
        """TensorBoard's folder."""
        return self.path / "curves"

    @property
    def report_json(self) -> Path:
        """Final scores for programs."""
        return self.path / "report.json"

    @property
    def report_html(self) -> Path:
        """Final scores, curves and pictures for people."""
        return self.path / "report.html"

    def open(self, *, resume: bool) -> None:
        """Make the folder, or find the run in it.

        Raises:
            ConfigError: it cannot be written, holds a run and is not to be resumed, or holds none and is.
        """
        if resume and not self.last.exists():
            raise ConfigError(f"there is no run in {self.path} to resume", "Give the --out of a run")
        if not resume and self.last.exists():
            raise ConfigError(
                f"{self.path} holds a run already",
                f"Go on with it: stream-avs train --resume {self.path}; or choose another --out",
            )
        make_folder(self.path)
        remove_partial(self.path)

    def write_config(self, config: TrainConfig) -> None:
        """Keep the settings as YAML, for `stream-avs train --config`."""
        plain = yaml.safe_dump(_plain(asdict(config)), sort_keys=False)
        write_text_whole(self.path / "config.yaml", plain)


def _plain(value: object) -> object:
    """Only types that YAML knows: enums become their values."""
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    return str(value) if isinstance(value, str) else value
