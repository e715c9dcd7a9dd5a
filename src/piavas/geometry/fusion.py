"""Depth views fused to a field of signed distance, with a count of who saw free space.

Curless & Levoy 1996, with the distance taken to the tangent plane at the pixel instead of along
the ray, so that walls seen at a slant come out flat and in place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from piavas.geometry.views import View
from piavas.progress import track

F32 = NDArray[np.float32]
BAND = 3.0  # voxels on either side of a surface that a view speaks of
BEHIND = 1.5  # voxels behind one: the other side of a thin wall is another surface
FADE = 0.9  # share of the weight that is lost on the way there
BLOCK = 8  # voxels along the edge of a block
STEEP = 0.1  # least cosine between ray and normal that is believed
SURE = 2  # views that must have looked through a place for it to be free


@dataclass(frozen=True)
class Box:
    """A regular grid of voxel centres, turned about +z.

    Args:
        lower: `[3]` centre of the first voxel in the turned frame, metres.
        shape: voxels along x, y, z.
        voxel: metres.
        yaw: radians that the grid's x axis is turned from the world's.
    """

    lower: NDArray[np.float64]
    shape: tuple[int, int, int]
    voxel: float
    yaw: float

    @property
    def turn(self) -> NDArray[np.float64]:
        """`[3, 3]` from grid axes to the world's."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def axis(self, k: int) -> NDArray[np.float64]:
        """Voxel centres along axis `k`, metres in the turned frame."""
        return self.lower[k] + self.voxel * np.arange(self.shape[k])

    def to_grid(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """World points `[n, 3]` in the turned frame."""
        return points @ self.turn

    def to_world(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points `[n, 3]` of the turned frame in the world."""
        return points @ self.turn.T

    def index(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Nearest voxel `[n, 3]` of points in the turned frame, clipped into the grid."""
        at = np.round((points - self.lower) / self.voxel).astype(np.int64)
        return np.clip(at, 0, np.array(self.shape) - 1)


@dataclass(frozen=True)
class Fused:
    """What the views together say.

    Args:
        distance: `[x, y, z]` metres to the nearest seen surface, positive in air, cut at the band.
        weight: `[x, y, z]` how much was said about it; 0 for nothing.
        free: `[x, y, z]` how many views looked through it.
        sure: `[x, y, z]` how many of those by depth that was measured or matched.
    """

    distance: F32
    weight: F32
    free: NDArray[np.uint16]
    sure: NDArray[np.uint16]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where anything was seen."""
        return (self.weight > 0) | (self.free > 0)


@njit(parallel=True, cache=True)
def _integrate(  # type: ignore[no-untyped-def] # noqa: PLR0915
    depth, normal, measured, turn, place, fx, fy, cx, cy, lower, voxel, band, farthest, sides,
    distance, weight, free, sure
):  # fmt: skip
    """Add one view. `turn` `[3, 3]` and `place` `[3]` take grid coordinates to the camera's.

    `sides` `[4, 3]` are the inward normals of the view's pyramid: blocks of voxels outside it, or
    behind all that it sees, are left at once.
    """
    h, w = depth.shape
    nx, ny, nz = distance.shape
    radius = 0.5 * np.sqrt(3.0) * voxel * BLOCK
    behind = BEHIND * voxel
    for bi in prange((nx + BLOCK - 1) // BLOCK):
        for bj in range((ny + BLOCK - 1) // BLOCK):
            for bk in range((nz + BLOCK - 1) // BLOCK):
                half = 0.5 * (BLOCK - 1)
                x = lower[0] + voxel * (bi * BLOCK + half)
                y = lower[1] + voxel * (bj * BLOCK + half)
                z = lower[2] + voxel * (bk * BLOCK + half)
                right = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z + place[0]
                up = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + place[1]
                ahead = -(turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z + place[2])
                if ahead < -radius or ahead > farthest + radius:
                    continue
                inside = True
                for side in range(4):
                    across = sides[side, 0] * right + sides[side, 1] * up + sides[side, 2] * ahead
                    inside &= across > -radius
                if not inside:
                    continue
                for i in range(bi * BLOCK, min(nx, bi * BLOCK + BLOCK)):
                    for j in range(bj * BLOCK, min(ny, bj * BLOCK + BLOCK)):
                        x, y = lower[0] + voxel * i, lower[1] + voxel * j
                        right0 = turn[0, 0] * x + turn[0, 1] * y + place[0]
                        up0 = turn[1, 0] * x + turn[1, 1] * y + place[1]
                        ahead0 = -(turn[2, 0] * x + turn[2, 1] * y + place[2])
                        for k in range(bk * BLOCK, min(nz, bk * BLOCK + BLOCK)):
                            z = lower[2] + voxel * k
                            ahead = ahead0 - turn[2, 2] * z
                            if ahead < 0.05:
                                continue
                            right, up = right0 + turn[0, 2] * z, up0 + turn[1, 2] * z
                            u = int(np.floor(right / ahead * fx + cx + 0.5))
                            v = int(np.floor(-up / ahead * fy + cy + 0.5))
                            if u < 0 or v < 0 or u >= w or v >= h:
                                continue
                            d = depth[v, u]
                            gap = d - ahead
                            if d <= 0 or gap < -2 * band:
                                continue
                            far = np.sqrt(right * right + up * up + ahead * ahead)
                            along = gap * far / ahead
                            if along < -band:
                                continue
                            n0, n1, n2 = normal[v, u, 0], normal[v, u, 1], normal[v, u, 2]
                            if n0 == 0 and n1 == 0 and n2 == 0:
                                cosine = 0.3
                                signed = gap
                            else:
                                cosine = -(n0 * right + n1 * up - n2 * ahead) / far
                                # The seen point of this pixel, less the voxel, along the normal.
                                sx = (u - cx) / fx * d - right
                                sy = -(v - cy) / fy * d - up
                                signed = -(sx * n0 + sy * n1 - gap * n2)
                            if along > band and signed > 0.5 * band:
                                if along > 2 * band or signed > band:
                                    free[i, j, k] += 1
                                    sure[i, j, k] += measured[v, u]
                                if signed > band:
                                    continue
                            if cosine < STEEP or signed > band or signed < -behind:
                                continue
                            # Noise of depth grows as distance squared: what was seen near counts.
                            s = cosine / max(d, 0.5) ** 4
                            if signed < 0:
                                # Seen is the air before a surface; what lies behind is presumed.
                                s *= 1 + FADE * signed / behind
                            total = weight[i, j, k] + s
                            distance[i, j, k] += (signed - distance[i, j, k]) * s / total
                            weight[i, j, k] = total


def _pyramid(view: View) -> NDArray[np.float64]:
    """Inward normals `[4, 3]` (right, up, ahead) of the planes through the image's edges."""
    h, w = view.depth.shape
    (fx, fy), (cx, cy) = view.focal, view.centre
    sides = np.array(
        [[fx, 0, cx + 0.5], [-fx, 0, w - 0.5 - cx], [0, -fy, cy + 0.5], [0, fy, h - 0.5 - cy]]
    )
    return np.asarray(sides / np.linalg.norm(sides, axis=1, keepdims=True))


def fuse(views: list[View], box: Box) -> Fused:
    """Fuse `views` on the grid `box`."""
    distance = np.zeros(box.shape, np.float32)
    weight = np.zeros(box.shape, np.float32)
    free, sure = np.zeros((2, *box.shape), np.uint16)
    band = BAND * box.voxel
    for view in track(views, "fuse depth"):
        camera = view.pose[:3, :3].T
        _integrate(
            view.depth,
            # Normals in the camera's frame, where the distances are taken.
            np.ascontiguousarray(view.normal @ view.pose[:3, :3].astype(np.float32)),
            view.depth > 0 if view.measured is None else view.measured,
            camera @ box.turn,
            -camera @ view.pose[:3, 3],
            *view.focal,
            *view.centre,
            box.lower,
            box.voxel,
            band,
            float(view.depth.max()) + band,
            _pyramid(view),
            distance,
            weight,
            free,
            sure,
        )
    distance[(weight == 0) & (free > 0)] = band
    return Fused(distance, weight, free, sure)
