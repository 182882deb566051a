"""Command-line flags from a config dataclass, the same way for every command."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import tyro

from stream_avs.capture.address import redact
from stream_avs.config import RunConfig
from stream_avs.errors import ConfigError
from stream_avs.scrub import scrub

T = TypeVar("T")
R = TypeVar("R", bound=RunConfig)


def parse_arguments(
    config: type[T], command: str, argv: list[str], description: str | None, default: T | None = None
) -> T:
    """Build `config` from flags named like its fields; `--help` shows their docstrings.

    `--insecure` stands for the `insecure` of every group of settings that has one.

    Args:
        config: a frozen dataclass.
        command: what follows `stream-avs`, e.g. "run".
        argv: the arguments after the command.
        description: what the command is for.
        default: values of the flags not given; None takes the dataclass's own.

    Raises:
        SystemExit: 0 after `--help`, 2 after a usage error that has been explained.
        ConfigError: a value is out of range.
    """
    settings: dict[str, Any] = {
        "prog": f"stream-avs {command}",
        "args": spell_out_insecure(config, argv),
        "description": description,
        # Choices are spelled as in YAML: `--policy freshest`.
        "config": (tyro.conf.EnumChoicesFromValues,),
    }
    if default is not None:
        settings["default"] = _without_credentials(default) if {"-h", "--help"} & {*argv} else default
    return ask(config, **settings)


def ask(kind: type[T], /, *, args: list[str], **settings: Any) -> T:
    """`tyro.cli`, but the explanation of a mistake shows no credentials of an address among `args`."""
    shown = [scrub(argument) for argument in args]
    if shown == args:
        return tyro.cli(kind, args=args, **settings)  # type: ignore[no-any-return]
    try:
        return tyro.cli(kind, args=args, console_outputs=False, **settings)  # type: ignore[no-any-return]
    except SystemExit:
        tyro.cli(kind, args=shown, **settings)
        raise


def _without_credentials(config: T) -> T:
    source = getattr(config, "source", "")
    return replace(config, source=redact(source)) if source else config  # type: ignore[type-var]


def spell_out_insecure(config: type[Any], argv: list[str]) -> list[str]:
    """Replace `--insecure` by `--GROUP.insecure` for each group of settings that has one."""
    if "--insecure" not in argv:
        return argv
    hints = get_type_hints(config)
    groups = [f.name for f in fields(config) if hasattr(hints[f.name], "insecure")]
    return [a for a in argv if a != "--insecure"] + [f"--{group}.insecure" for group in groups]


def calibrated(config: R) -> R:
    """Put the shift of `config.calibration`, if one is named, into the window settings.

    Raises:
        CalibrationFileError: the file is missing, damaged or of another kind.
        ConfigError: the settings hold another shift already.
    """
    if not config.calibration:
        return config
    from stream_avs.calibration.av_calib import with_av_calib

    return replace(config, window=with_av_calib(config.window, Path(config.calibration)))


def take(argv: list[str], flag: str) -> tuple[str, list[str]]:
    """Return the value of `flag` ("" when it is not given) and the other arguments.

    Raises:
        ConfigError: the flag is last and has no value.
    """
    for i, argument in enumerate(argv):
        if argument == flag:
            if i + 1 == len(argv):
                raise ConfigError(f"{flag} has no value", f"Give it as {flag} VALUE")
            return argv[i + 1], argv[:i] + argv[i + 2 :]
        if argument.startswith(flag + "="):
            return argument[len(flag) + 1 :], argv[:i] + argv[i + 1 :]
    return "", argv
