"""Rooms furnished: what stands where, without blocking doorways or the way between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from piavas.twin.finishes import Palette, RoomLook, room_look
from piavas.twin.furniture import (
    Item,
    bed,
    bookshelf,
    chair,
    clutter,
    cupboard,
    floor_lamp,
    plant,
    shade,
    sofa,
    table,
    table_lamp,
)
from piavas.twin.openings import TURNS, Footprint, dress_window, floor_before, leaves_way
from piavas.twin.plan import Doorway, Plan, Room
from piavas.twin.solids import SUNK, Kit, ellipsoid

Light = tuple[float, float, float, float]
"""x, y, z in metres and power."""

GAP = 0.02  # metres between furniture and wall
DOOR_CLEAR = 0.9  # metres before a doorway that stay free
TRIES = 60


@dataclass
class Interior:
    """Everything inside the walls.

    Args:
        kit: its solids.
        taken: floor that cannot be walked on.
        lights: lamps.
    """

    kit: Kit = field(default_factory=Kit)
    taken: list[Footprint] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)


def furnish(plan: Plan, palette: Palette, looks: list[RoomLook]) -> Interior:
    """Furnish every room of `plan`."""
    interior = Interior()
    for index, room in enumerate(plan.rooms):
        _Furnisher(plan, index, palette, looks[index], interior).run(room)
    return interior


def start_palette(rng: Generator, plan: Plan) -> tuple[Palette, list[RoomLook]]:
    """A palette whose first finish is the windows' glass, and the looks of the rooms."""
    palette = Palette(rng)
    palette.make("window glass", "paint", "cfe3f2", contrast=0.0, glow=1.3)
    return palette, [room_look(palette, room.kind) for room in plan.rooms]


