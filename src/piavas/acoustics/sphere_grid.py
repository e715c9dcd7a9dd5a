"""Directions on the sphere: nearly uniform grids, solid angles, and weights to interpolate."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, SphericalVoronoi, cKDTree

Array = NDArray[np.float64]


def uniform_directions(count: int) -> Array:
    """Nearly uniform unit vectors `[count, 3]`.

    A subdivided icosahedron where `count` is 10 * 4^k + 2 (42, 162, 642, 2562, ...; from 42 on it
    holds the six axes), a Fibonacci spiral for any other count.
    """
    level = np.log2((count - 2) / 10) / 2 if count > 2 else -1.0
    if level >= 0 and level == int(level):
        return icosphere(int(level))
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    turn = np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)


def icosphere(level: int) -> Array:
    """Unit vectors `[10 * 4**level + 2, 3]` of an icosahedron subdivided `level` times."""
    golden = (1 + 5**0.5) / 2
    base = [(0.0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    points = np.array([np.roll(p, turn) for p in base for turn in range(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for _ in range(level):
        faces = ConvexHull(points).simplices
        edges = np.unique(
            np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0
        )
        middle = points[edges].sum(axis=1)
        points = np.vstack([points, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
    return points


def solid_angles(directions: Array) -> Array:
    """Share `[n]` of the sphere that lies nearest to each direction (spherical Voronoi); sum 1.

    Where a measured grid leaves a hole, its border takes the hole over.

    Raises:
        ValueError: fewer than four directions, duplicates, or all in one plane.
    """
    voronoi = SphericalVoronoi(directions, threshold=1e-8)
    voronoi.sort_vertices_of_regions()
    areas = voronoi.calculate_areas()
    if not np.isclose(areas.sum(), 4 * np.pi, rtol=1e-6) or (areas < 0).any():
        areas = _counted_areas(directions)
    return np.asarray(areas / areas.sum())


def _counted_areas(directions: Array, count: int = 400_000) -> Array:
    """Cells wider than a half-sphere have no triangles to sum: count the points of a fine grid."""
    owner = cKDTree(directions).query(uniform_directions(count))[1]
    return np.bincount(owner, minlength=len(directions)) / count


def barycentric(directions: Array, queries: Array) -> tuple[NDArray[np.int64], Array]:
    """Three neighbours and their weights for each query, on the hull of `directions`.

    In a hole of the grid (a facet whose circle is three times wider than the usual one) the
    nearest direction alone counts: nothing is interpolated across it.

    Args:
        directions: `[n, 3]` unit vectors, not all in one plane.
        queries: `[m, 3]` unit vectors.

    Returns:
        index `[m, 3]` and weight `[m, 3]`, which sums to 1.
    """
    hull = ConvexHull(directions)
    # A facet at distance d of the origin is cut out of the sphere by a circle of angle acos(d).
    angle = np.arccos(np.clip(-hull.equations[:, 3], -1, 1))
    hole = angle > 3 * np.median(angle)
    inverse = np.linalg.pinv(np.moveaxis(directions[hull.simplices], 1, 2))
    face, weight = np.empty(len(queries), np.int64), np.empty((len(queries), 3))
    for start in range(0, len(queries), 128):
        part = queries[start : start + 128]
        share = np.einsum("tij,qj->qti", inverse, part)
        best = _best_face(share, hull.equations, part)
        face[start : start + 128] = best
        weight[start : start + 128] = share[np.arange(len(part)), best]
    index = hull.simplices[face].astype(np.int64)
    weight = np.maximum(weight, 0)
    weight /= weight.sum(axis=1, keepdims=True)
    index[hole[face]] = cKDTree(directions).query(queries[hole[face]])[1][:, None]
    weight[hole[face]] = (1.0, 0.0, 0.0)
    return index, weight


def _best_face(share: Array, equations: Array, queries: Array) -> NDArray[np.int64]:
    """The facet whose cone holds each query; facets that look away are out."""
    inside = share.min(axis=2) / np.maximum(share.sum(axis=2), 1e-9)
    ahead = queries @ equations[:, :3].T > 1e-9
    return np.where(ahead & (share.sum(axis=2) > 0), inside, -np.inf).argmax(axis=1)


CELLS = 128  # cells to a side of the octahedral map: about a degree


@njit(cache=True, inline="always")
def octahedral_cell(x, y, z, cells):  # type: ignore[no-untyped-def]
    """Cell of a direction on the square that an octahedron unfolds to (Praun & Hoppe 2003)."""
    scale = 1 / (abs(x) + abs(y) + abs(z))
    u, v = x * scale, y * scale
    if z < 0:
        u, v = (
            (1 - abs(v)) * (1 if u >= 0 else -1),
            (1 - abs(u)) * (1 if v >= 0 else -1),
        )
    i = min(int((0.5 * u + 0.5) * cells), cells - 1)
    j = min(int((0.5 * v + 0.5) * cells), cells - 1)
    return i * cells + j


def octahedral_directions(cells: int = CELLS) -> Array:
    """Unit vectors `[cells * cells, 3]` through the middles of the cells."""
    u, v = np.meshgrid(*2 * [(np.arange(cells) + 0.5) * 2 / cells - 1], indexing="ij")
    z = 1 - np.abs(u) - np.abs(v)
    fold = z < 0
    x = np.where(fold, (1 - np.abs(v)) * np.sign(u), u)
    y = np.where(fold, (1 - np.abs(u)) * np.sign(v), v)
    way = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True))


def nearest_by_cell(directions: Array, cells: int = CELLS) -> NDArray[np.int32]:
    """Index `[cells * cells]` of the one of `directions` `[n, 3]` nearest to each cell's middle."""
    return np.asarray(cKDTree(directions).query(octahedral_directions(cells))[1], dtype=np.int32)
