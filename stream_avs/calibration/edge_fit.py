"""The shift from many events at once, far finer than the time between frames.

One event is sampled by a handful of frames and says little. Laid over each other by the times of
their sounds, many events at differing phases sample one and the same edge densely, as a slanted edge
does for a lens (ISO 12233). The edge is modelled as a ramp as wide as the exposure, bent by the
camera's tone curve; width and bend are nuisances and averaged out. Where no frame fell into the ramp,
all shifts between the last dark and the first bright frame are equally likely: the standard error
says so by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID_STEP_S = 0.0005
"""Spacing of the shifts at which the likelihood is computed."""

BENDS = (0.45, 1.0, 2.2)
"""Exponents of the tone curve: from a camera's usual gamma to its inverse."""

WIDTHS = 16
"""Number of ramps between the sharpest and the widest."""

SHARPEST_S = 0.002
"""Narrowest ramp: sounds are timed to about a millisecond."""

STRAY = 0.05
"""Share of samples that follow no model: flicker, other motion, a wrong pair."""

RESAMPLINGS = 200
"""How often the events are drawn again, with repetition, for the standard error."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sampled:
    """One event, laid over the others by its sound.

    Attributes:
        x_s: float64 [k], stamp of each sample minus the time of the sound.
        values: float64 [k], about 0 before the event and 1 after it.
    """

    x_s: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeModel:
    """How an event looks through the frames.

    Attributes:
        anchor: where in the ramp the event is: 0.5 its middle, 1.0 its end.
        widest_s: widest ramp to consider.
        bends: exponents of the tone curve to consider.
        noise: standard deviation of a sample.
    """

    anchor: float
    widest_s: float
    bends: tuple[float, ...] = BENDS
    noise: float = 0.05


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EdgeFit:
    """The shift and how sure it is.

    Attributes:
        shift_s: sound minus picture.
        std_error_s: the larger of the spread of the likelihood and that over resampled events.
        width_s, bend: the most likely ramp, for drawing; the width is about the exposure.
        each_s: float64 [events], the shift by each event alone.
        each_std_s: float64 [events], how far one event alone may be off.
    """

    shift_s: float
    std_error_s: float
    width_s: float
    bend: float
    each_s: NDArray[np.float64]
    each_std_s: NDArray[np.float64]


def ramp(x_s: NDArray[np.float64], width_s: float, anchor: float, bend: float) -> NDArray[np.float64]:
    """The modelled edge: 0 before the event, 1 after it, the event itself at x = 0."""
    return np.asarray(np.clip(x_s / width_s + anchor, 0.0, 1.0) ** bend)


def fit_edge(
    events: Sequence[Sampled], model: EdgeModel, *, near_s: float, reach_s: float, seed: int = 0
) -> EdgeFit:
    """Estimate the shift from events that have been paired.

    Args:
        events: at least one.
        model: how an event looks.
        near_s: roughly the shift.
        reach_s: how far from `near_s` it may be.
        seed: of the resampling.
    """
    shifts_s = np.arange(near_s - reach_s, near_s + reach_s + GRID_STEP_S / 2, GRID_STEP_S)
    widths_s = np.geomspace(SHARPEST_S, max(model.widest_s, 2 * SHARPEST_S), WIDTHS)
    # [events, widths * bends, shifts]
    table = np.stack([_log_likelihoods(e, model, shifts_s, widths_s) for e in events])
    total = table.sum(axis=0)
    shift_s, spread_s = _mean_and_spread(_marginal(total), shifts_s)
    shape = int(np.argmax(total.max(axis=1)))
    each = [_mean_and_spread(row, shifts_s) for row in table[:, shape]]
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(events), np.full(len(events), 1 / len(events)), RESAMPLINGS)
    redone = [
        _mean_and_spread(_marginal(np.tensordot(d.astype(float), table, axes=1)), shifts_s)[0] for d in draws
    ]
    return EdgeFit(
        shift_s=shift_s,
        std_error_s=max(spread_s, float(np.std(redone))),
        width_s=float(widths_s[shape // len(model.bends)]),
        bend=model.bends[shape % len(model.bends)],
        each_s=np.array([mean for mean, _ in each]),
        each_std_s=np.array([spread for _, spread in each]),
    )


def _log_likelihoods(
    event: Sampled, model: EdgeModel, shifts_s: NDArray[np.float64], widths_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log likelihood of one event, float64 [widths * bends, shifts]."""
    x = event.x_s[None, None, :] + shifts_s[None, :, None]
    linear = np.clip(x / widths_s[:, None, None] + model.anchor, 0.0, 1.0)
    rows = []
    for bend in model.bends:
        misfit = (event.values - linear**bend) / model.noise
        regular = (1 - STRAY) / (model.noise * np.sqrt(2 * np.pi)) * np.exp(-0.5 * misfit**2)
        rows.append(np.log(regular + STRAY).sum(axis=2))
    return np.stack(rows, axis=1).reshape(-1, len(shifts_s))


def _marginal(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the sum of likelihoods over ramps, float64 [shifts]."""
    top = table.max()
    return np.asarray(np.log(np.exp(table - top).sum(axis=0) + 1e-300))


def _mean_and_spread(
    log_likelihood: NDArray[np.float64], shifts_s: NDArray[np.float64]
) -> tuple[float, float]:
    weight = np.exp(log_likelihood - log_likelihood.max())
    weight /= weight.sum()
    mean = float(weight @ shifts_s)
    return mean, float(np.sqrt(weight @ (shifts_s - mean) ** 2))
