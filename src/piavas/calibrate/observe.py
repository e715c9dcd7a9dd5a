"""Recordings as energies by time and octave band, and what an echogram must be to explain them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from piavas.acoustics.bands import EXACT_BANDS
from piavas.calibrate.bounces import BIN
from piavas.errors import AudioError, DataError
from piavas.evaluate.bands import power_response, usable_bands
from piavas.evaluate.decay import direct_onset, find_knee
from piavas.scene import OCTAVE_BANDS, Source, as_point

Array = NDArray[np.float64]

BANDS = len(OCTAVE_BANDS)
FITTED = slice(1, 8)
"""Bands that are listened to, 125 Hz to 8 kHz: below, rooms have modes; above, air decides."""
DECIBEL = 10 / np.log(10)  # of a change of energy by its own size
FEWEST = 0.5  # product of bandwidth and time: half the degrees of freedom of a band's energy
BANDWIDTH = EXACT_BANDS * (10**0.15 - 10**-0.15)  # hertz
FIRST_WINDOW = 0.01  # seconds
GROWTH = 1.25  # of a window over the one before
LONGEST_WINDOW = 0.1  # seconds
FRAME = 0.1  # seconds of a window of a recorded performance
RANGE = 45.0  # decibels of decay that are used: what lies deeper is what filters leak
ABOVE_NOISE = 4.0  # energy of a window over that of the noise in it
MODEL_ERROR = 0.5  # decibels that a window of a perfect room may still be off
SHAPE_ERROR = 1.0  # decibels more where the envelope of a dry sound stands for its phase
QUIETEST = 1e-5  # energy of a window of a performance re the loudest, below which it is left out


@dataclass(frozen=True)
class RoomResponse:
    """A measured impulse response.

    Args:
        source: where the loudspeaker was; a position stands for an omnidirectional one.
        listener: `[3]` metres, where the microphone was.
        samples: `[time]`.
        sample_rate: hertz.
        name: to tell it by.
    """

    source: Source
    listener: Array
    samples: Array
    sample_rate: int
    name: str = ""

    def __post_init__(self) -> None:
        _settle(self, "samples")


@dataclass(frozen=True)
class Performance:
    """A known dry sound played in the room, and what a microphone at rest recorded of it.

    Args:
        source: where it was played; a position stands for an omnidirectional loudspeaker.
        listener: `[3]` metres.
        dry: `[time]`.
        wet: `[channel, time]` on the same clock; channels are averaged in energy.
        sample_rate: hertz.
        span: seconds of `wet` to use, start and end.
        name: to tell it by.
    """

    source: Source
    listener: Array
    dry: Array
    wet: Array
    sample_rate: int
    span: tuple[float, float] = (0.0, np.inf)
    name: str = ""

    def __post_init__(self) -> None:
        _settle(self, "dry", "wet")


def _settle(recording: RoomResponse | Performance, *sounds: str) -> None:
    """Check what was given, in place."""
    for name in sounds:
        sound = np.asarray(getattr(recording, name), dtype=np.float64)
        if not np.isfinite(sound).all() or not sound.any():
            raise AudioError(
                "is silent or not finite",
                field=f"{recording.name or 'recording'}.{name}",
                mend="give a recording with sound",
            )
        object.__setattr__(recording, name, sound)
    if not isinstance(recording.source, Source):
        object.__setattr__(recording, "source", Source(recording.source))
    object.__setattr__(recording, "listener", as_point(recording.listener, "listener"))


@dataclass(frozen=True)
class Observation:
    """What one recording says of the echogram `[bins, 9]` at its place.

    Energies `[9, k]` in decibels are 10 log10 of `operator` times echogram, plus unknown gains.

    Args:
        level: `[9, k]` decibels; NaN where the recording says nothing.
        spread: `[9, k]` decibels, standard deviation of `level` by the statistics of noise.
        operator: `[9, k, bins]` share of the energy of a bin that falls into a window.
        delay: seconds by which the recording is late re the room; None where it cannot be told.
        end: seconds after which the echogram does not matter.
    """

    level: Array
    spread: Array
    operator: Array = field(repr=False)
    delay: float | None
    end: float


def fitted_bands(sample_rate: int) -> tuple[float, ...]:
    """Nominal centres of the octave bands that are fitted at `sample_rate`."""
    return usable_bands(sample_rate, tuple(OCTAVE_BANDS)[FITTED])


def split_bands(signal: Array, sample_rate: int) -> tuple[Array, Array]:
    """`signal` `[time]` in octave bands `[9, time + pad]` without delay, and the bands' kernels.

    The kernels `[9, 2 pad + 1]` tell how a filter spreads the energy of a click; their sum is 1. A
    click of energy 1 has energy 1 in every band. Bands that are not fitted, or do not fit the rate,
    are NaN.
    """
    pad = int(0.1 * sample_rate)
    size = 1 << int(np.ceil(np.log2(len(signal) + 2 * pad)))
    spectrum = np.fft.rfft(np.pad(signal, (pad, 0)), size)
    bands = np.full((BANDS, len(signal) + 2 * pad), np.nan)
    kernels = np.full((BANDS, 2 * pad + 1), np.nan)
    for b, band in enumerate(OCTAVE_BANDS):
        if band not in fitted_bands(sample_rate):
            continue
        root = np.sqrt(power_response(band, sample_rate, size))
        click = np.roll(np.fft.irfft(root, size), pad)[: 2 * pad + 1] ** 2
        kernels[b] = click / click.sum()
        bands[b] = np.fft.irfft(spectrum * root, size)[: bands.shape[1]] / np.sqrt(click.sum())
    return bands, kernels


def noise_level(product: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of the level of noise re that of its expected energy, decibels.

    The energy of noise of bandwidth B over time T is chi-squared with 2 B T degrees of freedom;
    the logarithm of such a variable has digamma and trigamma moments (Johnson & Kotz).

    Args:
        product: B T.
    """
    half = np.maximum(product, FEWEST)
    return DECIBEL * (digamma(half) - np.log(half)), DECIBEL * np.sqrt(polygamma(1, half))


