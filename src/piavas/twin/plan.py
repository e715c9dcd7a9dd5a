"""Seeded floor plans: rectangles that share walls, joined by doorways, with windows outside.

Lengths are metres; a room's rectangle is the air between its walls, its floor lies at z = 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

WALL = 0.12
"""Thickness of a wall between two rooms."""
DOOR_HEIGHT = (2.0, 2.1)
DOOR_WIDTH = (0.8, 1.1)
KINDS = ("living", "kitchen", "bedroom", "study")
SIZES = {
    "living": ((4.2, 6.0), (3.6, 5.0)),
    "kitchen": ((3.0, 4.4), (2.8, 3.8)),
    "bedroom": ((3.4, 4.6), (3.2, 4.2)),
    "study": ((2.8, 4.0), (2.8, 3.6)),
}
"""Ranges of the longer and the shorter side of a room, by its kind."""


@dataclass(frozen=True)
class Room:
    """A rectangular room.

    Args:
        kind: one of `KINDS`.
        low: `(x, y)` of its lowest corner.
        high: `(x, y)` of its highest corner.
        height: of its ceiling.
    """

    kind: str
    low: tuple[float, float]
    high: tuple[float, float]
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """`(x, y)` of the middle."""
        return (self.low[0] + self.high[0]) / 2, (self.low[1] + self.high[1]) / 2

    @property
    def area(self) -> float:
        """Square metres of floor."""
        return (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])

    def holds(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Whether `(x, y)` lies inside, `margin` away from the walls."""
        return all(
            lo + margin <= v <= hi - margin
            for lo, v, hi in zip(self.low, (x, y), self.high, strict=True)
        )


@dataclass(frozen=True)
class Doorway:
    """An opening of `width` x `height` through the wall between two rooms.

    Args:
        rooms: indices of the rooms on its low and its high side.
        axis: 0 where one walks through it along x, 1 along y.
        centre: `(x, y)` in the middle of the wall.
    """

    rooms: tuple[int, int]
    axis: int
    centre: tuple[float, float]
    width: float
    height: float


@dataclass(frozen=True)
class Window:
    """A glazed opening of an outer wall.

    Args:
        room: index of its room.
        axis: 0 in a wall across x, 1 across y.
        side: -1 in the low wall, +1 in the high wall.
        centre: along the wall.
        sill: height of its lower edge.
        depth: of the reveal, from the room's wall to the pane.
    """

    room: int
    axis: int
    side: int
    centre: float
    width: float
    sill: float
    height: float
    depth: float


@dataclass(frozen=True)
class Roof:
    """A ceiling that is not level: a profile across one axis, the same all along the other.

    Args:
        axis: 0 if its height changes along x, 1 along y.
        at: places on that axis, from wall to wall, rising; one given twice is a step.
        heights: there; straight in between.
    """

    axis: int
    at: tuple[float, ...]
    heights: tuple[float, ...]

    def least(self, low: float, high: float) -> float:
        """Lowest height from `low` to `high`."""
        between = [z for u, z in zip(self.at, self.heights, strict=True) if low <= u <= high]
        return float(min([*np.interp((low, high), self.at, self.heights), *between]))


@dataclass(frozen=True)
class Plan:
    """Rooms, the openings between and out of them, and their roofs where not all are level."""

    rooms: tuple[Room, ...]
    doorways: tuple[Doorway, ...]
    windows: tuple[Window, ...]
    roofs: tuple[Roof | None, ...] = ()

    def roof(self, room: int) -> Roof | None:
        """What is over a room; None for a level ceiling."""
        return self.roofs[room] if self.roofs else None

    def headroom(self, room: int, low: Sequence[float], high: Sequence[float]) -> float:
        """Lowest height of the ceiling over a rectangle of a room's floor."""
        roof = self.roof(room)
        return roof.least(low[roof.axis], high[roof.axis]) if roof else self.rooms[room].height


def make_plan(rng: Generator, rooms: int | None = None) -> Plan:
    """Draw a plan of `rooms` rooms (2 to 4; None draws the number)."""
    count = int(rng.integers(2, 5)) if rooms is None else rooms
    kinds = ["living", *rng.permutation(KINDS[1:])][:count]
    ceiling = rng.uniform(2.45, 2.8)
    uneven = rng.random() < 0.4
    placed: list[Room] = []
    while len(placed) < count:
        height = ceiling + (rng.uniform(-0.15, 0.35) if uneven else 0.0)
        room = _attach(placed, str(kinds[len(placed)]), round(height, 3), rng)
        if room is not None:
            placed.append(room)
    doorways = _doorways(placed, rng)
    return Plan(tuple(placed), doorways, _windows(placed, doorways, rng))


