"""Which ear is louder, and by how much: what physics expects, and how far to trust it.

Late sound is chance: two recordings of one room with the same statistics differ in the level of
their ears, clip by clip, by a decibel or more, and so does one simulation from the other. Errors
of level are least where a prediction does not add a chance of its own: at the level difference that
physics expects, the mean over many simulations, times the share of it that recordings bear out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from piavas.audio import Audio
from piavas.errors import DataError
from piavas.refine.clips import Clip

SHARES = np.linspace(0.0, 1.0, 21)
FLOOR = 1e-5
"""Added to the energy of an ear, as in LRE of the family avcloud."""


BLOCK = 1 << 16
"""Samples whose squares are summed at once."""


def level_difference(sound: NDArray[np.floating]) -> float:
    """Decibels by which the left of `[2, time]` is louder than the right."""
    return difference_of(energies(sound))


def energies(sound: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of the channels `[channel]` of `[channel, time]`, in double precision without a copy."""
    total = np.zeros(len(sound))
    for start in range(0, sound.shape[1], BLOCK):
        total += np.square(sound[:, start : start + BLOCK], dtype=np.float64).sum(axis=1)
    return total


def difference_of(energy: NDArray[np.float64]) -> float:
    """Decibels between the energies `[2]` of the ears."""
    left, right = energy + FLOOR
    return float(10 * np.log10(left / right))


def fit_share(clips: Sequence[Clip]) -> float:
    """The share of the expected level difference, 0 to 1, that is nearest to the recordings'.

    Nearest in the mean absolute error, which LRE is.

    Raises:
        DataError: a clip without an expected level difference.
    """
    expected, recorded = [], []
    for clip in clips:
        if clip.balance is None:
            raise DataError(
                "says nothing of the level difference that physics expects",
                field=clip.name,
                mend="import the clips with several draws, or train without balance",
            )
        assert clip.x_rx is not None  # `train` refuses clips without a recording
        expected.append(clip.balance)
        recorded.append(level_difference(clip.x_rx))
    errors = np.abs(SHARES[:, None] * np.array(expected) - np.array(recorded)).mean(axis=1)
    return float(SHARES[errors.argmin()])


def set_balance(sound: Audio, difference: float) -> Audio:
    """`sound` `[2, time]` with its left louder than its right by so many decibels.

    The energy of both together stays. Where an ear is silent, both stay as they are.
    """
    energy = energies(sound)
    ratio = 10 ** (difference / 10)
    wanted = energy.sum() * np.array([ratio, 1.0]) / (1 + ratio)
    gain = np.sqrt(wanted / np.maximum(energy, 1e-20)) if energy.all() else np.ones(2)
    return np.asarray(sound * gain[:, None].astype(np.float32), np.float32)
