"""The shift between camera and microphone stamps, from flashes with beeps or from hand claps.

`t_mic = t_cam + shift` (Kalibr's convention): a positive shift means that the microphone's stamp of
an event is later than the camera's. The camera's stamp of an event is that of a frame whose exposure
has the event in its middle, whatever part of the exposure the driver stamps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.edge_fit import EdgeFit, EdgeModel, Sampled, fit_edge
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.onsets import Onset, find_onsets
from stream_avs.calibration.pairing import Pairing, pair_events
from stream_avs.calibration.picture_events import (
    Edge,
    find_claps,
    find_flashes,
    is_motion,
    mean_step,
    strong_part,
)
from stream_avs.calibration.sync_result import Method, SyncEstimate, SyncLimits
from stream_avs.calibration.tracks import PictureTrack, SoundPiece
from stream_avs.types import NS_PER_S, StampSource

SOUND_M_PER_S = 343.0
"""Speed of sound in air at 20 degrees Celsius."""

AMBIGUOUS_SHARE = 0.6
"""If another shift pairs this share of the events, there is no telling which one is right."""

OUTLIER_STDS = 4.0
"""A pair further than this many standard deviations from the others is left out."""

EVENT_JITTER_S = 0.003
"""How far a good event may be off by itself: sound timing, a screen's refresh."""

MIN_CLAP_FPS = 20.0
"""Below this rate hands that come to rest after a clap stop as suddenly as those that meet."""

SYSTEMATIC_STD_S = {Method.FLASH: 0.0005, Method.CLAP: 0.003}
"""What no number of events averages out: how sharply beeps begin; how people clap, and the exposure."""

LOCKED_SHARE = 0.1
"""Events of a drawn video are this constant, as a share of the frame period."""

TOO_FEW = {
    Method.FLASH: "Play the target (`stream-avs calibrate target flash-beep.mp4`) full screen and loud, "
    "filling a good part of the picture",
    Method.CLAP: "Clap about 20 times in full view, close to the microphone, at uneven pace, and hold "
    "the hands together a moment each time",
}  # fmt: skip


def estimate_shift(
    pictures: PictureTrack,
    sound: Sequence[SoundPiece],
    *,
    method: Method = Method.AUTO,
    limits: SyncLimits | None = None,
) -> SyncEstimate:
    """Estimate the shift.

    Raises:
        CalibrationError: too few events, no clear pairing, or too large a standard error or drift;
            says which and how to record a better one.
    """
    limits = limits or SyncLimits()
    if method is not Method.AUTO:
        return _estimate(pictures, sound, method, limits)
    try:
        return _estimate(pictures, sound, Method.FLASH, limits)
    except CalibrationError as flash_error:
        try:
            return _estimate(pictures, sound, Method.CLAP, limits)
        except CalibrationError as clap_error:
            raise CalibrationError(
                f"no sure shift. By flashes: {flash_error.what}. By claps: {clap_error.what}",
                f"{TOO_FEW[Method.FLASH]}; or clap, at uneven pace",
            ) from None


def _estimate(
    pictures: PictureTrack, sound: Sequence[SoundPiece], method: Method, limits: SyncLimits
) -> SyncEstimate:
    onsets = find_onsets(sound)
    if method is Method.CLAP:
        if pictures.period_s > 1 / MIN_CLAP_FPS:
            raise CalibrationError(
                f"{1 / pictures.period_s:.1f} frames per second are too few for claps",
                f"Use at least {MIN_CLAP_FPS:g} frames per second, or the flash target",
            )
        claps = find_claps(pictures)
        _check_kind(_step(pictures, claps, onsets, limits), method)
        return _from_edges(pictures, claps, onsets, method, limits)
    edges = find_flashes(pictures)
    step = _step(pictures, edges, onsets, limits)
    _check_kind(step, method)
    # Look again, only where the picture brightens with the sounds: other motion falls away.
    results: list[SyncEstimate] = []
    refusals: list[CalibrationError] = []
    for found in (find_flashes(pictures, strong_part(step)), edges):
        try:
            results.append(_from_edges(pictures, found, onsets, method, limits))
        except CalibrationError as error:
            refusals.append(error)
    if not results:
        raise refusals[-1]
    return min(results, key=lambda r: r.std_error_s)


def _step(
    pictures: PictureTrack, edges: Sequence[Edge], onsets: Sequence[Onset], limits: SyncLimits
) -> NDArray[np.float64]:
    """How the picture changes with the sounds, on average; see `mean_step`."""
    pairs = _pair(edges, onsets, pictures.period_s, limits).pairs
    return mean_step(pictures, [edges[p].time_ns for p, _ in pairs])


