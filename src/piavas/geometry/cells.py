"""Which cells of a floor plan are rooms, by minimum cut (Boykov & Kolmogorov 2004).

What was seen free pulls a cell in; a room that ends where no wall was seen to face it costs, and so
does one that goes on behind a wall, where free space is only concluded: depth that is takes the
plane of the next room's wall for this one's, and a thin wall is little to lose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from piavas.geometry.bounds import UNSEEN_COST, Edge
from piavas.geometry.fusion import Box
from piavas.geometry.prisms import Plan

SCALE = 10_000  # of costs as whole numbers
BEYOND_COST = 0.2  # of a metre of wall behind which all free space is concluded, re one of plan

Costs = list[tuple[float, float]]


def label_cells(
    plan: Plan,
    edges: list[Edge],
    free: NDArray[np.bool_],
    sure: NDArray[np.bool_],
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
        sure: `[x, y, z]` those of them that measured depth looked through.
        box: the grid.
        cameras: `[n, 3]` positions, always in a room.
        floor: metres.
        top: metres of the highest place.
        under: `[x, y]` metres to which walls go up.
    """
    heights = box.axis(2)
    slab = (heights > floor + 0.1) & (heights < top - 0.05)

    def seen(through: NDArray[np.bool_]) -> NDArray[np.float64]:
        share = through[:, :, slab].mean(axis=2)
        share = np.where(under < top, share * (top - floor) / (under - floor), share)
        area = _sums((share > 0.15).astype(float), plan, box) * box.voxel**2
        return np.where(plan.area > 0, area / plan.area, 0)

    gain = seen(free)
    # More than a third of a cell seen free pulls it in; less pushes it out.
    pull = (gain - 0.35) * plan.area
    # A room that goes on to the sides of the plan ends there, unseen.
    pull[[0, -1]] -= UNSEEN_COST * np.diff(plan.y)
    pull[:, [0, -1]] -= UNSEEN_COST * np.diff(plan.x)[:, None]
    i, j = plan.cell_of(box)
    at = box.index(cameras)
    rooms = np.zeros(plan.shape, bool)
    rooms[i[at[:, 0]], j[at[:, 1]]] = True
    beyond = _beyond(edges, np.minimum(gain, 1) - np.minimum(seen(sure), 1))
    for edge, paid in zip(edges, beyond, strict=True):
        pull.flat[[edge.one, edge.two]] -= paid
    pull[rooms] = plan.area.sum()
    return _cut(pull, edges, beyond)


def _beyond(edges: list[Edge], doubt: NDArray[np.float64]) -> Costs:
    """What cells `one` and `two` of each edge cost a room for lying behind a wall there.

    Args:
        edges: the boundaries.
        doubt: `[x, y]` share of each cell that only concluded depth saw free.
    """
    return [
        (
            BEYOND_COST * edge.length * edge.walls[1] * float(doubt.flat[edge.one]),
            BEYOND_COST * edge.length * edge.walls[0] * float(doubt.flat[edge.two]),
        )
        for edge in edges
    ]


def _sums(values: NDArray[np.float64], plan: Plan, box: Box) -> NDArray[np.float64]:
    """Sum a map over the grid's columns `[x, y]` in each cell of the plan."""
    i, j = plan.cell_of(box)
    out = np.zeros(plan.shape)
    good_i, good_j = np.nonzero(i >= 0)[0], np.nonzero(j >= 0)[0]
    part = values[np.ix_(good_i, good_j)]
    np.add.at(out, (i[good_i][:, None], j[good_j][None]), part)
    return out


def _cut(pull: NDArray[np.float64], edges: list[Edge], beyond: Costs) -> NDArray[np.bool_]:
    """The cells of least cost, those `beyond` taken off `pull` before."""
    count = pull.size
    source, sink = count, count + 1
    rows: list[int] = []
    columns: list[int] = []
    costs: list[float] = []
    for cell, value in enumerate(pull.ravel()):
        rows.append(source if value > 0 else cell)
        columns.append(cell if value > 0 else sink)
        costs.append(float(abs(value)))
    for edge, paid in zip(edges, beyond, strict=True):
        rows += [edge.one, edge.two]
        columns += [edge.two, edge.one]
        # A room that ends here pays no more for lying beyond than one that goes on.
        costs += [max(end - part, 0) for end, part in zip(edge.costs, paid, strict=True)]
    capacity = np.minimum(np.round(np.array(costs) * SCALE), 2**30).astype(np.int32)
    graph = coo_array((capacity, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    left = (graph - maximum_flow(graph, source, sink).flow).tocsr()
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    inside = np.zeros(count + 2, bool)
    inside[reached] = True
    return inside[:count].reshape(pull.shape)
