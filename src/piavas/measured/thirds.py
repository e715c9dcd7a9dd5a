"""Room acoustic parameters by third octaves, the way measured rooms are often reported."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfreqz

from piavas.evaluate.bands import exact_centre
from piavas.evaluate.decay import decay_curve, direct_onset, fit_time
from piavas.evaluate.rooms import RANGES, clarity, definition

Array = NDArray[np.float64]

ORDER = 3
"""Of the low-pass prototype: the band-pass has order 6, as class 1 of IEC 61260-1 asks."""

EDGE = 10**0.05
"""From the middle of a third octave to its edges (IEC 61260-1, base ten)."""


def thirds_of(octave: float) -> Array:
    """Exact centres `[3]` in hertz of the third octaves of a nominal octave band."""
    return exact_centre(octave) * 10.0 ** np.array([-0.1, 0.0, 0.1])


def _filter(centre: float, sample_rate: int) -> Array:
    limits = [centre / EDGE, centre * EDGE]
    return np.asarray(butter(ORDER, limits, btype="bandpass", output="sos", fs=sample_rate))


@lru_cache(maxsize=64)
def _power(centre: float, sample_rate: int, size: int) -> Array:
    f = np.fft.rfftfreq(size, 1 / sample_rate)
    _, response = sosfreqz(_filter(centre, sample_rate), worN=f, fs=sample_rate)
    return np.asarray(np.abs(response) ** 2)


def third_octave_parameters(
    response: NDArray[np.floating], sample_rate: int, centres: Array
) -> dict[str, Array]:
    """T20, EDT (seconds), C80 (decibels) and D50 (share) `[n]` of `[time]` by third octaves.

    As `piavas.evaluate.room_metrics` has them by octaves: filtered backwards in time, and energies
    windowed before they are filtered.

    Args:
        response: `[time]`.
        sample_rate: hertz.
        centres: `[n]` hertz, whose third octaves end below half of `sample_rate`.
    """
    response = np.asarray(response, dtype=np.float64)
    onset = direct_onset(response)
    times: dict[str, list[float]] = {"T20": [], "EDT": []}
    for centre in centres:
        band = sosfilt(_filter(centre, sample_rate), response[::-1])[::-1]
        curve = decay_curve(band, sample_rate, onset)
        for name, found in times.items():
            found.append(fit_time(curve, *RANGES[name]))
    size = 1 << int(np.ceil(np.log2(len(response) + sample_rate // 2)))
    energies = []
    for at in (0.05, 0.08):
        cut = onset + round(at * sample_rate)
        parts = (response[onset:cut], response[cut:])
        spectra = [np.abs(np.fft.rfft(part, size)) ** 2 for part in parts]
        energies.append(
            [np.array([_power(c, sample_rate, size) @ s for c in centres]) for s in spectra]
        )
    return {
        **{name: np.array(found) for name, found in times.items()},
        "C80": clarity(*energies[1]),
        "D50": definition(*energies[0]),
    }
