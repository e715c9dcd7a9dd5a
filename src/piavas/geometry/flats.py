"""Flat pieces of a surface made exactly flat, and sharp where they meet.

A surface drawn from voxels is rough on what is flat and bevelled along edges. Sound is mirrored by
the one and bends round the other: plane pieces are grown over the surface from its flattest places
(region growing on normals, e.g. Rabbani et al. 2006, with planes fitted to all of a piece), and its
vertices moved onto the planes, those between two or three planes onto their common line or point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array

F64 = NDArray[np.float64]
LEAST = 0.01  # square metres of a piece
OFF = 0.25  # voxels that a vertex may lie off the plane of its piece
REACH = 0.9  # voxels off a plane up to which the vertices of a bevel belong to it
FARTHEST = 1.3  # voxels that a vertex may be moved
TURN = np.cos(np.radians(35.0))  # between the normals of a vertex and of its piece
SEED = np.cos(np.radians(20.0))  # between the normals of a seed and of all beside it
CROSS = 0.8  # most cosine between two planes that have a line in common
TOWARDS = 0.25  # least cosine between the normals of a vertex and of a piece beside it
MOST = 64  # pieces about a vertex
AXIS = np.cos(np.radians(2.0))  # of a plane along an axis of the room


@dataclass(frozen=True)
class Flats:
    """Plane pieces of a surface.

    Args:
        label: `[v]` piece of each vertex, -1 for none.
        normal: `[p, 3]` unit normals into the air.
        offset: `[p]` metres: a point x lies on the plane where normal . x = offset.
    """

    label: NDArray[np.int32]
    normal: F64
    offset: F64


def flatten(vertices: F64, faces: NDArray[np.int32], voxel: float) -> F64:
    """Vertices `[v, 3]` of a closed surface, moved onto its plane pieces and their edges.

    Args:
        vertices: `[v, 3]` metres, about a `voxel` apart.
        faces: `[f, 3]`, normals into the air.
        voxel: metres.
    """
    normal = vertex_normals(vertices, faces)
    start, beside = _neighbours(faces, len(vertices))
    flats = find_flats(vertices, faces, normal, start, beside, voxel)
    moved = vertices.copy()
    _move(
        moved, normal, start, beside, flats.label, flats.normal, flats.offset, REACH * voxel,
        FARTHEST * voxel,
    )  # fmt: skip
    return moved


def vertex_normals(vertices: F64, faces: NDArray[np.int32]) -> F64:
    """Unit normals `[v, 3]`, means of those of the faces by area."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    normal = np.cross(b - a, c - a)
    total = np.stack(
        [sum(np.bincount(faces[:, i], normal[:, k], len(vertices)) for i in range(3))
         for k in range(3)], axis=1
    )  # fmt: skip
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20))


