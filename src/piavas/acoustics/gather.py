"""What of the traced sound passes a listener: segments through a ball of free air about the head.

The energy density of rays in a ball of volume V is the sum of their energies times their chord
lengths over V (the track-length estimator of transport theory, Lux & Koblinger 1991, section 6).
It needs no shadow rays, holds for mirrored and scattered sound alike, and so keeps reciprocity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.trace import Segments, launch_directions
from piavas.rays import RayCaster

LARGEST_BALL = 0.5  # metres
SMALLEST_BALL = 0.15  # metres under which a freer place nearby is taken instead
FEELERS = 128
CELL = 0.5  # metres


@dataclass(frozen=True)
class Balls:
    """Where the late sound of each listener is gathered.

    Args:
        centre: `[l, 3]` metres: the head, or the freest place near it when it is against a wall.
        radius: `[l]` metres.
    """

    centre: NDArray[np.float64]
    radius: NDArray[np.float64]


def _clearance(caster: RayCaster, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances `[n, FEELERS]` to the surfaces about each of `points` `[n, 3]`."""
    feelers = launch_directions(FEELERS, 0)
    origins = np.repeat(points, FEELERS, axis=0)
    distance, _ = caster.closest(origins, np.tile(feelers, (len(points), 1)))
    return np.minimum(distance, 10.0).reshape(len(points), FEELERS)


def place_balls(caster: RayCaster, heads: NDArray[np.float64]) -> Balls:
    """The largest free balls up to half a metre about `heads` `[l, 3]`.

    A head nearer than 15 cm to a surface gives too small a ball: then the freest of some places
    in sight and within 30 cm stands for it. The late field changes little over that way.
    """
    around = _clearance(caster, heads)
    centre, radius = heads.copy(), around.min(axis=1)
    feelers = launch_directions(FEELERS, 0)
    for i in np.flatnonzero(radius < SMALLEST_BALL):
        step = np.minimum(0.3, 0.5 * around[i])[:, None]
        places = heads[i] + step * feelers
        freedom = _clearance(caster, places).min(axis=1)
        best = int(np.argmax(freedom))
        if freedom[best] > radius[i]:
            centre[i], radius[i] = places[best], freedom[best]
    return Balls(centre, np.clip(0.95 * radius, 0.02, LARGEST_BALL))


@dataclass(frozen=True)
class Grid:
    """Segments by the cells of a regular grid that they cross.

    Args:
        lower: `[3]` corner, metres.
        shape: `[3]` cells.
        start: `[cells + 1]` where the list of each cell starts.
        member: `[entries]` segment indices.
    """

    lower: NDArray[np.float64]
    shape: NDArray[np.int64]
    start: NDArray[np.int64]
    member: NDArray[np.int32]


@njit(cache=True)
def _walk(origin, direction, length, lower, shape, cell, start, member, fill):  # type: ignore[no-untyped-def]
    """Visit the cells of every segment (Amanatides & Woo 1987); count, or fill when `fill`."""
    for s in range(length.shape[0]):
        at = np.empty(3, np.int64)
        step = np.empty(3, np.int64)
        gap = np.empty(3)
        nearest = np.empty(3)
        inside = True
        for k in range(3):
            at[k] = int(np.floor((origin[s, k] - lower[k]) / cell))
            inside = inside and 0 <= at[k] < shape[k]
            d = direction[s, k]
            step[k] = 1 if d > 0 else -1
            gap[k] = cell / abs(d) if d != 0 else np.inf
            edge = lower[k] + (at[k] + (1 if d > 0 else 0)) * cell
            nearest[k] = (edge - origin[s, k]) / d if d != 0 else np.inf
        while inside:
            c = (at[0] * shape[1] + at[1]) * shape[2] + at[2]
            if fill:
                member[start[c]] = s
            start[c] += 1
            k = 0
            if nearest[1] < nearest[k]:
                k = 1
            if nearest[2] < nearest[k]:
                k = 2
            if nearest[k] > length[s]:
                break
            at[k] += step[k]
            nearest[k] += gap[k]
            inside = 0 <= at[k] < shape[k]


