"""Every target by name, as far as the packages that its decoder needs are there."""

from __future__ import annotations

import importlib
from contextlib import suppress

from fuzzing import Target

from stream_avs.errors import MissingPackageError

MODULES = (
    "target_wire", "target_link", "target_web", "target_control", "target_settings", "target_recording",
    "target_dataset", "target_weights", "target_ros",
)  # fmt: skip


def targets() -> dict[str, Target]:
    """Import all modules of targets; those that lack a package are left out."""
    found: dict[str, Target] = {}
    for module in MODULES:
        with suppress(ImportError, MissingPackageError):
            found |= targets_of(module)
    return found


def find(name: str) -> Target:
    """The target called `name`; imports no more modules than needed.

    Raises:
        KeyError: there is none.
    """
    for module in MODULES:
        with suppress(ImportError, MissingPackageError):
            if name in (found := targets_of(module)):
                return found[name]
    raise KeyError(name)


def targets_of(module: str) -> dict[str, Target]:
    """Targets of one module.

    Raises:
        ImportError, MissingPackageError: a package is not installed.
    """
    return {target.name: target for target in importlib.import_module(module).TARGETS}
