"""The field's zero set as a closed mesh: flat where the room is flat, and few triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from piavas.errors import GeometryError
from piavas.geometry.flats import vertex_normals
from piavas.geometry.fusion import Box
from piavas.geometry.planes import Plane
from piavas.geometry.slopes import Slope, snapped

SEEN = 0.2  # share of the smoothing that seen surfaces get
ROUNDS, FORTH, BACK = 10, 0.5, -0.53  # of smoothing: passes, and the two steps of each
SNAP = 0.025  # metres, or 0.6 voxels if more, within which a vertex belongs to a plane
TOLERANCES = (
    0.003,
    0.005,
    0.0065,
    0.008,
    0.01,
    0.012,
    0.015,
    0.02,
    0.03,
    0.045,
    0.065,
    0.1,
)  # metres

Triangles = tuple[NDArray[np.float64], NDArray[np.int32]]


def extract(field: NDArray[np.float32], box: Box) -> Triangles:
    """Marching cubes (Lewiner et al. 2003): vertices in the turned frame, normals into the air."""
    from skimage.measure import marching_cubes

    padded = np.pad(field, 1, constant_values=-box.voxel)
    vertices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent")
    return box.lower + box.voxel * (vertices.astype(np.float64) - 1), faces.astype(np.int32)


def fair(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], guessed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Vertices smoothed without shrinking (Taubin 1995), those `[v]` that are `guessed` most."""
    freedom = np.where(guessed, 1, SEEN).astype(np.float32)
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    count = np.bincount(a, minlength=len(vertices))
    share = (freedom / np.maximum(count, 1)).astype(np.float32)
    beside = csr_array((share[a], (a, b)), shape=(len(vertices),) * 2)
    moved = vertices.astype(np.float32)
    own = freedom[:, None]
    for _ in range(ROUNDS):
        for step in (FORTH, BACK):
            moved = moved + np.float32(step) * (beside @ moved - own * moved)
    return np.asarray(moved, np.float64)


def snap(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    planes: tuple[Plane, ...],
    voxel: float,
    slopes: tuple[Slope, ...] = (),
) -> NDArray[np.float64]:
    """Move vertices that lie on a plane, and face as it does, exactly onto it."""
    reach = max(SNAP, 0.6 * voxel)
    normal = vertex_normals(vertices, faces)
    out = vertices.copy()
    nearest = np.full(vertices.shape, reach)
    for plane in planes:
        away = np.abs(vertices[:, plane.axis] - plane.offset)
        near = away < nearest[:, plane.axis]
        near &= normal[:, plane.axis] * plane.facing > 0.5
        out[near, plane.axis] = plane.offset
        nearest[near, plane.axis] = away[near]
    return snapped(out, normal, planes, slopes, reach)


def simplify(vertices: NDArray[np.float64], faces: NDArray[np.int32], budget: int) -> Triangles:
    """Fewer triangles, still closed: tolerances rise until they keep to `budget`.

    Each step starts from the last one's result: from the raw surface, a large tolerance leaves more
    triangles than a small one, since edges collapse in the order in which they lie.

    Raises:
        GeometryError: the surface is not closed, or the budget is too small for it.
    """
    from manifold3d import Manifold, Mesh

    solid = Manifold(
        Mesh(
            vert_properties=vertices.astype(np.float32),
            tri_verts=np.ascontiguousarray(faces[:, ::-1]).astype(np.uint32),
        )
    )
    if solid.num_tri() == 0:
        raise GeometryError(
            f"the surface is not closed: {solid.status()}", field="mesh", mend="take other voxels"
        )
    for tolerance in TOLERANCES:
        solid = solid.simplify(tolerance)
        if solid.num_tri() <= budget:
            break
    else:
        raise GeometryError(
            f"{solid.num_tri()} triangles are left at {TOLERANCES[-1]:g} m",
            field="triangles",
            mend="allow more triangles or larger voxels",
        )
    mesh = solid.to_mesh()
    points = np.asarray(mesh.vert_properties)[:, :3].astype(np.float64)
    return points, np.asarray(mesh.tri_verts)[:, ::-1].astype(np.int32)
