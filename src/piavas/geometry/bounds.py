"""Boundaries between the cells of a floor plan, and what was seen of a wall there.

Furniture ends below: it is the upper part of a wall that tells. A curtain or a cupboard that goes
as high still ends under the ceiling, where the wall behind it shows over its top, or it hangs, and
the wall behind it shows under it, down to the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np
from numpy.typing import NDArray

from piavas.geometry.fusion import Box
from piavas.geometry.planes import Crossings, Plane
from piavas.geometry.prisms import Plan

Bools = NDArray[np.bool_]

UNSEEN_COST = 0.6  # of a metre of boundary without a wall, re one metre of plan
UPPER = 0.8  # of the height, from which surfaces tell a wall from furniture
COLUMN = 0.1  # metres of a wall's length that are looked at together
SHOWS = 3  # surfaces above what stands before it from which a wall shows in a column
LEAST = 2  # such columns of a cell that are stray
DEEPEST = 0.7  # metres that cupboards and curtains stand before a wall
FOOT = 0.1, 0.5  # metres over the floor between which a wall shows that stands there
WAIST = 1.0  # metres over the floor from which what hangs shows as well as in the upper part
THIRD = 0.33  # of its full surface from which a wall shows in a column
NEAR = 0.08  # metres from a line within which a surface is the wall there


@dataclass(frozen=True)
class Edge:
    """The boundary between two cells.

    Args:
        one: number of the cell on the side of falling coordinates.
        two: of the other.
        length: metres.
        walls: shares seen as a wall that faces `one`, and as one that faces `two`.
    """

    one: int
    two: int
    length: float
    walls: tuple[float, float]

    @property
    def costs(self) -> tuple[float, float]:
        """Of a room that ends here with cell `one`, and of one with `two`: metres unseen."""
        one, two = (self.length * (0.02 + UNSEEN_COST * (1 - wall)) for wall in self.walls)
        return one, two


def find_edges(
    plan: Plan,
    walls: list[list[Plane]],
    across: list[Crossings],
    box: Box,
    floor: float,
    under: NDArray[np.float64],
) -> list[Edge]:
    """Neighbouring cells, and what was seen of a wall between them.

    Args:
        plan: the cells.
        walls: planes across x and across y that lines of the plan were drawn along.
        across: surfaces seen across x and across y.
        box: the grid.
        floor: metres.
        under: `[x, y]` metres to which walls go up.
    """
    nx, ny = plan.shape
    number = np.arange(nx * ny).reshape(nx, ny)
    found = []
    for axis in (0, 1):
        lines, other = (plan.x, plan.y) if axis == 0 else (plan.y, plan.x)
        at = across[axis].at
        i, j, _ = box.index(at).T
        facing, tall = across[axis].facing, under[i, j] - floor
        within = {
            "upper": (at[:, 2] > floor + UPPER * tall) & (at[:, 2] < under[i, j]),
            "waist": (at[:, 2] > floor + WAIST) & (at[:, 2] < floor + UPPER * tall),
            "foot": (at[:, 2] > floor + FOOT[0]) & (at[:, 2] < floor + FOOT[1]),
        }
        bins = [max(1, int(length / COLUMN)) for length in np.diff(other)]
        columns = [np.linspace(*ends, n + 1) for ends, n in zip(pairwise(other), bins, strict=True)]
        edges = np.unique(np.concatenate(columns))
        cells = np.split(np.arange(len(edges) - 1), np.cumsum(bins)[:-1])
        full = _full(lines, edges, axis, box, floor, under)
        column = np.clip(np.searchsorted(edges, at[:, 1 - axis], "right") - 1, 0, len(edges) - 2)
        shares = {}
        for way in (-1, 1):
            owner = _owners(lines, walls[axis], at[:, axis], way)
            spots = {
                part: _Spots(owner[mine], column[mine], at[mine, 2])
                for part, mine in ((part, (facing == way) & on) for part, on in within.items())
            }
            upper = spots["upper"]
            share = _without_hung(upper.shares(full), upper, way * lines, cells, box.voxel)
            shares[way] = _on_feet(share, spots, way * lines, cells, edges, box.voxel)
        for line in range(1, len(lines) - 1):
            for cell in range(len(other) - 1):
                one, two = (float(shares[way][line, cells[cell]].mean()) for way in (-1, 1))
                pair = (line - 1, cell), (line, cell)
                if axis == 1:
                    pair = (cell, line - 1), (cell, line)
                ends = int(number[pair[0]]), int(number[pair[1]])
                found.append(Edge(*ends, float(other[cell + 1] - other[cell]), (one, two)))
    return found


@dataclass(frozen=True)
class _Spots:
    """Surfaces in the upper part of walls that face one way.

    Args:
        line: `[n]` lines that they lie on, -1 for none.
        column: `[n]` columns along the lines.
        height: `[n]` metres.
    """

    line: NDArray[np.int64]
    column: NDArray[np.int64]
    height: NDArray[np.float64]

    def shares(self, full: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of each column `[l, b]` of each line is wall, of `full` surfaces."""
        count = np.zeros(full.shape)
        on = self.line >= 0
        np.add.at(count, (self.line[on], self.column[on]), 1)
        return np.minimum(count / full, 1)

    def over(self, one: int, two: int, count: int, voxel: float) -> NDArray[np.bool_]:
        """In which of `count` columns line `one` shows over the top of line `two`, if it is there.

        A few surfaces that do are stray.
        """
        top = np.full(count, -np.inf)
        mine = self.line == two
        np.maximum.at(top, self.column[mine], self.height[mine])
        mine = (self.line == one) & (self.height > top[self.column] + voxel)
        return (np.bincount(self.column[mine], minlength=count) >= SHOWS) & np.isfinite(top)