def windows(end: float) -> Array:
    """Edges `[k + 1]` in seconds of windows that grow with time, from 0 to about `end`."""
    edges, width = [0.0], FIRST_WINDOW
    while edges[-1] + width <= end:
        edges.append(edges[-1] + width)
        width = min(width * GROWTH, LONGEST_WINDOW)
    return np.array(edges)


def observe_response(recording: RoomResponse, first: float) -> Observation:
    """What a measured response says.

    Args:
        recording: the response.
        first: seconds of travel of the first sound; the response is shifted to begin with it.
    """
    rate = recording.sample_rate
    samples = recording.samples
    onset = direct_onset(samples)
    bands, kernels = split_bands(samples, rate)
    pad = int(0.1 * rate)
    edges = windows(min((len(samples) - onset) / rate, 5.0))
    edges[0] = -0.5 * FIRST_WINDOW  # what filters ring before the direct sound is part of it
    cuts = np.round(edges * rate).astype(int) + onset + pad
    level = np.full((BANDS, len(edges) - 1), np.nan)
    for b, band in enumerate(bands):
        if np.isfinite(band).all():
            # What rings on after the end of the response would pass for a noise of nothing.
            level[b] = _levels(band[: pad + len(samples)], cuts, onset + pad, rate)
    heard = np.isfinite(level).any(axis=0)
    if not heard.any():
        raise DataError(
            "does not stand out of its noise",
            field=recording.name or "recording",
            mend="give a response with at least 20 dB of decay",
        )
    last = int(np.flatnonzero(heard)[-1]) + 1
    level, edges = level[:, :last], edges[: last + 1]
    count = int(np.ceil((first + edges[-1]) / BIN)) + 1
    operator = _window_operator(edges + first, kernels, rate, count)
    bias, spread = noise_level(BANDWIDTH[:, None] * np.diff(edges))
    return Observation(
        level - bias,
        np.hypot(spread, MODEL_ERROR),
        operator,
        delay=onset / rate - first,
        end=count * BIN,
    )


