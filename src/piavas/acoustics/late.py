"""The late field: echograms in octave bands and directions, and noise shaped by them.

Binaural: at every moment and band the echogram holds the 2x2 covariance of the ears, each piece of
sound weighted by the head's transfer function from where it comes. Noise that already has the
head's diffuse-field spectrum and interaural coherence is mixed to that covariance by the map that
changes it least. So level, direction and coherence follow the room, for the cost of two channels.

Ambisonic and mono: the echogram is resolved into `SECTORS` directions, each with its own noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.bands import band_weights
from piavas.acoustics.echogram import BANDS, BIN, Classes
from piavas.acoustics.sphere_grid import nearest_by_cell

if TYPE_CHECKING:
    from piavas.acoustics.hrtf import Hrtf

SECTORS = 24
F32 = NDArray[np.float32]


def sector_directions() -> NDArray[np.float64]:
    """The `SECTORS` directions `[n, 3]` that ambisonic and mono late fields are resolved into."""
    i = np.arange(SECTORS) + 0.5
    z, phi = 1 - 2 * i / SECTORS, i * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)


def sector_classes() -> Classes:
    """Each sector a class of its own."""
    return Classes(nearest_by_cell(sector_directions()), None, SECTORS)


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
    """Spectra `[2, channels, f]` of two sets of independent white noises."""
    noise = np.random.default_rng([seed, 11]).standard_normal((2, channels, length))
    return np.asarray(np.fft.rfft(noise))


def _in_bands(spectra: NDArray, length: int, sample_rate: int) -> F32:
    """`[2, c, f]` spectra split by the power-complementary bank: `[9, c, length]`.

    Bands take turns with the two sets: neighbours cross over, and only independent noises add in
    energy there; of one noise they would add in amplitude and come out loud.
    """
    root = np.sqrt(band_weights(length, sample_rate))
    turn = np.arange(BANDS) % 2
    return np.fft.irfft(root[:, None] * spectra[turn], length).astype(np.float32)


@lru_cache(maxsize=2)
def ear_noise(hrtf: Hrtf, length: int, sample_rate: int, seed: int) -> EarNoise:
    """Noise for the late field at the ears of `hrtf`, `length` samples."""
    size = 4096
    grid, left, right, coherence = hrtf.diffuse_spectrum(size)
    f = np.fft.rfftfreq(length, 1 / sample_rate)
    a, b = (np.sqrt(np.interp(f, grid, v)) for v in (left, right))
    gamma = np.clip(np.interp(f, grid, np.real(coherence)), -1, 1)
    same, other = np.sqrt((1 + gamma) / 2), np.sqrt((1 - gamma) / 2)
    one, two = _white(2, length, seed).swapaxes(0, 1)
    ears = np.stack([a * (same * one + other * two), b * (same * one - other * two)], axis=1)
    weights = band_weights(size, sample_rate)
    cross = np.sqrt(left * right) * np.clip(np.real(coherence), -1, 1)
    covariance = np.stack([(weights * v).sum(1) / weights.sum(1) for v in (left, right, cross)], 1)
    return EarNoise(_in_bands(ears, length, sample_rate), covariance)


@lru_cache(maxsize=2)
def sector_noise(length: int, sample_rate: int, seed: int) -> F32:
    """Independent unit noises in octave bands, `[9, SECTORS, length]`."""
    return _in_bands(_white(SECTORS, length, seed), length, sample_rate)


@njit(inline="always")
def _root(a, b, c):  # type: ignore[no-untyped-def]
    """Square root of the symmetric 2x2 matrix [[a, c], [c, b]] (Levinger 1980)."""
    s = np.sqrt(max(a * b - c * c, 0.0))
    t = np.sqrt(max(a + b + 2 * s, 1e-300))
    return (a + s) / t, (b + s) / t, c / t


@njit(cache=True, nogil=True)
def least_mixing(target, base, scale, mix):  # type: ignore[no-untyped-def]
    """Symmetric mixes from noise of covariance `base` to `scale` times `target`.

    Of all such maps it is the one that moves the noise least (optimal transport between Gaussians:
    Peyré & Cuturi 2019, remark 2.31). Rounding must not give coherence above 1.

    Args:
        target: `[bins, 3, 9]` LL, RR and LR.
        base: `[9, 3]`, positive definite.
        scale: a factor.
        mix: `[9, bins, 3]` result, likewise; zero where there is no sound.
    """
    for b in range(base.shape[0]):
        ra, rb, rc = _root(base[b, 0], base[b, 1], base[b, 2])
        det = ra * rb - rc * rc
        ia, ib, ic = rb / det, ra / det, -rc / det
        floor = 0.0
        for i in range(target.shape[0]):
            floor = max(floor, 1e-14 * target[i, 0, b], 1e-14 * target[i, 1, b])
        for i in range(target.shape[0]):
            a, d = scale * target[i, 0, b], scale * target[i, 1, b]
            if a <= scale * floor and d <= scale * floor:
                mix[b, i] = 0
                continue
            a, d = max(a, 0.0), max(d, 0.0)
            limit = np.sqrt(a * d)
            c = min(max(scale * target[i, 2, b], -limit), limit)
            # root(B) T root(B), entry by entry.
            ma, mb, mc = _root(
                ra * ra * a + 2 * ra * rc * c + rc * rc * d,
                rc * rc * a + 2 * rc * rb * c + rb * rb * d,
                ra * rc * a + (ra * rb + rc * rc) * c + rc * rb * d,
            )
            mix[b, i, 0] = ia * ia * ma + 2 * ia * ic * mc + ic * ic * mb
            mix[b, i, 1] = ic * ic * ma + 2 * ic * ib * mc + ib * ib * mb
            mix[b, i, 2] = ia * ic * ma + (ia * ib + ic * ic) * mc + ic * ib * mb


@njit(cache=True, fastmath=True, nogil=True)
def _mix_ears(noise, mix, per_bin, out):  # type: ignore[no-untyped-def]
    """Add `noise` `[9, 2, t]` mixed by `mix` `[9, bins, 3]`, lines drawn between bin centres."""
    bands, bins, _ = mix.shape
    length = out.shape[1]
    step = np.float32(1 / per_bin)
    for i in range(-1, bins):
        start = max(int(np.ceil((i + 0.5) * per_bin)), 0)
        end = min(int(np.ceil((i + 1.5) * per_bin)), length)
        j, k = max(i, 0), min(i + 1, bins - 1)
        offset = np.float32((start - (i + 0.5) * per_bin) / per_bin)
        for b in range(bands):
            a0, b0, c0 = mix[b, j, 0], mix[b, j, 1], mix[b, j, 2]
            a1, b1, c1 = mix[b, k, 0] - a0, mix[b, k, 1] - b0, mix[b, k, 2] - c0
            if a0 == 0 and b0 == 0 and a1 == 0 and b1 == 0:
                continue
            for n in range(end - start):
                p = offset + np.float32(n) * step
                left, right = noise[b, 0, start + n], noise[b, 1, start + n]
                c = c0 + p * c1
                out[0, start + n] += (a0 + p * a1) * left + c * right
                out[1, start + n] += (b0 + p * b1) * right + c * left


@njit(cache=True, fastmath=True, nogil=True)
def _mix_sectors(noise, power, per_bin, encode, out):  # type: ignore[no-untyped-def]
    """Add `noise` `[9, d, t]` of `power` `[bins, d, 9]`, encoded by `encode` `[d, c]`.

    Lines are drawn through the power: through its root, a sparse echogram would lose energy.
    """
    bins, sectors, bands = power.shape
    length = out.shape[1]
    step = np.float32(1 / per_bin)
    line = np.empty(int(np.ceil(per_bin)) + 1, np.float32)
    for i in range(-1, bins):
        start = max(int(np.ceil((i + 0.5) * per_bin)), 0)
        end = min(int(np.ceil((i + 1.5) * per_bin)), length)
        j, k = max(i, 0), min(i + 1, bins - 1)
        offset = np.float32((start - (i + 0.5) * per_bin) / per_bin)
        for d in range(sectors):
            line[:] = 0
            for b in range(bands):
                p0 = power[j, d, b]
                p1 = power[k, d, b] - p0
                if p0 == 0 and p1 == 0:
                    continue
                for n in range(end - start):
                    p = max(p0 + (offset + np.float32(n) * step) * p1, np.float32(0))
                    line[n] += np.sqrt(p) * noise[b, d, start + n]
            for c in range(out.shape[0]):
                gain = encode[d, c]
                for n in range(end - start):
                    out[c, start + n] += gain * line[n]


def late_ears(gram: F32, noise: EarNoise, sample_rate: int, length: int) -> F32:
    """Late part `[2, length]` of a binaural response from a covariance echogram `[bins, 3, 9]`."""
    mix = np.empty((gram.shape[2], gram.shape[0], 3), np.float32)
    least_mixing(gram, noise.covariance, 1 / (BIN * sample_rate), mix)
    out = np.zeros((2, length), np.float32)
    _mix_ears(noise.samples, mix, BIN * sample_rate, out)
    return out


def late_sectors(
    gram: F32, noise: F32, encode: NDArray[np.float64], sample_rate: int, length: int
) -> F32:
    """Late part `[c, length]` from an echogram `[bins, SECTORS, 9]`, encoded by `[SECTORS, c]`."""
    power = np.maximum(gram, 0) / np.float32(BIN * sample_rate)
    out = np.zeros((encode.shape[1], length), np.float32)
    _mix_sectors(noise, power, BIN * sample_rate, encode.astype(np.float32), out)
    return out
