"""Coplanar, connected faces as one mirror: what an image source is mirrored in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piavas.scene import Scene, triangle_areas

NORMAL_TOLERANCE = np.cos(np.radians(2.0))
OFFSET_TOLERANCE = 0.005  # metres


@dataclass(frozen=True)
class Patches:
    """The mirrors of a scene.

    Args:
        of_face: `[f]` patch of each face.
        normal: `[p, 3]` unit normal.
        offset: `[p]` metres: a point x lies on the plane where normal . x = offset.
        lower: `[p, 3]` lower corner of its bounding box, metres.
        upper: `[p, 3]` upper corner.
        area: `[p]` square metres.
        material: `[p]` index of its material; patches never mix materials.
        mirror: `[p]` large enough to carry image sources.
        reflecting: `[p, 3]` unit normals by which rays are mirrored, see `piavas.acoustics.relief`.
    """

    of_face: NDArray[np.int32]
    normal: NDArray[np.float64]
    offset: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    area: NDArray[np.float64]
    material: NDArray[np.int32]
    mirror: NDArray[np.bool_]
    reflecting: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.normal)


def face_normals(scene: Scene) -> NDArray[np.float64]:
    """Unit normals `[f, 3]` by the right-hand rule; zero for faces without area."""
    a, b, c = np.moveaxis(scene.vertices[scene.faces], 1, 0)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.asarray(np.divide(normal, length, where=length > 0, out=np.zeros_like(normal)))


def _neighbours(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pairs `[n, 2]` of faces that share an edge."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort(edges.T[::-1])
    edges, owner = edges[order], owner[order]
    same = (edges[1:] == edges[:-1]).all(axis=1)
    return np.stack([owner[:-1][same], owner[1:][same]], axis=1)


def weld(scene: Scene) -> NDArray[np.int32]:
    """Faces over vertices merged at a tenth of a millimetre: scans repeat them."""
    key = np.round(scene.vertices * 1e4).astype(np.int64)
    _, index = np.unique(key, axis=0, return_inverse=True)
    return index.reshape(-1).astype(np.int32)[scene.faces]


def find_patches(scene: Scene, minimum_area: float = 0.1) -> Patches:
    """Group the faces of `scene` to patches.

    Two faces that share an edge belong together if they have one material, their normals differ
    by less than 2 degrees and each one's centre lies within 5 mm of the other's plane.

    Args:
        scene: the room.
        minimum_area: square metres from which a patch counts as a mirror. Smaller ones reflect
            specularly in the traced part, where they spread over a ball instead of a point.
    """
    normal, area = face_normals(scene), triangle_areas(scene.vertices, scene.faces)
    centre = scene.vertices[scene.faces].mean(axis=1)
    a, b = _neighbours(weld(scene)).T
    gap = np.einsum("ij,ij->i", centre[b] - centre[a], normal[a])
    back = np.einsum("ij,ij->i", centre[b] - centre[a], normal[b])
    joined = (
        (scene.face_material[a] == scene.face_material[b])
        & (np.einsum("ij,ij->i", normal[a], normal[b]) > NORMAL_TOLERANCE)
        & (np.abs(gap) < OFFSET_TOLERANCE)
        & (np.abs(back) < OFFSET_TOLERANCE)
    )
    n = len(scene.faces)
    graph = coo_array((np.ones(joined.sum(), bool), (a[joined], b[joined])), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    return _describe(scene, label.astype(np.int32), count, normal, area, centre, minimum_area)


def _describe(
    scene: Scene,
    label: NDArray[np.int32],
    count: int,
    normal: NDArray[np.float64],
    area: NDArray[np.float64],
    centre: NDArray[np.float64],
    minimum_area: float,
) -> Patches:
    """Area-weighted planes and boxes of the labelled groups."""

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(label, values, count), dtype=np.float64)

    size = total(area)
    mean = np.stack([total(area * normal[:, i]) for i in range(3)], axis=1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    mean = np.divide(mean, length, where=length > 0, out=np.zeros_like(mean))
    offset = total(area * np.einsum("ij,ij->i", centre, mean[label]))
    offset = np.divide(offset, size, where=size > 0, out=np.zeros_like(offset))
    corners = scene.vertices[scene.faces]
    lower, upper = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(lower, label, corners.min(axis=1))
    np.maximum.at(upper, label, corners.max(axis=1))
    material = np.zeros(count, np.int32)
    material[label] = scene.face_material
    mirror = size >= minimum_area
    return Patches(label, mean, offset, lower, upper, size, material, mirror, mean)
