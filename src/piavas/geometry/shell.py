"""The closed shell of the rooms: walls extended to meet, floors and ceilings in between.

Wall planes cut the floor plan into cells, which are labelled inside or outside (`cells`). Each
inside cell gets the ceiling seen above it, and the slopes of its room that come down to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from piavas.errors import GeometryError
from piavas.geometry.bounds import DEEPEST, find_edges
from piavas.geometry.ceilings import LOWEST_TOP, find_ceilings, find_rooms
from piavas.geometry.cells import label_cells
from piavas.geometry.fusion import SURE, Box, Fused
from piavas.geometry.planes import APART, Crossings, Plane, crossings, find_planes
from piavas.geometry.prisms import Caps, Plan, prisms_distance
from piavas.geometry.slopes import (
    GROWN,
    Slope,
    by_room,
    covers,
    find_slopes,
    lowest,
    of_rooms,
    ridges,
    without,
)

WALL_AREA = 0.6  # square metres seen of a wall from which it counts
FAINT_AREA = 0.2  # likewise where free space ends and no other wall was seen
LEVEL_AREA = 0.4  # likewise of a floor or ceiling
TALLEST_GAP = 0.25  # metres of a plan's cells that are thinner than a wall
HELD = 0.8  # metres over the floor that cameras are held at least, where tables are doubted
UNDER_TABLE = 0.25  # metres under a table at which free space tells
USUAL_HEIGHT = 2.5  # metres from the floor to a ceiling that nobody saw
CEILING_AREA = 1.5  # square metres of a level that is a ceiling for sure, before rooms are known
LOWEST_SLOPE = 0.5  # metres over the floor to which slopes are taken down at least
STRAY = 0.03  # of the most free space across an axis under which it is stray rays


@dataclass(frozen=True)
class Shell:
    """The rooms as boxes of air.

    Args:
        distance: `[x, y, z]` signed metres to the shell, positive inside, cut at half a metre.
        planes: the planes it is made of.
        floor: metres of the lowest floor.
        ceilings: metres of the level ceilings used.
        slopes: slanted ceilings used.
        top: metres of the highest place.
        seen_floor: whether a floor plane was seen.
        seen_ceiling: whether any ceiling plane was seen.
    """

    distance: NDArray[np.float32]
    planes: tuple[Plane, ...]
    floor: float
    ceilings: tuple[float, ...]
    slopes: tuple[Slope, ...]
    top: float
    seen_floor: bool
    seen_ceiling: bool


def build_shell(fused: Fused, box: Box, cameras: NDArray[np.float64]) -> Shell:
    """The closed shell about the seen free space.

    Args:
        fused: the field.
        box: its grid.
        cameras: `[n, 3]` camera positions in the turned frame.

    Raises:
        GeometryError: hardly any free space was seen.
    """
    slopes = find_slopes(fused, box, cameras)
    across = [without(crossings(fused, box, axis), slopes, box.voxel) for axis in range(3)]
    walls = [find_planes(across[k], k, WALL_AREA) for k in (0, 1)]
    levels = find_planes(across[2], 2, LEVEL_AREA)
    free, sure = fused.free >= SURE, fused.sure >= SURE
    if free.sum() * box.voxel**3 < 0.5:
        raise GeometryError(
            "hardly any free space was seen",
            field="depth",
            mend="check the unit of the depth and the poses",
        )
    floor, seen_floor = _floor(levels, free, box, cameras)
    top, seen_ceiling = _highest(levels, free, box, cameras)
    if not seen_ceiling:
        top = max(top, floor + USUAL_HEIGHT)
    faint = [find_planes(across[k], k, FAINT_AREA) for k in (0, 1)]
    walls = [strong + _behind(strong, weak) for strong, weak in zip(walls, faint, strict=True)]
    plan = _plan(walls, faint, free, box)
    under = _local_top(across[2], levels, slopes, box, floor, top)
    edges = find_edges(plan, walls, across, box, floor, under)
    inside = label_cells(plan, edges, free, sure, box, cameras, floor, top, under)
    rooms = find_rooms(inside, [(edge.one, edge.two, max(edge.walls)) for edge in edges])
    slopes = by_room(slopes, rooms, plan.x, plan.y)
    seen = of_rooms(slopes, rooms, plan.x, plan.y)
    ceiling = find_ceilings(
        plan.x,
        plan.y,
        rooms,
        across[2].only((across[2].facing < 0) & (across[2].at[:, 2] > np.median(cameras[:, 2]))),
        np.concatenate([across[0].at, across[1].at]),
        _free_columns(free, plan, box),
        floor,
        top,
        ridges(slopes, seen, rooms, plan.x, plan.y, box.voxel),
    )
    cover = covers(slopes, seen, rooms, ceiling, plan.cell_of(box), free, box)
    caps = Caps(inside, ceiling, cover, floor, tuple(slopes))
    used = np.flatnonzero(cover[inside].any(axis=0))
    level = caps.level(plan)
    return Shell(
        prisms_distance(plan, caps, box),
        tuple(walls[0] + walls[1] + _with_ceilings(levels, level)),
        floor,
        level,
        tuple(slopes[n] for n in used),
        float(ceiling[inside].max()),
        seen_floor,
        seen_ceiling or len(used) > 0,
    )


def _behind(walls: list[Plane], faint: list[Plane]) -> list[Plane]:
    """Planes of `faint` that lie behind one of `walls`: of a wall behind curtains little shows."""

    def hidden(plane: Plane, by: Plane) -> bool:
        depth = plane.facing * (by.offset - plane.offset)
        return by.facing == plane.facing and APART < depth < DEEPEST

    known = {(plane.facing, plane.offset) for plane in walls}
    new = [plane for plane in faint if (plane.facing, plane.offset) not in known]
    return [plane for plane in new if any(hidden(plane, wall) for wall in walls)]


def _floor(
    levels: list[Plane], free: NDArray[np.bool_], box: Box, cameras: NDArray[np.float64]
) -> tuple[float, bool]:
    """The lowest large level that faces up below the cameras; else the lowest free space.

    A level close under the cameras below which there is free space is the top of a table.
    """
    up = [p for p in levels if p.facing > 0 and p.offset < cameras[:, 2].min()]
    seen = free.sum(axis=(0, 1))
    if up:
        large = max(p.area for p in up)
        lowest = min(p.offset for p in up if p.area > 0.15 * large)
        beneath = box.axis(2) < lowest - UNDER_TABLE
        if cameras[:, 2].min() - lowest > HELD or not _much(seen)[beneath].any():
            return lowest, True
    # Few rays graze an unseen floor.
    low = np.nonzero(_much(seen, STRAY / 3))[0].min()
    return float(box.axis(2)[low] - 0.5 * box.voxel), False


def _highest(
    levels: list[Plane], free: NDArray[np.bool_], box: Box, cameras: NDArray[np.float64]
) -> tuple[float, bool]:
    """The largest level that faces down above the cameras; else above the highest free space."""
    down = [p for p in levels if p.facing < 0 and p.offset > np.median(cameras[:, 2])]
    if down:
        return max(down, key=lambda p: p.area).offset, True
    high = np.nonzero(_much(free.sum(axis=(0, 1))))[0].max()
    return float(box.axis(2)[high] + 0.5 * box.voxel), False


def _with_ceilings(levels: list[Plane], ceilings: tuple[float, ...]) -> list[Plane]:
    """Levels, with the ceilings of the rooms for those that they are seen in together.

    A ceiling that nobody saw is no plane: what lies on it is invented.
    """

    def near(plane: Plane, height: float) -> bool:
        return plane.facing < 0 and abs(plane.offset - height) <= APART

    alone = [plane for plane in levels if not any(near(plane, height) for height in ceilings)]
    seen = [height for height in ceilings if any(near(plane, height) for plane in levels)]
    return alone + [Plane(2, height, -1, CEILING_AREA) for height in seen]


def _local_top(
    level: Crossings,
    planes: list[Plane],
    slopes: list[Slope],
    box: Box,
    floor: float,
    top: float,
) -> NDArray[np.float64]:
    """Metres `[x, y]` to which walls go up about each column: `top` where no ceiling is lower."""
    out = np.full(box.shape[:2], top)
    for plane in planes:
        if plane.facing > 0 or plane.area < CEILING_AREA or plane.offset - floor < LOWEST_TOP:
            continue
        at = box.index(level.at[np.abs(level.at[:, 2] - plane.offset) < 0.03])
        seen = np.zeros(out.shape, bool)
        seen[at[:, 0], at[:, 1]] = True
        about = distance_transform_edt(~seen) * box.voxel < GROWN
        out[about] = np.minimum(out[about], plane.offset)
    slant = lowest(slopes, box.axis(0)[:, None], box.axis(1)[None], top)
    return np.minimum(out, np.maximum(slant, floor + LOWEST_SLOPE))


def _much(count: NDArray[np.int64], share: float = STRAY) -> NDArray[np.bool_]:
    """Where free space is more than stray rays."""
    return np.asarray(count > share * count.max())


def _free_columns(
    free: NDArray[np.bool_], plan: Plan, box: Box
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Heights `[z]`, and how many columns of each cell are free at them; last, all it has."""
    i, j = plan.cell_of(box)
    out = np.zeros((*plan.shape, len(box.axis(2)) + 1), np.int64)
    rows, columns = np.nonzero(i >= 0)[0], np.nonzero(j >= 0)[0]
    part = free[np.ix_(rows, columns)]
    part = np.concatenate([part, np.ones((*part.shape[:2], 1), bool)], axis=2)
    np.add.at(out, (i[rows][:, None], j[columns][None]), part)
    return box.axis(2), out


