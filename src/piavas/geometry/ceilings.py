"""Heights of the ceilings: over each cell of the floor plan the one seen there or next to it.

A room may have several. Lintels, soffits of windows and undersides of shelves face down as well:
they are small beside the ceiling of their room, or free space was seen above them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piavas.geometry.planes import Crossings

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
LOWEST = 1.5  # metres from the floor under which nothing is a ceiling
BIN = 0.02  # metres of a histogram of heights
ONE = 0.06  # metres between heights of one ceiling
BESIDE, SHOULDER = 0.04, 1.3  # metres beside a peak, and times as much there that make it none
LEAST = 0.25  # square metres seen of a ceiling
SHARE = 0.12  # of what was seen of the room's largest ceiling
OVER = 0.15  # of a cell that must have been seen to lie under a ceiling
OPEN = 0.25  # of the space over a ceiling that, seen free, speaks against it
THIN = 0.3  # metres of cells too thin to have a ceiling of their own
CLOSED = 0.5  # share of a boundary seen as wall that parts two rooms
STRAY = 0.03  # of a room's most free space at any height, under which it is stray rays
WALL_TOP = 0.97  # quantile of the heights of walls that is where they end
LOWEST_TOP = 2.1  # metres from the floor under which they were not seen up to their end


def find_rooms(inside: Bools, edges: list[tuple[int, int, float]]) -> NDArray[np.int64]:
    """Number of the room of each cell `[x, y]`, -1 outside.

    Args:
        inside: `[x, y]`.
        edges: numbers of neighbouring cells, and the share of the boundary seen as wall.
    """
    flat = inside.ravel()
    joined = [(a, b) for a, b, wall in edges if flat[a] and flat[b] and wall < CLOSED]
    rows, columns = np.array(joined, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), (flat.size, flat.size))
    _, room = connected_components(graph, directed=False)
    return np.where(flat, room, -1).reshape(inside.shape)


def find_ceilings(
    x: F64,
    y: F64,
    rooms: NDArray[np.int64],
    down: Crossings,
    walls: F64,
    free: tuple[F64, NDArray[np.int64]],
    floor: float,
    usual: float,
    ridges: Mapping[int, tuple[float, float]] | None = None,
) -> F64:
    """Height `[x, y]` of the ceiling over each cell; of no meaning outside.

    Args:
        x: lines of the plan across x, metres.
        y: likewise across y.
        rooms: `[x, y]` of each cell, -1 outside.
        down: surfaces that face down, above the cameras.
        walls: `[n, 3]` places on walls.
        free: heights `[z]`, and columns seen free `[x, y, z]` of each cell at them, and behind
            them in the last place all columns of the cell.
        floor: metres.
        usual: height where no ceiling and no wall was seen.
        ridges: of rooms with slanted ceilings, square metres seen of those and the highest place
            that they leave, which is the height of cells under slopes alone.
    """
    area = np.outer(np.diff(x), np.diff(y))
    thin = np.minimum.outer(np.diff(x), np.diff(y)) < THIN
    known = down.at[:, 2] > floor + LOWEST
    at, weight = down.at[known], down.area[known]
    i, j = (np.searchsorted(lines, at[:, k]) - 1 for k, lines in enumerate((x, y)))
    height = np.full(rooms.shape, np.nan)
    for room in np.unique(rooms[rooms >= 0]):
        of_room = rooms == room
        here = _lookup(of_room, i, j)
        slanted, ridge = (ridges or {}).get(int(room), (0.0, -np.inf))
        peaks = _peaks(at[here, 2], weight[here], slanted)
        top = max(peaks, default=ridge if slanted else np.nan)
        if not peaks and not slanted and not thin[of_room].all():
            end = _wall_top(walls, of_room, x, y, floor)
            top = max(end, _free_top(free, of_room)) if np.isfinite(end) else np.nan
        for cell in zip(*np.nonzero(of_room & ~thin), strict=True):
            mine = here & (i == cell[0]) & (j == cell[1])
            # The highest: what hangs below it was seen and is carved out later.
            for peak in sorted(peaks, reverse=True):
                seen = weight[mine & (np.abs(at[:, 2] - peak) < ONE)].sum()
                if seen > OVER * area[cell] and not _open_over(free, cell, peak, max(top, ridge)):
                    height[cell] = peak
                    break
            else:
                if slanted and _open_over(free, cell, top, ridge):
                    height[cell] = ridge
        height[of_room] = _one_height(_spread(height, of_room, x, y, top), of_room)[of_room]
    return _others(height, rooms, thin, x, y, usual)


def _lookup(mask: Bools, i: NDArray[np.int64], j: NDArray[np.int64]) -> Bools:
    """`mask` at cells `i`, `j`, false beside the plan."""
    padded = np.pad(mask, 1)
    return np.asarray(
        padded[np.clip(i + 1, 0, mask.shape[0] + 1), np.clip(j + 1, 0, mask.shape[1] + 1)]
    )


def _peaks(z: F64, weight: F64, others: float) -> list[float]:
    """Heights at which much of a ceiling was seen, where `others` m² were of other ones.

    What lies beside a larger peak without one of its own is that one's noise.
    """
    found: list[tuple[float, float]] = []
    whole, heights = weight, z
    while len(z):
        low = z.min() - 0.2
        count = np.bincount(((z - low) / BIN).astype(int), weight)
        peak = low + BIN * (int(np.argmax(gaussian_filter1d(count, 1.0))) + 0.5)
        near = np.abs(z - peak) < ONE
        seen = float(weight[near].sum())
        if seen < max(LEAST, SHARE * max((s for _, s in found), default=others)):
            break
        beside = [whole[np.abs(heights - peak - off) < BIN].sum() for off in (-BESIDE, 0, BESIDE)]
        if max(beside) < SHOULDER * beside[1]:
            found.append((float(np.median(z[near])), seen))
        z, weight = z[~near], weight[~near]
    return [peak for peak, _ in found]


def _wall_top(walls: F64, room: Bools, x: F64, y: F64, floor: float) -> float:
    """Where the walls of a room end; NaN where too little was seen of them."""
    i, j = (np.searchsorted(lines, walls[:, k]) - 1 for k, lines in enumerate((x, y)))
    grown = np.zeros_like(room)
    for dx in (-1, 0, 1):  # a wall's points lie on either side of its line
        for dy in (-1, 0, 1):
            grown |= np.roll(room, (dx, dy), (0, 1))
    z = walls[_lookup(grown, i, j), 2]
    top = float(np.quantile(z, WALL_TOP)) if len(z) > 200 else np.nan
    return top if top > floor + LOWEST_TOP else np.nan


def _free_top(free: tuple[F64, NDArray[np.int64]], room: Bools) -> float:
    """Where the free space of a room ends."""
    z, seen = free
    count = seen[room][:, :-1].sum(axis=0)
    return float(z[np.flatnonzero(count > STRAY * count.max())].max(initial=-np.inf))


def _open_over(
    free: tuple[F64, NDArray[np.int64]], cell: tuple[int, int], height: float, top: float
) -> bool:
    """Whether much of the space between a height and the room's top was seen free."""
    z, seen = free
    above = (z > height + 0.1) & (z < top)
    if above.sum() < 2:
        return False
    return bool(seen[cell][:-1][above].mean() > OPEN * max(seen[cell][-1], 1))


