"""What of the traced sound passes a listener: segments through a ball of free air about the head.

The energy density of rays in a ball of volume V is the sum of their energies times their chord
lengths over V (the track-length estimator of transport theory, Lux & Koblinger 1991, section 6).
It needs no shadow rays, holds for mirrored and scattered sound alike, and so keeps reciprocity.
Every segment is tested against every ball: in blocks that stay in cache that takes a few
nanoseconds, less than finding them by cells of space.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.trace import Segments, launch_directions
from piavas.rays import RayCaster

NEAR = 0.5  # metres: the largest ball about a head, for young sound
WIDE = 1.25  # metres: the largest ball that holds the head, for old sound
FEELERS = 128
STEPS = 6  # by which a wide ball grows
BLOCK = 2048  # segments tested at a time


@dataclass(frozen=True)
class Balls:
    """Free balls in which sound is gathered.

    Args:
        centre: `[l, 3]` metres.
        radius: `[l]` metres.
    """

    centre: NDArray[np.float64]
    radius: NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Where the late sound of each listener is gathered: young in small balls, old in wide ones.

    Old sound has met so many surfaces that it differs little over a metre within sight.
    """

    near: Balls
    wide: Balls


def _feel(caster: RayCaster, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances `[n, FEELERS]` to the surfaces about each of `points` `[n, 3]`."""
    feelers = launch_directions(FEELERS, 0)
    origins = np.repeat(points, FEELERS, axis=0)
    distance, _ = caster.closest(origins, np.tile(feelers, (len(points), 1)))
    return np.minimum(distance, 10.0).reshape(len(points), FEELERS)


def place_balls(caster: RayCaster, heads: NDArray[np.float64]) -> Places:
    """The largest free balls that hold `heads` `[l, 3]`.

    A ball grows by moving away from the surfaces that it nearly touches, as long as the head stays
    well inside of it: so it never leaves the air about the head. The near ball stays on the head
    unless that is so close to a surface that the ball would be smaller than a third of `NEAR`.
    """
    ways = launch_directions(FEELERS, 0)
    around = _feel(caster, heads)
    centre, radius = heads.copy(), around.min(axis=1)
    near = Balls(centre, radius)
    for _ in range(STEPS):
        touching = around < (1.2 * radius + 0.02)[:, None]
        away = -(touching.astype(np.float64) @ ways)
        away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        moved = centre + np.minimum(0.5 * radius + 0.05, 0.9 * radius)[:, None] * away
        felt = _feel(caster, moved)
        free = felt.min(axis=1)
        holds = np.linalg.norm(moved - heads, axis=1) < 0.8 * free
        better = (free > radius) & holds & (radius < WIDE)
        centre = np.where(better[:, None], moved, centre)
        radius = np.where(better, free, radius)
        around = np.where(better[:, None], felt, around)
    tight = near.radius < NEAR / 3
    near = Balls(
        np.where(tight[:, None], centre, near.centre), np.where(tight, radius, near.radius)
    )
    return Places(
        Balls(near.centre, np.clip(0.95 * near.radius, 0.02, NEAR)),
        Balls(centre, np.clip(0.95 * radius, 0.02, WIDE)),
    )


@dataclass(frozen=True)
class Hits:
    """Segments that cross the balls of one listener.

    Args:
        segment: `[h]` index.
        weight: `[h]` factor from ray energy to squared pressure of a unit source.
        distance: `[h]` metres from the source to the head along the path.
    """

    segment: NDArray[np.int32]
    weight: NDArray[np.float32]
    distance: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.segment)


@njit(cache=True, fastmath=True, nogil=True)
def _near(ox, oy, oz, dx, dy, dz, length, at, radius, first, last, near):  # type: ignore[no-untyped-def]
    """Mark in `near` which segments from `first` to `last` may cross a ball."""
    square = radius * radius
    for s in range(first, last):
        x, y, z = at[0] - ox[s], at[1] - oy[s], at[2] - oz[s]
        middle = x * dx[s] + y * dy[s] + z * dz[s]
        x -= middle * dx[s]
        y -= middle * dy[s]
        z -= middle * dz[s]
        off = x * x + y * y + z * z
        good = (off < square) & (middle > -radius) & (middle < length[s] + radius)
        near[s - first] = np.uint8(good)


@njit(cache=True, nogil=True)
def _cross(ox, oy, oz, dx, dy, dz, length, centre, radius, block, listener, segment, chord, along):  # type: ignore[no-untyped-def]
    """Segments through balls `centre` `[l, 3]`; how many, of which those that fit are written."""
    near = np.zeros(block, np.uint8)
    words = near.view(np.uint64)
    found = 0
    for first in range(0, length.shape[0], block):
        last = min(first + block, length.shape[0])
        near[last - first :] = 0
        for i in range(centre.shape[0]):
            at = (centre[i, 0], centre[i, 1], centre[i, 2])
            square = radius[i] * radius[i]
            _near(ox, oy, oz, dx, dy, dz, length, at, radius[i], first, last, near)
            for w in range((last - first + 7) // 8):
                if words[w] == 0:
                    continue
                for s in range(first + 8 * w, first + 8 * w + 8):
                    if near[s - first] == 0:
                        continue
                    x, y, z = at[0] - ox[s], at[1] - oy[s], at[2] - oz[s]
                    middle = x * dx[s] + y * dy[s] + z * dz[s]
                    x -= middle * dx[s]
                    y -= middle * dy[s]
                    z -= middle * dz[s]
                    half = np.sqrt(max(square - (x * x + y * y + z * z), np.float32(0)))
                    begin = max(np.float32(0), middle - half)
                    end = min(length[s], middle + half)
                    if end <= begin:
                        continue
                    if found < segment.shape[0]:
                        listener[found], segment[found] = i, s
                        chord[found], along[found] = end - begin, middle
                    found += 1
    return found


def _through(segments: Segments, part: slice, balls: Balls) -> tuple[NDArray, ...]:
    """Listener, segment, chord and way of each crossing of `part` of the segments."""
    both = (*segments.origin.T, *segments.direction.T, segments.length)
    columns = [column[part] for column in both]
    centre, radius = balls.centre.astype(np.float32), balls.radius.astype(np.float32)
    # Of segments spread evenly over a space of V, one of length L meets a ball with pi r² L / V.
    lines = float(columns[-1].sum()) * np.pi * float((radius**2).sum())
    room = 1024 + int(1.5 * lines / max(segments.space, 1e-9))
    while True:
        listener, segment = np.empty(room, np.int32), np.empty(room, np.int32)
        chord, along = np.empty(room, np.float32), np.empty(room, np.float32)
        args: Any = (*columns, centre, radius, BLOCK, listener, segment, chord, along)
        found = _cross(*args)
        if found <= room:
            break
        room = found
    listener, chord = listener[:found], chord[:found]
    volume = 4 / 3 * np.pi * balls.radius**3
    weight = chord * (4 * np.pi / (segments.rays * volume)).astype(np.float32)[listener]
    return listener, segment[:found] + np.int32(part.start), weight, along[:found]


def gather(segments: Segments, places: Places) -> list[Hits]:
    """The segments through each ball, with weights 4 pi chord / (rays volume).

    A unit source has p² = 1/r² and its N rays a fluence of N/(4 pi r²): hence the factor 4 pi / N.
    """
    parts = zip(
        _through(segments, slice(0, segments.young), places.near),
        _through(segments, slice(segments.young, len(segments)), places.wide),
        strict=True,
    )
    listener, segment, weight, along = (np.concatenate(part) for part in parts)
    order = np.argsort(listener, kind="stable")
    segment = segment[order]
    weight = weight[order] * segments.weight[segment]
    distance = np.maximum(segments.travelled[segment] + along[order], 0)
    starts = np.searchsorted(listener[order], np.arange(len(places.near.radius) + 1))
    return [Hits(segment[a:b], weight[a:b], distance[a:b]) for a, b in pairwise(starts)]
