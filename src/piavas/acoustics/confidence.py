"""How sure a result is: standard errors of level, T30 and C50 from independent batches of rays.

Each statistic is made once of all batches and once without each of them; the spread of the latter
is its error (the jackknife, Tukey 1958; Efron & Tibshirani 1993, eq. 11.5). That holds for curved
statistics like T30 as well. Discrete paths have no statistical error; they are part of the energy.
T30 and C50 are of the octave bands of 500 Hz and 1 kHz together (ISO 3382-1's mid frequencies).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.echogram import BANDS
from piavas.acoustics.field import Reaching
from piavas.acoustics.trace import BATCHES

STEP = 5e-3  # seconds
MIDDLE = (3, 4)  # 500 Hz and 1 kHz
JUDGED = slice(1, 7)  # 125 Hz to 4 kHz
EARLY = 0.05  # seconds that C50 counts as early

Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _by_batch(segment, weight, distance, record, batch, air, per_metre, curve, level):  # type: ignore[no-untyped-def]
    """Add hits to `curve` `[batch, steps]`, mid frequencies by time, and `level` `[batch, 9]`."""
    steps, bands = curve.shape[1], level.shape[1]
    fade = np.empty((steps, bands), np.float32)
    for i in range(steps):
        for b in range(bands):
            fade[i, b] = np.exp(-air[b] * (i + 0.5) / per_metre)
    for h in range(segment.shape[0]):
        s = segment[h]
        at = distance[h] * per_metre
        i = int(at)
        if i >= steps:
            continue
        n = batch[s]
        for b in range(bands):
            level[n, b] += weight[h] * record[s, b] * fade[i, b]
        curve[n, i] += weight[h] * (record[s, 3] * fade[i, 3] + record[s, 4] * fade[i, 4])


@dataclass(frozen=True)
class Energies:
    """Squared pressure at one listener.

    Args:
        curve: `[batches, steps]` of traced sound at mid frequencies by time, summing to the whole.
        level: `[batches, 9]` of traced sound by band, likewise.
        share: `[batches]` share of the rays that each batch holds.
        early_curve: `[steps]` of discrete paths.
        early_level: `[9]` likewise.
        first: step of the first discrete path; of the first sound where there is none.
    """

    curve: Array
    level: Array
    share: Array
    early_curve: Array
    early_level: Array
    first: int


def energies(
    reaching: Reaching, share: Array, *, duration: float, speed: float, air: Array
) -> Energies:
    """The energy at one listener by batch.

    Args:
        reaching: what reaches it.
        share: `[batches]` of the rays.
        duration: seconds.
        speed: of sound, m/s.
        air: `[9]` energy attenuation, 1/m.
    """
    paths, hits, arrivals = reaching.paths, reaching.hits, reaching.arrivals
    steps = int(np.ceil(duration / STEP))
    curve, level = np.zeros((BATCHES, steps)), np.zeros((BATCHES, BANDS))
    per_metre = 1 / (speed * STEP)
    _by_batch(
        hits.segment, hits.weight, hits.distance, arrivals.record, arrivals.batch, air, per_metre,
        curve, level,
    )  # fmt: skip
    discrete = paths.magnitude(speed) ** 2 * np.exp(-air * paths.length[:, None])
    at = (paths.length * per_metre).astype(np.int64)
    inside = at < steps
    middle = discrete[inside][:, MIDDLE].sum(axis=1)
    early_curve = np.asarray(np.bincount(at[inside], middle, steps), dtype=np.float64)
    sounds = np.flatnonzero(early_curve + curve.sum(axis=0))
    return Energies(
        curve,
        level,
        share,
        early_curve,
        discrete[inside].sum(axis=0),
        int(sounds[0]) if len(sounds) else 0,
    )


def _replicates(parts: Array, share: Array, fixed: Array) -> Array:
    """`[batches + 1, n]`: the whole, then the whole without each batch, with `fixed` added."""
    total = parts.sum(axis=0)
    without = (total - parts) / np.maximum(1 - share, 1e-9)[:, None]
    return np.concatenate([total[None], np.maximum(without, 0)]) + fixed


def _jackknife(values: Array) -> Array:
    """Standard errors of statistics `[batches + 1, ...]` of `_replicates`."""
    spread = values[1:] - values[1:].mean(axis=0)
    count = len(spread)
    return np.asarray(np.sqrt((count - 1) / count * (spread**2).sum(axis=0)))


def reverberation_times(curves: Array) -> Array:
    """T30 `[n]` in seconds of energies `[n, steps]`; NaN where they do not fall by 35 dB."""
    left = np.cumsum(curves[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(left / left[:, :1])
    time = np.arange(curves.shape[1]) * STEP
    use = (level <= -5) & (level >= -35)
    count = use.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(use, time - (use * time).sum(axis=1, keepdims=True) / count[:, None], 0)
        slope = (t * np.where(use, level, 0)).sum(axis=1) / (t**2).sum(axis=1)
        times = -60 / slope
        falls = (count > 2) & (slope < 0) & (level.min(axis=1, initial=0) < -35)
    return np.where(falls, times, np.nan)


def standard_errors(energy: Energies) -> tuple[Array, float, float]:
    """Of the level by band (dB, `[9]`), of T30 (relative), and of C50 (dB)."""
    curves = _replicates(energy.curve, energy.share, energy.early_curve)[:, energy.first :]
    levels = _replicates(energy.level, energy.share, energy.early_level)
    split = round(EARLY / STEP)
    times = reverberation_times(curves)
    with np.errstate(divide="ignore", invalid="ignore"):
        clarity = 10 * np.log10(curves[:, :split].sum(axis=1) / curves[:, split:].sum(axis=1))
        decibels = 10 * np.log10(levels)
        return (
            _jackknife(decibels),
            _sure(float(_jackknife(times) / times[0])),
            float(_jackknife(clarity)),
        )


def _sure(share: float) -> float:
    """An error as large as its value says that there is none to speak of."""
    return share if share < 1 else float("nan")


@dataclass(frozen=True)
class Confidence:
    """Standard errors at some listeners; NaN where one has no such statistic.

    Args:
        level: `[l, 9]` dB.
        t30: `[l]` relative.
        c50: `[l]` dB.
    """

    level: Array
    t30: Array
    c50: Array

    @classmethod
    def join(cls, parts: Iterable[Confidence]) -> Confidence:
        """The errors of several sets of listeners as of one."""
        columns = zip(*((p.level, p.t30, p.c50) for p in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    @classmethod
    def of(cls, listeners: Iterable[Energies]) -> Confidence:
        """The errors at each of `listeners`."""
        level, t30, c50 = zip(*(standard_errors(one) for one in listeners), strict=True)
        return cls(np.array(level), np.array(t30), np.array(c50))

    def excess(self, t30: float, level: float) -> float:
        """How many times more rays bring the errors, in the mean square, down to these.

        Args:
            t30: relative.
            level: dB, of the largest error among the bands from 125 Hz to 4 kHz: above them air
                leaves so few rays that the ear would pay for what it can't hear.
        """
        ratios = [_rms(self.t30) / t30, float(_rms(self.level)[JUDGED].max()) / level]
        good = [ratio for ratio in ratios if np.isfinite(ratio)]
        return max(good, default=0.0) ** 2

    def report(self) -> dict[str, Any]:
        """As plain JSON values: root mean squares over listeners, and the worst listener."""
        worst = np.nanmax(self.level, axis=1, initial=0)
        return {
            "level_db": [_plain(v) for v in _rms(self.level)],
            "t30": _plain(_rms(self.t30)),
            "c50_db": _plain(_rms(self.c50)),
            "worst_level_db": _plain(worst.max(initial=0)),
            "worst_t30": _plain(np.nanmax(self.t30, initial=0)),
            "worst_c50_db": _plain(np.nanmax(self.c50, initial=0)),
        }


def _rms(values: Array) -> Any:
    """Root mean square over listeners of what is finite; NaN where nothing is."""
    good = np.isfinite(values)
    squares = np.where(good, values, 0) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(squares.sum(axis=0) / good.sum(axis=0))


def _plain(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
