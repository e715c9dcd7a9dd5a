"""A reconstructed mesh held against the true one: distances, volume, walls, doorways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from piavas.geometry.report import volume
from piavas.rays import RayCaster
from piavas.scene import OBSERVED, Mesh, triangle_areas

SAMPLES = 20_000
NEAR = 0.05  # metres of the recall

F64 = NDArray[np.float64]


@njit(cache=True)
def _to_triangle(p, a, b, c):  # type: ignore[no-untyped-def] # noqa: PLR0911
    """Squared distance of a point to a triangle (Ericson 2005, section 5.1.5)."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = np.dot(ab, ap), np.dot(ac, ap)
    if d1 <= 0 and d2 <= 0:
        return np.dot(ap, ap)
    bp = p - b
    d3, d4 = np.dot(ab, bp), np.dot(ac, bp)
    if d3 >= 0 and d4 <= d3:
        return np.dot(bp, bp)
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        gap = ap - d1 / (d1 - d3) * ab if d1 != d3 else ap
        return np.dot(gap, gap)
    cp = p - c
    d5, d6 = np.dot(ab, cp), np.dot(ac, cp)
    if d6 >= 0 and d5 <= d6:
        return np.dot(cp, cp)
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        gap = ap - d2 / (d2 - d6) * ac if d2 != d6 else ap
        return np.dot(gap, gap)
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 >= d3 and d5 >= d6:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6)) if (d4 - d3) + (d5 - d6) else 0.0
        gap = bp - w * (c - b)
        return np.dot(gap, gap)
    gap = ap - (vb * ab + vc * ac) / (va + vb + vc)
    return np.dot(gap, gap)


@njit(cache=True, parallel=True)
def _distances(points, triangles, lower, upper, bound):  # type: ignore[no-untyped-def]
    out = np.empty(len(points))
    for i in prange(len(points)):
        p, best = points[i], bound[i] ** 2 + 1e-12
        for t in range(len(triangles)):
            away = 0.0
            for k in range(3):
                gap = max(lower[t, k] - p[k], p[k] - upper[t, k], 0.0)
                away += gap * gap
            if away < best:
                best = min(best, _to_triangle(p, triangles[t, 0], triangles[t, 1], triangles[t, 2]))
        out[i] = np.sqrt(best)
    return out


def point_to_mesh(points: F64, mesh: Mesh) -> F64:
    """Exact distances `[n]` in metres of `points` `[n, 3]` to the nearest triangle of `mesh`."""
    triangles = mesh.triangles
    bound, _ = cKDTree(triangles.reshape(-1, 3)).query(points)
    return np.asarray(
        _distances(
            np.ascontiguousarray(points), triangles, triangles.min(axis=1), triangles.max(axis=1),
            bound,
        )
    )  # fmt: skip


def sample_surface(
    mesh: Mesh, count: int, seed: int = 0, faces: NDArray[np.bool_] | None = None
) -> tuple[F64, NDArray[np.int64]]:
    """Points `[count, 3]` even over the area of `mesh` (of some of its faces), and their faces."""
    generator = np.random.default_rng(seed)
    area = triangle_areas(mesh.vertices, mesh.faces)
    area = area if faces is None else np.where(faces, area, 0.0)
    chosen = generator.choice(len(area), size=count, p=area / area.sum())
    u, v = generator.random((2, count))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    a, b, c = np.moveaxis(mesh.triangles[chosen], 1, 0)
    return a + u[:, None] * (b - a) + v[:, None] * (c - a), chosen


def seen_points(mesh: Mesh, points: F64, faces: NDArray[np.int64], poses: F64, fov: F64) -> NDArray:
    """Which of `points` `[n, 3]` on `faces` of `mesh` some camera saw.

    Args:
        mesh: what hides them.
        points: on the surface, metres.
        faces: `[n]` face of each.
        poses: `[cameras, 4, 4]`.
        fov: `[2]` tangents of half the field of view, across and up.
    """
    caster = RayCaster(mesh.vertices, mesh.faces)
    a, b, c = np.moveaxis(mesh.triangles[faces], 1, 0)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    lifted = points + 1e-3 * normal
    seen = np.zeros(len(points), bool)
    for pose in poses:
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        ahead = np.maximum(-local[:, 2], 1e-9)
        inside = (local[:, 2] < 0) & (np.abs(local[:, 0]) < fov[0] * ahead)
        inside &= (np.abs(local[:, 1]) < fov[1] * ahead) & ~seen
        row = np.flatnonzero(inside)
        if len(row):
            eye = np.broadcast_to(pose[:3, 3], (len(row), 3))
            seen[row] = caster.visible(lifted[row], eye)
    return seen


@dataclass(frozen=True)
class Agreement:
    """How near a reconstruction comes to the truth; lengths in metres.

    Args:
        accuracy: median distance from the reconstruction to the truth, on observed surface.
        accuracy_all: the same on all of it.
        completeness: median distance from the seen truth to the reconstruction.
        completeness_all: the same from all of the truth.
        recall: share of the seen truth within 5 cm of the reconstruction.
        volume_error: relative, signed.
    """

    accuracy: float
    accuracy_all: float
    completeness: float
    completeness_all: float
    recall: float
    volume_error: float


def agreement(
    mesh: Mesh, truth: Mesh, seen: NDArray[np.bool_], points: F64, seed: int = 0
) -> Agreement:
    """Compare `mesh` with `truth`.

    Args:
        mesh: reconstructed.
        truth: closed, normals into the air.
        seen: `[n]` which of `points` cameras saw.
        points: `[n, 3]` on the true surface.
        seed: of the samples on `mesh`.
    """
    at, face = sample_surface(mesh, SAMPLES, seed)
    away = point_to_mesh(at, truth)
    back = point_to_mesh(points, mesh)
    observed = np.ones(len(at), bool) if mesh.origin is None else mesh.origin[face] == OBSERVED
    true_volume = abs(volume(truth.vertices, truth.faces))
    return Agreement(
        accuracy=float(np.median(away[observed])),
        accuracy_all=float(np.median(away)),
        completeness=float(np.median(back[seen])),
        completeness_all=float(np.median(back)),
        recall=float((back[seen] < NEAR).mean()),
        volume_error=abs(volume(mesh.vertices, mesh.faces)) / true_volume - 1,
    )