def _check_kind(step: NDArray[np.float64], method: Method) -> None:
    """A hand that arrives is a step of brightness, and a flash a burst of change: do not mix them up."""
    if not step.any() or is_motion(step) == (method is Method.CLAP):
        return
    if method is Method.FLASH:
        raise CalibrationError(
            "what brightens with the sounds darkens elsewhere: something moves, nothing flashes",
            f"{TOO_FEW[Method.FLASH]}; for claps use --method clap",
        )
    raise CalibrationError(
        "the picture turns brighter or darker with the sounds, but nothing moves",
        f"{TOO_FEW[Method.CLAP]}; for the target video use --method flash",
    )


def _from_edges(
    pictures: PictureTrack,
    edges: Sequence[Edge],
    onsets: Sequence[Onset],
    method: Method,
    limits: SyncLimits,
) -> SyncEstimate:
    period_s = pictures.period_s
    pairing = _pair(edges, onsets, period_s, limits)
    _check_pairing(edges, onsets, pairing, method, limits)
    kept = [(edges[p], onsets[s]) for p, s in pairing.pairs]
    model = EdgeModel(anchor=0.5, widest_s=1.5 * period_s)
    if method is Method.CLAP:
        model = EdgeModel(anchor=1.0, widest_s=1.5 * period_s, bends=(1.0,), noise=0.1)
    kept, fit = _fit(kept, model, pairing.shift_s, period_s)
    estimate = _summary(pictures, kept, fit, model, method, (len(edges), len(onsets)))
    _check_estimate(estimate, method, limits)
    return estimate


def _pair(edges: Sequence[Edge], onsets: Sequence[Onset], period_s: float, limits: SyncLimits) -> Pairing:
    zero_ns = edges[0].time_ns if edges else 0
    return pair_events(
        np.array([(e.time_ns - zero_ns) / NS_PER_S for e in edges]),
        np.array([(o.time_ns - zero_ns) / NS_PER_S for o in onsets]),
        max_shift_s=limits.max_shift_s,
        # An event in the picture is known to half a frame so far.
        tolerance_s=0.75 * period_s + 2 * EVENT_JITTER_S,
    )


def _fit(
    kept: list[tuple[Edge, Onset]], model: EdgeModel, near_s: float, period_s: float
) -> tuple[list[tuple[Edge, Onset]], EdgeFit]:
    """Fit, leave out the pairs that do not belong, and fit again."""
    while True:
        samples = [_sampled(edge, onset) for edge, onset in kept]
        fit = fit_edge(samples, model, near_s=near_s, reach_s=1.5 * period_s)
        apart_s = np.abs(fit.each_s - fit.shift_s)
        good = apart_s <= OUTLIER_STDS * np.hypot(fit.each_std_s, EVENT_JITTER_S)
        if good.all() or good.sum() < 3:
            return kept, fit
        kept = [pair for pair, is_good in zip(kept, good, strict=True) if is_good]


def _sampled(edge: Edge, onset: Onset) -> Sampled:
    return Sampled(x_s=(edge.stamps_ns - onset.time_ns) / NS_PER_S, values=edge.values)


def _summary(
    pictures: PictureTrack,
    kept: list[tuple[Edge, Onset]],
    fit: EdgeFit,
    model: EdgeModel,
    method: Method,
    found: tuple[int, int],
) -> SyncEstimate:
    times_s = np.array([(e.time_ns - int(pictures.stamps_ns[0])) / NS_PER_S for e, _ in kept])
    samples = tuple(_sampled(edge, onset) for edge, onset in kept)
    shift_s, std_error_s, each_s = fit.shift_s, fit.std_error_s, fit.each_s
    locked = _locked_shifts(samples, pictures) if method is Method.FLASH else None
    if locked is not None:
        shift_s = float(np.median(locked))
        std_error_s = float(np.std(locked)) / np.sqrt(len(locked))
        each_s = locked
    return SyncEstimate(
        shift_s=shift_s,
        std_error_s=float(np.hypot(std_error_s, SYSTEMATIC_STD_S[method])),
        method=method,
        frame_locked=locked is not None,
        seen=found[0],
        heard=found[1],
        events=len(kept),
        drift_s=_drift(times_s, each_s),
        fps=1.0 / pictures.period_s,
        width_s=fit.width_s,
        bend=fit.bend,
        anchor=model.anchor,
        each_s=each_s,
        each_std_s=fit.each_std_s if locked is None else np.zeros(len(locked)),
        times_s=times_s,
        samples=samples,
    )


