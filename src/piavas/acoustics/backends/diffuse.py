"""Energy that comes from everywhere, as a head hears it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.bands import band_weights
from piavas.acoustics.hrtf import Hrtf

DIFFUSE_FFT = 4096


def diffuse_ears(
    energy: NDArray[np.float64], hrtf: Hrtf, *, bin_samples: int, length: int, seed: int
) -> NDArray[np.float32]:
    """Noise `[2, length]` with the energies of a diffuse field at the ears of `hrtf`.

    Two independent noises, shaped band by band, are mixed to the head's power and interaural
    coherence in a diffuse field.

    Args:
        energy: `[9, bins]` squared pressure in each bin and octave band, as if it were in all.
        hrtf: the head; its rate is that of the result.
        bin_samples: samples of a bin.
        length: samples.
        seed: of the noise.
    """
    noise = np.random.default_rng([seed, 17]).standard_normal((2, length))
    root = np.sqrt(band_weights(length, hrtf.sample_rate))
    spectra = np.fft.rfft(noise)
    middle = (np.arange(energy.shape[1]) + 0.5) * bin_samples
    at = np.arange(length)
    shaped = np.zeros((2, length))
    for band, one in enumerate(energy):
        envelope = np.sqrt(np.interp(at, middle, one, right=0.0) / bin_samples)
        shaped += envelope * np.fft.irfft(root[band] * spectra, length)
    return _mixed(shaped, hrtf)


def _mixed(pair: NDArray[np.float64], hrtf: Hrtf) -> NDArray[np.float32]:
    """Two independent noises `[2, time]` as the ears of a diffuse field."""
    length = pair.shape[1]
    grid, left, right, coherence = hrtf.diffuse_spectrum(DIFFUSE_FFT)
    f = np.fft.rfftfreq(2 * length, 1 / hrtf.sample_rate)
    a, b = (np.sqrt(np.interp(f, grid, power)) for power in (left, right))
    gamma = np.clip(np.interp(f, grid, np.real(coherence)), -1, 1)
    same, other = np.sqrt((1 + gamma) / 2), np.sqrt((1 - gamma) / 2)
    one, two = np.fft.rfft(pair, 2 * length)
    ears = np.stack([a * (same * one + other * two), b * (same * one - other * two)])
    return np.fft.irfft(ears, 2 * length)[:, :length].astype(np.float32)
