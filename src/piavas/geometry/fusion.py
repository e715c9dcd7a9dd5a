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
STEEP = 0.1  # least cosine between ray and normal that is believed


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
    """

    distance: F32
    weight: F32
    free: NDArray[np.uint16]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where anything was seen."""
        return (self.weight > 0) | (self.free > 0)


@njit(parallel=True, cache=True)
def _integrate(  # type: ignore[no-untyped-def]
    depth, normal, turn, place, fx, fy, cx, cy, lower, voxel, band, distance, weight, free
):
    """Add one view. `turn` `[3, 3]` and `place` `[3]` take grid coordinates to the camera's."""
    h, w = depth.shape
    for i in prange(distance.shape[0]):
        for j in range(distance.shape[1]):
            for k in range(distance.shape[2]):
                x = lower[0] + voxel * i
                y = lower[1] + voxel * j
                z = lower[2] + voxel * k
                ahead = -(turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z + place[2])
                if ahead < 0.05:
                    continue
                right = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z + place[0]
                up = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + place[1]
                u = int(np.round(right / ahead * fx + cx))
                v = int(np.round(-up / ahead * fy + cy))
                if u < 0 or v < 0 or u >= w or v >= h:
                    continue
                d = depth[v, u]
                if d <= 0:
                    continue
                gap = d - ahead
                far = np.sqrt(right * right + up * up + ahead * ahead)
                n0, n1, n2 = normal[v, u, 0], normal[v, u, 1], normal[v, u, 2]
                cosine = -(n0 * right + n1 * up - n2 * ahead) / far
                if n0 == 0 and n1 == 0 and n2 == 0:
                    cosine = 0.3
                    signed = gap
                else:
                    # The seen point of this pixel, less the voxel, along the normal.
                    sx = (u - cx) / fx * d - right
                    sy = -(v - cy) / fy * d - up
                    sz = -d + ahead
                    signed = -(sx * n0 + sy * n1 + sz * n2)
                if gap * far / ahead > band and signed > 0.5 * band:
                    if gap * far / ahead > 2 * band or signed > band:
                        free[i, j, k] += 1
                    if signed > band:
                        continue
                # Only half the band behind: the other side of a thin wall is another surface.
                if cosine < STEEP or signed > band or signed < -0.5 * band:
                    continue
                if gap * far / ahead < -band:
                    continue
                s = cosine / max(d, 0.5) ** 2
                total = weight[i, j, k] + s
                distance[i, j, k] += (signed - distance[i, j, k]) * s / total
                weight[i, j, k] = total


def fuse(views: list[View], box: Box) -> Fused:
    """Fuse `views` on the grid `box`."""
    distance = np.zeros(box.shape, np.float32)
    weight = np.zeros(box.shape, np.float32)
    free = np.zeros(box.shape, np.uint16)
    band = BAND * box.voxel
    for view in track(views, "fuse depth"):
        camera = view.pose[:3, :3].T
        _integrate(
            view.depth,
            # Normals in the camera's frame, where the distances are taken.
            np.ascontiguousarray(view.normal @ view.pose[:3, :3].astype(np.float32)),
            camera @ box.turn,
            -camera @ view.pose[:3, 3],
            *view.focal,
            *view.centre,
            box.lower,
            box.voxel,
            band,
            distance,
            weight,
            free,
        )
    distance[(weight == 0) & (free > 0)] = band
    return Fused(distance, weight, free)
