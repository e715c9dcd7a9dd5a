"""The planes that small faces of a rough surface mirror sound by.

A relief much lower than the wavelength is smooth to sound (Rayleigh's criterion: an eighth of the
wavelength; Kuttruff, Room Acoustics, §2.7), but rays are mirrored by whichever facet they meet, as
if each were a large mirror. Of a scan, whose every surface is a relief of its noise, that scatters
several times as much as the thing itself: late sound that runs level between walls is sent to what
absorbs it. So a face that is no mirror of its own is looked at with what lies about it, and mirrors
by the plane about which most of that lies. Where that is its own plane, as on clean models, nothing
changes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.patches import Patches, face_normals
from piavas.scene import Scene, triangle_areas

F64 = NDArray[np.float64]
HEIGHT = 0.05  # metres off a plane that are relief: an eighth of the wavelength of 860 Hz
REACH = 0.25  # metres about a face that are looked at
GRAIN = 8e-4  # square metres for which one point stands
MOST = 4_000_000  # points and cells, where a scene is so large that these are coarser
SHARE = 0.25  # of what lies about a face that must lie about its plane
SHARED = 1.05  # by how much a plane along one of the room's mirrors is preferred
DIRECTIONS = 8  # most directions of mirrors that are tried
ALIKE = np.cos(np.radians(5.0))  # between normals that are one direction
AWAY = -0.5  # cosine under which what lies near faces the other way, as the back of a board
ASKEW = 0.05  # least cosine between the normals of a face and of its plane
ROUNDS = 3  # in which the plane is moved to the middle of what lies about it


def over_relief(scene: Scene, patches: Patches) -> Patches:
    """`patches`, of which those that are no mirrors reflect by the plane about which they lie."""
    area = triangle_areas(scene.vertices, scene.faces)
    small = np.flatnonzero(~patches.mirror & (patches.area > 0))
    if not len(small):
        return patches
    middle = scene.vertices[scene.faces].mean(axis=1)
    centre = np.stack(
        [np.bincount(patches.of_face, area * middle[:, k], len(patches)) for k in range(3)], axis=1
    )[small] / patches.area[small, None]  # fmt: skip
    points, normals, weight = _points(scene, area)
    # Points by cell, so that those about a place lie in three by three rows of cells.
    low = points.min(axis=0) - REACH
    size = points.max(axis=0) - low
    wide = max(REACH, float(np.cbrt((size + REACH).prod() / MOST)), float(size.max()) / MOST)
    shape = np.floor(size / wide).astype(np.int64) + 2
    cell = np.ravel_multi_index(tuple(np.floor((points - low) / wide).astype(np.int64).T), shape)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(shape.prod() + 1))
    reflecting = patches.reflecting.copy()
    reflecting[small] = _planes(
        centre, patches.normal[small], _directions(patches), low, wide, shape, starts,
        points[order], normals[order], weight[order],
    )  # fmt: skip
    return replace(patches, reflecting=reflecting)


def _points(scene: Scene, area: F64) -> tuple[F64, F64, F64]:
    """Points `[n, 3]` spread over the faces, normals `[n, 3]` there, and square metres of each."""
    grain = max(GRAIN, float(area.sum()) / MOST)
    many = np.maximum(np.round(area / grain), 1).astype(np.int64)
    face = np.repeat(np.arange(len(area)), many)
    u, v = np.random.default_rng(0).random((2, len(face)))
    a, b, c = np.moveaxis(scene.vertices[scene.faces[face]], 1, 0)
    u = np.sqrt(u)[:, None]
    points = (1 - u) * a + u * (1 - v[:, None]) * b + u * v[:, None] * c
    return points, face_normals(scene)[face], (area / many)[face]


def _directions(patches: Patches) -> F64:
    """Normals `[n, 3]` that most area of the room's mirrors has, either way."""
    mirrors = np.flatnonzero(patches.mirror)
    normal, area = patches.normal[mirrors], patches.area[mirrors].copy()
    found: list[F64] = []
    while len(found) < DIRECTIONS and area.any():
        one = normal[np.argmax(area)]
        alike = np.abs(normal @ one) > ALIKE
        area[alike] = 0
        found.append(one)
    return np.array([*found, *(-one for one in found)]).reshape(-1, 3)


@njit(cache=True)
def _planes(centre, own, directions, low, wide, shape, starts, points, normals, weight):  # type: ignore[no-untyped-def]
    """Normal `[n, 3]` of the plane that most of what lies about each place lies about."""
    out = own.copy()
    tried = np.empty((len(directions) + 2, 3))
    near = np.empty((len(points), 7))
    for row in range(len(centre)):
        here = _about(
            centre[row], own[row], low, wide, shape, starts, points, normals, weight, near
        )
        # Its own plane first, and of planes as good that one; then the mean of what faces its way.
        tried[0], count, total = own[row], 1, 0.0
        mean = np.zeros(3)
        for i in range(here):
            total += near[i, 6]
            if _dot(near[i, 3:6], own[row]) > 0:
                for k in range(3):
                    mean[k] += near[i, 6] * near[i, 3 + k]
        length = np.sqrt(_dot(mean, mean))
        if length > 0:
            tried[count] = mean / length
            count += 1
        shared = count
        for n in range(len(directions)):
            if _dot(directions[n], own[row]) > ASKEW:
                tried[count] = directions[n]
                count += 1
        best = SHARE * total
        for c in range(count):
            held = _held(tried[c], near, here)
            held *= SHARED if c >= shared else 1.0
            if held > best:
                best, out[row] = held, tried[c]
    return out


@njit(cache=True)
def _about(place, own, low, wide, shape, starts, points, normals, weight, near):  # type: ignore[no-untyped-def]
    """Fill `near` with points (relative to `place`), normals and square metres of what lies within
    `REACH` and does not face away from `own`; how many.
    """
    count = 0
    first = np.floor((place - low) / wide).astype(np.int64)
    for i in range(max(first[0] - 1, 0), min(first[0] + 2, shape[0])):
        for j in range(max(first[1] - 1, 0), min(first[1] + 2, shape[1])):
            line = (i * shape[1] + j) * shape[2]
            begin = starts[line + max(first[2] - 1, 0)]
            end = starts[line + min(first[2] + 2, shape[2])]
            for n in range(begin, end):
                square = 0.0
                for k in range(3):
                    near[count, k] = points[n, k] - place[k]
                    square += near[count, k] ** 2
                if square < REACH * REACH and _dot(normals[n], own) > AWAY:
                    near[count, 3:6] = normals[n]
                    near[count, 6] = weight[n]
                    count += 1
    return count


@njit(cache=True)
def _held(normal, near, here):  # type: ignore[no-untyped-def]
    """Square metres, as seen from before it, that lie about the plane; 0 where its place does not.

    The plane with `normal` begins at the place and is moved to the middle of what lies about it.
    """
    offset, held = 0.0, 0.0
    for turn in range(ROUNDS + 1):
        total, mean, held = 0.0, 0.0, 0.0
        for i in range(here):
            gap = near[i, 0] * normal[0] + near[i, 1] * normal[1] + near[i, 2] * normal[2]
            if abs(gap - offset) < HEIGHT:
                total += near[i, 6]
                mean += near[i, 6] * gap
                along = near[i, 3] * normal[0] + near[i, 4] * normal[1] + near[i, 5] * normal[2]
                held += near[i, 6] * max(along, 0.0)
        if turn < ROUNDS and total > 0:
            offset = mean / total
    return held if abs(offset) <= HEIGHT else 0.0


@njit(cache=True, inline="always")
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
