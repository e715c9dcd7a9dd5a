"""A texture atlas: faces that look the same way and touch share a flat chart, charts share a page.

Charts are seen along the axis of the world that their faces look along most, so no texel is
stretched by more than √3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piavas.scene import Mesh

GUTTER = 2  # texels around a chart that repeat its edge
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Atlas:
    """Where each face lies in the picture.

    Args:
        size: `(height, width)` texels.
        corner: `[f, 3, 2]` column and row of each corner, in texels from the top left.
        face: `[height, width]` face of each texel, -1 where there is none.
        place: `[height, width, 3]` metres, where there is a face.
        facing: `[f]` 0 to 5, the axis and sign that the face looks along.
    """

    size: tuple[int, int]
    corner: Array
    face: NDArray[np.int32]
    place: NDArray[np.float32]
    facing: NDArray[np.int64]


def make_atlas(mesh: Mesh, texel: float) -> Atlas:
    """Lay out the faces of `mesh` at `texel` metres a texel."""
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.abs(normal).argmax(axis=1)
    facing = 2 * axis + (np.take_along_axis(normal, axis[:, None], 1)[:, 0] < 0)
    chart = _charts(mesh, facing)
    flat = np.stack([corners[np.arange(len(axis)), :, (axis + k) % 3] for k in (1, 2)], axis=-1)
    flat /= texel
    low = np.full((chart.max() + 1, 2), np.inf)
    high = -low
    for k in range(3):
        np.minimum.at(low, chart, flat[:, k])
        np.maximum.at(high, chart, flat[:, k])
    sizes = np.ceil(high - low).astype(int) + 1 + 2 * GUTTER
    spots, page = _pack(sizes)
    corner = flat - low[chart][:, None] + GUTTER + spots[chart][:, None]
    face = np.full(page, -1, np.int32)
    place = np.zeros((*page, 3), np.float32)
    _fill(corner, corners, face, place)
    return Atlas(page, corner, face, place, facing)


def _charts(mesh: Mesh, facing: NDArray[np.int64]) -> NDArray[np.int64]:
    """Chart of each face: connected faces that look the same way."""
    faces = mesh.faces
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort(edges.T[::-1])
    edges, owner = edges[order], owner[order]
    same = (edges[1:] == edges[:-1]).all(axis=1) & (facing[owner[1:]] == facing[owner[:-1]])
    a, b = owner[:-1][same], owner[1:][same]
    graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(faces), len(faces)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _pack(sizes: NDArray[np.integer]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Shelves, tallest charts first: places `[n, 2]` (column, row), and the page's size."""
    width = max(int(np.sqrt(1.1 * sizes.prod(axis=1).sum())), int(sizes[:, 0].max()))
    spots = np.zeros_like(sizes)
    x = y = shelf = 0
    for chart in np.argsort(-sizes[:, 1], kind="stable"):
        w, h = sizes[chart]
        if x + w > width:
            x, y, shelf = 0, y + shelf, 0
        spots[chart] = x, y
        x, shelf = x + w, max(shelf, h)
    return spots, (int(y + shelf), width)


@njit(cache=True)
def _fill(corner, corners, face, place):  # type: ignore[no-untyped-def]
    """Give each texel the face over its centre, and one texel beyond the face's rim."""
    height, width = face.shape
    best = np.full((height, width), -np.inf)
    for f in range(corner.shape[0]):
        ax, ay = corner[f, 0]
        bx, by = corner[f, 1]
        cx, cy = corner[f, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        longest = max(
            np.hypot(bx - ax, by - ay), np.hypot(cx - bx, cy - by), np.hypot(ax - cx, ay - cy)
        )
        slack = 1.5 * longest / abs(area)  # one and a half texels, as a barycentric coordinate
        for row in range(max(int(min(ay, by, cy)) - 2, 0), min(int(max(ay, by, cy)) + 3, height)):
            for col in range(
                max(int(min(ax, bx, cx)) - 2, 0), min(int(max(ax, bx, cx)) + 3, width)
            ):
                x, y = col + 0.5, row + 0.5
                v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                u = 1 - v - w
                inside = min(u, v, w)
                if inside < -slack:
                    continue
                inside = min(inside, 0.0) / slack
                if inside > best[row, col]:
                    best[row, col] = inside
                    face[row, col] = f
                    for k in range(3):
                        place[row, col, k] = (
                            u * corners[f, 0, k] + v * corners[f, 1, k] + w * corners[f, 2, k]
                        )
