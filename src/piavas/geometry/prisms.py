"""The air of the shell as a union of prisms: cells of the floor plan up to a level and slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.geometry.fusion import Box
from piavas.geometry.slopes import Slope, lowest_of

LEVEL_SHARE = 0.05  # of a cell that slopes must leave of its level ceiling


@dataclass(frozen=True)
class Plan:
    """The floor plan cut into cells by lines across x and across y."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along x and along y."""
        return len(self.x) - 1, len(self.y) - 1

    @property
    def area(self) -> NDArray[np.float64]:
        """Square metres `[x, y]` of each cell."""
        return np.outer(np.diff(self.x), np.diff(self.y))

    def cell_of(self, box: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cell indices of the grid's rows and columns, -1 beside the plan."""
        found = []
        for lines, axis in ((self.x, 0), (self.y, 1)):
            at = np.searchsorted(lines, box.axis(axis)) - 1
            found.append(np.where((at < 0) | (at >= len(lines) - 1), -1, at))
        return found[0], found[1]


@dataclass(frozen=True)
class Caps:
    """What is over the cells of a plan.

    Args:
        inside: `[x, y]` cells of the rooms.
        ceiling: `[x, y]` metres of the level ceiling.
        cover: `[x, y, slopes]` which slopes come down to a cell.
        floor: metres.
        slopes: all there are.
    """

    inside: NDArray[np.bool_]
    ceiling: NDArray[np.float64]
    cover: NDArray[np.bool_]
    floor: float
    slopes: tuple[Slope, ...]

    def prisms(self) -> list[tuple[float, frozenset[int]]]:
        """A level and slopes of each prism of which the air is the union.

        Besides those of the cells there are those of pairs, which reach over both: else there would
        be a wall of no thickness between neighbours under different slopes.
        """
        level, cover = self.ceiling[self.inside].tolist(), self.cover[self.inside].tolist()
        cells = zip(level, cover, strict=True)
        own = {(h, frozenset(np.flatnonzero(row).tolist())) for h, row in cells}
        both = {(min(a, c), b | d) for a, b in own for c, d in own}
        return sorted(both, key=lambda prism: (prism[0], sorted(prism[1])))

    def holding(self, height: float, under: frozenset[int]) -> NDArray[np.bool_]:
        """Cells whose air goes up to a level under some slopes at least."""
        others = [n for n in range(len(self.slopes)) if n not in under]
        high = self.inside & (self.ceiling >= height - 1e-6)
        return np.asarray(high & ~self.cover[:, :, others].any(axis=2))

    def level(self, plan: Plan) -> tuple[float, ...]:
        """Metres of the level ceilings of which slopes leave something."""
        found = set()
        for i, j in np.argwhere(self.inside):
            over = [self.slopes[n] for n in np.flatnonzero(self.cover[i, j])]
            x, y = (np.linspace(v[k], v[k + 1], 9)[1:-1] for v, k in ((plan.x, i), (plan.y, j)))
            cut = lowest_of(over, x[:, None], y)
            if (self.ceiling[i, j] < cut).mean() > LEVEL_SHARE:
                found.add(float(self.ceiling[i, j]))
        return tuple(sorted(found))


def prisms_distance(plan: Plan, caps: Caps, box: Box) -> NDArray[np.float32]:
    """Signed distance to the union of prisms, exact near its faces."""
    best = np.full(box.shape, -0.5, np.float32)
    x, y, z = box.axis(0)[:, None, None], box.axis(1)[None, :, None], box.axis(2)
    for height, under in caps.prisms():
        area = _outline(plan, caps.holding(height, under), box)
        rise = np.minimum(z - caps.floor, height - z)
        prism = np.minimum(area[:, :, None], rise)
        for number in sorted(under):
            slope = caps.slopes[number]
            off = (slope.normal[0] * x + slope.normal[1] * y - slope.offset) + slope.normal[2] * z
            np.minimum(prism, off, out=prism, casting="same_kind")
        np.maximum(best, prism, out=best, casting="same_kind")
    return np.clip(best, -0.5, 0.5)


def _outline(plan: Plan, inside: NDArray[np.bool_], box: Box) -> NDArray[np.float32]:
    """Signed distance `[x, y]` to the outline of the inside cells, to their exact lines."""
    i, j = plan.cell_of(box)
    mask = inside[i[:, None], j[None]] & (i >= 0)[:, None] & (j >= 0)[None]
    far = np.full(mask.shape, 0.5)
    x, y = box.axis(0), box.axis(1)
    padded = np.pad(inside, 1)
    for a in range(len(plan.x)):
        for b in range(len(plan.y) - 1):
            if padded[a, b + 1] != padded[a + 1, b + 1]:
                off = np.hypot(
                    (x - plan.x[a])[:, None],
                    np.maximum(0, np.maximum(plan.y[b] - y, y - plan.y[b + 1]))[None],
                )
                np.minimum(far, off, out=far)
    for b in range(len(plan.y)):
        for a in range(len(plan.x) - 1):
            if padded[a + 1, b] != padded[a + 1, b + 1]:
                off = np.hypot(
                    np.maximum(0, np.maximum(plan.x[a] - x, x - plan.x[a + 1]))[:, None],
                    (y - plan.y[b])[None],
                )
                np.minimum(far, off, out=far)
    return np.where(mask, far, -far).astype(np.float32)
