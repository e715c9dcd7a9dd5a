"""What listens: one microphone, an ambisonic array, or a head; for early paths and late field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from piavas.acoustics.ambisonics import harmonics, to_head
from piavas.acoustics.early import Receiver
from piavas.acoustics.echogram import (
    Arrivals,
    Classes,
    bin_count,
    bin_fade,
    bin_spread,
    echogram,
)
from piavas.acoustics.gather import Hits
from piavas.acoustics.late import (
    ear_noise,
    late_ears,
    late_sectors,
    sector_classes,
    sector_directions,
    sector_noise,
)
from piavas.acoustics.sphere_grid import nearest_by_cell, uniform_directions
from piavas.errors import SimulationError
from piavas.scene import OCTAVE_BANDS

if TYPE_CHECKING:
    from piavas.acoustics.hrtf import Hrtf

MAX_ORDER = 7
DIRECTIONS = 642  # in which the late field of a head is resolved: eight degrees apart


@dataclass(frozen=True)
class Late:
    """How the late field is made: time, air and chance.

    Args:
        duration: seconds.
        speed: of sound, m/s.
        air: `[9]` energy attenuation, 1/m.
        sample_rate: hertz.
        seed: of the noise.
    """

    duration: float
    speed: float
    air: NDArray[np.float64]
    sample_rate: int
    seed: int

    @property
    def length(self) -> int:
        """Samples."""
        return round(self.duration * self.sample_rate)

    @cached_property
    def _bins(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        bins = bin_count(self.duration)
        return bin_spread(bins), bin_fade(bins, self.speed, self.air)

    def echogram(
        self, hits: Hits, arrivals: Arrivals, pose: NDArray[np.float64], classes: Classes
    ) -> NDArray[np.float32]:
        """Echogram `[bins, width, 9]` at `pose` `[4, 4]` (`piavas.acoustics.echogram`)."""
        half, fade = self._bins
        turn = to_head(pose, np.eye(3)).T
        return echogram(hits, arrivals, turn, classes, speed=self.speed, half=half, fade=fade)


class Listener(Protocol):
    """One kind of listener."""

    @property
    def receiver(self) -> Receiver:
        """How it takes discrete paths."""

    def late(
        self, hits: Hits, arrivals: Arrivals, pose: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Its late response `[channel, time]` at `pose` `[4, 4]` to `hits` of segments."""


class Ambisonic:
    """An ambisonic listener of any order; order 0 is the pressure at the head's centre.

    Args:
        order: 0 to 7.
        how: of the late field.
    """

    def __init__(self, order: int, how: Late) -> None:
        self.order, self.how = order, how
        self.encode = harmonics(sector_directions(), order)
        self.classes = sector_classes()

    @property
    def receiver(self) -> Receiver:
        """Frequency-independent spherical harmonics."""
        return Receiver(
            lambda toward: harmonics(toward, self.order)[:, :, None].astype(np.complex128),
            (self.order + 1) ** 2,
            lead=0,
            taps=1,
        )

    def late(
        self, hits: Hits, arrivals: Arrivals, pose: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """See `Listener`."""
        how = self.how
        gram = how.echogram(hits, arrivals, pose, self.classes)
        noise = sector_noise(how.length, how.sample_rate, how.seed)
        return late_sectors(gram, noise, self.encode, how.sample_rate, how.length)


class Binaural:
    """Two ears on a head.

    Args:
        hrtf: its transfer functions at the sampling rate of `how`.
        how: of the late field.
    """

    def __init__(self, hrtf: Hrtf, how: Late) -> None:
        self.how = how
        self.hrtf = hrtf.dense()

    @property
    def receiver(self) -> Receiver:
        """Transfer functions of the nearest direction of a dense grid."""
        taps = self.hrtf.responses.shape[-1]
        size = 1 << int(np.ceil(np.log2(taps + 384)))
        spectra = self.hrtf.spectra(size)
        return Receiver(lambda toward: spectra[self.hrtf.nearest(toward)], 2, self.hrtf.lead, taps)

    def late(
        self, hits: Hits, arrivals: Arrivals, pose: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """See `Listener`."""
        how = self.how
        gram = how.echogram(hits, arrivals, pose, ear_classes(self.hrtf))
        noise = ear_noise(self.hrtf, how.length, how.sample_rate, how.seed)
        return late_ears(gram, noise, how.sample_rate, how.length)


@lru_cache(maxsize=4)
def ear_classes(hrtf: Hrtf) -> Classes:
    """Weights LL, RR and LR of `DIRECTIONS` directions, each the mean over those of `hrtf` near it.

    Few enough to stay in cache; the late field has no direction finer than that.
    """
    directions = uniform_directions(DIRECTIONS)
    nearest = cKDTree(directions).query(hrtf.directions)[1]
    total = np.zeros((DIRECTIONS, len(OCTAVE_BANDS), 3))
    np.add.at(total, nearest, hrtf.weights[:, None, None] * hrtf.band_powers())
    share = np.bincount(nearest, hrtf.weights, DIRECTIONS)
    table = (total / share[:, None, None]).swapaxes(1, 2)
    return Classes(
        nearest_by_cell(directions), np.ascontiguousarray(table, dtype=np.float32), width=3
    )


def ambisonic_order(output: str) -> int | None:
    """0 for "mono", N for "ambisonic-N", None for "binaural".

    Raises:
        SimulationError: any other word, or an order above 7.
    """
    if output == "binaural":
        return None
    found = re.fullmatch(r"mono|ambisonic-(\d+)", output)
    order = int(found[1] or 0) if found else -1
    if not found or not 0 <= order <= MAX_ORDER or output == "ambisonic-0":
        raise SimulationError(
            f"{output!r} is no output",
            field="output",
            mend=f"choose binaural, mono, or ambisonic-1 to ambisonic-{MAX_ORDER}",
        )
    return order
