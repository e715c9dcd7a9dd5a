"""Where a face is in its room: what lies above, below, ahead and beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from piavas.rays import RayCaster

F64 = NDArray[np.float64]
LIFT = 5e-3  # metres into the air, so that a face does not hide itself
FAR = 6.0  # metres beyond which nothing is asked
BESIDE = 48  # neighbours that say how flat a surface is
FLAT, LEVEL = 0.95, 0.03  # cosine between normals, metres off the plane
PLACES = ("floor", "ceiling", "wall", "top", "underside")
STEEP = 0.7  # of a normal's rise, from which a surface lies
LOW, HIGH = 0.1, 1.7  # metres above the lowest floor: of floors, and of what hangs above heads


@dataclass(frozen=True)
class Surroundings:
    """Of each of `n` faces.

    Args:
        height: `[n]` metres above the floor of the room.
        gap: `[n]` metres of air above.
        drop: `[n]` metres of air below.
        ahead: `[n]` metres of air along the normal.
        flat: `[n]` share of the neighbours that lie in its plane.
        breadth: `[n]` square metres of those.
        place: `[n]` index into `PLACES`.
    """

    height: F64
    gap: F64
    drop: F64
    ahead: F64
    flat: F64
    breadth: F64
    place: NDArray[np.int64]

    @classmethod
    def of(cls, centre: F64, normal: F64, area: F64, caster: RayCaster) -> Surroundings:
        """Look around from every face."""
        height = centre[:, 2] - floor_level(centre, normal, area)
        start = centre + LIFT * normal
        gap, drop, ahead = (
            np.minimum(caster.closest(start, np.broadcast_to(way, start.shape))[0], FAR)
            for way in (np.array([0.0, 0, 1]), np.array([0.0, 0, -1]), normal)
        )
        flat, breadth = _flatness(centre, normal, area)
        return cls(height, gap, drop, ahead, flat, breadth, _places(normal, height))


def floor_level(centre: F64, normal: F64, area: F64) -> float:
    """Height of the lowest floor: below it lie 5 % of what faces up."""
    up = np.flatnonzero(normal[:, 2] > STEEP)
    if not len(up):
        return float(centre[:, 2].min())
    order = up[np.argsort(centre[up, 2])]
    total = np.cumsum(area[order])
    return float(centre[order[np.searchsorted(total, 0.05 * total[-1])], 2])


def _flatness(centre: F64, normal: F64, area: F64) -> tuple[F64, F64]:
    count = min(BESIDE, len(centre))
    _, index = cKDTree(centre).query(centre, k=count)
    index = index.reshape(len(centre), count)
    turn = np.einsum("nkj,nj->nk", normal[index], normal)
    off = np.einsum("nkj,nj->nk", centre[index] - centre[:, None], normal)
    level = (turn > FLAT) & (np.abs(off) < LEVEL)
    near = area[index]
    return (level * near).sum(axis=1) / near.sum(axis=1), (level * near).sum(axis=1)


def _places(normal: F64, height: F64) -> NDArray[np.int64]:
    rise = normal[:, 2]
    return np.select(
        [
            (rise > STEEP) & (height < LOW),
            (rise < -STEEP) & (height > HIGH),
            rise > STEEP,
            rise < -STEEP,
        ],
        [PLACES.index(name) for name in ("floor", "ceiling", "top", "underside")],
        PLACES.index("wall"),
    )
