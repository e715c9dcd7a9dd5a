"""The late field: echograms in octave bands and directions, and noise shaped by them.

Binaural: at every moment and band the echogram holds the 2x2 covariance of the ears, each piece of
sound weighted by the head's transfer function from where it comes. Noise that already has the
head's diffuse-field spectrum and interaural coherence is mixed to that covariance by the map that
changes it least. So level, direction and coherence follow the room, for the cost of two channels.

Ambisonic and mono: the echogram is resolved into `SECTORS` directions, each with its own noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.bands import band_weights
from piavas.acoustics.gather import Hits
from piavas.scene import OCTAVE_BANDS

if TYPE_CHECKING:
    from piavas.acoustics.hrtf import Hrtf

BANDS = len(OCTAVE_BANDS)
BIN = 1e-3  # seconds
SECTORS = 24
SPREAD = (
    0.04  # each piece is spread in time by this share of its age: rays get fewer, the ear slower
)
NARROWEST = 0.25  # and by at least this share of its band's period
F32 = NDArray[np.float32]


@njit(cache=True)
def _spread(echogram, half):  # type: ignore[no-untyped-def]
    """Spread every bin over `half` bins to each side, energy kept, in place."""
    bins, bands, width = echogram.shape
    out = np.zeros((bins + 1, bands, width))
    first = bins
    for i in range(bins):
        if first == bins and echogram[i].any():
            first = i
        for b in range(bands):
            # Nothing may arrive before the first arrival.
            h = min(half[i, b], i - first) if first < bins else 0
            end = min(bins, i + h + 1)
            start = i - h
            for k in range(width):
                share = echogram[i, b, k] / (end - start)
                out[start, b, k] += share
                out[end, b, k] -= share
    for b in range(bands):
        for k in range(width):
            total = 0.0
            for i in range(bins):
                total += out[i, b, k]
                echogram[i, b, k] = total


@njit(cache=True)
def _deposit(segment, weight, distance, index, energy, loss, table, speed, bin_seconds, echogram):  # type: ignore[no-untyped-def]
    """Add hits to `echogram` `[bins, 9, width]`, shared between the two nearest bins."""
    bins, bands, width = echogram.shape
    for h in range(segment.shape[0]):
        at = distance[h] / speed / bin_seconds - 0.5
        i = int(np.floor(at))
        part = at - i
        for b in range(bands):
            e = weight[h] * energy[segment[h], b] * np.exp(-loss[b] * distance[h])
            for k in range(width):
                value = e * table[index[h], b, k]
                if 0 <= i < bins:
                    echogram[i, b, k] += (1 - part) * value
                if 0 <= i + 1 < bins:
                    echogram[i + 1, b, k] += part * value


def echogram(
    hits: Hits,
    energy: F32,
    index: NDArray[np.int64],
    table: NDArray[np.float64],
    *,
    duration: float,
    speed: float,
    air: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Squared pressure that arrives in each millisecond, band and direction class.

    Args:
        hits: what passes the listener.
        energy: `[s, 9]` energies of the segments.
        index: `[h]` row of `table` for each hit: its direction.
        table: `[directions, 9, width]` weight of a direction in each class.
        duration: seconds.
        speed: of sound, m/s.
        air: `[9]` energy attenuation of air, 1/m.

    Returns:
        `[bins, 9, width]`; summed over bins it is the band's share of p² of a unit source.
    """
    bins = int(np.ceil(duration / BIN))
    out = np.zeros((bins, BANDS, table.shape[2]))
    _deposit(hits.segment, hits.weight, hits.distance, index, energy, air, table, speed, BIN, out)
    period = NARROWEST / np.array(OCTAVE_BANDS) / BIN
    half = np.maximum(period[None], SPREAD * np.arange(bins)[:, None])
    _spread(out, np.round(half).astype(np.int64))
    return out


def sector_directions() -> NDArray[np.float64]:
    """The `SECTORS` directions `[n, 3]` that ambisonic and mono late fields are resolved into."""
    i = np.arange(SECTORS) + 0.5
    z, phi = 1 - 2 * i / SECTORS, i * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)


