"""Octave bands as spectra: a power-complementary bank, and smooth gains between band centres."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from piavas.scene import OCTAVE_BANDS

OCTAVE = 10**0.3  # IEC 61260-1: the octave ratio of the base-ten system
EXACT_BANDS = 1000.0 * OCTAVE ** np.arange(-4, 5)
"""Exact mid-band frequencies in hertz."""


def _octaves(frequency: NDArray[np.floating]) -> NDArray[np.float64]:
    """Octaves above the lowest band's centre."""
    ratio = np.maximum(frequency, 1e-3) / EXACT_BANDS[0]
    return np.asarray(np.log(ratio) / np.log(OCTAVE))


@lru_cache(maxsize=16)
def band_weights(size: int, sample_rate: int) -> NDArray[np.float64]:
    """Power share of each octave band at each bin of a real FFT, `[9, size // 2 + 1]`.

    The shares of a bin sum to 1, so that noises filtered by their roots add in energy without
    gap or overlap. Neighbours cross over in the middle between band centres with a sin² slope of
    one twelfth of an octave: a wider one lets the slower decay of a neighbour take over the tail
    of a band's edge. The lowest band takes all below it, the highest all above.
    """
    f = np.fft.rfftfreq(size, 1 / sample_rate)
    octave = _octaves(f)
    edges = np.arange(len(OCTAVE_BANDS) - 1) + 0.5
    ramp = np.clip((octave[None] - edges[:, None]) * 12 + 0.5, 0, 1)
    above = np.sin(0.5 * np.pi * ramp) ** 2
    steps = np.concatenate([np.ones((1, f.size)), above, np.zeros((1, f.size))])
    return np.asarray(steps[:-1] - steps[1:])


@lru_cache(maxsize=16)
def interpolation(size: int, sample_rate: int) -> NDArray[np.float64]:
    """Weights `[9, size // 2 + 1]` that draw a line over log-frequency through band values."""
    return between_bands(np.fft.rfftfreq(size, 1 / sample_rate))


def between_bands(frequency: NDArray[np.floating]) -> NDArray[np.float64]:
    """Weights `[9, f]` of band values at `frequency` `[f]` in hertz: a line over log-frequency."""
    octave = np.clip(_octaves(np.asarray(frequency)), 0, len(OCTAVE_BANDS) - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(octave[None] - np.arange(9)[:, None])))


def minimum_phase(log_magnitude: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    """Minimum-phase spectra of natural-log magnitudes `[..., size // 2 + 1]`."""
    return np.asarray(np.exp(minimum_phase_log(log_magnitude)))


def minimum_phase_log(log_magnitude: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    """Complex logarithms of minimum-phase spectra; linear in the log magnitudes `[..., f]`.

    The real cepstrum is folded onto positive times (Oppenheim & Schafer, section 13.5).
    """
    cepstrum = scipy.fft.irfft(log_magnitude, axis=-1)
    size = cepstrum.shape[-1]
    cepstrum[..., 1 : size // 2] *= 2
    cepstrum[..., size // 2 + 1 :] = 0
    return np.asarray(scipy.fft.rfft(cepstrum, axis=-1))


@lru_cache(maxsize=16)
def band_logarithms(size: int, sample_rate: int) -> NDArray[np.complexfloating]:
    """`[9, size // 2 + 1]`: summed with log band gains, the log of their minimum-phase spectrum."""
    return minimum_phase_log(interpolation(size, sample_rate))
