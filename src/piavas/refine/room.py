"""Numbers that physics knows of a place: how its simulated response decays, and how loud it is.

The network hears some milliseconds to a second of reverberant sound, from which decay is hard to
read. The response is known, so that its parameters (ISO 3382-1) can be told instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.evaluate.bands import usable_bands
from piavas.evaluate.decay import direct_onset, fit_time
from piavas.evaluate.rooms import RANGES, direct_to_reverberant, octave_decay

BANDS = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
SHORTEST = 0.02
"""Seconds: a decay that is shorter, or has no range to be read from, counts as that."""
DECIBELS = 10.0
"""Levels are told in units of this many, and within five of them."""


def room_numbers(response: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
    """Numbers `[2 bands + 2]` of a binaural response: the mean over its ears.

    Logarithms of the reverberation time (T30, or T20 where its range is not reached, or EDT) and of
    EDT in each octave of `BANDS` that fits the rate; direct over reverberant and whole energy in
    units of 10 dB.

    Args:
        response: `[2, time]` in the level of the simulation.
        sample_rate: hertz.
    """
    bands = usable_bands(sample_rate, BANDS)
    sounding = [np.asarray(ear, np.float64) for ear in response if np.any(ear)]
    if not sounding:
        return np.array([np.log(SHORTEST)] * 2 * len(bands) + [0.0, -5.0], np.float32)
    return np.mean([_ear(ear, sample_rate, bands) for ear in sounding], axis=0).astype(np.float32)


def _ear(ear: NDArray[np.float64], sample_rate: int, bands: tuple[float, ...]) -> list[float]:
    heard = ear[direct_onset(ear) :]
    late, early = [], []
    for band in bands:
        curve = octave_decay(heard, sample_rate, band)
        edt = fit_time(curve, *RANGES["EDT"])
        times = [*(fit_time(curve, *RANGES[name]) for name in ("T30", "T20")), edt]
        late.append(next((t for t in times if np.isfinite(t)), SHORTEST))
        early.append(edt if np.isfinite(edt) else SHORTEST)
    levels = float(direct_to_reverberant(ear, sample_rate)), 10 * np.log10(np.square(ear).sum())
    return [
        *(float(np.log(max(t, SHORTEST))) for t in (*late, *early)),
        *(float(np.clip(level / DECIBELS, -5, 5)) for level in levels),
    ]