def sector_table() -> NDArray[np.float64]:
    """`[SECTORS, 9, SECTORS]`: each direction in its own class."""
    return np.repeat(np.eye(SECTORS)[:, None], BANDS, axis=1)


@dataclass(frozen=True)
class EarNoise:
    """Two channels of stationary noise in octave bands with a head's diffuse-field statistics.

    Args:
        samples: `[9, 2, time]`.
        covariance: `[9, 3]` LL, RR and LR of a band, where flat noise of variance 1 has 1.
    """

    samples: F32
    covariance: NDArray[np.float64]


def _white(channels: int, length: int, seed: int) -> NDArray[np.complex128]:
    noise = np.random.default_rng([seed, 11]).standard_normal((channels, length))
    return np.asarray(np.fft.rfft(noise))


def _in_bands(spectra: NDArray, length: int, sample_rate: int) -> F32:
    """`[c, f]` spectra split by the power-complementary bank: `[9, c, length]`."""
    root = np.sqrt(band_weights(length, sample_rate))
    return np.fft.irfft(root[:, None] * spectra[None], length).astype(np.float32)


def ear_noise(hrtf: Hrtf, length: int, sample_rate: int, seed: int) -> EarNoise:
    """Noise for the late field at the ears of `hrtf`, `length` samples."""
    size = 4096
    grid, left, right, coherence = hrtf.diffuse_spectrum(size)
    f = np.fft.rfftfreq(length, 1 / sample_rate)
    a, b = (np.sqrt(np.interp(f, grid, v)) for v in (left, right))
    gamma = np.clip(np.interp(f, grid, np.real(coherence)), -1, 1)
    same, other = np.sqrt((1 + gamma) / 2), np.sqrt((1 - gamma) / 2)
    one, two = _white(2, length, seed)
    ears = np.stack([a * (same * one + other * two), b * (same * one - other * two)])
    weights = band_weights(size, sample_rate)
    cross = np.sqrt(left * right) * np.clip(np.real(coherence), -1, 1)
    covariance = np.stack([(weights * v).sum(1) / weights.sum(1) for v in (left, right, cross)], 1)
    return EarNoise(_in_bands(ears, length, sample_rate), covariance)


def sector_noise(length: int, sample_rate: int, seed: int) -> F32:
    """Independent unit noises in octave bands, `[9, SECTORS, length]`."""
    return _in_bands(_white(SECTORS, length, seed), length, sample_rate)