def _full(
    lines: NDArray[np.float64],
    edges: NDArray[np.float64],
    axis: int,
    box: Box,
    floor: float,
    under: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Surfaces `[l, b]` from which a column counts as wall: a third of those of its upper part.

    Args:
        lines: `[l]` of the plan across `axis`.
        edges: `[b + 1]` ends of the columns.
        axis: 0 or 1.
        box: the grid.
        floor: metres.
        under: `[x, y]` metres to which walls go up.
    """
    spot = np.zeros((len(lines), len(edges) - 1, 3))
    spot[..., axis] = lines[:, None]
    spot[..., 1 - axis] = (edges[1:] + edges[:-1]) / 2
    i, j, _ = np.moveaxis(box.index(spot), -1, 0)
    height = THIRD * (1 - UPPER) * (under[i, j] - floor)
    return np.maximum(height * np.diff(edges) / box.voxel**2, 1e-9)


def _without_hung(
    shares: NDArray[np.float64],
    spots: _Spots,
    offset: NDArray[np.float64],
    cells: list[NDArray[np.int64]],
    voxel: float,
) -> NDArray[np.float64]:
    """`shares` `[l, b]` of walls alone: curtains and cupboards end under the ceiling.

    Where a line shows over the top of a nearer one, the wall goes on behind that.

    Args:
        shares: of the columns.
        spots: the surfaces.
        offset: `[l]` of the lines, rising into the room.
        cells: the columns of each cell along the lines.
        voxel: metres.
    """
    count = shares.shape[1]

    def evidence(near: int, far: int) -> tuple[Bools, Bools, Bools]:
        behind = spots.over(far, near, count, voxel)
        return behind, spots.over(near, far, count, voxel), behind

    return _moved_behind(shares, offset, cells, evidence)


def _on_feet(
    shares: NDArray[np.float64],
    spots: dict[str, _Spots],
    offset: NDArray[np.float64],
    cells: list[NDArray[np.int64]],
    edges: NDArray[np.float64],
    voxel: float,
) -> NDArray[np.float64]:
    """`shares` `[l, b]` of walls that stand on the floor.

    Where a line shows under what is seen of a nearer one from its waist up, that one hangs. A
    lintel has no waist: what shows under it may lie in a recess.

    Args:
        shares: of the columns.
        spots: the surfaces of the upper part, the waist and the foot.
        offset: `[l]` of the lines, rising into the room.
        cells: the columns of each cell along the lines.
        edges: `[b + 1]` ends of the columns, metres.
        voxel: metres.
    """
    room = THIRD * np.diff(edges) / voxel**2
    full = np.broadcast_to(np.maximum(room * (FOOT[1] - FOOT[0]), 1e-9), shares.shape)
    feet = spots["foot"].shares(full) >= 1
    body = (spots["waist"].shares(full) >= 1) & (shares > 0) & ~feet
    return _moved_behind(
        shares, offset, cells, lambda near, far: (body[near] & feet[far], feet[near], feet[far])
    )


def _moved_behind(
    shares: NDArray[np.float64],
    offset: NDArray[np.float64],
    cells: list[NDArray[np.int64]],
    evidence: Callable[[int, int], tuple[Bools, Bools, Bools]],
) -> NDArray[np.float64]:
    """`shares` `[l, b]`, where nearer lines lose their cells to walls close behind them.

    Args:
        shares: of the columns.
        offset: `[l]` of the lines, rising into the room.
        cells: the columns of each cell along the lines.
        evidence: of a nearer and a farther line, the columns `[b]` that say so, those that speak
            against it, and those in which the farther one then shows.
    """
    out = shares.copy()
    for near, far in permutations(range(len(offset)), 2):
        if not 0 < offset[near] - offset[far] < DEEPEST:
            continue
        hung, against, shows = evidence(near, far)
        for cell in cells:
            if hung[cell].sum() > max(against[cell].sum(), LEAST):
                out[near, cell] = 0
                out[far, cell[shows[cell]]] = 1
    return out


def _owners(
    lines: NDArray[np.float64], walls: list[Plane], at: NDArray[np.float64], way: int
) -> NDArray[np.int64]:
    """Index `[n]` of the line nearest to each surface at `at` that faces `way`, -1 for none near.

    Lines of planes that face the other way alone are passed over: a surface that was seen from the
    other side is nothing that a room could end at.
    """
    back = [plane.offset for plane in walls if plane.facing != way]
    same = [plane.offset for plane in walls if plane.facing == way]
    usable = np.flatnonzero(~np.isin(lines, back) | np.isin(lines, same))
    gap = np.abs(at[:, None] - lines[usable])
    nearest = gap.argmin(axis=1)
    return np.where(gap.min(axis=1) < NEAR, usable[nearest], -1)