def _plan(
    walls: list[list[Plane]], faint: list[list[Plane]], free: NDArray[np.bool_], box: Box
) -> Plan:
    """Lines at wall planes, and at the ends of the free space, where a room may end unseen.

    Free space is not told apart close to a surface: it ends short of a wall that was hardly seen.
    """
    lines = []
    for axis in (0, 1):
        seen = np.nonzero(_much(free.sum(axis=(1 - axis, 2))))[0]
        ends = box.axis(axis)[[seen.min(), seen.max()]] + np.array([-1, 1]) * box.voxel
        at = [plane.offset for plane in walls[axis]]
        extra = [
            _nearest([plane.offset for plane in faint[axis]], end)
            for end in ends
            if not any(abs(end - a) < TALLEST_GAP for a in at)
        ]
        sides = [box.axis(axis)[0], box.axis(axis)[-1]]
        lines.append(np.unique(np.array([*at, *extra, *sides])))
    return Plan(lines[0], lines[1])


def _nearest(offsets: list[float], end: float) -> float:
    """The offset nearest to `end`, or `end` where none is near."""
    near = min(offsets, key=lambda offset: abs(offset - end), default=end)
    return near if abs(near - end) < TALLEST_GAP else end


def wall_zones(shell: Shell, box: Box, thickest: float = 0.4) -> NDArray[np.bool_]:
    """Columns `[x, y]` outside the shell that lie between two of its rooms: walls with doorways."""
    inside = (shell.distance > 0).any(axis=2)
    reach = 0.5 * thickest
    grown = distance_transform_edt(~inside) * box.voxel <= reach
    closed = distance_transform_edt(grown) * box.voxel > reach
    return closed & ~inside
