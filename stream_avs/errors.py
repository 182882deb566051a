"""The errors a user can cause or meet: what happened, the value found, what to do next.

Every error that reaches the command line is a `StreamAvsError`; it is printed as one line and the
process ends with `exit_code`. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from stream_avs.scrub import scrub


class StreamAvsError(Exception):
    """Root of all errors with a known cause and a next step; its text never holds credentials.

    Args:
        what: the thing and the value found, e.g. "cannot open camera 3".
        next_step: what to do about it, e.g. "run `stream-avs devices` to see the cameras".
    """

    exit_code = 1

    def __init__(self, what: str, next_step: str = "") -> None:
        self.what = scrub(what)
        self.next_step = scrub(next_step)
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.what}. {self.next_step}" if self.next_step else self.what


class ConfigError(StreamAvsError):
    """A setting is unknown, of the wrong type or out of range."""

    exit_code = 2


class SourceError(StreamAvsError):
    """A camera, microphone, file or stream cannot be opened or has failed."""

    exit_code = 3


class WeightsError(StreamAvsError):
    """A weight file is missing, damaged or does not fit the model."""

    exit_code = 4


class PublishError(StreamAvsError):
    """An address cannot be bound, connected or is refused."""

    exit_code = 5


class WireError(StreamAvsError):
    """A message from outside is malformed, oversized or of another version."""

    exit_code = 6


class SourceLostError(SourceError):
    """A source has not come back for as long as it was to be waited for."""


class DatasetError(StreamAvsError):
    """A data-set file is missing or wrong; names the file and the clip."""

    exit_code = 7


class StepError(StreamAvsError):
    """The model failed on one window."""

    exit_code = 9


class PoisonedError(StepError):
    """The model gave numbers that are none, or its device was lost: it must be built anew."""


class EngineError(StreamAvsError):
    """The model is broken, not a window: it failed again and again, hung, or cannot be built anew."""

    exit_code = 10


class MissingPackageError(StreamAvsError):
    """An optional package is not installed; the message holds the command that installs it."""

    exit_code = 8


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a hint such as ``Did you mean 'stream'?`` or the list of choices when nothing is near."""
    choices = sorted(choices)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'?" if close else f"Valid: {', '.join(choices)}"


def missing_package(package: str, extra: str, *, debian: str = "") -> MissingPackageError:
    """Build the error for a package that an optional part needs.

    Args:
        package: name of the missing package or library.
        extra: extra of stream-avs that brings it, e.g. "live".
        debian: Debian package that brings the system library behind it, if that is what lacks.
    """
    command = f"apt-get install {debian}" if debian else f"pip install 'stream-avs[{extra}]'"
    return MissingPackageError(f"{package} is not installed", f"Run: {command}")
