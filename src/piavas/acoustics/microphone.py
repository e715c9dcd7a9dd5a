"""A microphone with a directivity, for early paths and late field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.bands import interpolation, minimum_phase
from piavas.acoustics.early import QUIET, Receiver, filter_size
from piavas.acoustics.echogram import Arrivals, Classes
from piavas.acoustics.gather import Hits
from piavas.acoustics.late import late_sectors, sector_noise
from piavas.acoustics.receivers import Late
from piavas.acoustics.sphere_grid import nearest_by_cell, uniform_directions
from piavas.source import Pattern

TAPS = 128  # samples that its minimum-phase filters ring
GRID = 642  # directions in which the late field meets it


class Microphone:
    """One microphone that faces where its pose looks.

    Args:
        pattern: its directivity.
        how: of the late field.
    """

    def __init__(self, pattern: Pattern, how: Late) -> None:
        self.pattern, self.how = pattern, how
        grid = uniform_directions(GRID)
        energy = (pattern.pressure(grid) ** 2).astype(np.float32)
        self.classes = Classes(nearest_by_cell(grid), np.ascontiguousarray(energy[:, None]), 1)

    @property
    def receiver(self) -> Receiver:
        """Its band gains as minimum-phase filters; a negative lobe turns the sign."""
        return Receiver(self._spectra, 1, lead=0, taps=TAPS)

    def _spectra(self, toward: NDArray[np.float64]) -> NDArray[np.complex128]:
        gain = self.pattern.pressure(toward)
        log_gain = np.log(np.maximum(np.abs(gain), QUIET))
        size = filter_size(TAPS)
        spectra = minimum_phase(log_gain @ interpolation(size, self.how.sample_rate))
        loudest = np.abs(gain).argmax(axis=1)
        sign = np.sign(np.take_along_axis(gain, loudest[:, None], axis=1))
        return np.asarray((sign * spectra)[:, None])

    def late(
        self, hits: Hits, arrivals: Arrivals, pose: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """See `piavas.acoustics.receivers.Listener`."""
        how = self.how
        gram = how.echogram(hits, arrivals, pose, self.classes)
        noise = sector_noise(how.length, how.sample_rate, how.seed)[:, :1]
        return late_sectors(gram, noise, np.ones((1, 1)), how.sample_rate, how.length)