def _locked_shifts(samples: Sequence[Sampled], pictures: PictureTrack) -> NDArray[np.float64] | None:
    """The shift by each event of a drawn video, or None if the picture was filmed.

    In a drawn video every event begins with a frame and is valid from its stamp on; the sound, which
    is free to begin anywhere, then has the same phase to the frames each time. A camera's exposures
    cannot do that. Live stamps are never taken for drawn.
    """
    if pictures.stamp_source not in (StampSource.CONTAINER, StampSource.SYNTHETIC):
        return None
    shifts_s = []
    for sample in samples:
        first = int(np.argmax(sample.values >= 0.5))
        if first == 0 or sample.values[first] < 0.9 or sample.values[first - 1] > 0.1:
            return None
        shifts_s.append(-float(sample.x_s[first]))
    spread_s = np.percentile(shifts_s, 90) - np.percentile(shifts_s, 10)
    return np.array(shifts_s) if spread_s <= LOCKED_SHARE * pictures.period_s else None


def _drift(times_s: NDArray[np.float64], each_s: NDArray[np.float64]) -> float:
    """Change of the shift over the recording by the median slope (Theil-Sen); 0 if it may be chance."""
    first, second = np.triu_indices(len(times_s), 1)
    apart_s = times_s[second] - times_s[first]
    slopes = (each_s[second] - each_s[first])[apart_s > 0] / apart_s[apart_s > 0]
    if len(slopes) == 0:
        return 0.0
    slope = float(np.median(slopes))
    duration_s = float(times_s[-1] - times_s[0])
    residual_s = each_s - np.median(each_s) - slope * (times_s - np.median(times_s))
    slope_std = float(np.std(residual_s)) / (float(np.std(times_s)) * np.sqrt(len(times_s)))
    return slope * duration_s if abs(slope) > 3 * slope_std else 0.0


def _check_pairing(
    edges: Sequence[Edge], onsets: Sequence[Onset], pairing: Pairing, method: Method, limits: SyncLimits
) -> None:
    need = limits.min_events
    what = {Method.FLASH: "flashes", Method.CLAP: "claps"}[method]
    if len(edges) < need:
        raise CalibrationError(f"{len(edges)} {what} were seen, {need} are needed", TOO_FEW[method])
    if len(onsets) < need:
        raise CalibrationError(
            f"{len(onsets)} sudden sounds were heard, {need} are needed",
            "Turn the volume up or move closer to the microphone; check it with `stream-avs calibrate mic`",
        )
    if len(pairing.pairs) < need:
        raise CalibrationError(
            f"of {len(edges)} {what} seen and {len(onsets)} sounds heard only {len(pairing.pairs)} belong "
            f"together within {limits.max_shift_s:g} s, {need} are needed",
            TOO_FEW[method] + "; if the shift may be larger, raise --limits.max-shift-s",
        )
    if pairing.runner_up >= AMBIGUOUS_SHARE * len(pairing.pairs):
        raise CalibrationError(
            f"shifts of {pairing.shift_s * 1e3:+.0f} ms ({len(pairing.pairs)} pairs) and of "
            f"{pairing.runner_up_shift_s * 1e3:+.0f} ms ({pairing.runner_up} pairs) both fit the {what}",
            "Use uneven pauses of more than a second, in a quiet place with little other motion",
        )


def _check_estimate(estimate: SyncEstimate, method: Method, limits: SyncLimits) -> None:
    if estimate.events < limits.min_events:
        raise CalibrationError(
            f"only {estimate.events} events agree on a shift near {estimate.shift_s * 1e3:+.0f} ms, "
            f"{limits.min_events} are needed",
            TOO_FEW[method],
        )
    if abs(estimate.drift_s) > limits.max_drift_s:
        raise CalibrationError(
            f"the shift changed by {estimate.drift_s * 1e3:+.1f} ms during the recording, at most "
            f"{limits.max_drift_s * 1e3:g} ms are allowed",
            "The stamps of camera and microphone run at different speeds; see `stream-avs doctor`",
        )
    if estimate.std_error_s > limits.max_std_error_s:
        raise CalibrationError(
            f"the shift is {estimate.shift_s * 1e3:+.1f} ms with a standard error of "
            f"{estimate.std_error_s * 1e3:.1f} ms, at most {limits.max_std_error_s * 1e3:g} ms are allowed",
            "Record more events at uneven pace, or at a higher frame rate",
        )
