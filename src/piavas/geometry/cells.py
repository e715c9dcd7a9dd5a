"""Which cells of a floor plan are rooms, by minimum cut (Boykov & Kolmogorov 2004).

What was seen free pulls a cell in; a room that ends where no wall was seen to face it costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from piavas.geometry.fusion import Box
from piavas.geometry.planes import Crossings, Plane
from piavas.geometry.prisms import Plan

UNSEEN_COST = 0.6  # of a metre of boundary without a wall, re one metre of plan
UPPER = 0.8  # of the height, from which surfaces tell a wall from furniture
NEAR = 0.08  # metres from a line within which a surface is the wall there
SCALE = 10_000  # of costs as whole numbers


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
        # Furniture ends below: it is the upper part of a wall that tells.
        at = across[axis].at
        i, j, _ = box.index(at).T
        upper = at[:, 2] > floor + UPPER * (under[i, j] - floor)
        at, facing = at[upper], across[axis].facing[upper]
        owners = {way: _owners(lines, walls[axis], at[:, axis], way) for way in (-1, 1)}
        for line in range(1, len(lines) - 1):
            alongs = [at[(facing == way) & (owners[way] == line), 1 - axis] for way in (-1, 1)]
            for cell in range(len(other) - 1):
                low, high = other[cell], other[cell + 1]
                bins = max(1, int((high - low) / 0.1))
                spot = np.zeros((bins, 3))
                spot[:, axis] = lines[line]
                spot[:, 1 - axis] = low + (np.arange(bins) + 0.5) * (high - low) / bins
                i, j, _ = box.index(spot).T
                # A column counts as wall once a third of its upper part was seen.
                full = 0.33 * (1 - UPPER) * (under[i, j] - floor) * (high - low) / bins
                full = np.maximum(full / box.voxel**2, 1e-9)
                one, two = (
                    float(np.minimum(np.histogram(along, bins, (low, high))[0] / full, 1).mean())
                    for along in alongs
                )
                pair = (line - 1, cell), (line, cell)
                if axis == 1:
                    pair = (cell, line - 1), (cell, line)
                ends = int(number[pair[0]]), int(number[pair[1]])
                found.append(Edge(*ends, high - low, (one, two)))
    return found


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


def label_cells(
    plan: Plan,
    edges: list[Edge],
    free: NDArray[np.bool_],
    box: Box,
    cameras: NDArray[np.float64],
    floor: float,
    top: float,
    under: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether each cell `[x, y]` lies in a room.

    Args:
        plan: the cells.
        edges: their boundaries.
        free: `[x, y, z]` voxels seen free.
        box: the grid.
        cameras: `[n, 3]` positions, always in a room.
        floor: metres.
        top: metres of the highest place.
        under: `[x, y]` metres to which walls go up.
    """
    heights = box.axis(2)
    slab = (heights > floor + 0.1) & (heights < top - 0.05)
    share = free[:, :, slab].mean(axis=2)
    share = np.where(under < top, share * (top - floor) / (under - floor), share)
    seen = _sums((share > 0.15).astype(float), plan, box) * box.voxel**2
    gain = np.where(plan.area > 0, seen / plan.area, 0)
    # More than a third of a cell seen free pulls it in; less pushes it out.
    pull = (gain - 0.35) * plan.area
    # A room that goes on to the sides of the plan ends there, unseen.
    pull[[0, -1]] -= UNSEEN_COST * np.diff(plan.y)
    pull[:, [0, -1]] -= UNSEEN_COST * np.diff(plan.x)[:, None]
    i, j = plan.cell_of(box)
    at = box.index(cameras)
    rooms = np.zeros(plan.shape, bool)
    rooms[i[at[:, 0]], j[at[:, 1]]] = True
    pull[rooms] = plan.area.sum()
    return _cut(pull, edges)


def _sums(values: NDArray[np.float64], plan: Plan, box: Box) -> NDArray[np.float64]:
    """Sum a map over the grid's columns `[x, y]` in each cell of the plan."""
    i, j = plan.cell_of(box)
    out = np.zeros(plan.shape)
    good_i, good_j = np.nonzero(i >= 0)[0], np.nonzero(j >= 0)[0]
    part = values[np.ix_(good_i, good_j)]
    np.add.at(out, (i[good_i][:, None], j[good_j][None]), part)
    return out


def _cut(pull: NDArray[np.float64], edges: list[Edge]) -> NDArray[np.bool_]:
    count = pull.size
    source, sink = count, count + 1
    rows: list[int] = []
    columns: list[int] = []
    costs: list[float] = []
    for cell, value in enumerate(pull.ravel()):
        rows.append(source if value > 0 else cell)
        columns.append(cell if value > 0 else sink)
        costs.append(float(abs(value)))
    for edge in edges:
        rows += [edge.one, edge.two]
        columns += [edge.two, edge.one]
        costs += edge.costs
    capacity = np.minimum(np.round(np.array(costs) * SCALE), 2**30).astype(np.int32)
    graph = coo_array((capacity, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    left = (graph - maximum_flow(graph, source, sink).flow).tocsr()
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    inside = np.zeros(count + 2, bool)
    inside[reached] = True
    return inside[:count].reshape(pull.shape)
