"""Rooms as boxes of air, doorways and windows between and out of them, and what hangs there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import label

from piavas.twin.finishes import RoomLook
from piavas.twin.plan import WALL, Doorway, Plan, Room, Window
from piavas.twin.solids import Kit, cylinder, wavy_sheet

GLASS = 0
"""Index of the pane's finish: the first of every palette."""
TURNS = {(1, -1): 0.0, (0, 1): 90.0, (1, 1): 180.0, (0, -1): 270.0}
"""Turn in degrees of a piece with its back to the wall across an axis on a side."""
HANG = 0.085  # metres from a wall to the curtains before it
FOLD = 0.06  # metres, depth of a curtain's folds
BAR = 0.045  # metres, breadth of the bars of a window
BODY = 0.32  # metres that someone who walks needs to each side
CELL = 0.08  # metres of the map on which ways are sought
OVER = 0.05  # metres that a room's box goes on above its roof
CASEMENT = 0.75  # metres that a window's wing is wide at most, about


@dataclass(frozen=True)
class Footprint:
    """Floor that something takes: `(x, y)` of its corners, and how high it reaches."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: float

    def meets(self, other: Footprint, gap: float = 0.0) -> bool:
        """Whether the two come nearer than `gap`."""
        return all(
            a - gap < d and c - gap < b
            for a, b, c, d in zip(self.low, self.high, other.low, other.high, strict=True)
        )


def build_shell(plan: Plan, looks: list[RoomLook]) -> Kit:
    """Rooms, doorways and window reveals as boxes of air."""
    kit = Kit()
    for index, (room, look) in enumerate(zip(plan.rooms, looks, strict=True)):
        top = room.height + (OVER if plan.roof(index) else 0.0)
        sides = (look.wall, look.feature, look.wall, look.wall, look.ceiling, look.floor)
        kit.box((*room.low, 0.0), (*room.high, top), sides)
    for door in plan.doorways:
        low, high = _door_box(door)
        kit.box(low, high, (looks[door.rooms[0]].trim,) * 5 + (looks[door.rooms[0]].floor,))
    for window in plan.windows:
        _open_window(kit, window, plan.rooms[window.room], looks[window.room])
    return kit


def _door_box(door: Doorway) -> tuple[list[float], list[float]]:
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, door.height]
    across, along = door.axis, 1 - door.axis
    low[across], high[across] = (door.centre[across] + s * (WALL / 2 + 0.01) for s in (-1, 1))
    low[along], high[along] = (door.centre[along] + s * door.width / 2 for s in (-1, 1))
    return low, high


def _edge(window: Window, room: Room) -> float:
    """Where the inner face of the window's wall lies on the axis across it."""
    return room.high[window.axis] if window.side > 0 else room.low[window.axis]


def _open_window(kit: Kit, window: Window, room: Room, look: RoomLook) -> None:
    axis, along = window.axis, 1 - window.axis
    edge = _edge(window, room)
    low, high = [0.0, 0.0, window.sill], [0.0, 0.0, window.sill + window.height]
    ends = sorted((edge - 0.01 * window.side, edge + window.depth * window.side))
    low[axis], high[axis] = ends
    low[along], high[along] = window.centre - window.width / 2, window.centre + window.width / 2
    sides = [look.trim] * 6
    # The pane faces back into the room.
    sides[2 * axis + (0 if window.side > 0 else 1)] = GLASS
    kit.box(low, high, (sides[0], sides[1], sides[2], sides[3], sides[4], sides[5]))


def dress_window(
    window: Window, room: Room, look: RoomLook, rng: Generator
) -> tuple[Kit, list[Footprint]]:
    """Bars, a sill board, and curtains on a rod; and the floor that the curtains take."""
    kit = _frame(window, look)
    turn = TURNS[window.axis, window.side]
    # The piece's own x runs along the wall, up or down its coordinate.
    sign = 1 if turn in (0.0, 90.0) else -1
    near, far = (sign * (end - window.centre) for end in _ends(window, room))
    room_for = (min(near, far) + 0.02, max(near, far) - 0.02)
    foot = 0.03 if rng.random() < 0.6 else max(window.sill - 0.2, 0.03)
    top = min(window.sill + window.height + 0.12, room.height - 0.06)
    half, spots = window.width / 2, []
    for side in (-1, 1):
        width = float(rng.uniform(0.3, 0.42))
        x0, x1 = sorted((side * (half - 0.12), side * (half - 0.12 + width)))
        x0, x1 = max(x0, room_for[0]), min(x1, room_for[1])
        if x1 - x0 < 0.15:
            continue
        sheet = wavy_sheet(x0, x1, foot, top, max(2, int((x1 - x0) / 0.075)), FOLD, 0.016)
        kit.add(sheet.translate((0, HANG, 0)), look.curtain)
        spots.append(_spot(window, room, sign * x0, sign * x1, top))
    if spots:
        _rod(kit, look, max(-half - 0.35, room_for[0]), min(half + 0.35, room_for[1]), top)
    at = [0.0, 0.0]
    at[window.axis], at[1 - window.axis] = _edge(window, room), window.centre
    return kit.placed(at[0], at[1], turn), spots


