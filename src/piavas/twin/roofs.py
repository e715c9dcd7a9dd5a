"""Ceilings that are not level: slopes over knee walls, gables, and two heights in one room.

A roof is a profile across one axis of its room, drawn on along the other. It is what is left of the
room's box above the profile, and so a solid that is taken from the air as furniture is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.random import Generator

from piavas.errors import DataError
from piavas.twin.finishes import RoomLook
from piavas.twin.plan import Plan, Roof, Room, Window
from piavas.twin.solids import Kit

CeilingKind = Literal["level", "pitched", "gabled", "attic", "stepped"]
"""What the ceilings of a world are: level; one slope from a knee wall to the wall across; two
slopes that meet in a ridge; slopes from knee walls to a level ceiling; two levels in one room."""
KINDS = get_args(CeilingKind)
KNEE = (1.25, 1.6)  # metres, height of the wall under a slope
RIDGE = (2.7, 3.8)  # metres, least and greatest height of a ridge
DOOR_ROOM = 0.08  # metres between a doorway's lintel and the ceiling
WINDOW_ROOM = 0.2  # metres over a window, for its rod and curtains
PAST = 0.05  # metres that a roof reaches into the walls and over the ceiling


def draw_roofs(plan: Plan, kind: CeilingKind, rng: Generator) -> Plan | None:
    """`plan` with roofs of one kind over each room that its doorways leave one for, None if none.

    Windows that a roof would cut are left out.

    Raises:
        DataError: an unknown kind.
    """
    if kind not in KINDS:
        raise DataError(f"{kind!r} is no ceiling", field="ceiling", mend=f"choose one of {KINDS}")
    if kind == "level":
        return plan
    roofs = [_fitting(plan, index, kind, rng) for index in range(len(plan.rooms))]
    if not any(roofs):
        return None
    rooms = tuple(
        replace(room, height=max(roof.heights)) if roof else room
        for room, roof in zip(plan.rooms, roofs, strict=True)
    )
    roofed = replace(plan, rooms=rooms, roofs=tuple(roofs))
    return replace(roofed, windows=tuple(w for w in plan.windows if _clears(roofed, w)))


def _fitting(plan: Plan, index: int, kind: CeilingKind, rng: Generator) -> Roof | None:
    """A roof under which all doorways of the room stay, on its axes and sides in a drawn order."""
    profile = PROFILES[kind]
    for pick in rng.permutation(4):
        roof = profile(plan.rooms[index], int(pick) // 2, bool(pick % 2), rng)
        doors = [door for door in plan.doorways if index in door.rooms]
        half = [[d.width / 2 if k != d.axis else 0.0 for k in (0, 1)] for d in doors]
        if all(
            roof.least(d.centre[roof.axis] - h[roof.axis], d.centre[roof.axis] + h[roof.axis])
            > d.height + DOOR_ROOM
            for d, h in zip(doors, half, strict=True)
        ):
            return roof
    return None


def _clears(plan: Plan, window: Window) -> bool:
    roof, room = plan.roofs[window.room], plan.rooms[window.room]
    if roof is None:
        return True
    if roof.axis == window.axis:
        ends = (room.high if window.side > 0 else room.low)[roof.axis]
        low, high = ends, ends
    else:
        low, high = (window.centre + s * (window.width / 2 + 0.1) for s in (-1, 1))
    return bool(roof.least(low, high) > window.sill + window.height + WINDOW_ROOM)


def _profile(room: Room, axis: int, turned: bool, shape: list[tuple[float, float]]) -> Roof:
    """A roof from `(metres from the lower wall, height)`, or from the higher wall if `turned`."""
    points = [(room.low[axis] + u, z) for u, z in shape]
    if turned:
        points = [(room.low[axis] + room.high[axis] - u, z) for u, z in points[::-1]]
    at, heights = zip(*((round(u, 3), round(z, 3)) for u, z in points), strict=True)
    return Roof(axis, at, heights)


def _pitched(room: Room, axis: int, turned: bool, rng: Generator) -> Roof:
    width = room.high[axis] - room.low[axis]
    knee = rng.uniform(*KNEE)
    top = np.clip(knee + width * np.tan(np.radians(rng.uniform(18, 35))), *RIDGE)
    return _profile(room, axis, turned, [(0, knee), (width, float(top))])


def _gabled(room: Room, axis: int, turned: bool, rng: Generator) -> Roof:
    width = room.high[axis] - room.low[axis]
    knee, middle = rng.uniform(*KNEE), rng.uniform(0.42, 0.58) * width
    top = np.clip(knee + width / 2 * np.tan(np.radians(rng.uniform(28, 40))), *RIDGE)
    return _profile(room, axis, turned, [(0, knee), (middle, float(top)), (width, knee)])


def _attic(room: Room, axis: int, turned: bool, rng: Generator) -> Roof:
    width = room.high[axis] - room.low[axis]
    knee, run = rng.uniform(*KNEE), 0.0
    run = min((room.height - knee) / np.tan(np.radians(rng.uniform(32, 48))), 0.4 * width)
    shape = [(0.0, knee), (run, room.height), (width, room.height)]
    if rng.random() < 0.5:
        shape[2:] = [(width - run, room.height), (width, knee)]
    return _profile(room, axis, turned, shape)


def _stepped(room: Room, axis: int, turned: bool, rng: Generator) -> Roof:
    width = room.high[axis] - room.low[axis]
    low, high = rng.uniform(2.38, 2.5), rng.uniform(2.9, 3.1)
    step = rng.uniform(0.28, 0.42) * width
    return _profile(room, axis, turned, [(0, low), (step, low), (step, high), (width, high)])


PROFILES: dict[str, Callable[[Room, int, bool, Generator], Roof]] = {
    "pitched": _pitched,
    "gabled": _gabled,
    "attic": _attic,
    "stepped": _stepped,
}


def build_roofs(plan: Plan, looks: list[RoomLook]) -> Kit:
    """The solids above the rooms' profiles."""
    kit = Kit()
    for room, look, roof in zip(plan.rooms, looks, plan.roofs or (), strict=False):
        if roof:
            kit.add(_solid(room, roof), (*(look.wall,) * 4, look.ceiling, look.ceiling))
    return kit


def _solid(room: Room, roof: Roof) -> Any:
    import manifold3d as m3

    u, z = np.array(roof.at), np.array(roof.heights)
    u = np.concatenate([[u[0] - PAST], u, [u[-1] + PAST]])
    z = np.concatenate([z[:1], z, z[-1:]])
    top = room.height + 3 * PAST
    outline = np.concatenate([np.stack([u, z], 1), [[u[-1], top], [u[0], top]]])
    along = 1 - roof.axis
    low, high = room.low[along] - PAST, room.high[along] + PAST
    solid = m3.Manifold.extrude(m3.CrossSection([outline], m3.FillRule.NonZero), high - low)
    turn = np.zeros((3, 4))
    turn[roof.axis, 0] = turn[along, 2] = turn[2, 1] = 1
    turn[along, 3] = low
    return solid.transform(turn)