def _neighbours(
    faces: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Vertices beside each: those of `v` are `beside[start[v] : start[v + 1]]`."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    table = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(count, count)).tocsr()
    return table.indptr.astype(np.int32), table.indices.astype(np.int32)


def find_flats(
    vertices: F64,
    faces: NDArray[np.int32],
    normal: F64,
    start: NDArray[np.int32],
    beside: NDArray[np.int32],
    voxel: float,
) -> Flats:
    """The plane pieces of a surface, largest share of it first come."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    area = np.bincount(faces.ravel(), np.repeat(third, 3), len(vertices))
    calm = _calm(normal, start, beside)
    order = np.argsort(-calm, kind="stable")
    order = order[calm[order] > SEED].astype(np.int32)
    label = np.full(len(vertices), -1, np.int32)
    planes = np.zeros((len(order), 4))
    count = _grow(vertices, normal, area, start, beside, order, OFF * voxel, label, planes)
    return Flats(label, planes[:count, :3].copy(), planes[:count, 3].copy())


@njit(cache=True)
def _calm(normal, start, beside):  # type: ignore[no-untyped-def]
    """Least cosine between the normal of each vertex and those beside it."""
    out = np.ones(len(normal))
    for v in range(len(normal)):
        for n in range(start[v], start[v + 1]):
            w = beside[n]
            cosine = 0.0
            for k in range(3):
                cosine += normal[v, k] * normal[w, k]
            out[v] = min(out[v], cosine)
    return out


@njit(cache=True)
def _fit(total, square, weight, like, plane):  # type: ignore[no-untyped-def]
    """The plane of least squares, along an axis where it nearly is, facing as `like` does."""
    mean = total / weight
    spread = square / weight - np.outer(mean, mean)
    _, ways = np.linalg.eigh(spread)
    normal = ways[:, 0].copy()
    for k in range(3):
        if abs(normal[k]) > AXIS:
            normal[:] = 0.0
            normal[k] = 1.0
    if normal @ like < 0:
        normal = -normal
    plane[:3] = normal
    plane[3] = normal @ mean


@njit(cache=True)
def _grow(vertices, normal, area, start, beside, order, off, label, planes):  # type: ignore[no-untyped-def]
    """Fill `label` and `planes` (normal, offset); how many pieces."""
    count = 0
    wave = np.empty(len(vertices), np.int32)
    seen = np.full(len(vertices), -1, np.int32)
    plane = np.empty(4)
    total, square, like = np.empty(3), np.empty((3, 3)), np.empty(3)
    tried = 0
    for seed in order:
        if label[seed] >= 0 or seen[seed] >= 0:
            continue
        # A disc about the seed tells the first plane.
        like[:] = normal[seed]
        plane[:3] = like
        plane[3] = like @ vertices[seed]
        # Grown twice: the second time all with the plane of the first.
        for turn in range(2):
            total[:], square[:] = 0.0, 0.0
            weight, size, wanted = 0.0, 0, 12
            wave[0] = seed
            last = 1
            mark = tried
            tried += 1
            seen[seed] = mark
            first = 0
            while first < last:
                v = wave[first]
                first += 1
                a = max(area[v], 1e-12)
                weight += a
                size += 1
                for i in range(3):
                    total[i] += a * vertices[v, i]
                    for j in range(3):
                        square[i, j] += a * vertices[v, i] * vertices[v, j]
                if turn == 0 and size == wanted:
                    _fit(total, square, weight, like, plane)
                    wanted *= 2
                for n in range(start[v], start[v + 1]):
                    w = beside[n]
                    if label[w] >= 0 or seen[w] == mark:
                        continue
                    gap, cosine = -plane[3], 0.0
                    for k in range(3):
                        gap += plane[k] * vertices[w, k]
                        cosine += plane[k] * normal[w, k]
                    if abs(gap) < off and cosine > TURN:
                        seen[w] = mark
                        wave[last] = w
                        last += 1
            if size >= 3:
                _fit(total, square, weight, like, plane)
        if weight >= LEAST and size >= 12:
            for n in range(last):
                label[wave[n]] = count
            planes[count] = plane
            count += 1
    return count


@njit(cache=True)
def _move(moved, normal, start, beside, label, planes, offsets, reach, farthest):  # type: ignore[no-untyped-def]
    """Move the vertices in place: each onto its own piece, and those about it that it lies near."""
    near, far = np.empty(MOST, np.int32), np.empty(MOST)
    chosen = np.empty(3, np.int32)
    for v in range(len(moved)):
        own = label[v]
        count = _pieces_about(
            v, moved, normal, start, beside, label, planes, offsets, reach, near, far
        )
        size = _choose(own, near[:count], far[:count], planes, chosen)
        # A bevel's vertex between nothing but one plane and the unknown stays where it is.
        least = 1 if own >= 0 else 2
        while size >= least:
            step = _step(moved[v], planes[chosen[:size]], offsets[chosen[:size]])
            if np.sqrt((step**2).sum()) < farthest:
                moved[v] += step
                break
            size -= 1


@njit(cache=True)
def _pieces_about(  # type: ignore[no-untyped-def]
    v, moved, normal, start, beside, label, planes, offsets, reach, near, far
):
    """Fill `near` with the other pieces beside `v` within `reach`, `far` with metres; how many."""
    count = 0
    for n in range(start[v], start[v + 1]):
        w = beside[n]
        count = _add(label[w], v, moved, normal, label, planes, offsets, reach, near, far, count)
        if label[v] < 0:  # of a bevel those beside its neighbours too
            for m in range(start[w], start[w + 1]):
                p = label[beside[m]]
                count = _add(p, v, moved, normal, label, planes, offsets, reach, near, far, count)
    return count


@njit(cache=True)
def _add(p, v, moved, normal, label, planes, offsets, reach, near, far, count):  # type: ignore[no-untyped-def]
    """Piece `p` added where it is another one, within reach and faces the same way; how many."""
    if p < 0 or p == label[v] or count == MOST:
        return count
    for i in range(count):
        if near[i] == p:
            return count
    gap, cosine = -offsets[p], 0.0
    for k in range(3):
        gap += planes[p, k] * moved[v, k]
        cosine += planes[p, k] * normal[v, k]
    if abs(gap) < reach and cosine > TOWARDS:
        near[count], far[count] = p, abs(gap)
        return count + 1
    return count


@njit(cache=True)
def _choose(own, near, far, planes, chosen):  # type: ignore[no-untyped-def]
    """Fill `chosen` with `own` if there is one, and the nearest that cross all before; how many."""
    size = 0
    if own >= 0:
        chosen[0], size = own, 1
    for i in np.argsort(far):
        if size == 3:
            break
        crosses = True
        for j in range(size):
            cosine = 0.0
            for k in range(3):
                cosine += planes[near[i], k] * planes[chosen[j], k]
            crosses &= abs(cosine) < CROSS
        if crosses:
            chosen[size] = near[i]
            size += 1
    return size


@njit(cache=True)
def _step(place, rows, offsets):  # type: ignore[no-untyped-def]
    """The shortest way `[3]` from `place` onto all the planes `rows` `[n, 3]`."""
    miss = offsets - rows @ place
    return rows.T @ np.linalg.solve(rows @ rows.T + 1e-9 * np.eye(len(rows)), miss)
