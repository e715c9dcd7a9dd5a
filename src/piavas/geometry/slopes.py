"""Slanted ceilings: planes that face down at a slant, and which cells of the plan they cover.

Air under a roof is convex more often than not: over a cell lies the lowest of its room's slopes and
of its level ceiling. A slope over which views looked through a cell ends before that cell.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.geometry.fusion import Box, Fused
from piavas.geometry.planes import Crossings, Plane

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
FLATTEST, STEEPEST = np.radians([8.0, 65.0])  # of a slope; flatter is level, steeper a wall
NEAR = 0.03  # metres between a plane and what belongs to it
ALIKE = np.cos(np.radians(12.0))  # least cosine between a plane's normal and a surface's
AREA = 1.0  # square metres seen of a slope
FILLED = 0.35  # least share seen of the rectangle about a slope
BROAD = 0.4  # metres that it must span either way
TRIES = 150  # planes tried for each that is found
ROOM_AREA = 0.3  # square metres seen of a slope in a room from which it is one of the room's
OPEN = 0.25  # of the space over a slope that, seen free, speaks against it
LEAST_OVER = 0.1  # metres over a slope from which free space counts
GROWN = 0.3  # metres about what was seen of a slope in which it is taken to go on


@dataclass(frozen=True)
class Slope:
    """A plane `normal . x = offset` in the turned frame.

    Args:
        normal: `[3]` unit, into the air: it points down.
        offset: metres.
        area: square metres seen of it.
        lower: `(x, y)` of the least rectangle about what was seen of it.
        upper: likewise.
        at: `[n, 3]` what was seen of it.
    """

    normal: F64
    offset: float
    area: float
    lower: F64
    upper: F64
    at: F64

    @property
    def degrees(self) -> float:
        """From level."""
        return float(np.degrees(np.arccos(-self.normal[2])))

    def to_json(self) -> dict[str, float]:
        """For the report."""
        low, high = np.quantile(self.at[:, 2], [0.01, 0.99])
        values = {"degrees": self.degrees, "from": low, "to": high, "area": self.area}
        return {name: round(float(value), 3) for name, value in values.items()}

    def height(self, x: F64, y: F64) -> F64:
        """Metres over places of the plan."""
        return np.asarray((self.offset - self.normal[0] * x - self.normal[1] * y) / self.normal[2])

    def off(self, points: F64) -> F64:
        """Signed metres `[...]` of `points` `[..., 3]` into the air."""
        return np.asarray(points @ self.normal - self.offset)


def find_slopes(fused: Fused, box: Box, cameras: F64, seed: int = 0) -> list[Slope]:
    """Slopes that rise over the cameras' median height, the largest first (RANSAC)."""
    at, normal = _facing_down(fused, box)
    above = float(np.median(cameras[:, 2]))
    generator = np.random.default_rng(seed)
    found: list[Slope] = []
    while len(at) * box.voxel**2 > 0.5 * AREA:
        weight = box.voxel**2 / -normal[:, 2]
        pick = generator.choice(len(at), TRIES)
        some = slice(None, None, max(1, len(at) // 4000))
        seen = [weight[some][_close(at[some], normal[some], at[n], normal[n])].sum() for n in pick]
        best = pick[int(np.argmax(seen))]
        plane = _fitted(at, normal, weight, at[best], normal[best])
        if plane is None:
            break
        way, offset, mine = plane
        points = at[mine]
        left = ~mine & ~((np.abs(at @ way - offset) < 2 * NEAR) & (normal @ way > ALIKE))
        at, normal = at[left], normal[left]
        lower, upper = np.quantile(points[:, :2], [0.01, 0.99], axis=0)
        area = float(weight[mine].sum())
        if area < AREA:
            break
        tilt = np.arccos(-way[2])
        high = np.quantile(points[:, 2], 0.95) > above
        solid = area * -way[2] > FILLED * np.prod(upper - lower)
        if FLATTEST < tilt < STEEPEST and high and solid and (upper - lower).min() > BROAD:
            found.append(Slope(way, offset, area, lower, upper, points))
    return sorted(found, key=lambda slope: -slope.area)


def _facing_down(fused: Fused, box: Box) -> tuple[F64, F64]:
    """Places `[n, 3]` where seen surfaces face down at a slant, and their normals into the air."""
    value, seen = fused.distance, fused.weight > 0
    hit = seen[:, :, :-1] & seen[:, :, 1:] & (value[:, :, :-1] > 0) & (value[:, :, 1:] <= 0)
    hit[[0, -1]] = hit[:, [0, -1]] = False
    i, j, k = np.nonzero(hit)
    a, b = value[i, j, k].astype(float), value[i, j, k + 1].astype(float)
    share = a / (a - b)
    gradient = np.empty((len(i), 3))
    known = np.ones(len(i), bool)
    gradient[:, 2] = b - a
    for axis, (di, dj) in enumerate(((1, 0), (0, 1))):
        gradient[:, axis] = 0
        for level, part in ((k, 1 - share), (k + 1, share)):
            one, two = (i + di, j + dj, level), (i - di, j - dj, level)
            known &= seen[one] & seen[two]
            gradient[:, axis] += part * 0.5 * (value[one].astype(float) - value[two])
    length = np.linalg.norm(gradient, axis=1)
    normal = gradient / np.maximum(length, 1e-12)[:, None]
    # The field of one surface rises by a voxel a voxel; where two meet it does not.
    known &= np.abs(length / box.voxel - 1) < 0.3
    known &= (-normal[:, 2] > np.cos(STEEPEST)) & (-normal[:, 2] < np.cos(FLATTEST))
    where = np.stack([i, j, k + share], axis=1)[known]
    return box.lower + box.voxel * where, normal[known]


def _close(at: F64, normal: F64, place: F64, way: F64) -> Bools:
    return np.asarray((np.abs((at - place) @ way) < NEAR) & (normal @ way > ALIKE))


def _fitted(
    at: F64, normal: F64, weight: F64, place: F64, way: F64
) -> tuple[F64, float, Bools] | None:
    """The plane near one, by least squares on what is close; None where too little is."""
    mine = _close(at, normal, place, way)
    for _ in range(5):
        if mine.sum() < 10:
            return None
        part = weight[mine] / weight[mine].sum()
        place = part @ at[mine]
        spread = (at[mine] - place).T @ ((at[mine] - place) * part[:, None])
        way = np.linalg.eigh(spread)[1][:, 0]
        way = way if way[2] < 0 else -way
        mine = _close(at, normal, place, way)
    return way, float(place @ way), mine


def without(found: Crossings, slopes: list[Slope], voxel: float) -> Crossings:
    """`found` less what lies on a slope."""
    keep = np.ones(len(found.at), bool)
    for slope in slopes:
        inside = (found.at[:, :2] > slope.lower - voxel) & (found.at[:, :2] < slope.upper + voxel)
        near = np.abs(slope.off(found.at)) < NEAR
        keep &= ~(inside.all(axis=1) & near)
    return found.only(keep)


def lowest(slopes: list[Slope], x: F64, y: F64, top: float) -> F64:
    """Height of the lowest slope that was seen about there, at most `top`."""
    out = np.full(np.broadcast(x, y).shape, top)
    for slope in slopes:
        about = (x > slope.lower[0] - GROWN) & (x < slope.upper[0] + GROWN)
        about = about & (y > slope.lower[1] - GROWN) & (y < slope.upper[1] + GROWN)
        out = np.where(about, np.minimum(out, slope.height(x, y)), out)
    return out


def lowest_of(slopes: list[Slope], x: F64, y: F64) -> F64:
    """Height of the lowest of `slopes`, wherever they were seen; without end for none."""
    out = np.full(np.broadcast(x, y).shape, np.inf)
    for slope in slopes:
        out = np.minimum(out, slope.height(x, y))
    return out


def _room_of(slope: Slope, rooms: NDArray[np.int64], x: F64, y: F64) -> NDArray[np.int64]:
    """Room `[n]` of each place where a slope was seen, -1 outside."""
    padded = np.pad(rooms, 1, constant_values=-1)
    i, j = (np.searchsorted(lines, slope.at[:, k]) for k, lines in enumerate((x, y)))
    return np.asarray(padded[i, j])


def by_room(slopes: list[Slope], rooms: NDArray[np.int64], x: F64, y: F64) -> list[Slope]:
    """Slopes that go on through several rooms, one for each of them: nearly one plane is two."""
    out = []
    for slope in slopes:
        room = _room_of(slope, rooms, x, y)
        each = slope.area / len(slope.at)
        parts = [room == n for n in np.unique(room[room >= 0])]
        parts = [part for part in parts if part.sum() * each > ROOM_AREA]
        out += [_piece(slope, part) for part in parts] if len(parts) > 1 else [slope]
    return out


def _piece(slope: Slope, part: Bools) -> Slope:
    """A slope fitted to a part of what was seen of it."""
    at = slope.at[part]
    middle = at.mean(axis=0)
    way = np.linalg.eigh((at - middle).T @ (at - middle))[1][:, 0]
    way = way if way[2] < 0 else -way
    lower, upper = np.quantile(at[:, :2], [0.01, 0.99], axis=0)
    return Slope(way, float(middle @ way), slope.area * part.mean(), lower, upper, at)


def of_rooms(slopes: list[Slope], rooms: NDArray[np.int64], x: F64, y: F64) -> F64:
    """Square metres `[rooms, slopes]` seen of each slope in each room of the plan."""
    out = np.zeros((int(rooms.max(initial=-1)) + 1, len(slopes)))
    for column, slope in enumerate(slopes):
        room = _room_of(slope, rooms, x, y)
        count = np.bincount(room[room >= 0], minlength=len(out))
        out[:, column] = slope.area * count / len(slope.at)
    return np.where(out > ROOM_AREA, out, 0.0)


def ridges(
    slopes: list[Slope], area: F64, rooms: NDArray[np.int64], x: F64, y: F64, step: float
) -> dict[int, tuple[float, float]]:
    """Of each room with slopes: square metres seen of them, and the highest they leave."""
    out = {}
    for room in np.flatnonzero(area.sum(axis=1)):
        peak = -np.inf
        for i, j in np.argwhere(rooms == room):
            at = [np.linspace(v[k], v[k + 1], max(2, int((v[k + 1] - v[k]) / step) + 1))
                  for v, k in ((x, i), (y, j))]  # fmt: skip
            mine = [slope for n, slope in enumerate(slopes) if area[room, n]]
            peak = max(peak, float(lowest_of(mine, at[0][:, None], at[1]).max()))
        out[int(room)] = (float(area[room].sum()), peak)
    return out


def covers(
    slopes: list[Slope],
    area: F64,
    rooms: NDArray[np.int64],
    ceiling: F64,
    columns: tuple[NDArray[np.int64], NDArray[np.int64]],
    free: Bools,
    box: Box,
) -> Bools:
    """Which slopes `[x, y, slopes]` are over each cell of the plan.

    Args:
        slopes: that were found.
        area: `[rooms, slopes]` seen of them.
        rooms: `[x, y]` of each cell, -1 outside.
        ceiling: `[x, y]` the level ceiling over each cell.
        columns: cell along x and along y of the grid's rows and columns, -1 beside the plan.
        free: `[x, y, z]` of the grid, seen free.
        box: the grid.
    """
    out = np.zeros((*rooms.shape, len(slopes)), bool)
    z = box.axis(2)
    for i, j in np.argwhere(rooms >= 0):
        row, column = np.flatnonzero(columns[0] == i), np.flatnonzero(columns[1] == j)
        if not len(row) or not len(column):
            continue
        part = free[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
        x, y = box.axis(0)[row][:, None], box.axis(1)[column][None]
        for n in np.flatnonzero(area[rooms[i, j]]):
            foot = slopes[n].height(x, y)[..., None] + LEAST_OVER
            over = (z > foot) & (z < ceiling[i, j] - LEAST_OVER)
            out[i, j, n] = not over.any() or part[over].mean() < OPEN
    return out


def snapped(
    vertices: F64, normals: F64, planes: tuple[Plane, ...], slopes: tuple[Slope, ...], reach: float
) -> F64:
    """Vertices near slopes, and facing as they do, moved onto all planes that they belong to.

    The least move onto the corner or edge of those planes; where they meet too flatly for one
    within twice `reach`, onto the nearest slope alone.
    """
    if not slopes:
        return vertices
    ways = np.array([s.normal for s in slopes])
    offsets = np.array([s.offset for s in slopes])
    axes = np.eye(3)[[p.axis for p in planes]] * np.array([[p.facing] for p in planes])
    ways = np.concatenate([ways, axes.reshape(-1, 3)])
    offsets = np.concatenate([offsets, [p.offset * p.facing for p in planes]])
    off = vertices @ ways.T - offsets
    near = (np.abs(off) < reach) & (normals @ ways.T > 0.5)
    for a, b in itertools.combinations(range(len(slopes)), 2):
        if ways[a] @ ways[b] > ALIKE:
            both, first = near[:, a] & near[:, b], np.abs(off[:, a]) < np.abs(off[:, b])
            near[:, a] &= ~both | first
            near[:, b] &= ~both | ~first
    rows = np.flatnonzero(near[:, : len(slopes)].any(axis=1))
    out = vertices.copy()
    sets, which = np.unique(near[rows], axis=0, return_inverse=True)
    for number, members in enumerate(sets):
        mine = rows[which.ravel() == number]
        chosen = np.flatnonzero(members)
        move = -off[np.ix_(mine, chosen)] @ np.linalg.pinv(ways[chosen], rcond=0.05).T
        far = np.linalg.norm(move, axis=1) > 2 * reach
        if far.any():
            nearest = np.abs(np.where(members, off[mine[far]], np.inf))[:, : len(slopes)].argmin(1)
            move[far] = -(off[mine[far], nearest][:, None] * ways[nearest])
        out[mine] += move
    return out
