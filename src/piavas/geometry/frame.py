"""The room's own axes: +z is known, the walls tell the yaw; and the box that holds it all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.errors import GeometryError
from piavas.geometry.fusion import Box
from piavas.geometry.views import View

UPRIGHT = 0.15  # most that a wall's normal may rise
MARGIN = 0.4  # metres of grid about what was seen
TALLEST = 3.4  # metres from the grid's foot that an unseen ceiling may need
TAIL = 0.002  # share of points on either side that may be stray
AMPLE, LARGEST = 30_000_000, 60_000_000  # voxels up to which they may be fine, and at most


def manhattan_yaw(views: list[View], bins: int = 180) -> float:
    """Angle in radians, within 45 degrees, by which the walls are turned.

    First the peak of the wall normals' angles, folded to a quarter turn; then, within eight degrees
    of it, the turn that gathers the walls' points to the sharpest lines.
    """
    if not views:
        return 0.0
    normals, points = zip(*(_wall_points(view) for view in views), strict=True)
    normal, point = np.concatenate(normals), np.concatenate(points)
    if not len(normal):
        return 0.0
    folded = np.mod(np.arctan2(normal[:, 1], normal[:, 0]), np.pi / 2)
    count, edges = np.histogram(folded, bins, (0, np.pi / 2))
    peak = edges[np.argmax(count + np.roll(count, 1) + np.roll(count, -1))] + np.pi / 4 / bins
    along = np.mod(np.arctan2(normal[:, 1], normal[:, 0]) - peak + np.pi / 4, np.pi) < np.pi / 2
    for reach, step in ((8.0, 0.25), (0.25, 0.05)):
        tries = peak + np.radians(np.arange(-reach, reach + step / 2, step))
        peak = tries[int(np.argmax([_sharpness(point, along, turn) for turn in tries]))]
    return float(np.mod(peak + np.pi / 4, np.pi / 2) - np.pi / 4)


def _wall_points(view: View, stride: int = 4) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normals and places `[n, 2]` in the plan of what stands upright in a view."""
    normal = view.normal[::stride, ::stride][view.depth[::stride, ::stride] > 0]
    wall = (np.abs(normal[:, 2]) < UPRIGHT) & (np.abs(normal).sum(axis=1) > 0)
    return normal[wall, :2].astype(np.float64), view.points(stride)[wall, :2]


def _sharpness(point: NDArray[np.float64], along: NDArray[np.bool_], turn: float) -> float:
    """Sum of squares of the histograms of the points across their walls, in bins of 1 cm."""
    c, s = np.cos(turn), np.sin(turn)
    total = 0.0
    for chosen, axis in ((along, (c, s)), (~along, (-s, c))):
        place = np.round(point[chosen] @ np.array(axis) / 0.01).astype(np.int64)
        if len(place):
            total += float((np.bincount(place - place.min()).astype(float) ** 2).sum())
    return total


def bounding_box(views: list[View], voxels: tuple[float, float], yaw: float) -> Box:
    """A grid about all that was seen and all cameras.

    Args:
        views: what was seen.
        voxels: metres of the finest and the coarsest voxel; taken is the one that fits the size.
        yaw: of the grid.

    Raises:
        GeometryError: it would hold more than 60 million voxels.
    """
    unit = Box(np.zeros(3), (1, 1, 1), 1.0, yaw)
    stride = max(1, views[0].depth.shape[1] // 80)
    points = np.concatenate([view.points(stride) for view in views])
    inside: NDArray[np.float64] = unit.to_grid(points)
    cameras = unit.to_grid(np.stack([view.pose[:3, 3] for view in views]))
    lower = np.minimum(np.quantile(inside, TAIL, axis=0), cameras.min(axis=0)) - MARGIN
    upper = np.maximum(np.quantile(inside, 1 - TAIL, axis=0), cameras.max(axis=0)) + MARGIN
    upper[2] = max(upper[2], lower[2] + TALLEST)  # a ceiling may be there unseen
    voxel = fitting(float(np.prod(upper - lower)), voxels)
    shape = np.ceil((upper - lower) / voxel).astype(int) + 1
    if np.prod(shape.astype(float)) > LARGEST:
        size = np.round(upper - lower, 1).tolist()
        raise GeometryError(
            f"what was seen spans {size} m, too much for voxels of {voxel:g} m",
            field="voxel",
            mend="take larger voxels, and check the unit of the depth",
        )
    return Box(lower, (int(shape[0]), int(shape[1]), int(shape[2])), voxel, yaw)


def fitting(volume: float, voxels: tuple[float, float]) -> float:
    """The voxel, of a finest and a coarsest, of which `volume` m³ hold `AMPLE`; whole mm."""
    finest, coarsest = voxels
    return min(max(finest, float(np.ceil(1e3 * np.cbrt(volume / AMPLE)) / 1e3)), coarsest)
