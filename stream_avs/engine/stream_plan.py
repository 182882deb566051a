"""What a window asks of the network: which frames to encode, which to look at, what to carry.

Causal mode looks back at the frames it made masks for. Window mode looks at the frames of the
window as the join picked them, encodes those it has not seen, and once more those whose audio
came late and has changed since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stream_avs.engine.frame_slots import FrameSlots
from stream_avs.engine.requests import FrameInput, Request
from stream_avs.types import Frame, Samples, Window

PrepareFrame = Callable[[int, Frame, Samples], FrameInput]
"""Slot, frame and its audio row -> input of the network."""
Grow = Callable[["StreamRow", int, int], None]
"""Make room for more frames and steps of a stream, if there may be any."""


@dataclass(kw_only=True, eq=False)
class StreamRow:
    """Where one stream's frames and carried queries lie.

    Attributes:
        index: row in the buffers.
        frames: slots of kept frames.
        steps: slots of the queries that left each step.
        heard: unless causal: the audio row each slot was encoded with.
        encoded: frames encoded so far.
        masks: requests planned so far.
    """

    index: int
    frames: FrameSlots
    steps: FrameSlots
    heard: dict[int, Samples] = field(default_factory=dict)
    encoded: int = 0
    masks: int = 0


def plan(
    window: Window, row: StreamRow, frames: int, causal: bool, prepare: PrepareFrame, grow: Grow
) -> Request:
    """Plan one mask and note in `row` what will lie where.

    Args:
        window: frames and audio; its `spacing_ns` says how far apart frames that meet should be.
        row: of the stream.
        frames: of the network's windows.
        causal: look back at the frames stepped before, not at those of the window.
        prepare: makes network inputs.
        grow: called when frames that are still of use would be lost.
    """
    spacing_ns, newest = window.spacing_ns, window.newest
    count = frames - 1
    since_ns = newest.stamp_ns - count * spacing_ns - spacing_ns // 2 if spacing_ns else 0
    if spacing_ns:
        crowded = row.frames.crowded(since_ns, ())
        steps_crowded = row.steps.crowded(newest.stamp_ns - 2 * spacing_ns, ())
        if crowded or steps_crowded:
            grow(row, len(row.frames) * (1 + crowded), len(row.steps) * (1 + steps_crowded))
    leaves = row.steps.place(newest.seq, newest.stamp_ns, since_ns=max(0, newest.stamp_ns - 2 * spacing_ns))
    carried = row.steps.before(leaves, 1, spacing_ns)
    others: tuple[FrameInput, ...]
    if causal:
        slot = row.frames.place(newest.seq, newest.stamp_ns, since_ns=since_ns)
        looks_at: tuple[int, ...] = (slot, *row.frames.before(slot, count, spacing_ns))
        others = ()
    else:
        others, looks_at = _window_slots(window, row, prepare, since_ns)
        slot = looks_at[-1]
    row.encoded += 1 + len(others)
    row.masks += 1
    return Request(
        row=row.index,
        newest=prepare(slot, newest, window.audio[-1]),
        others=others,
        looks_at=looks_at,
        carried=carried[0] if carried else None,
        leaves=leaves,
    )


def _window_slots(
    window: Window, row: StreamRow, prepare: PrepareFrame, since_ns: int
) -> tuple[tuple[FrameInput, ...], tuple[int, ...]]:
    """Older frames to encode, and the slot of every frame of the window."""
    newest = window.newest
    rows = {frame.seq: (frame, samples) for frame, samples in zip(window.frames, window.audio, strict=True)}
    found: dict[int, int] = {}
    for seq, (_, samples) in rows.items():
        slot = row.frames.find(seq)
        if slot is not None and np.array_equal(row.heard[slot], samples):
            found[seq] = slot
    missing = []
    for seq, (frame, samples) in rows.items():
        if seq in found and seq != newest.seq:
            continue
        slot = row.frames.find(seq)  # kept, but with other audio
        if slot is None:
            needed = frozenset(found.values())
            slot = row.frames.place(seq, frame.stamp_ns, needed=needed, since_ns=since_ns)
        found[seq] = slot
        row.heard[slot] = samples.copy()
        if seq != newest.seq:
            missing.append(prepare(slot, frame, samples))
    return tuple(missing), tuple(found[frame.seq] for frame in window.frames)
