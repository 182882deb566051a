"""The one error of this room that is not a wrong setting or a source that failed."""

from __future__ import annotations

from stream_avs.errors import StreamAvsError


class CalibrationError(StreamAvsError):
    """The recording does not support a result; says what was found and how to record a better one."""

    exit_code = 10


class CalibrationFileError(StreamAvsError):
    """A calibration file is missing, damaged or wrong; names the file, the key and what was expected."""

    exit_code = 11
