"""How long a unit of RWAVS is, heard: delays between dry and recorded sound grow with distance.

Structure from motion leaves the unit of length open. The direct sound does not: at a distance of d
units it comes s d / c + t0 after it was played, with s metres a unit and t0 the offset of the
clocks, the same for the whole recording. Both are fitted, in two steps.

1. About each pose, the response between source and ears is estimated by regularised division of
   spectra. Over a grid of s and t0, the envelopes of these responses are added up where the direct
   sound would be; the pair with the largest sum wins. No peak is picked, so that single poses may
   be wrong (the steered response of DiBiase 2000, over a unit and a clock instead of a place).
2. Near that line the direct sound's peak is found to a fraction of a sample, ear by ear, and a line
   is fitted robustly (soft L1). With it the recording is warped as if the head stood still in each
   window, which sharpens the peaks, and so again. The 95 % interval is that of a bootstrap over
   the poses.

Levels check this and give the gain: the peak falls as 1/d, whatever the unit, so levels cannot tell
the unit from the gain of a peak-normalised file; but a slope far from 1/d says that the source does
not stand where it is said to, or that the direct sound was not what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from scipy.signal import hilbert
from scipy.signal.windows import tukey

from piavas.audio import Audio
from piavas.errors import DataError

Array = NDArray[np.float64]

UNITS = (0.1, 30.0)
"""Metres a unit that are tried."""
OFFSET = 0.03
"""Seconds by which the clocks may differ."""
COARSE = 5e-4
"""Seconds: step of the grid, and the width to which envelopes are smoothed on it."""
NEAR = 1e-3
"""Seconds about the line in which the peak is looked for."""
SOFT = 1e-4
"""Seconds from which on a deviation counts as an outlier."""
AGREES = 2e-4
"""Seconds from the line within which a pose is said to agree: a fifth of `NEAR`, as by chance a
fifth of the poses would."""
FLOOR = 1e-2
"""Regularisation of the division, re the mean power of the dry sound."""
RESAMPLES = 400
FEWEST = 8


@dataclass(frozen=True)
class MetricFit:
    """Metres a unit, the offset of the clocks, and how sure both are.

    Args:
        scale: metres a unit.
        scale_interval: 95 %.
        offset: seconds that the recording lags behind the dry sound, besides the sound's travel.
        offset_interval: 95 %.
        gain_db: level of the recording re a free-field pressure of 1/r, from the direct sound.
        gain_interval: 95 %.
        fall: exponent of the direct sound's level with distance; 1 for 1/r.
        fall_interval: 95 %.
        distances: `[n]` units, of the poses that were used.
        delays: `[n]` seconds.
        levels: `[n]` dB.
        residual: root mean square deviation of the delays from the line, seconds, outliers aside.
        used: share of the poses within `AGREES` of the line; the others count for nothing.
    """

    scale: float
    scale_interval: tuple[float, float]
    offset: float
    offset_interval: tuple[float, float]
    gain_db: float
    gain_interval: tuple[float, float]
    fall: float
    fall_interval: tuple[float, float]
    distances: Array
    delays: Array
    levels: Array
    residual: float
    used: float

    @property
    def trusted(self) -> bool:
        """Whether half the poses agree, the unit is known to 10 %, and levels fall."""
        low, high = self.scale_interval
        return self.used > 0.5 and high - low < 0.2 * self.scale and self.fall_interval[1] > 0.5

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: value for name, value in vars(self).items() if np.ndim(value) < 1}
        pairs = {n: list(v) for n, v in vars(self).items() if n.endswith("_interval")}
        return {**plain, **pairs, "poses": len(self.distances), "trusted": self.trusted}

    def __str__(self) -> str:
        low, high = self.scale_interval
        first, last = (1000 * t for t in self.offset_interval)
        return (
            f"{self.scale:.4g} m a unit (95 % {low:.4g} to {high:.4g}), clocks "
            f"{1000 * self.offset:.2f} ms apart ({first:.2f} to {last:.2f}), direct sound falls "
            f"as 1/r^{self.fall:.2f} ({self.fall_interval[0]:.2f} to {self.fall_interval[1]:.2f}), "
            f"gain {self.gain_db:.1f} dB; {100 * self.used:.0f} % of {len(self.distances)} poses "
            f"agree, to {1e6 * self.residual:.0f} us"
            + ("" if self.trusted else "; NOT TO BE TRUSTED")
        )


def fit_metric(
    dry: Audio,
    wet: Audio,
    sample_rate: int,
    times: Array,
    distances: Array,
    *,
    speed: float = 343.2,
    window: float = 0.25,
    units: tuple[float, float] = UNITS,
    seed: int = 0,
) -> MetricFit:
    """Fit metres a unit, the clocks' offset and the gain of one recording.

    Args:
        dry: `[1, time]` what was played.
        wet: `[2, time]` what the ears recorded.
        sample_rate: hertz.
        times: `[n]` seconds of the poses.
        distances: `[n]` from the source, in units.
        speed: of sound, m/s.
        window: seconds of sound about each pose.
        units: metres a unit to look between.
        seed: of the bootstrap.

    Raises:
        DataError: fewer than 8 poses with sound, or distances that do not differ.
    """
    places = np.asarray(distances, dtype=np.float64)
    envelopes, kept = responses(dry, wet, sample_rate, times, window)
    far = places[kept]
    if len(kept) < FEWEST or np.ptp(far) < 0.05 * far.max():
        raise DataError(
            f"{len(kept)} poses with sound, or all at one distance",
            field="distances",
            mend=f"give at least {FEWEST} poses at several distances from the source",
        )
    scale, offset = search(envelopes, sample_rate, far / speed, units)
    way = PchipInterpolator(times, places / speed)
    for _ in range(3):
        delays, peaks = peaks_near(envelopes, sample_rate, scale * far / speed + offset)
        scale, offset = line(far / speed, delays)
        travel = partial(_travel, way, scale, (times[0], times[-1]))
        envelopes, _ = responses(dry, wet, sample_rate, times, window, travel)
    delays, peaks = peaks_near(envelopes, sample_rate, scale * far / speed + offset)
    levels = 20 * np.log10(np.maximum(peaks, 1e-12))
    return _summary(far, delays, levels, speed, seed)


def _travel(way: Any, scale: float, span: tuple[float, float], at: Array) -> Array:
    """Seconds of travel at the times `at`; at rest before the first pose and after the last."""
    return np.asarray(scale * way(np.clip(at, *span)))


def responses(
    dry: Audio,
    wet: Audio,
    sample_rate: int,
    times: Array,
    window: float,
    travel: Callable[[Array], Array] | None = None,
) -> tuple[Array, NDArray[np.int64]]:
    """Envelopes `[k, 2, lags]` of the responses about `times` at both ears, and which poses `[k]`.

    Lags run from -`OFFSET` to half a window. Poses without sound are left out.

    Args:
        dry: `[1, time]`.
        wet: `[2, time]`.
        sample_rate: hertz.
        times: `[n]` seconds.
        window: seconds.
        travel: seconds of travel at any time; the recording is warped so that, within a window,
            the head stands still where it is in its middle. None leaves it as it is.
    """
    half, back = round(0.5 * window * sample_rate), lead(sample_rate)
    size = 1 << int(np.ceil(np.log2(3 * half + back)))
    taper = tukey(2 * half, 0.2)
    found, kept = [], []
    length = min(dry.shape[1], wet.shape[1])
    loud = 1e-4 * float(np.mean(dry[0, :length].astype(np.float64) ** 2))
    for i, middle in enumerate(np.round(np.asarray(times) * sample_rate).astype(int)):
        a, b = middle - half, middle + half
        if a - back < 0 or b + half > length:
            continue
        played = dry[0, a:b].astype(np.float64) * taper
        if np.mean(played**2) <= loud or not wet[:, a:b].any():
            continue
        heard = wet[:, a - back : b + half].astype(np.float64)
        if travel is not None:
            heard = _stilled(heard, a - back, middle, sample_rate, travel)
        power = np.abs(spectrum := np.fft.rfft(played, size)) ** 2
        floor = power + FLOOR * power.mean()
        # The recording starts `back` earlier than the dry sound, so lag 0 lies at `back`.
        taps = np.fft.irfft(np.fft.rfft(heard, size) * spectrum.conj() / floor, size)
        # Where the dry sound has no power the division gives none: a plain copy peaks at `whole`.
        whole = float(np.fft.irfft(power / floor, size)[0])
        found.append(np.abs(hilbert(taps[:, : back + half], axis=-1)) / whole)
        kept.append(i)
    return (np.stack(found) if found else np.zeros((0, 2, back + half))), np.array(kept, np.int64)


def lead(sample_rate: int) -> int:
    """Samples before lag 0."""
    return round(OFFSET * sample_rate)


def _stilled(
    heard: Array, start: int, middle: int, sample_rate: int, travel: Callable[[Array], Array]
) -> Array:
    """`heard` `[2, n]` from sample `start` on, as if the head stood where it is at `middle`."""
    at = np.arange(heard.shape[1], dtype=np.float64)
    seconds = (at + start) / sample_rate
    shift = (travel(seconds) - travel(np.array([middle / sample_rate]))) * sample_rate
    return np.stack([map_coordinates(ear, [at + shift], order=3) for ear in heard])


def search(
    envelopes: Array, sample_rate: int, travel: Array, units: tuple[float, float]
) -> tuple[float, float]:
    """Metres a unit and offset whose line gathers most, by a grid.

    Args:
        envelopes: `[n, 2, lags]` from `responses`.
        sample_rate: hertz.
        travel: `[n]` seconds that sound would take were a unit a metre.
        units: metres a unit to look between.
    """
    both = np.sqrt((envelopes**2).mean(axis=1))
    step = max(1, round(COARSE * sample_rate))
    lags = both.shape[1] // step
    coarse = both[:, : lags * step].reshape(len(both), lags, step).max(axis=2)
    coarse = coarse / coarse.max(axis=1, keepdims=True)
    latest = (lags - 1) * COARSE - OFFSET
    # Neighbours on the grid of units differ by at most one step of time at the farthest pose.
    fine = COARSE / travel.max()
    scales = [units[0]]
    while scales[-1] < min(units[1], latest / travel.max()):
        scales.append(scales[-1] + max(fine, 0.002 * scales[-1]))
    offsets = np.arange(-OFFSET, OFFSET, COARSE)
    rows = np.arange(len(travel))[:, None]
    best = (-np.inf, units[0], 0.0)
    for scale in scales:
        at = np.round((scale * travel[:, None] + offsets + OFFSET) / (step / sample_rate))
        inside = (at >= 0) & (at < lags)
        values = np.where(inside, coarse[rows, np.clip(at, 0, lags - 1).astype(int)], 0.0)
        total = values.sum(axis=0)
        top = int(total.argmax())
        if total[top] > best[0]:
            best = (float(total[top]), scale, float(offsets[top]))
    return best[1], best[2]


def peaks_near(envelopes: Array, sample_rate: int, wanted: Array) -> tuple[Array, Array]:
    """Delay and height `[n]` of the direct sound: the largest value near `wanted` `[n]`.

    By a parabola, at each ear for itself: their mean delay is that of the head's middle but for
    the far ear's detour, below 0.1 ms; their heights are averaged as energies.
    """
    reach = max(2, round(NEAR * sample_rate))
    middle = np.round(wanted * sample_rate).astype(int) + lead(sample_rate)
    at = np.clip(middle[:, None] + np.arange(-reach, reach + 1), 1, envelopes.shape[2] - 2)
    rows, ears = np.ogrid[: len(envelopes), :2]
    near = envelopes[rows[..., None], ears[..., None], at[:, None]]
    top = np.take_along_axis(at, near.argmax(axis=2), axis=1)
    a, b, c = (envelopes[rows, ears, top + k] for k in (-1, 0, 1))
    bend = a - 2 * b + c
    shift = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, -1.0), 0.0)
    shift = np.clip(shift, -0.5, 0.5)
    delays = (top + shift - lead(sample_rate)).mean(axis=1) / sample_rate
    return delays, np.sqrt(((b - 0.25 * (a - c) * shift) ** 2).mean(axis=1))


def line(x: Array, y: Array, soft: float = SOFT) -> tuple[float, float]:
    """Slope and intercept of a robust line (soft L1 beyond `soft`)."""
    middle = x.mean()
    start = np.polyfit(x - middle, y, 1)
    done = least_squares(
        lambda p: p[0] * (x - middle) + p[1] - y, start, loss="soft_l1", f_scale=soft, x_scale="jac"
    )
    slope, level = done.x
    return float(slope), float(level - slope * middle)


def _summary(far: Array, delays: Array, levels: Array, speed: float, seed: int) -> MetricFit:
    chance = np.random.default_rng(seed)
    travel, decades = far / speed, 20 * np.log10(far)
    scale, offset = line(travel, delays)
    gap = delays - scale * travel - offset
    good = np.abs(gap) < AGREES
    kept = np.flatnonzero(good) if good.sum() >= FEWEST else np.arange(len(far))
    fall, _ = line(decades[kept], levels[kept], soft=2.0)
    draws = [
        _draw(chance.choice(kept, len(kept)), travel, delays, decades, levels)
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(np.array(draws), [2.5, 97.5], axis=0)
    gain = float(np.median(levels[kept] + decades[kept]) + 20 * np.log10(scale))
    spans = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return MetricFit(
        scale=scale,
        scale_interval=spans[0],
        offset=offset,
        offset_interval=spans[1],
        gain_db=gain,
        gain_interval=spans[2],
        fall=-fall,
        fall_interval=spans[3],
        distances=far,
        delays=delays,
        levels=levels,
        residual=float(np.sqrt(np.mean(gap[kept] ** 2))),
        used=float(good.mean()),
    )


def _draw(
    chosen: NDArray[np.int64], travel: Array, delays: Array, decades: Array, levels: Array
) -> tuple[float, float, float, float]:
    """Scale, offset, gain and fall of one resample; least squares, as outliers are left out."""
    x, y = travel[chosen], decades[chosen]
    if np.ptp(x) == 0:
        return (np.nan,) * 4
    slope, start = np.polyfit(x, delays[chosen], 1)
    gain = np.median(levels[chosen] + y) + 20 * np.log10(max(slope, 1e-9))
    return float(slope), float(start), float(gain), float(-np.polyfit(y, levels[chosen], 1)[0])