def _ends(window: Window, room: Room) -> tuple[float, float]:
    return room.low[1 - window.axis], room.high[1 - window.axis]


def _frame(window: Window, look: RoomLook) -> Kit:
    """Bars before the pane and a board on the sill, in the frame of the wall."""
    kit = Kit()
    half, low, high = window.width / 2, window.sill, window.sill + window.height
    y0, y1 = -window.depth - 0.02, -window.depth + BAR
    wings = max(1, round(window.width / CASEMENT))
    for i in range(wings + 1):
        x = -half + i * window.width / wings
        broad = BAR if i in (0, wings) else 1.4 * BAR
        kit.box((x - broad / 2, y0, low - 0.02), (x + broad / 2, y1, high + 0.02), look.trim)
    for z in (low, high):
        kit.box((-half - 0.02, y0, z - BAR), (half + 0.02, y1, z + BAR), look.trim)
    kit.box((-half - 0.05, y0, low - 0.03), (half + 0.05, 0.03, low + 0.006), look.trim)
    return kit


def _rod(kit: Kit, look: RoomLook, x0: float, x1: float, z: float) -> None:
    rod = cylinder(0, 0, x0, x1, 0.013, sides=12).rotate((0, 90, 0))
    kit.add(rod.translate((0, HANG, z - 0.005)), look.metal)
    for x in (x0 + 0.05, x1 - 0.05):
        kit.box((x - 0.012, -0.02, z - 0.017), (x + 0.012, HANG, z + 0.007), look.metal)


def _spot(window: Window, room: Room, one: float, two: float, top: float) -> Footprint:
    low, high = [0.0, 0.0], [0.0, 0.0]
    reach = (HANG + FOLD / 2 + 0.01) * window.side
    low[window.axis], high[window.axis] = sorted((_edge(window, room), _edge(window, room) - reach))
    ends = sorted((window.centre + one, window.centre + two))
    low[1 - window.axis], high[1 - window.axis] = ends
    return Footprint((low[0], low[1]), (high[0], high[1]), top)


def floor_before(window: Window, room: Room) -> Footprint:
    """Floor from which nothing tall may hide a window."""
    axis, along = window.axis, 1 - window.axis
    edge = _edge(window, room)
    low, high = [0.0, 0.0], [0.0, 0.0]
    low[axis], high[axis] = sorted((edge, edge - 0.3 * window.side))
    reach = window.width / 2 + 0.45
    low[along], high[along] = window.centre - reach, window.centre + reach
    return Footprint((low[0], low[1]), (high[0], high[1]), 3.0)


def leaves_way(plan: Plan, index: int, taken: list[Footprint]) -> bool:
    """Whether one can walk between all doorways of a room, and to most of its free floor."""
    room = plan.rooms[index]
    x, y = (np.arange(room.low[k] + BODY, room.high[k] - BODY, CELL) for k in (0, 1))
    free = np.ones((x.size, y.size), bool)
    for spot in taken:
        low, high = np.array(spot.low) - BODY, np.array(spot.high) + BODY
        across, along = (x > low[0]) & (x < high[0]), (y > low[1]) & (y < high[1])
        free[across[:, None] & along[None]] = False
    parts, _ = label(free, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=2)
    largest = 1 + int(sizes[1:].argmax())
    for door in (d for d in plan.doorways if index in d.rooms):
        inward = np.sign(np.array(room.centre) - door.centre)[door.axis]
        spot_before = np.array(door.centre)
        spot_before[door.axis] += inward * (WALL / 2 + BODY + CELL)
        i, j = (int(np.abs(axis - v).argmin()) for axis, v in zip((x, y), spot_before, strict=True))
        if parts[i, j] != largest:
            return False
    return bool(sizes[largest] > 0.8 * sizes[1:].sum())