def _attach(placed: Sequence[Room], kind: str, height: float, rng: Generator) -> Room | None:
    """A new room beside one that stands already, or None where the draw does not fit."""
    size = np.array([rng.uniform(*span) for span in SIZES[kind]])[rng.permutation(2)]
    if not placed:
        return _room(kind, np.zeros(2), size, height)
    host = placed[int(rng.integers(len(placed)))]
    low, high = np.array(host.low), np.array(host.high)
    axis, side = int(rng.integers(2)), int(rng.integers(2))
    along = 1 - axis
    corner = np.empty(2)
    corner[axis] = high[axis] + WALL if side else low[axis] - WALL - size[axis]
    # The shared stretch of wall must take a doorway with its frame.
    corner[along] = rng.choice(
        [low[along], high[along] - size[along], rng.uniform(low[along] - size[along], high[along])]
    )
    shared = min(high[along], corner[along] + size[along]) - max(low[along], corner[along])
    new = _room(kind, corner, size, height)
    if shared < 1.7 or any(_overlap(new, old) for old in placed):
        return None
    return new


def _room(kind: str, corner: Any, size: Any, height: float) -> Room:
    low, high = np.round(corner, 3), np.round(corner + size, 3)
    return Room(kind, (float(low[0]), float(low[1])), (float(high[0]), float(high[1])), height)


def _overlap(a: Room, b: Room, gap: float = WALL - 1e-3) -> bool:
    return all(a.low[i] < b.high[i] + gap and b.low[i] < a.high[i] + gap for i in (0, 1))


def _doorways(rooms: Sequence[Room], rng: Generator) -> tuple[Doorway, ...]:
    """One doorway for each pair of rooms that share 1.7 m of wall or more."""
    found = []
    for i, a in enumerate(rooms):
        for j, b in enumerate(rooms):
            for axis in (0, 1):
                if abs(b.low[axis] - a.high[axis] - WALL) < 2e-3:
                    door = _doorway(a, b, (i, j), axis, rng)
                    found += [door] if door else []
    return tuple(found)


def _doorway(a: Room, b: Room, pair: tuple[int, int], axis: int, rng: Generator) -> Doorway | None:
    along = 1 - axis
    start, end = max(a.low[along], b.low[along]), min(a.high[along], b.high[along])
    if end - start < 1.7:
        return None
    width, height = (round(rng.uniform(*span), 3) for span in (DOOR_WIDTH, DOOR_HEIGHT))
    reach = 0.15 + width / 2
    centre = [0.0, 0.0]
    centre[axis] = (a.high[axis] + b.low[axis]) / 2
    centre[along] = round(rng.uniform(start + reach, end - reach), 3)
    return Doorway(pair, axis, (centre[0], centre[1]), width, height)


def _windows(
    rooms: Sequence[Room], doorways: Sequence[Doorway], rng: Generator
) -> tuple[Window, ...]:
    found: list[Window] = []
    for index, room in enumerate(rooms):
        sides = [(axis, side) for axis in (0, 1) for side in (-1, 1)]
        spans = {s: _outer_span(rooms, index, *s) for s in sides}
        fit = [s for s in sides if spans[s][1] - spans[s][0] > 1.6]
        for pick in rng.permutation(len(fit))[: 2 if room.kind == "living" else 1]:
            axis, side = fit[pick]
            found.append(_window(room, index, axis, side, spans[fit[pick]], rng))
    return tuple(found)


def _outer_span(rooms: Sequence[Room], index: int, axis: int, side: int) -> tuple[float, float]:
    """The longest stretch of one wall with nothing built within a metre behind it."""
    room, along = rooms[index], 1 - axis
    edge = room.high[axis] if side > 0 else room.low[axis]
    start, end = room.low[along], room.high[along]
    covered = []
    for other in (r for i, r in enumerate(rooms) if i != index):
        near = other.low[axis] - edge if side > 0 else edge - other.high[axis]
        if -1e-6 < near < 1.0:
            covered.append((other.low[along] - WALL, other.high[along] + WALL))
    cuts = sorted([start, end, *(min(max(v, start), end) for pair in covered for v in pair)])
    pieces = [
        (a, b)
        for a, b in itertools.pairwise(cuts)
        if not any(lo < (a + b) / 2 < hi for lo, hi in covered)
    ]
    return max(pieces, key=lambda piece: piece[1] - piece[0], default=(start, start))


def _window(
    room: Room, index: int, axis: int, side: int, span: tuple[float, float], rng: Generator
) -> Window:
    length = span[1] - span[0]
    width = float(np.clip(rng.uniform(0.35, 0.6) * length, 0.9, 2.4))
    tall = room.kind == "living" and rng.random() < 0.5
    sill = 0.14 if tall else rng.uniform(0.8, 1.0)
    top = min(rng.uniform(2.1, 2.25), room.height - 0.2)
    slack = max(length - width - 0.6, 0.0)
    centre = (span[0] + span[1]) / 2 + rng.uniform(-0.5, 0.5) * slack
    values = (round(float(v), 3) for v in (centre, width, sill, top - sill, rng.uniform(0.1, 0.2)))
    return Window(index, axis, side, *values)