def _spread(height: F64, room: Bools, x: F64, y: F64, top: float) -> F64:
    """Heights of a room's cells from their nearest known one; `top` where none is known."""
    known = room & np.isfinite(height)
    if not known.any():
        return np.where(room, top, height)
    return _nearest(height, known, room & ~known, x, y)


def _others(
    height: F64, rooms: NDArray[np.int64], thin: Bools, x: F64, y: F64, usual: float
) -> F64:
    """Rooms of which nothing is known take the height of the nearest cell.

    Those of thin cells alone lie in a wall, and doorways there are no higher than what they join:
    they take the lowest height beside them.
    """
    known = (rooms >= 0) & np.isfinite(height)
    if not known.any():
        return np.full_like(height, usual)
    out = _nearest(height, known, ~known, x, y)
    for room in np.unique(rooms[(rooms >= 0) & ~known]):
        of_room = rooms == room
        beside = binary_dilation(of_room) & known
        if thin[of_room].all() and beside.any():
            out[of_room] = height[beside].min()
    return out


def _nearest(height: F64, known: Bools, wanted: Bools, x: F64, y: F64) -> F64:
    middle = np.stack(
        np.meshgrid(0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1]), indexing="ij"), -1
    )
    out = height.copy()
    for cell in zip(*np.nonzero(wanted), strict=True):
        out[cell] = height[known][np.argmin(((middle[known] - middle[cell]) ** 2).sum(-1))]
    return out


def _one_height(height: F64, inside: Bools) -> F64:
    """Heights within 6 cm of each other are one ceiling."""
    out, left = height.copy(), sorted(height[inside & np.isfinite(height)].tolist())
    while left:
        group = [h for h in left if h - left[0] < ONE]
        out[np.abs(height - np.mean(group)) < ONE] = np.median(group)
        left = left[len(group) :]
    return out
