"""Ambisonics in the world's axes to what a head hears: turned, and decoded to two ears."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from piavas.acoustics.ambisonics import harmonics, to_head
from piavas.acoustics.hrtf import Hrtf
from piavas.acoustics.sphere_grid import uniform_directions

HEAD_RADIUS = 0.0875  # metres
SMOOTHING = 1 / 3  # octaves over which the equalisation is averaged


def degrees(order: int) -> NDArray[np.int64]:
    """Degree n of each ambisonic channel `[(order + 1)²]` (ACN)."""
    return np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)


def from_n3d(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orthonormal N3D `[..., channel, time]` (W is .2821 of the pressure) as ambiX: SN3D."""
    order = round(np.sqrt(samples.shape[-2])) - 1
    gain = np.sqrt(4 * np.pi / (2 * degrees(order) + 1))
    return np.asarray(samples * gain[:, None], dtype=np.float32)


def turned(samples: NDArray[np.float32], pose: NDArray[np.float64]) -> NDArray[np.float32]:
    """World ambiX `[channel, time]` in the frame of a head at `pose` `[4, 4]`.

    The matrix is the one that maps the harmonics of every direction to those of the same
    direction seen from the head.
    """
    order = round(np.sqrt(len(samples))) - 1
    directions = uniform_directions(162)
    world, seen = harmonics(directions, order), harmonics(to_head(pose, directions), order)
    matrix = np.linalg.lstsq(world, seen, rcond=None)[0].T
    return np.asarray(matrix @ samples, dtype=np.float32)


@lru_cache(maxsize=8)
def ear_filters(hrtf: Hrtf, order: int, speed: float) -> NDArray[np.float64]:
    """Filters `[channel, 2, taps]` from ambiX of a head to its ears, late by `hrtf.lead` samples.

    Plane waves from all round, each with its transfer function. Above the frequency up to which
    `order` resolves the head's sphere (kr = order), interaural delays are left out, as directions
    that differ would cancel (time-aligned decoding: Zaunschirm, Schörkhuber, Höldrich 2018). Then
    one gain over frequency gives a field that has only W the head's diffuse-field power, since
    that is what the late field here is.
    """
    size = 1 << int(np.ceil(np.log2(2 * hrtf.responses.shape[2])))
    f = np.fft.rfftfreq(size, 1 / hrtf.sample_rate)
    spectra = np.fft.rfft(hrtf.responses.astype(np.float64), size)
    limit = max(order, 1) * speed / (2 * np.pi * HEAD_RADIUS)
    rise = np.clip(np.log2(np.maximum(f, 1.0) / limit) + 0.5, 0, 1)
    late = hrtf.onsets - hrtf.onsets.mean()
    # The phase of the delay is gone above the limit and whole below it.
    angle = 2 * np.pi * np.cumsum(rise) * (f[1] - f[0]) / hrtf.sample_rate
    spectra *= np.exp(1j * angle * late[:, :, None])
    shares = (2 * degrees(order) + 1) * harmonics(hrtf.directions, order) * hrtf.weights[:, None]
    decoder = np.einsum("nc,nef->cef", shares, spectra)
    power = np.einsum("n,nef->ef", hrtf.weights, np.abs(spectra) ** 2).mean(axis=0)
    gain = np.sqrt(_smooth(power, f) / _smooth((np.abs(decoder[0]) ** 2).mean(axis=0), f))
    return np.fft.irfft(decoder * gain, size)


def _smooth(power: NDArray[np.floating], f: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean over `SMOOTHING` octaves around each frequency."""
    total = np.concatenate([[0.0], np.cumsum(power)])
    step = f[1] - f[0]
    low = np.maximum(np.floor(f * 2 ** (-SMOOTHING / 2) / step).astype(int), 0)
    high = np.minimum(np.ceil(f * 2 ** (SMOOTHING / 2) / step).astype(int) + 1, len(f))
    return np.asarray((total[high] - total[low]) / (high - low))


def to_ears(samples: NDArray[np.float32], hrtf: Hrtf, speed: float) -> NDArray[np.float32]:
    """AmbiX of a head `[channel, time]` as its two ears hear it, `[2, time]`."""
    order = round(np.sqrt(len(samples))) - 1
    filters = ear_filters(hrtf, order, speed)
    heard = sum(oaconvolve(s[None], h, axes=1) for s, h in zip(samples, filters, strict=True))
    length = samples.shape[1]
    return np.asarray(np.asarray(heard)[:, hrtf.lead : hrtf.lead + length], dtype=np.float32)
