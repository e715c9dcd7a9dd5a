"""Faces without area turned into faces that have some, without opening the mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.scene import triangle_areas

FLAT = 1e-9  # square metres
THIN = 1e-5  # metres over the longest edge: parts of a thinner face have no area once it is cut
ROUNDS = 8
ASIDE = 1e-4  # metres


def flat_faces(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rows of `faces` without area, or so thin that pieces of them would have none."""
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    area = triangle_areas(vertices, faces)
    return np.flatnonzero(area < np.maximum(FLAT, 0.5 * THIN * longest))


def flip_flat(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Faces of a closed mesh, those without area flipped into their neighbours.

    A corner of a flat face lies on its longest edge; with the face across that edge it forms a
    quadrilateral, which is cut by its other diagonal instead. Surface and vertices stay as they
    are. A flat face whose other diagonal is an edge already is left.

    Args:
        vertices: `[v, 3]` metres.
        faces: `[f, 3]`.

    Returns:
        faces `[f, 3]` in the same order, but for the flipped ones.
    """
    faces = faces.copy()
    for _ in range(ROUNDS):
        flat = flat_faces(vertices, faces)
        if not len(flat) or not sum(_flip(vertices, faces, int(row)) for row in flat):
            break
    return faces


def _flip(vertices: NDArray[np.float64], faces: NDArray[np.int32], row: int) -> bool:
    """Flip the longest edge of face `row` in place; whether that could be done."""
    face = faces[row]
    lengths = np.linalg.norm(vertices[face] - vertices[np.roll(face, -1)], axis=1)
    a, b, c = np.roll(face, -int(lengths.argmax()))
    across = np.flatnonzero((faces == b).any(axis=1) & (faces == a).any(axis=1))
    across = across[across != row]
    if len(across) != 1:
        return False
    other = int(across[0])
    d = next(corner for corner in faces[other] if corner not in (a, b))
    if c == d or ((faces == c).any(axis=1) & (faces == d).any(axis=1)).any():
        return False
    faces[row], faces[other] = (c, a, d), (d, b, c)
    return True


def part_flat(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Vertices `[v, 3]`, those of faces that still have no area a tenth of a millimetre aside.

    Where vertices were moved to one place, no flip gives the faces between them any area.
    """
    generator = np.random.default_rng(0)
    moved = vertices.copy()
    for _ in range(ROUNDS):
        flat = np.unique(faces[flat_faces(moved, faces)])
        if not len(flat):
            break
        way = generator.normal(size=(len(flat), 3))
        moved[flat] += ASIDE * way / np.linalg.norm(way, axis=1, keepdims=True)
    return moved
