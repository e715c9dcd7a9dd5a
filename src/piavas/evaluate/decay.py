"""Energy decay: direct sound, noise floor, Schroeder integration and straight-line fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ONSET_DB = -20.0
LATE_DB = 20.0
HEADROOM_DB = 10.0
"""The noise lies at least this far below the end of an evaluated range (ISO 3382-1)."""


def direct_onset(response: NDArray[np.floating], threshold_db: float = ONSET_DB) -> int:
    """The first sample of `[time]` within 20 dB of the largest magnitude (ISO 3382-1, 5.3.3).

    0 where the response is silent.
    """
    size = np.abs(np.asarray(response, dtype=np.float64))
    peak = size.max(initial=0.0)
    return int(np.argmax(size >= peak * 10 ** (threshold_db / 20))) if peak > 0 else 0


def schroeder(energy: NDArray[np.floating], compensation: float = 0.0) -> Array:
    """Backward integral of `energy` `[..., time]`, plus what lies beyond its end."""
    return np.cumsum(np.asarray(energy, np.float64)[..., ::-1], axis=-1)[..., ::-1] + compensation


@dataclass(frozen=True)
class DecayCurve:
    """A decay curve from the direct sound to the knee where noise takes over.

    Args:
        level: `[time]` decibels, 0 at the direct sound.
        sample_rate: hertz.
        dynamic_range: decibels from the loudest part down to the noise floor.
    """

    level: Array
    sample_rate: int
    dynamic_range: float

    @property
    def times(self) -> Array:
        """`[time]` seconds after the direct sound."""
        return np.arange(self.level.size) / self.sample_rate


def _smooth(energy: Array, window: int) -> Array:
    """Means of consecutive windows, `[time // window]`."""
    count = energy.size // window
    return np.asarray(energy[: count * window].reshape(count, window).mean(axis=-1))


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and intercept of the least-squares line through `y(x)`."""
    mean = x.mean()
    slope = float(((x - mean) * y).sum() / ((x - mean) ** 2).sum())
    return slope, float(y.mean() - slope * mean)


def _knee(means: Array, step: float, noise: float) -> tuple[float, float] | None:
    """Where the late decay meets the noise: (seconds, slope in dB/s), or None.

    The line goes through the last 20 dB before 10 dB above the noise: what is earlier, a strong
    direct sound above all, may fall faster and would put the knee too early.
    """
    if means.size < 3 or noise <= 0:
        return None
    level: Array = np.asarray(10 * np.log10(np.maximum(means, noise * 1e-6)))
    floor, peak = 10 * np.log10(noise), int(np.argmax(means))
    below = np.nonzero(level[peak:] < floor + HEADROOM_DB)[0]
    stop = peak + (int(below[0]) if below.size else level.size - peak)
    above = np.nonzero(level[peak:stop] > floor + HEADROOM_DB + LATE_DB)[0]
    start = min(peak + (int(above[-1]) if above.size else 0), stop - 3)
    if start < peak:
        return None
    times: Array = np.asarray((np.arange(start, stop) + 0.5) * step)
    slope, offset = _line(times, level[start:stop])
    return None if slope >= 0 else ((floor - offset) / slope, slope)


