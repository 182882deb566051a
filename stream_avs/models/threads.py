"""How many CPU threads torch uses."""

from __future__ import annotations

import torch


def configure_threads(threads: int) -> None:
    """Let torch use `threads` CPU threads within an operation, for the whole process.

    Entry points should set `OMP_WAIT_POLICY=PASSIVE` in the environment before torch is imported, or
    idle threads spin between steps.
    """
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
