"""The fit of the shift as a picture: does the edge look like one, and does every event agree?"""

from __future__ import annotations

import numpy as np

from stream_avs.calibration.av_calib import shift_text
from stream_avs.calibration.chart import BLUE, GREY, INK, RED, Chart, Panel
from stream_avs.calibration.edge_fit import ramp
from stream_avs.calibration.sync_result import Method, SyncEstimate

MS = 1e3
AXES = {Method.FLASH: "brightness, 0 dark to 1 bright", Method.CLAP: "stillness, 0 moving to 1 still"}


def draw_sync(estimate: SyncEstimate, title: str) -> Chart:
    """Draw all events laid over each other with the fitted edge, and the shift by each event."""
    error_ms = estimate.std_error_s * MS
    locked = "; drawn video: events begin with a frame" if estimate.frame_locked else ""
    chart = Chart(
        1240,
        560,
        f"t_mic = t_cam {shift_text(estimate.shift_s)}, standard error {error_ms:.1f} ms",
        f"{title}; {estimate.events} {estimate.method.value} events at {estimate.fps:.1f} fps{locked}",
    )
    _draw_edge(chart, estimate)
    _draw_events(chart, estimate)
    return chart


def _draw_edge(chart: Chart, estimate: SyncEstimate) -> None:
    # Stamp of the frame minus that of the sound: the edge is at minus the shift.
    centre_ms, error_ms = -estimate.shift_s * MS, estimate.std_error_s * MS
    reach_ms = 2.2 * MS / estimate.fps
    panel = Panel(
        chart,
        (70, 130, 620, 470),
        (centre_ms - reach_ms, centre_ms + reach_ms),
        (-0.25, 1.25),
        "stamp of the frame minus stamp of the sound, ms",
        AXES[estimate.method],
    )
    panel.band(centre_ms - 2 * error_ms, centre_ms + 2 * error_ms, upright=True)
    x_ms = np.linspace(centre_ms - reach_ms, centre_ms + reach_ms, 400)
    if not estimate.frame_locked:
        edge = ramp((x_ms - centre_ms) / MS, estimate.width_s, estimate.anchor, estimate.bend)
        panel.line(x_ms, edge, GREY)
    panel.line([centre_ms, centre_ms], [-0.25, 1.25], RED)
    for sample in estimate.samples:
        panel.points(sample.x_s * MS, sample.values, BLUE)


def _draw_events(chart: Chart, estimate: SyncEstimate) -> None:
    shift_ms, error_ms = estimate.shift_s * MS, estimate.std_error_s * MS
    each_ms = estimate.each_s * MS
    bars_ms = estimate.each_std_s * MS
    reach_ms = max(
        0.6 * MS / estimate.fps, 1.2 * float(np.max(np.abs(each_ms - shift_ms) + bars_ms, initial=0.0))
    )
    panel = Panel(
        chart,
        (720, 130, 1200, 470),
        (0.0, float(estimate.times_s[-1]) * 1.03),
        (shift_ms - reach_ms, shift_ms + reach_ms),
        "time in the recording, s",
        "shift by each event alone, ms; bars are one standard deviation",
    )
    panel.band(shift_ms - 2 * error_ms, shift_ms + 2 * error_ms, upright=False)
    panel.line([0.0, float(estimate.times_s[-1]) * 1.03], [shift_ms, shift_ms], RED)
    panel.bars(estimate.times_s, each_ms - bars_ms, each_ms + bars_ms, INK)
    panel.points(estimate.times_s, each_ms, BLUE, 4.0)
