"""What listens: one microphone, an ambisonic array, or a head; for early paths and late field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.ambisonics import harmonics, to_head
from piavas.acoustics.early import Receiver
from piavas.acoustics.gather import Hits
from piavas.acoustics.late import (
    EarNoise,
    ear_noise,
    echogram,
    late_ears,
    late_sectors,
    sector_directions,
    sector_noise,
    sector_table,
)
from piavas.errors import SimulationError

if TYPE_CHECKING:
    from piavas.acoustics.hrtf import Hrtf

MAX_ORDER = 7


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

    def echogram(
        self, hits: Hits, energy: NDArray[np.float32], index: NDArray, table: NDArray
    ) -> NDArray[np.float64]:
        """See `piavas.acoustics.late.echogram`."""
        return echogram(
            hits, energy, index, table, duration=self.duration, speed=self.speed, air=self.air
        )


class Listener(Protocol):
    """One kind of listener."""

    @property
    def receiver(self) -> Receiver:
        """How it takes discrete paths."""

    def late(
        self, hits: Hits, energy: NDArray[np.float32], pose: NDArray[np.float64]
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
        self.sectors = sector_directions()
        self.encode = harmonics(self.sectors, order)
        self.table = sector_table()

    @property
    def receiver(self) -> Receiver:
        """Frequency-independent spherical harmonics."""
        return Receiver(
            lambda toward: harmonics(toward, self.order)[:, :, None].astype(np.complex128),
            (self.order + 1) ** 2,
            lead=0,
            taps=1,
        )

    @cached_property
    def noise(self) -> NDArray[np.float32]:
        """`[9, sectors, time]`."""
        return sector_noise(self.how.length, self.how.sample_rate, self.how.seed)

    def late(
        self, hits: Hits, energy: NDArray[np.float32], pose: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """See `Listener`."""
        index = (to_head(pose, -hits.direction) @ self.sectors.T).argmax(axis=1)
        gram = self.how.echogram(hits, energy, index, self.table)
        return late_sectors(gram, self.noise, self.encode, self.how.sample_rate, self.how.length)


class Binaural:
    """Two ears on a head.

    Args:
        hrtf: its transfer functions at the sampling rate of `how`.
        how: of the late field.
    """

    def __init__(self, hrtf: Hrtf, how: Late) -> None:
        self.how = how
        self.hrtf = hrtf.dense()

    @cached_property
    def receiver(self) -> Receiver:
        """Transfer functions of the nearest direction of a dense grid."""
        taps = self.hrtf.responses.shape[-1]
        size = 1 << int(np.ceil(np.log2(taps + 384)))
        spectra = np.fft.rfft(self.hrtf.responses, size).astype(np.complex64)
        return Receiver(lambda toward: spectra[self.hrtf.nearest(toward)], 2, self.hrtf.lead, taps)

    @cached_property
    def powers(self) -> NDArray[np.float64]:
        """`[n, 9, 3]` band powers and cross powers of the grid's directions."""
        return self.hrtf.band_powers()

    @cached_property
    def noise(self) -> EarNoise:
        """Noise as this head hears it in a diffuse field."""
        return ear_noise(self.hrtf, self.how.length, self.how.sample_rate, self.how.seed)

    def late(
        self, hits: Hits, energy: NDArray[np.float32], pose: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """See `Listener`."""
        index = self.hrtf.nearest(to_head(pose, -hits.direction))
        gram = self.how.echogram(hits, energy, index, self.powers)
        return late_ears(gram, self.noise, self.how.sample_rate, self.how.length)


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
