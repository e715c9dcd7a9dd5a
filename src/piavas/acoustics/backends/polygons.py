"""A scene as plane polygons: patches whose border is one simple loop, triangles for the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.field import Room

WELD = 1e-4  # metres within which corners are one
FLAT = 1e-6  # metres by which a corner may leave its polygon's plane
STRAIGHT = 1e-9  # square metres of a corner that is none


@dataclass(frozen=True)
class Polygon:
    """A plane wall.

    Args:
        corners: `[n, 3]` metres, counter-clockwise seen from where its normal points.
        material: index into the scene's materials.
    """

    corners: NDArray[np.float64]
    material: int


def polygons(room: Room) -> list[Polygon]:
    """The walls of `room`, normals out of the air."""
    scene = room.scene
    corner, place = _welded(scene.vertices)
    faces = corner[scene.faces]
    walls: list[Polygon] = []
    for patch in range(len(room.patches)):
        mine = np.flatnonzero(room.patches.of_face == patch)
        outline = _outline(faces[mine])
        shapes = [place[outline]] if outline is not None else []
        if not shapes or not _is_flat(shapes[0]):
            shapes = [place[face] for face in faces[mine]]
        material = int(room.patches.material[patch])
        for shape in shapes:
            corners = _corners(shape)
            if len(corners) >= 3:
                outward = corners[::-1] if room.inward > 0 else corners
                walls.append(Polygon(np.ascontiguousarray(outward), material))
    return walls


def volume(walls: list[Polygon]) -> float:
    """Cubic metres inside `walls` by the divergence theorem; negative if normals point in."""
    total = 0.0
    for wall in walls:
        first = wall.corners[0]
        area = np.cross(wall.corners[1:-1] - first, wall.corners[2:] - first).sum(axis=0) / 2
        total += float(area @ first) / 3
    return total


def _welded(vertices: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index of each vertex among the distinct places, and those."""
    key = np.round(vertices / WELD).astype(np.int64)
    _, first, index = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return index.reshape(-1), vertices[first]


def _outline(faces: NDArray[np.int64]) -> list[int] | None:
    """The one loop of edges that only one of `faces` has, or None if there is another border."""
    edges = {(int(f[i]), int(f[(i + 1) % 3])) for f in faces for i in range(3)}
    border = {a: b for a, b in edges if (b, a) not in edges}
    if len(border) != sum((b, a) not in edges for a, b in edges) or not border:
        return None
    loop = [next(iter(border))]
    while border[loop[-1]] != loop[0]:
        loop.append(border[loop[-1]])
        if len(loop) > len(border) or loop[-1] not in border:
            return None
    return loop if len(loop) == len(border) else None


def _is_flat(shape: NDArray[np.float64]) -> bool:
    centred = shape - shape.mean(axis=0)
    return bool(np.linalg.svd(centred, compute_uv=False)[-1] < FLAT * len(shape))


def _corners(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """`shape` without the points that lie on a straight line between their neighbours."""
    before, after = np.roll(shape, 1, axis=0), np.roll(shape, -1, axis=0)
    bend = np.linalg.norm(np.cross(shape - before, after - shape), axis=1)
    return shape[bend > STRAIGHT]
