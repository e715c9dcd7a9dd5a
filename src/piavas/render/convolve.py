"""Time-varying convolution: what reaches a moving head now depends on where the head is now.

With responses h_i at the poses of times t_i, and triangular windows w_i that are 1 at t_i, 0 at
the neighbouring times, and sum to 1 everywhere (the first and last hold outside),

    y(t) = sum_i w_i(t) (x * h_i)(t).

Two choices are made here on purpose.

*The output is faded, not the input.* The sound field at time t was emitted earlier, but it is
sampled by a head at its pose of time t: a head that has turned hears the whole reverberation
turned, at once. Fading the input, each stretch of x through its own h_i, would keep old tails
ringing at old ears; that is the picture of a moving source in front of a still head.

*The fade is linear (equal gain), not of equal power.* Responses of neighbouring poses are
correlated; weights that sum to 1 are then linear interpolation of the response itself and leave
equal responses as they are, where equal-power weights would swell by 3 dB midway. The price falls
on sparse poses: a path that changes by half a wavelength between two poses cancels midway, so
simulate poses closer than that for the frequencies that matter (`sample_trajectory`). A fade
has no Doppler shift of its own; a dense set of poses approaches it.

Cost: w_i is zero but between t_{i-1} and t_{i+1}, so only those output samples of x * h_i are
computed, by overlap-save on the stretch of x that reaches them. Each pose costs FFTs over its
window plus its response, which it must read anyway, and never over the whole clip.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from piavas.audio import Audio, check_audio, resample
from piavas.errors import AudioError, SimulationError
from piavas.progress import track
from piavas.scene import ImpulseResponses, Trajectory

CHUNK = 1 << 20
"""Output samples computed at once: bounds the memory of long clips."""


def render(
    dry: NDArray[np.floating],
    irs: ImpulseResponses,
    trajectory: Trajectory | None = None,
    *,
    sample_rate: int | None = None,
) -> Audio:
    """Let a listener hear `dry` through `irs`.

    Args:
        dry: `[time]` or `[1, time]`, what the source plays from time 0.
        irs: one response for a still listener; one for each pose of `trajectory` otherwise.
        trajectory: the moving head, in seconds from the start of `dry`; before its first and
            after its last time the head rests there. None for a still listener.
        sample_rate: of `dry` in hertz, which is resampled to that of `irs`; None if they agree.

    Returns:
        float32 `[channel, time]` at `irs.sample_rate`, with the whole tail: `dry` plus response
        less one sample. The level is that of the responses, so it may exceed full scale: see
        `to_full_scale`.

    Raises:
        AudioError: `dry` is empty, silent, not finite, or of more than one channel.
        SimulationError: responses are empty or not finite, or do not fit the trajectory.
    """
    x = _dry(dry, irs.sample_rate, sample_rate)
    if not irs.samples.size or not np.isfinite(irs.samples).all():
        raise SimulationError(
            "responses are empty or not finite", field="irs", mend="simulate them anew"
        )
    times = _times(irs, trajectory)
    _, channels, taps = irs.samples.shape
    y = np.zeros((channels, x.size + taps - 1), dtype=np.float32)
    windows = list(_windows(times * irs.sample_rate, y.shape[1]))
    for response, (knots, start, stop) in track(
        zip(irs.samples, windows, strict=True), "rendering", len(windows)
    ):
        for at in range(start, stop, CHUNK):
            end = min(at + CHUNK, stop)
            weight = np.interp(np.arange(at, end), *knots)
            y[:, at:end] += (weight * _convolved(x, response, at, end)).astype(np.float32)
    return y


def _dry(dry: NDArray[np.floating], rate: int, sample_rate: int | None) -> NDArray[np.float64]:
    x = check_audio(dry, field="dry", channels=1)[0]
    if sample_rate is None:
        return x.astype(np.float64)
    if isinstance(sample_rate, bool) or sample_rate != int(sample_rate) or sample_rate <= 0:
        raise AudioError(
            f"{sample_rate!r} is no sample rate", field="sample_rate", mend="give hertz > 0"
        )
    return resample(x, int(sample_rate), rate).astype(np.float64)


def _times(irs: ImpulseResponses, trajectory: Trajectory | None) -> NDArray[np.float64]:
    """Time of each response in seconds, after checking that responses and poses belong."""
    count = 1 if trajectory is None else len(trajectory.times)
    if len(irs) != count:
        raise SimulationError(
            f"{len(irs)} responses for {count} pose(s)",
            field="trajectory",
            mend="simulate at the poses of the trajectory, or give one response without one",
        )
    if trajectory is None:
        return np.zeros(1)
    away = np.abs(irs.listeners - trajectory.poses).max(axis=(1, 2))
    if away.max() > 1e-6:
        raise SimulationError(
            f"pose {int(away.argmax())} differs from that of its response by {away.max():.3g}",
            field="trajectory",
            mend="simulate at the poses of the trajectory",
        )
    return trajectory.times


Knots = tuple[NDArray[np.float64], NDArray[np.float64]]


def _windows(times: NDArray[np.float64], length: int) -> Iterator[tuple[Knots, int, int]]:
    """For each time (in samples) its triangular window and the samples where it is not zero.

    The window is given as knots of a piecewise-linear function, held outside its knots.
    """
    for i, time in enumerate(times):
        before, after = times[max(i - 1, 0)], times[min(i + 1, len(times) - 1)]
        first, last = i == 0, i == len(times) - 1
        ends = ([] if first else [(before, 0.0)], [] if last else [(after, 0.0)])
        points = np.array([*ends[0], (time, 1.0), *ends[1]])
        start = 0 if first else int(np.clip(np.floor(before) + 1, 0, length))
        stop = length if last else int(np.clip(np.ceil(after), 0, length))
        yield (points[:, 0], points[:, 1]), start, stop


def _convolved(
    x: NDArray[np.float64], response: NDArray[np.float32], start: int, stop: int
) -> NDArray[np.float64]:
    """Samples `start` to `stop` of `x * response`, `[channel, stop - start]`, by overlap-save."""
    past = response.shape[1] - 1
    segment = np.zeros(stop - start + past)
    low, high = max(start - past, 0), min(stop, x.size)
    if high > low:
        segment[low - (start - past) : high - (start - past)] = x[low:high]
    return np.asarray(oaconvolve(segment[None], response.astype(np.float64), mode="valid", axes=-1))