def build_grid(segments: Segments, lower: NDArray, upper: NDArray, cell: float = CELL) -> Grid:
    """Sort `segments` into cells of `cell` metres over the box from `lower` to `upper`."""
    lower = np.asarray(lower, dtype=np.float64) - 0.01
    shape = np.maximum(1, np.ceil((upper + 0.01 - lower) / cell)).astype(np.int64)
    count = np.zeros(int(shape.prod()), np.int64)
    args = (segments.origin, segments.direction, segments.length, lower, shape, cell)
    _walk(*args, count, np.empty(0, np.int32), False)
    start = np.concatenate([[0], np.cumsum(count)])
    member = np.empty(int(start[-1]), np.int32)
    _walk(*args, start[:-1].copy(), member, True)
    return Grid(lower, shape, start, member)


@njit(cache=True)
def _meet(  # type: ignore[no-untyped-def]
    centre,
    radius,
    origin,
    direction,
    length,
    lower,
    shape,
    start,
    member,
    cell,
    which,
    chord,
    along,
):
    """Segments through one ball: their indices, chords and the way to the point nearest to it."""
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    for k in range(3):
        low[k] = max(0, int(np.floor((centre[k] - radius - lower[k]) / cell)))
        high[k] = min(shape[k] - 1, int(np.floor((centre[k] + radius - lower[k]) / cell)))
    found = 0
    for x in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            for z in range(low[2], high[2] + 1):
                c = (x * shape[1] + y) * shape[2] + z
                for e in range(start[c], start[c + 1]):
                    s = member[e]
                    to_x = centre[0] - origin[s, 0]
                    to_y = centre[1] - origin[s, 1]
                    to_z = centre[2] - origin[s, 2]
                    middle = (
                        to_x * direction[s, 0] + to_y * direction[s, 1] + to_z * direction[s, 2]
                    )
                    square = to_x * to_x + to_y * to_y + to_z * to_z - middle * middle
                    if square >= radius * radius:
                        continue
                    half = np.sqrt(radius * radius - square)
                    begin, end = max(0.0, middle - half), min(length[s], middle + half)
                    if end <= begin:
                        continue
                    # A segment lies in many cells: only the one of its nearest point counts it.
                    t = min(max(middle, 0.0), length[s])
                    px = int(np.floor((origin[s, 0] + t * direction[s, 0] - lower[0]) / cell))
                    py = int(np.floor((origin[s, 1] + t * direction[s, 1] - lower[1]) / cell))
                    pz = int(np.floor((origin[s, 2] + t * direction[s, 2] - lower[2]) / cell))
                    if px != x or py != y or pz != z:
                        continue
                    if found < which.shape[0]:
                        which[found] = s
                        chord[found] = end - begin
                        along[found] = middle
                    found += 1
    return found


@dataclass(frozen=True)
class Hits:
    """Segments that cross the ball of one listener.

    Args:
        segment: `[h]` index.
        weight: `[h]` factor from ray energy to squared pressure of a unit source.
        distance: `[h]` metres from the source to the head along the path.
        direction: `[h, 3]` unit vectors of propagation, world.
    """

    segment: NDArray[np.int32]
    weight: NDArray[np.float32]
    distance: NDArray[np.float32]
    direction: NDArray[np.float32]


def gather(
    segments: Segments, grid: Grid, centre: NDArray, radius: float, cell: float = CELL
) -> Hits:
    """The segments through a ball, with weights 4 pi chord / (rays volume).

    A unit source has p² = 1/r² and its N rays a fluence of N/(4 pi r²): hence the factor 4 pi / N.
    """
    room = 4096
    while True:
        which = np.empty(room, np.int32)
        chord, along = np.empty(room, np.float32), np.empty(room, np.float32)
        found = _meet(
            centre, radius, segments.origin, segments.direction, segments.length, grid.lower,
            grid.shape, grid.start, grid.member, cell, which, chord, along,
        )  # fmt: skip
        if found <= room:
            break
        room = found
    which, chord, along = which[:found], chord[:found], along[:found]
    volume = 4 / 3 * np.pi * radius**3
    weight = (4 * np.pi / (segments.rays * volume)) * chord
    distance = np.maximum(segments.travelled[which] + along, 0)
    return Hits(which, weight.astype(np.float32), distance, segments.direction[which])