class _Furnisher:
    """Places things in one room, by trial."""

    def __init__(
        self, plan: Plan, index: int, palette: Palette, look: RoomLook, interior: Interior
    ) -> None:
        self.plan, self.index, self.palette = plan, index, palette
        self.look, self.interior, self.rng = look, interior, palette.rng
        self.room = plan.rooms[index]
        self.blocked = [self._before(door) for door in plan.doorways if index in door.rooms]

    def run(self, room: Room) -> None:
        makers: dict[str, Callable[[], None]] = {
            "living": self._living,
            "kitchen": self._kitchen,
            "bedroom": self._bedroom,
            "study": self._study,
        }
        self._windows()
        makers[room.kind]()
        self._pictures(int(self.rng.integers(1, 4)))
        self._ceiling_lamp()

    def _before(self, door: Doorway) -> Footprint:
        half = [0.0, 0.0]
        half[door.axis], half[1 - door.axis] = DOOR_CLEAR, door.width / 2 + 0.1
        x, y = door.centre
        return Footprint((x - half[0], y - half[1]), (x + half[0], y + half[1]), 3.0)

    def _living(self) -> None:
        couch = sofa(self.palette, self.look, self.rng)
        self._centre_group(couch)
        self._wall(bookshelf(self.palette, self.look, self.rng))
        self._wall(self._cupboard(1.4, 0.4, 0.55, "sideboard"), topped=3)
        self._wall(sofa(self.palette, self.look, self.rng, seats=1))
        self._wall(floor_lamp(self.palette, self.look, self.rng))
        self._wall(plant(self.palette, self.rng))

    def _kitchen(self) -> None:
        self._wall(self._cupboard(float(self.rng.uniform(1.6, 2.2)), 0.6, 0.9, "counter"), topped=3)
        fridge = cupboard(
            _metal(self.look), self.rng, width=0.6, depth=0.62, height=1.8, name="fridge"
        )
        self._wall(fridge)
        self._dining()
        self._wall(plant(self.palette, self.rng))

    def _bedroom(self) -> None:
        self._wall(bed(self.palette, self.look, self.rng))
        self._wall(self._cupboard(1.5, 0.6, 2.0, "wardrobe"))
        self._wall(self._cupboard(0.9, 0.45, 0.8, "chest"), topped=2, lamp=True)
        self._wall(chair(self.palette, self.look, self.rng))
        self._rug(1.6, 1.1)

    def _study(self) -> None:
        desk = table(self.look, self.rng, width=1.3, depth=0.65, height=0.74, name="desk")
        self._wall(desk, topped=3, lamp=True)
        self._wall(bookshelf(self.palette, self.look, self.rng))
        self._wall(bookshelf(self.palette, self.look, self.rng))
        self._wall(sofa(self.palette, self.look, self.rng, seats=1))
        self._free(chair(self.palette, self.look, self.rng))

    def _cupboard(self, width: float, depth: float, height: float, name: str) -> Item:
        scale = float(self.rng.uniform(0.9, 1.1))
        return cupboard(
            self.look, self.rng, width=width * scale, depth=depth, height=height, name=name
        )

    def _wall(self, item: Item, *, topped: int = 0, lamp: bool = False) -> bool:
        """Stand `item` with its back to a wall; put things on its top if asked."""
        for _ in range(TRIES):
            axis, side = int(self.rng.integers(2)), int(self.rng.choice((-1, 1)))
            along = 1 - axis
            span = self.room.high[along] - self.room.low[along] - item.width - 0.1
            if span <= 0:
                continue
            at = [0.0, 0.0]
            edge = self.room.high[axis] if side > 0 else self.room.low[axis]
            at[axis] = edge - side * (item.depth / 2 + GAP)
            at[along] = self.room.low[along] + 0.05 + item.width / 2 + span * self.rng.random()
            if self._put(item, at, TURNS[axis, side]):
                if topped:
                    self._top(item, at, TURNS[axis, side], topped, lamp)
                return True
        return False

    def _free(self, item: Item) -> bool:
        """Stand `item` anywhere, turned to one of four sides."""
        for _ in range(TRIES):
            at = [
                self.rng.uniform(a + 0.6, b - 0.6)
                for a, b in zip(self.room.low, self.room.high, strict=True)
            ]
            if self._put(item, at, 90.0 * int(self.rng.integers(4))):
                return True
        return False

    def _put(self, item: Item, at: list[float], turn: float, gap: float = 0.06) -> bool:
        wide, deep = (item.depth, item.width) if turn % 180 else (item.width, item.depth)
        low = (at[0] - wide / 2, at[1] - deep / 2)
        high = (at[0] + wide / 2, at[1] + deep / 2)
        spot = Footprint(low, high, item.height)
        inside = self.room.holds(*low, 0.005) and self.room.holds(*high, 0.005)
        free = not any(spot.meets(other, gap) for other in self.interior.taken)
        clear = not any(spot.meets(door) for door in self.blocked)
        if not (inside and free and clear and self._leaves_windows(spot)):
            return False
        if self._beneath_roof(spot) < item.height + 0.05:
            return False
        if not leaves_way(self.plan, self.index, [*self.interior.taken, spot]):
            return False
        self.interior.taken.append(spot)
        self.interior.kit += item.kit.placed(at[0], at[1], turn)
        angle = np.radians(turn)
        for x, y, z, power in item.bulbs:
            there = (
                at[0] + x * np.cos(angle) - y * np.sin(angle),
                at[1] + x * np.sin(angle) + y * np.cos(angle),
            )
            self.interior.lights.append((float(there[0]), float(there[1]), z, power))
        return True

    def _beneath_roof(self, spot: Footprint) -> float:
        """Height over a spot under a roof; without end under a level ceiling, which all fits."""
        sloped = self.plan.roof(self.index) is not None
        return self.plan.headroom(self.index, spot.low, spot.high) if sloped else np.inf

    def _leaves_windows(self, spot: Footprint) -> bool:
        for window in self.plan.windows:
            if (
                window.room == self.index
                and spot.height > window.sill
                and spot.meets(floor_before(window, self.room))
            ):
                return False
        return True

    def _top(self, item: Item, at: list[float], turn: float, count: int, lamp: bool) -> None:
        things = clutter(
            self.palette, self.rng, 0.9 * item.width, 0.6 * item.depth, item.height, count
        )
        if lamp:
            things = clutter(
                self.palette, self.rng, 0.4 * item.width, 0.6 * item.depth, item.height, 1
            )
            light, height = table_lamp(self.palette, self.look, item.height)
            things += light.placed(0.32 * item.width, 0.0)
            self.interior.lights.append((at[0], at[1], height + 0.1, 0.35))
        self.interior.kit += things.placed(at[0], at[1], turn)

    def _centre_group(self, couch: Item) -> None:
        """A sofa with a low table and a rug before it."""
        if not self._wall(couch):
            return
        spot = self.interior.taken[-1]
        middle = [(a + b) / 2 for a, b in zip(spot.low, spot.high, strict=True)]
        way = np.array(self.room.centre) - middle
        axis = int(
            np.argmax(np.array([b - a for a, b in zip(spot.low, spot.high, strict=True)]) < 1.2)
        )
        step = [0.0, 0.0]
        step[axis] = float(np.sign(way[axis]) or 1.0)
        low = table(self.look, self.rng, width=1.05, depth=0.55, height=0.42, name="low table")
        at = [middle[k] + step[k] * 1.15 for k in (0, 1)]
        if self._put(low, at, 90.0 if axis == 0 else 0.0):
            self._top(low, at, 90.0 if axis == 0 else 0.0, 2, False)
            self._lay_rug(at, (1.7, 2.3) if axis == 0 else (2.3, 1.7))

    def _dining(self) -> None:
        """A table in the free floor with chairs on two sides."""
        board = table(self.look, self.rng, width=1.2, depth=0.8, height=0.74, name="dining table")
        for _ in range(TRIES):
            at = [
                self.rng.uniform(a + 1.0, b - 1.0) if b - a > 2 else (a + b) / 2
                for a, b in zip(self.room.low, self.room.high, strict=True)
            ]
            if self._put(board, at, 0.0, gap=0.5):
                break
        else:
            return
        self._top(board, at, 0.0, 2, False)
        for side in (-1, 1):
            for offset in (-0.3, 0.3):
                seat = chair(self.palette, self.look, self.rng)
                place = [at[0] + offset, at[1] + side * (0.42 + seat.depth / 2)]
                self._put(seat, place, 180.0 if side > 0 else 0.0, gap=0.02)

    def _rug(self, width: float, depth: float) -> None:
        self._lay_rug(list(self.room.centre), (width, depth))

    def _lay_rug(self, at: list[float], size: tuple[float, float]) -> None:
        """Lay a rug; what stands on it sinks into it, so it must come first in no order."""
        low = [max(a - s / 2, lo + 0.1) for a, s, lo in zip(at, size, self.room.low, strict=True)]
        high = [min(a + s / 2, hi - 0.1) for a, s, hi in zip(at, size, self.room.high, strict=True)]
        if min(b - a for a, b in zip(low, high, strict=True)) > 0.5:
            self.interior.kit.box((*low, SUNK), (*high, 0.014), self.look.rug)

    def _windows(self) -> None:
        for window in self.plan.windows:
            if window.room == self.index:
                kit, spots = dress_window(window, self.room, self.look, self.rng)
                self.interior.kit += kit
                self.interior.taken += spots

    def _pictures(self, count: int) -> None:
        for _ in range(count):
            axis, side = int(self.rng.integers(2)), int(self.rng.choice((-1, 1)))
            along = 1 - axis
            width, height = self.rng.uniform(0.35, 0.9), self.rng.uniform(0.3, 0.6)
            at = [0.0, 0.0]
            edge = self.room.high[axis] if side > 0 else self.room.low[axis]
            at[axis] = edge - side * 0.012
            at[along] = float(
                self.rng.uniform(self.room.low[along] + 0.5, self.room.high[along] - 0.5)
            )
            half = [0.3, 0.3]
            half[along] = width / 2
            spot = Footprint(
                (at[0] - half[0], at[1] - half[1]), (at[0] + half[0], at[1] + half[1]), 2.0
            )
            tall = [t for t in self.interior.taken if t.height > 1.1]
            windows = [
                floor_before(w, self.room) for w in self.plan.windows if w.room == self.index
            ]
            if any(spot.meets(other) for other in (*tall, *self.blocked, *windows)):
                continue
            if self._beneath_roof(spot) < 1.6 + height / 2:
                continue
            frame = Kit()
            art = self.palette.make(
                "picture or mirror", "art", ("b9c4c9", "d9b38c", "8fae9b", "c48a7a"), contrast=1.5
            )
            frame.box(
                (-width / 2 - 0.03, -0.02, 1.55 - height / 2 - 0.03),
                (width / 2 + 0.03, 0.012, 1.55 + height / 2 + 0.03),
                self.look.wood,
            )
            frame.box(
                (-width / 2, -0.02, 1.55 - height / 2), (width / 2, 0.018, 1.55 + height / 2), art
            )
            self.interior.kit += frame.placed(at[0], at[1], TURNS[axis, side])

    def _ceiling_lamp(self) -> None:
        x, y = self.room.centre
        z = self.plan.headroom(self.index, (x, y), (x, y))
        lamp = Kit()
        lamp.add(ellipsoid((0, 0, z - 0.12), (0.2, 0.2, 0.11), (0, 0, 0), 24), shade(self.palette))
        lamp.box((-0.05, -0.05, z - 0.08), (0.05, 0.05, z + 0.02), self.look.trim)
        self.interior.kit += lamp.placed(x, y)
        self.interior.lights.append((x, y, z - 0.26, 1.6))


def _metal(look: RoomLook) -> RoomLook:
    from dataclasses import replace

    return replace(look, wood=look.metal)
