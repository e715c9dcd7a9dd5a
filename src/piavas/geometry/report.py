"""How a mesh came about: what was seen of each face, and whether sound could leak out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from piavas.geometry.air import Air
from piavas.geometry.fusion import Box, Fused
from piavas.geometry.planes import Plane
from piavas.geometry.slopes import Slope
from piavas.geometry.views import View
from piavas.rays import RayCaster
from piavas.scene import INFERRED, INVENTED, OBSERVED, triangle_areas

RAYS = 20_000
BESIDE, BESIDE_ANGLE = 4, 1e-4  # rays asked beside a lost one, radians apart


def face_origin(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    fused: Fused,
    air: Air,
    planes: tuple[Plane, ...],
    box: Box,
    slopes: tuple[Slope, ...] = (),
    measured: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """OBSERVED, INFERRED or INVENTED for each face; vertices in the turned frame.

    Observed: most points of the face lie where a view saw a surface, `measured` (see
    `measured_places`) if that is given. Inferred: where its depth was only concluded, or on the
    plane of a wall, floor or ceiling that was seen elsewhere. Invented: all else.
    """
    corners = vertices[faces]
    mixes = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]], float)
    mixes /= mixes.sum(axis=1, keepdims=True)
    seen, sure = np.zeros((2, len(faces)))
    for mix in mixes:
        at = box.index(np.einsum("k,fkc->fc", mix, corners))
        near = fused.weight[tuple(at.T)] > 0
        near &= np.abs(fused.distance[tuple(at.T)]) < 1.5 * box.voxel
        seen += near
        sure += near if measured is None else near & measured[tuple(at.T)]
    on_plane = np.zeros(len(faces), bool)
    for plane in planes:
        on_plane |= (np.abs(corners[:, :, plane.axis] - plane.offset) < 0.02).all(axis=1)
    for slope in slopes:
        on_plane |= (np.abs(slope.off(corners)) < 0.02).all(axis=1)
    concluded = on_plane | (seen >= 2)
    return np.where(sure >= 2, OBSERVED, np.where(concluded, INFERRED, INVENTED)).astype(np.uint8)


def measured_places(views: list[View], box: Box) -> NDArray[np.bool_] | None:
    """Voxels next to which a view's depth was measured; None where all of it was."""
    if all(view.measured is None for view in views):
        return None
    found = np.zeros(box.shape, bool)
    for view in views:
        found[tuple(box.index(box.to_grid(view.points(measured=True))).T)] = True
    return np.asarray(binary_dilation(found, np.ones((3, 3, 3))))


def leak(vertices: NDArray, faces: NDArray, cameras: NDArray[np.float64], seed: int) -> float:
    """Share of isotropic rays from `cameras` `[n, 3]` that meet no face.

    A ray may slip between two triangles by rounding: it counts if those beside it escape too.
    """
    generator = np.random.default_rng(seed)
    way = generator.normal(size=(RAYS, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    start = cameras[generator.integers(len(cameras), size=RAYS)]
    caster = RayCaster(vertices, faces)
    lost = np.flatnonzero(caster.closest(start, way)[1] < 0)
    for _ in range(BESIDE):
        aside = way[lost] + BESIDE_ANGLE * generator.normal(size=(len(lost), 3))
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        lost = lost[caster.closest(start[lost], aside)[1] < 0] if len(lost) else lost
    return len(lost) / RAYS


def volume(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    """Cubic metres enclosed by a closed mesh with normals to the inside."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return float(-np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def area_by_origin(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], origin: NDArray[np.uint8]
) -> dict[str, float]:
    """Square metres observed, inferred and invented, and open where any are."""
    total = np.bincount(origin, triangle_areas(vertices, faces), 3)
    names = ("observed", "inferred", "invented", "open")
    return {name: round(float(value), 3) for name, value in zip(names, total, strict=False)}
