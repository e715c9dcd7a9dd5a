"""Takes triangles without area out of a closed mesh, which stays closed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.scene import triangle_areas

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
LEAST = 2e-9  # square metres, less is none
SHORT = 2e-6  # metres; the ends of a shorter edge become one
ROUNDS = 40


def without_slivers(vertices: F64, faces: I32, finish: I32) -> tuple[F64, I32, I32]:
    """The same surface without faces of no area, as far as it stays closed.

    Where a side of one is a point, its ends become one vertex; else its corner lies on its longest
    side, which is turned, so that the neighbour behind it is cut in two there.
    """
    faces, finish = faces.copy(), finish.copy()
    for _ in range(ROUNDS):
        flat = np.flatnonzero(triangle_areas(vertices, faces) < LEAST)
        if not len(flat):
            break
        short = np.array([_sides(vertices[faces[f]]).min() < SHORT for f in flat])
        count = len(faces)
        faces, finish = _merge(vertices, faces, finish, flat[short])
        if len(faces) == count and not _turn(vertices, faces, finish, flat[~short], flat):
            _turn(vertices, faces, finish, flat, flat[:0])
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], index.reshape(-1, 3).astype(np.int32), finish


def _turn(
    vertices: F64, faces: I32, finish: I32, flat: NDArray[np.int64], but: NDArray[np.int64]
) -> int:
    """Turn the longest sides of `flat` faces, in place, where the face behind is none of `but`.

    Neighbours of one turned wait a round.

    Returns:
        how many were turned.
    """
    owner, avoid = _owners(faces, _beside(faces, flat)), set(but.tolist())
    changed: set[int] = set()
    count = 0
    for f in flat.tolist():
        if f in changed:
            continue
        a, b, c = (int(v) for v in np.roll(faces[f], -_longest(vertices[faces[f]])))
        g = owner[b, a]
        if g in changed or g in avoid:
            continue
        d = int(faces[g][~np.isin(faces[g], (a, b))][0])
        near = {f, g, *(owner[e] for e in ((c, b), (a, c), (d, a), (b, d)))}
        if near & changed or (c, d) in owner or (d, c) in owner:
            continue
        faces[f], faces[g], finish[f] = (a, d, c), (d, b, c), finish[g]
        changed |= near
        count += 1
    return count


def _merge(vertices: F64, faces: I32, finish: I32, flat: NDArray[np.int64]) -> tuple[I32, I32]:
    """Draw the shortest sides of `flat` faces together; near ones wait a round."""
    if not len(flat):
        return faces, finish
    around: dict[int, set[int]] = {}
    for tri in faces[_beside(faces, flat)].tolist():
        for k in range(3):
            around.setdefault(tri[k], set()).update(tri)
    merged, touched = np.arange(len(vertices)), set[int]()
    for f in flat:
        k = int(_sides(vertices[faces[f]]).argmin())
        one, two = int(faces[f, k]), int(faces[f, (k + 1) % 3])
        near = around[one] | around[two]
        # Only where the two share no more than the two faces between them does it stay closed.
        if near & touched or len((around[one] & around[two]) - {one, two}) != 2:
            continue
        merged[two] = one
        touched |= near
    faces = merged[faces].astype(np.int32)
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return faces[whole], finish[whole]


def _beside(faces: I32, flat: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces that share a vertex with one of `flat`."""
    return np.flatnonzero(np.isin(faces, np.unique(faces[flat])).any(axis=1))


def _owners(faces: I32, among: NDArray[np.int64]) -> dict[tuple[int, int], int]:
    """The face of each directed edge, `among` these."""
    corners = faces[among].tolist()
    return {
        (tri[k], tri[(k + 1) % 3]): i
        for i, tri in zip(among.tolist(), corners, strict=True)
        for k in range(3)
    }


def _sides(corners: F64) -> F64:
    return np.asarray(np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1))


def _longest(corners: F64) -> int:
    return int(_sides(corners).argmax())