def _root(a: NDArray, b: NDArray, c: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Square root of symmetric 2x2 matrices [[a, c], [c, b]] (Levinger 1980)."""
    s = np.sqrt(np.maximum(a * b - c * c, 0))
    t = np.sqrt(np.maximum(a + b + 2 * s, 1e-300))
    return (a + s) / t, (b + s) / t, c / t


def least_mixing(target: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric mixes `[bins, 9, 3]` (LL, RR, LR) from noise of covariance `base` to `target`.

    Of all such maps it is the one that moves the noise least (optimal transport between Gaussians:
    Peyré & Cuturi 2019, remark 2.31).

    Args:
        target: `[bins, 9, 3]`.
        base: `[9, 3]`, positive definite.
    """
    ra, rb, rc = _root(*base.T)
    det = ra * rb - rc * rc
    ia, ib, ic = rb / det, ra / det, -rc / det
    a, b, c = np.moveaxis(target, -1, 0)
    # root(B) T root(B), entry by entry.
    inner = (
        ra * ra * a + 2 * ra * rc * c + rc * rc * b,
        rc * rc * a + 2 * rc * rb * c + rb * rb * b,
        ra * rc * a + (ra * rb + rc * rc) * c + rc * rb * b,
    )
    ma, mb, mc = _root(*inner)
    return np.stack(
        [
            ia * ia * ma + 2 * ia * ic * mc + ic * ic * mb,
            ic * ic * ma + 2 * ic * ib * mc + ib * ib * mb,
            ia * ic * ma + (ia * ib + ic * ic) * mc + ic * ib * mb,
        ],
        axis=-1,
    )


@njit(cache=True, fastmath=True)
def _mix_ears(noise, mix, per_bin, out):  # type: ignore[no-untyped-def]
    """Add `noise` `[9, 2, t]` mixed by `mix` `[bins, 9, 3]`, lines drawn between bin centres."""
    bins, bands, _ = mix.shape
    length = out.shape[1]
    for b in range(bands):
        for i in range(-1, bins):
            start, end = int(np.ceil((i + 0.5) * per_bin)), int(np.ceil((i + 1.5) * per_bin))
            j, k = max(i, 0), min(i + 1, bins - 1)
            a0, b0, c0 = mix[j, b, 0], mix[j, b, 1], mix[j, b, 2]
            a1, b1, c1 = mix[k, b, 0] - a0, mix[k, b, 1] - b0, mix[k, b, 2] - c0
            if a0 == 0 and b0 == 0 and a1 == 0 and b1 == 0:
                continue
            for n in range(max(start, 0), min(end, length)):
                p = np.float32((n - (i + 0.5) * per_bin) / per_bin)
                c = c0 + p * c1
                out[0, n] += (a0 + p * a1) * noise[b, 0, n] + c * noise[b, 1, n]
                out[1, n] += (b0 + p * b1) * noise[b, 1, n] + c * noise[b, 0, n]


@njit(cache=True, fastmath=True)
def _mix_sectors(noise, amplitude, per_bin, encode, out):  # type: ignore[no-untyped-def]
    """Add `noise` `[9, d, t]` times `amplitude` `[bins, 9, d]`, encoded by `encode` `[d, c]`."""
    bins, bands, sectors = amplitude.shape
    length = out.shape[1]
    for d in range(sectors):
        line = np.zeros(length, np.float32)
        for b in range(bands):
            for i in range(-1, bins):
                start, end = int(np.ceil((i + 0.5) * per_bin)), int(np.ceil((i + 1.5) * per_bin))
                a0 = amplitude[max(i, 0), b, d]
                a1 = amplitude[min(i + 1, bins - 1), b, d] - a0
                if a0 == 0 and a1 == 0:
                    continue
                for n in range(max(start, 0), min(end, length)):
                    p = np.float32((n - (i + 0.5) * per_bin) / per_bin)
                    line[n] += (a0 + p * a1) * noise[b, d, n]
        for c in range(out.shape[0]):
            gain = encode[d, c]
            for n in range(length):
                out[c, n] += gain * line[n]


def _physical(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[..., 3]` covariances rid of rounding: no negative power, no coherence above 1."""
    floor = 1e-14 * covariance[..., :2].max(initial=0.0)
    left, right = (np.where(covariance[..., k] > floor, covariance[..., k], 0.0) for k in (0, 1))
    limit = np.sqrt(left * right)
    return np.stack([left, right, np.clip(covariance[..., 2], -limit, limit)], axis=-1)


def late_ears(gram: NDArray[np.float64], noise: EarNoise, sample_rate: int, length: int) -> F32:
    """Late part `[2, length]` of a binaural response from a covariance echogram `[bins, 9, 3]`."""
    density = _physical(gram / (BIN * sample_rate))
    mix = least_mixing(density, noise.covariance).astype(np.float32)
    out = np.zeros((2, length), np.float32)
    _mix_ears(noise.samples, mix, BIN * sample_rate, out)
    return out


def late_sectors(
    gram: NDArray[np.float64],
    noise: F32,
    encode: NDArray[np.float64],
    sample_rate: int,
    length: int,
) -> F32:
    """Late part `[c, length]` from an echogram `[bins, 9, SECTORS]`, encoded by `[SECTORS, c]`."""
    amplitude = np.sqrt(np.maximum(gram, 0) / (BIN * sample_rate)).astype(np.float32)
    out = np.zeros((encode.shape[1], length), np.float32)
    _mix_sectors(noise, amplitude, BIN * sample_rate, encode.astype(np.float32), out)
    return out
