"""Steam Audio's level, told from its own answer to a field of known energy.

Its reconstruction fills energy bins with the same uniform noise in three second-order bands, at a
level that depends on the sampling rate and with dips where the bands cross. A flat field of known
energy goes in; what comes out is compared, octave by octave, with what a unit source (1/r) would
give, and the ratio is the filter that mends it.

The energy of a bin is that of a source of unit power, 1 / (4 pi r²) in the free field: p² of a
unit source is 4 pi times that. Its W is 1 / sqrt(4 pi) of the pressure (orthonormal N3D).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from piavas.acoustics.backends.steam_library import Phonon
from piavas.acoustics.backends.steam_roads import BIN, RATE, Reconstructor, air_correction
from piavas.acoustics.bands import band_weights, interpolation, minimum_phase

SECONDS = 8.0
TAPS = 4096
W = 1 / np.sqrt(4 * np.pi)
"""Of the zeroth orthonormal harmonic."""


@lru_cache(maxsize=4)
def octave_gains(phonon: Phonon) -> NDArray[np.float64]:
    """Pressure gains `[9]` that turn its responses into those of a unit source."""
    with phonon.session() as session:
        make = Reconstructor(session, SECONDS, 0)
        energy = make.energy
        energy[:] = W * air_correction(np.zeros(3), 0.0, energy.shape[2])
        response = make()[0].astype(np.float64) / W
    power = np.abs(np.fft.rfft(response)) ** 2
    weights = band_weights(len(response), RATE)
    # The highest octave ends at half the sampling rate, the lowest begins at 0: as in the engine.
    found = weights @ power / weights.sum(axis=1) / len(response)
    wanted = 4 * np.pi / (BIN * RATE)
    return np.asarray(np.sqrt(wanted / found))


def mend(
    responses: NDArray[np.float32], gains: NDArray[np.float64], air_db: NDArray[np.float64]
) -> NDArray[np.float32]:
    """`[channel, time]` filtered by `gains` `[9]` and by the air of the direct way.

    Args:
        responses: of a road.
        gains: see `octave_gains`.
        air_db: `[TAPS // 2 + 1]` attenuation of the direct way in dB at each bin.
    """
    log_gain = np.log(gains) @ interpolation(TAPS, RATE) - np.log(10) / 20 * air_db
    taps = np.fft.irfft(minimum_phase(log_gain), TAPS)
    filtered = oaconvolve(responses, taps[None], axes=1)[:, : responses.shape[1]]
    return np.asarray(filtered, dtype=np.float32)