def _levels(band: Array, cuts: NDArray[np.int64], onset: int, rate: int) -> Array:
    """Levels `[k]` of the windows between `cuts`, noise taken off; NaN beyond the knee."""
    energy = band**2
    knee, noise, _ = find_knee(energy[onset:], rate)
    total = np.concatenate([[0.0], np.cumsum(energy)])
    inside = np.clip(cuts, 0, len(energy))
    found = np.diff(total[inside])
    hiss = noise * np.diff(cuts)
    deep = found / np.diff(cuts) < 10 ** (-RANGE / 10) * (found / np.diff(cuts)).max()
    clear = (cuts[1:] <= onset + knee) & (found > ABOVE_NOISE * hiss) & ~deep
    out = np.full(len(found), np.nan)
    out[clear] = 10 * np.log10(found[clear] - hiss[clear])
    return out


def _window_operator(edges: Array, kernels: Array, rate: int, bins: int) -> Array:
    """Share `[9, k, bins]` of a bin's energy that a band's filter puts between two `edges`."""
    centre = (np.arange(bins) + 0.5) * BIN
    pad = kernels.shape[1] // 2
    lag = (np.arange(kernels.shape[1] + 1) - pad - 0.5) / rate
    out = np.zeros((BANDS, len(edges) - 1, bins))
    for b, kernel in enumerate(kernels):
        if np.isfinite(kernel).all():
            reached = np.concatenate([[0.0], np.cumsum(kernel)])
            below = np.interp(edges[:, None] - centre, lag, reached, left=0.0, right=1.0)
            out[b] = np.diff(below, axis=0)
    return out


def observe_performance(recording: Performance, duration: float) -> Observation:
    """What a recording of a known dry sound says: how its envelope is smeared.

    Windows hold the energy of the dry sound's band convolved with the echogram: phases are taken
    as random, which is why these levels are trusted less than those of a response.

    Args:
        recording: the performance.
        duration: seconds that an echogram may last.
    """
    rate = recording.sample_rate
    bins = int(np.ceil(duration / BIN))
    dry = _bin_energies(recording.dry[None], rate)
    wet = _bin_energies(np.atleast_2d(recording.wet), rate)
    start = max(recording.span[0], 0.0)
    end = min(recording.span[1], wet.shape[1] * BIN)
    edges = np.round(np.arange(start, end + 1e-9, FRAME) / BIN).astype(int)
    if len(edges) < 3:
        raise DataError(
            "is shorter than two windows",
            field=recording.name or "recording",
            mend=f"give at least {2 * FRAME:g} s of sound",
        )
    total = np.concatenate([np.zeros((BANDS, 1)), np.cumsum(wet, axis=1)], axis=1)
    found = np.diff(total[:, edges], axis=1)
    operator = _dry_operator(dry, edges, bins)
    driven = operator.sum(axis=2)
    floor = QUIETEST * np.nanmax(found, axis=1, initial=0.0, keepdims=True)
    clear = (found > floor) & (driven > QUIETEST * driven.max(axis=1, keepdims=True))
    level = np.full(found.shape, np.nan)
    level[clear] = 10 * np.log10(found[clear])
    bias, spread = noise_level(BANDWIDTH[:, None] * np.full(len(edges) - 1, FRAME))
    return Observation(
        level - bias, np.hypot(spread, SHAPE_ERROR), operator, delay=None, end=duration
    )


def _bin_energies(channels: Array, rate: int) -> Array:
    """Mean energy `[9, bins]` over channels in each band and bin; NaN where a band does not fit."""
    pad = int(0.1 * rate)
    total = []
    for channel in channels:
        bands, _ = split_bands(channel, rate)
        energy = np.cumsum(bands[:, pad:-pad] ** 2, axis=1)
        count = int(energy.shape[1] / rate / BIN)
        ends = np.round(np.arange(1, count + 1) * BIN * rate).astype(int) - 1
        total.append(np.diff(energy[:, ends], axis=1, prepend=0.0))
    return np.asarray(np.mean(total, axis=0))


def _dry_operator(dry: Array, edges: NDArray[np.int64], bins: int) -> Array:
    """Energy `[9, k, bins]` in windows that an echogram of 1 in a bin makes of `dry` `[9, n]`."""
    out = np.zeros((BANDS, len(edges) - 1, bins))
    reach = np.arange(bins)
    for b, energy in enumerate(dry):
        if np.isfinite(energy).all():
            total = np.concatenate([[0.0], np.cumsum(energy)])
            until = total[np.clip(edges[:, None] - reach, 0, len(energy))]
            out[b] = np.diff(until, axis=0)
    return out


Recording = RoomResponse | Performance