def find_knee(energy: Array, sample_rate: int) -> tuple[int, float, float]:
    """Where noise takes over in a squared response (after Lundeby et al., Acustica 81, 1995).

    The noise level starts as the mean of the last tenth and is taken again beyond the knee until
    the knee rests; windows of 10 ms at first, then five to every 10 dB of decay.

    Args:
        energy: `[time]` squared response from the direct sound, its last sample not zero.
        sample_rate: hertz.

    Returns:
        samples before the knee, noise energy a sample, and energy that an exponential decay
        would still hold beyond the knee.
    """
    size = energy.size
    noise = float(energy[-max(size // 10, 1) :].mean())
    window, knee, slope = max(int(0.01 * sample_rate), 1), size, 0.0
    for _ in range(6):
        found = _knee(_smooth(energy, window), window / sample_rate, noise)
        if found is None:
            break
        at, slope = found
        before, knee = knee, int(np.clip(at * sample_rate, 1, size))
        # 5 dB of decay below the knee is noise alone; a tenth of the response at the least.
        rest = min(knee + int(5.0 / -slope * sample_rate), size - max(size // 10, 1))
        noise = float(energy[rest:].mean())
        window = int(np.clip(2.0 / -slope * sample_rate, 0.002 * sample_rate, 0.05 * sample_rate))
        if abs(knee - before) <= window // 4:
            break
    rate = -slope * np.log(10) / 10 / sample_rate
    return knee, noise, (noise / rate if rate > 0 else 0.0)


def decay_curve(
    response: NDArray[np.floating], sample_rate: int, onset: int | None = None
) -> DecayCurve | None:
    """The decay curve of one response, noise cut off and the lost tail put back.

    The range below the knee is left out, the exponential tail that the knee cut off is added
    to every sample (ISO 3382-1, 5.3.3), and the mean noise energy is not taken off.

    Args:
        response: `[time]`, in one band or broadband.
        sample_rate: hertz.
        onset: first sample; None finds the direct sound.

    Returns:
        the curve, or None where there is no energy after the onset.
    """
    start = direct_onset(response) if onset is None else onset
    energy: Array = np.square(np.asarray(response, dtype=np.float64)[start:])
    sounding = np.nonzero(energy)[0]
    if not sounding.size:
        return None
    energy = energy[: sounding[-1] + 1]
    knee, noise, tail = find_knee(energy, sample_rate)
    curve = schroeder(energy[:knee], tail)
    window = max(int(0.005 * sample_rate), 1)
    loudest = _smooth(energy, window).max() if energy.size >= window else energy.max()
    span = 10 * np.log10(loudest / noise) if noise > 0 else np.inf
    return DecayCurve(10 * np.log10(curve / curve[0]), sample_rate, float(span))


def fit_time(curve: DecayCurve | None, high: float, low: float) -> float:
    """Reverberation time in seconds from a line through the curve between two levels.

    Args:
        curve: a decay curve.
        high: decibels where the range begins, e.g. -5.
        low: decibels where it ends, e.g. -35.

    Returns:
        60 dB over the slope; NaN where the curve does not reach `low`, the noise is nearer than
        10 dB to it, or fewer than three samples lie in the range.
    """
    if curve is None or curve.dynamic_range < -low + HEADROOM_DB:
        return float("nan")
    first = int(np.argmax(curve.level <= high))
    last = int(np.argmax(curve.level <= low))
    if curve.level[last] > low or last - first < 2:
        return float("nan")
    part = slice(first, last + 1)
    slope, _ = _line(curve.times[part], curve.level[part])
    return -60.0 / slope if slope < 0 else float("nan")


def crossing_time(
    response: NDArray[np.floating], sample_rate: int, decay_db: float, headroom_db: float
) -> float:
    """Two-point decay time as the neural acoustic fields measure it: plain Schroeder integral.

    From the first sample below `-headroom_db` to the first below `-headroom_db - decay_db`,
    stretched to 60 dB. No onset, no noise floor. Where the range is not reached this gives NaN
    (recent pyroomacoustics measures a shorter range without saying so).

    Args:
        response: `[time]`.
        sample_rate: hertz.
        decay_db: decibels of the range.
        headroom_db: decibels left out at the top.
    """
    curve = schroeder(np.asarray(response, dtype=np.float64) ** 2)
    if curve[0] <= 0:
        return float("nan")
    level = 10 * np.log10(np.maximum(curve / curve[0], 1e-30))
    low = level < -headroom_db - decay_db
    sounding = curve > 0
    if not (low & sounding).any():
        return float("nan")
    start = int(np.argmax(level < -headroom_db)) if headroom_db else 0
    return 60 / decay_db * (int(np.argmax(low)) - start) / sample_rate
