"""A session's settings, to a recording and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from stream_avs.capture.address import redact
from stream_avs.config import PublishConfig, RunConfig, from_mapping
from stream_avs.errors import ConfigError, PublishError, SourceError
from stream_avs.json_input import decode_json
from stream_avs.record.codec import to_json
from stream_avs.record.reader import Recording
from stream_avs.record.writer import RecordingInfo


def recording_info(config: RunConfig, model_id: str, attach: tuple[Path, ...] = ()) -> RecordingInfo:
    """Head of the recording of a session; credentials in the source's address are left out.

    Args:
        config: the session's settings.
        model_id: `StreamModel.id`, "" if no network runs.
        attach: calibration files to carry along.

    Raises:
        PublishError: a file to attach cannot be read.
    """
    settings = {f.name: getattr(config, f.name) for f in dataclasses.fields(RunConfig)}
    settings["source"] = redact(config.source)
    try:
        attachments = {path.name: path.read_bytes() for path in attach}
    except OSError as error:
        raise PublishError(f"{error.filename} cannot be read: {error.strerror}", "Check --attach") from None
    return RecordingInfo(
        stream=config.name, model_id=model_id, config=to_json(settings), attachments=attachments
    )


def recorded_settings(recording: Recording) -> RunConfig:
    """Settings of the recorded session, with the recording as source and nothing to write or publish.

    Settings that only a later version knows are left out.

    Raises:
        SourceError: they are damaged.
    """
    try:
        raw = _known(decode_json(recording.info.config), RunConfig)
        return dataclasses.replace(
            from_mapping(raw, RunConfig),
            source=str(recording.path),
            overlay="",
            duration_s=0.0,
            publish=PublishConfig(),
        )
    except (ValueError, ConfigError) as error:
        raise SourceError(
            f"recording {recording.path} has damaged settings: {error}", "Record it again"
        ) from None


def _known(raw: Any, cls: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError("settings are no map")
    hints = get_type_hints(cls)
    return {
        name: _known(value, hints[name]) if dataclasses.is_dataclass(hints[name]) else value
        for name, value in raw.items()
        if name in hints
    }
