"""What a process of this machine uses, read from /proc (Linux)."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stream_avs.errors import StreamAvsError

PROC = Path("/proc/self/stat")


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """One process at one moment.

    Attributes:
        resident_bytes: memory that lies in RAM.
        files: open file descriptors.
        threads: running or not.
        cpu_s: processor time used so far, all threads together.
    """

    resident_bytes: int
    files: int
    threads: int
    cpu_s: float


def usage_of(pid: int | None = None) -> Usage:
    """Read what process `pid` (None: this one) uses.

    Raises:
        StreamAvsError: there is no such process, or no /proc.
    """
    folder = Path("/proc") / ("self" if pid is None else str(pid))
    try:
        # The name of the program stands in parentheses and may hold anything.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(folder / "fd"))
    except OSError as error:
        what = f"cannot read {folder}: {error.strerror}"
        raise StreamAvsError(what, "Is the process running, and is this Linux?") from None
    user, system, threads, pages = (int(fields[i]) for i in (11, 12, 17, 21))
    return Usage(
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        files=files,
        threads=threads,
        cpu_s=(user + system) / os.sysconf("SC_CLK_TCK"),
    )


def set_priority(pid: int, nice: int) -> None:
    """Give the leader of a session (see `setsid`) and its children a priority, -20 first.

    Raises:
        OSError: below 0 without being root, or no such process.
    """
    os.setpriority(os.PRIO_PROCESS, pid, nice)
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        # Linux shares processors among sessions first, whatever the niceness within them.
        group.write_text(str(nice))


def machine_busy_s() -> float:
    """Return the processor time all processes have used since boot, in seconds; 0.0 without /proc."""
    try:
        ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, interrupt, soft_interrupt, _stolen = ticks
    return (user + nice + system + interrupt + soft_interrupt) / os.sysconf("SC_CLK_TCK")


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33 and newer."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    )  # fmt: skip


def heap_bytes() -> int | None:
    """Bytes this process has allocated and not freed, all arenas and mapped blocks; None without glibc.

    Unlike the resident memory it knows nothing of pages that the allocator keeps for later, so a leak
    shows in it first.
    """
    mallinfo = _mallinfo()
    if mallinfo is None:
        return None
    info = mallinfo()
    return int(info.uordblks) + int(info.hblkhd)


@cache
def _mallinfo() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    function.restype = _MallInfo
    return function
