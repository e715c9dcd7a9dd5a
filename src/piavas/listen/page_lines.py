"""Discrete paths as lines to draw: corners from the source by mirrors and edges to the head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.patches import Patches
from piavas.acoustics.paths import Paths

ASTRAY = 0.05  # metres by which a line may differ from its path's length; else it is not drawn
Array = NDArray[np.float64]


def lines(
    paths: Paths, patches: Patches, source: Array, head: Array
) -> tuple[Array, NDArray[np.int64]]:
    """Corners `[n, 3]` of all `paths` to one head, and where each begins, `[p + 1]`.

    A path that bends is drawn where one edge explains it; round two edges it has no line.
    """
    corners: list[Array] = []
    starts = [0]
    for p in range(len(paths)):
        mirrors = paths.sequence[p][paths.sequence[p] >= 0]
        if paths.bend[p] < 0:
            corners += unfolded(mirrors, patches, source, head)
        else:
            corners += _bent(paths, p, mirrors, patches, source, head)
        starts.append(len(corners))
    return np.array(corners).reshape(-1, 3), np.array(starts)


def unfolded(
    mirrors: NDArray[np.int32], patches: Patches, source: Array, head: Array
) -> list[Array]:
    """Corners by `mirrors`: image sources one after the other, and back from the head."""
    images = [source]
    for m in mirrors:
        images.append(_mirrored(images[-1], m, patches))
    corners = [head]
    for m, image in zip(mirrors[::-1], images[:0:-1], strict=True):
        way = image - corners[-1]
        along = way @ patches.normal[m]
        t = (patches.offset[m] - corners[-1] @ patches.normal[m]) / along if along else 0.0
        corners.append(corners[-1] + float(np.clip(t, 0, 1)) * way)
    return [source, *corners[:0:-1], head]


def _mirrored(point: Array, mirror: int, patches: Patches) -> Array:
    normal = patches.normal[mirror]
    return np.asarray(point - 2 * (point @ normal - patches.offset[mirror]) * normal)


def _bent(
    paths: Paths, p: int, mirrors: NDArray[np.int32], patches: Patches, source: Array, head: Array
) -> list[Array]:
    """The edge is where the ray that leaves and the ray that arrives meet, once unfolded."""
    leaving, arrival, far = paths.leaving[p], paths.arrival[p], float(paths.length[p])
    found: list[list[Array]] = []
    if not len(mirrors):
        found.append([source, _meeting(source, leaving, head, -arrival, far), head])
    elif len(mirrors) == 1:
        m, normal = mirrors[0], patches.normal[mirrors[0]]
        image, turned = _mirrored(source, m, patches), leaving - 2 * (leaving @ normal) * normal
        edge = _meeting(image, turned, head, -arrival, far)
        found.append([*unfolded(mirrors, patches, source, edge), head])
        image, turned = _mirrored(head, m, patches), arrival - 2 * (arrival @ normal) * normal
        edge = _meeting(source, leaving, image, -turned, far)
        found.append([source, *unfolded(mirrors, patches, edge, head)])
    off = [abs(_length(line) - paths.length[p]) for line in found]
    return found[int(np.argmin(off))] if off and min(off) < ASTRAY else []


def _length(line: list[Array]) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _meeting(a: Array, u: Array, b: Array, v: Array, far: float) -> Array:
    """The middle between the lines from `a` along `u` and from `b` along `v`, where nearest.

    Lines that hardly bend meet nowhere sure, but no further off than `far`.
    """
    s, t = np.clip(np.linalg.lstsq(np.stack([u, -v], axis=1), b - a, rcond=None)[0], 0.0, far)
    return np.asarray(0.5 * (a + s * u + b + t * v))
