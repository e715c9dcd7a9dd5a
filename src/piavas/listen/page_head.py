"""The head of the listening page: ears for discrete paths, and a decoder for the late field.

Paths come from measured directions of a dense grid. The late field is ambisonic, and its decoder
is fitted to the same head: least squares below `CROSSOVER`, above it the magnitudes alone (magLS:
Schörkhuber, Zaunschirm and Höldrich, DAGA 2018), and last the covariance of the two ears in a
diffuse field is made that of the head (Zaunschirm, Schörkhuber and Höldrich, JASA 143, 2018):
without it reverberation of low order comes out dull and too alike at both ears.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.ambisonics import harmonics
from piavas.acoustics.hrtf import Hrtf
from piavas.acoustics.sphere_grid import uniform_directions

TAPS = 256
SIZE = 1024
CROSSOVER = 1500.0  # hertz
Array = NDArray[np.float64]


def page_head(hrtf: Hrtf, order: int) -> dict[str, NDArray]:
    """Arrays of the head's bundle.

    Args:
        hrtf: the head at the page's sample rate.
        order: ambisonic order of the late field.

    Returns:
        `directions` float32 `[n, 3]`, `responses` int16 `[n, 2, taps]` with `scale` float32 `[1]`,
        `decoder` float32 `[2, channel, taps]`; all begin `hrtf.lead` samples before time 0. And
        unit vectors `around` `[k, 3]` with the pseudo-inverse `inverse` `[channel, k]` of their
        harmonics, by which the page turns ambisonic sound.
    """
    around = uniform_directions(42)
    dense = hrtf.dense()
    responses = shortened(dense.responses.astype(np.float64))
    scale = np.abs(responses).max() / 32767
    return {
        "directions": dense.directions.astype(np.float32),
        "responses": np.round(responses / scale).astype(np.int16),
        "scale": np.array([scale], np.float32),
        "decoder": decoder(dense, order).astype(np.float32),
        "around": around.astype(np.float32),
        "inverse": np.linalg.pinv(harmonics(around, order)).astype(np.float32),
    }


def shortened(responses: Array) -> Array:
    """The first `TAPS` samples of `[..., taps]`, the last eighth of them faded."""
    short = responses[..., :TAPS].copy()
    short = np.pad(short, [(0, 0)] * (short.ndim - 1) + [(0, TAPS - short.shape[-1])])
    fade = TAPS // 8
    short[..., -fade:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / fade)
    return short


def decoder(hrtf: Hrtf, order: int) -> Array:
    """Filters `[2, (order + 1)², TAPS]` from ambiX (head's axes) to the ears of `hrtf`."""
    encode = harmonics(hrtf.directions, order)
    weight = hrtf.weights[:, None]
    fit = np.linalg.solve(encode.T @ (weight * encode), (weight * encode).T)
    spectra = np.fft.rfft(hrtf.responses.astype(np.float64), SIZE)
    frequency = np.fft.rfftfreq(SIZE, 1 / hrtf.sample_rate)
    # Phases go on from bin to bin, so the common delay must be out of them meanwhile.
    late = np.exp(-2j * np.pi * np.arange(len(frequency)) * hrtf.lead / SIZE)
    spectra /= late
    degree = np.floor(np.sqrt(np.arange(encode.shape[1])))
    power = 1 / (2 * degree + 1)  # of each SN3D channel in a diffuse field
    out = np.zeros((2, encode.shape[1], len(frequency)), np.complex128)
    for k, hertz in enumerate(frequency):
        target = spectra[:, :, k]
        if hertz > CROSSOVER:
            before = encode @ out[:, :, k - 1].T
            target = np.abs(target) * np.exp(1j * np.angle(before))
        out[:, :, k] = (fit @ target).T
    for k in range(len(frequency)):
        wanted = spectra[:, :, k].T @ (weight * spectra[:, :, k].conj())
        out[:, :, k] = _same_covariance(out[:, :, k], power, wanted)
    out *= late
    out[..., -1] = out[..., -1].real
    return shortened(np.fft.irfft(out, SIZE))


def _same_covariance(mix: NDArray, power: Array, wanted: NDArray) -> NDArray:
    """`mix` `[2, c]`, changed as little as can be to have the covariance `wanted` `[2, 2]`."""
    tiny = 1e-12 * np.trace(wanted).real * np.eye(2) + 1e-20 * np.eye(2)
    have = np.linalg.cholesky((mix * power) @ mix.conj().T + tiny)
    want = np.linalg.cholesky(wanted + tiny)
    # Of all maps that give the covariance, the one nearest to no change at all (Procrustes).
    u, _, v = np.linalg.svd(have.conj().T @ want)
    return want @ (v.conj().T @ u.conj().T) @ np.linalg.solve(have, mix)
