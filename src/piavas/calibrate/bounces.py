"""What reaches a listener, as a function of absorption: energies and how often materials were met.

Paths depend on scattering, not on absorption. So a room is traced once with surfaces that take
nothing, and each contribution to an echogram keeps how many times it met every material: its energy
is g exp(n . log(1 - alpha)) at any absorption, exactly, and so are its derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.acoustics.bands import EXACT_BANDS
from piavas.acoustics.discrete import Ways
from piavas.acoustics.field import Field, Room, trace_field
from piavas.scene import OCTAVE_BANDS, Scene, Source

Array = NDArray[np.float64]

BANDS = len(OCTAVE_BANDS)
BIN = 1e-3  # seconds
DIRECT = Ways(order=0, diffraction=0, walls=0)
LARGEST = 0.9999  # absorption beyond which nothing is left to differentiate


@dataclass(frozen=True)
class Contributions:
    """All pieces of sound that reach one listener from one source.

    Args:
        time: `[n]` seconds from the emission.
        gain: `[n, 9]` squared pressure, air included, had no surface taken any.
        met: `[n, m]` how often each material was met.
        bins: milliseconds that an echogram of them lasts.
    """

    time: NDArray[np.float32]
    gain: NDArray[np.float32]
    met: NDArray[np.uint16]
    bins: int

    def __len__(self) -> int:
        return len(self.time)

    def echogram(self, absorption: Array) -> Array:
        """Squared pressure `[bins, 9]` at `absorption` `[m, 9]`."""
        echo = np.zeros((self.bins, BANDS))
        _echo(self.time, self.gain, self.met, _log_left(absorption), 1, echo)
        return echo

    def slopes(self, absorption: Array) -> Array:
        """Derivatives `[bins, 9, m]` of `echogram` by the log odds of absorption.

        d log(1 - a) / d logit(a) = -a: each meeting takes its share.
        """
        slope = np.zeros((self.bins, self.met.shape[1], BANDS))
        _echo_slope(self.time, self.gain, self.met, _log_left(absorption), slope)
        return np.asarray(-(slope * absorption).swapaxes(1, 2))

    def squares(self, absorption: Array) -> Array:
        """Sum of squared energies `[bins, 9]`: what the variance of `echogram` is made of."""
        echo = np.zeros((self.bins, BANDS))
        _echo(self.time, self.gain, self.met, _log_left(absorption), 2, echo)
        return echo


def _log_left(absorption: Array) -> NDArray[np.float32]:
    return np.log1p(-np.minimum(absorption, LARGEST)).astype(np.float32)


@njit(inline="always")
def _energy(c, gain, met, log_left, energy):  # type: ignore[no-untyped-def]
    """Energy `[9]` of contribution `c`."""
    energy[:] = 0
    for m in range(met.shape[1]):
        if met[c, m]:
            count = np.float32(met[c, m])
            for b in range(energy.shape[0]):
                energy[b] += count * log_left[m, b]
    for b in range(energy.shape[0]):
        energy[b] = gain[c, b] * np.exp(energy[b])


@njit(cache=True, fastmath=True)
def _echo(time, gain, met, log_left, power, out):  # type: ignore[no-untyped-def]
    energy = np.empty(gain.shape[1], np.float32)
    for c in range(time.shape[0]):
        i = int(time[c] / BIN)
        if i < out.shape[0]:
            _energy(c, gain, met, log_left, energy)
            for b in range(energy.shape[0]):
                out[i, b] += np.float64(energy[b]) ** power


@njit(cache=True, fastmath=True)
def _echo_slope(time, gain, met, log_left, out):  # type: ignore[no-untyped-def]
    """Add energies to `out` `[bins, m, 9]`, weighted by how often each material was met."""
    energy = np.empty(gain.shape[1], np.float32)
    for c in range(time.shape[0]):
        i = int(time[c] / BIN)
        if i < out.shape[0]:
            _energy(c, gain, met, log_left, energy)
            for m in range(met.shape[1]):
                if met[c, m]:
                    for b in range(energy.shape[0]):
                        out[i, m, b] += met[c, m] * energy[b]


def hollow(scene: Scene, scattering: float = 1.0) -> Scene:
    """`scene` with surfaces that take nothing and scatter `scattering` times as much."""
    return scene.with_materials(
        [
            replace(
                m,
                absorption=np.zeros(BANDS),
                transmission=np.zeros(BANDS),
                scattering=np.minimum(m.scattering * scattering, 1.0),
            )
            for m in scene.materials
        ]
    )


def contributions(
    room: Room,
    source: Source,
    listeners: Array,
    *,
    simulator: Simulator,
    duration: float,
    rays: int,
    seed: int,
) -> list[Contributions]:
    """What reaches each of `listeners` `[l, 3]` from `source` in a `hollow` room.

    Mirrored and scattered sound alike is traced; only the direct sound is a discrete path.
    """
    reach = duration * simulator.speed
    field = trace_field(room, source, rays=rays, ways=DIRECT, reach=reach, seed=seed)
    met = meetings(field)
    loss = simulator.air_db(EXACT_BANDS) * np.log(10) / 10
    paths = field.paths(listeners)
    found = []
    for i, hits in enumerate(field.hits(field.balls(listeners))):
        direct = paths.of(i)
        way = np.concatenate([direct.length, hits.distance])
        energy = field.segments.energy[hits.segment] * hits.weight[:, None]
        gain = np.concatenate([direct.gain**2, energy]) * np.exp(-way[:, None] * loss)
        rows = np.concatenate([np.zeros((len(direct), met.shape[1]), met.dtype), met[hits.segment]])
        found.append(
            Contributions(
                (way / simulator.speed).astype(np.float32),
                gain.astype(np.float32),
                rows,
                int(np.ceil(duration / BIN)),
            )
        )
    return found


def meetings(field: Field) -> NDArray[np.uint16]:
    """How often `[s, m]` each material was met on the way to each segment of `field`.

    The tracer keeps no record of it, but the ends of the segments tell: rays along them find the
    faces again. The field must be of order 0, where no segment of a ray is left out.
    """
    room, segments = field.room, field.segments
    material = room.scene.face_material
    count = len(room.scene.materials)
    start = np.broadcast_to(field.source.position, (segments.rays, 3))
    _, first = room.caster.closest(start, segments.launch)
    _, last = room.caster.closest(segments.origin, segments.direction)
    order = np.argsort(segments.ray, kind="stable")  # by ray, and along each ray in its order
    ray = segments.ray[order]
    begins = np.diff(ray, prepend=-1) != 0
    # A segment begins where the one before it ended, the first one where the launched ray did.
    face = np.where(begins, first[ray], np.roll(last[order], 1))
    new = np.zeros((len(ray), count), np.int32)
    new[np.arange(len(ray)), material[face]] = 1
    total = np.cumsum(new, axis=0)
    at = np.flatnonzero(begins)
    earlier = (total - new)[at]
    out = np.empty((len(ray), count), np.uint16)
    out[order] = total - np.repeat(earlier, np.diff(at, append=len(ray)), axis=0)
    return out
