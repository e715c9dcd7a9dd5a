"""Echograms: the squared pressure that arrives at a listener by time, band and direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.gather import Hits
from piavas.acoustics.sphere_grid import octahedral_cell
from piavas.scene import OCTAVE_BANDS

BANDS = len(OCTAVE_BANDS)
BIN = 1e-3  # seconds
SPREAD = 0.04  # each piece is spread in time by this share of its age: the ear grows slower
NARROWEST = 0.25  # and by at least this share of its band's period

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Arrivals:
    """What each segment of a field brings to an ear.

    Args:
        record: `[s, 16]` a cache line each: `energy` by band, then `toward`, then nothing.
        batch: `[s]` batch of its ray.
    """

    record: F32
    batch: NDArray[np.int16]

    @classmethod
    def of(cls, energy: F32, toward: F32, batch: NDArray[np.int16]) -> Arrivals:
        """Arrivals of `energy` `[s, 9]` that come from `toward` `[s, 3]`, world unit vectors."""
        record = np.zeros((len(energy), 16), np.float32)
        record[:, :BANDS], record[:, BANDS : BANDS + 3] = energy, toward
        return cls(record, batch)

    @property
    def energy(self) -> F32:
        """`[s, 9]` share of a ray's energy that is left."""
        return self.record[:, :BANDS]

    @property
    def toward(self) -> F32:
        """`[s, 3]` unit vectors to where the sound comes from, world."""
        return self.record[:, BANDS : BANDS + 3]


@dataclass(frozen=True)
class Classes:
    """How directions are told apart.

    Args:
        cell: `[c * c]` direction of each cell of an octahedral map, in the listener's frame.
        table: `[directions, width, 9]` weight of a direction in each class; None where every
            direction is a class of its own.
        width: number of classes.
    """

    cell: NDArray[np.int32]
    table: F32 | None
    width: int


@njit(cache=True, fastmath=True, nogil=True)
def _cell_of(brought, turn, side):  # type: ignore[no-untyped-def]
    """Cell of the octahedral map that the direction in a segment's record falls into."""
    x, y, z = brought[BANDS], brought[BANDS + 1], brought[BANDS + 2]
    return octahedral_cell(
        turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
        turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
        turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
        side,
    )


@njit(cache=True, fastmath=True, nogil=True)
def _weighted(segment, weight, distance, record, turn, cell, table, per_metre, echo):  # type: ignore[no-untyped-def]
    """Add hits to `echo` `[bins, width, 9]`, shared between the two nearest bins."""
    bins, width, bands = echo.shape
    side = int(np.sqrt(cell.shape[0]))
    for h in range(segment.shape[0]):
        s = segment[h]
        at = distance[h] * per_metre - np.float32(0.5)
        i = int(np.floor(at))
        if i < -1 or i >= bins:
            continue
        d = cell[_cell_of(record[s], turn, side)]
        late = (at - i) * weight[h]
        soon = weight[h] - late
        for k in range(width):
            if i >= 0:
                for b in range(bands):
                    echo[i, k, b] += soon * record[s, b] * table[d, k, b]
            if i + 1 < bins:
                for b in range(bands):
                    echo[i + 1, k, b] += late * record[s, b] * table[d, k, b]


@njit(cache=True, fastmath=True, nogil=True)
def _sorted(segment, weight, distance, record, turn, cell, per_metre, echo):  # type: ignore[no-untyped-def]
    """As `_weighted`, each direction into its own class."""
    bins, _, bands = echo.shape
    side = int(np.sqrt(cell.shape[0]))
    for h in range(segment.shape[0]):
        s = segment[h]
        at = distance[h] * per_metre - np.float32(0.5)
        i = int(np.floor(at))
        if i < -1 or i >= bins:
            continue
        d = cell[_cell_of(record[s], turn, side)]
        late = (at - i) * weight[h]
        soon = weight[h] - late
        if i >= 0:
            for b in range(bands):
                echo[i, d, b] += soon * record[s, b]
        if i + 1 < bins:
            for b in range(bands):
                echo[i + 1, d, b] += late * record[s, b]


@njit(cache=True, nogil=True)
def _spread(echo, half, fade):  # type: ignore[no-untyped-def]
    """Spread every bin over `half` `[bins, 9]` bins to each side and fade it by `fade` `[bins, 9]`.

    Energy is kept, and nothing arrives before the first arrival. In place.
    """
    bins, width, bands = echo.shape
    first = 0
    while first < bins and not echo[first].any():
        first += 1
    steps = np.zeros((bins + 1, width, bands))
    for i in range(first, bins):
        for b in range(bands):
            h = min(half[i, b], i - first)
            end = min(bins, i + h + 1)
            start = i - h
            factor = fade[i, b] / (end - start)
            for k in range(width):
                share = echo[i, k, b] * factor
                steps[start, k, b] += share
                steps[end, k, b] -= share
    total = np.zeros((width, bands))
    for i in range(first, bins):
        for k in range(width):
            for b in range(bands):
                total[k, b] += steps[i, k, b]
                echo[i, k, b] = total[k, b]


def bin_count(duration: float) -> int:
    """Bins of an echogram of `duration` seconds."""
    return int(np.ceil(duration / BIN))


def bin_spread(bins: int) -> NDArray[np.int64]:
    """Bins `[bins, 9]` by which each bin is spread to either side."""
    period = NARROWEST / np.array(OCTAVE_BANDS) / BIN
    half = np.maximum(period[None], SPREAD * np.arange(bins)[:, None])
    return np.round(half).astype(np.int64)


def bin_fade(bins: int, speed: float, air: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy `[bins, 9]` that air leaves, by its attenuation `air` `[9]` in 1/m."""
    way = (np.arange(bins) + 0.5) * BIN * speed
    return np.exp(-way[:, None] * air)


def echogram(
    hits: Hits,
    arrivals: Arrivals,
    turn: NDArray[np.float64],
    classes: Classes,
    *,
    speed: float,
    half: NDArray[np.int64],
    fade: NDArray[np.float64],
) -> F32:
    """Squared pressure that arrives in each millisecond, direction class and band.

    Args:
        hits: what passes the listener.
        arrivals: what each segment brings.
        turn: `[3, 3]` from the world to the listener's frame.
        classes: of directions.
        speed: of sound, m/s.
        half: see `bin_spread`.
        fade: see `bin_fade`.

    Returns:
        `[bins, width, 9]`; summed over bins it is the band's share of p² of a unit source.
    """
    echo = np.zeros((len(half), classes.width, BANDS), np.float32)
    columns = (hits.segment, hits.weight, hits.distance, arrivals.record)
    per_metre = np.float32(1 / (speed * BIN))
    frame = turn.astype(np.float32)
    if classes.table is None:
        _sorted(*columns, frame, classes.cell, per_metre, echo)
    else:
        _weighted(*columns, frame, classes.cell, classes.table, per_metre, echo)
    _spread(echo, half, fade)
    return echo
