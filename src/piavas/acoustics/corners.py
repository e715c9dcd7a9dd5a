"""The corners of a room: its diffracting edges, what they see of each other and of a source."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.edges import find_edges
from piavas.acoustics.patches import Patches
from piavas.acoustics.paths import ON_PATCH
from piavas.acoustics.wedges import Edges
from piavas.rays import RayCaster
from piavas.scene import Scene

SAMPLES = np.linspace(0, 1, 9)  # places on an edge at which it is looked for
MOST_EDGES = 1024  # the longest ones
MOST_DOUBLE = 512  # likewise, for paths over two of them
MOST_MIRRORS = 64  # the largest ones, for reflections before and after an edge
ON_FACE = 0.01  # radians within which a place lies in the face of a wedge

Array = NDArray[np.float64]


class Corners:
    """The diffracting edges of a room, and what they see of each other.

    Args:
        scene: the room.
        patches: its mirrors.
        caster: its ray caster.
    """

    def __init__(self, scene: Scene, patches: Patches, caster: RayCaster) -> None:
        self.scene, self.patches, self.caster = scene, patches, caster
        self.lit: deque[Any] = deque(maxlen=4)  # what `diffraction.lit_by` found last

    @cached_property
    def edges(self) -> Edges:
        """The longest `MOST_EDGES`."""
        return find_edges(self.scene, self.patches, self.caster).first(MOST_EDGES)

    @cached_property
    def mirrors(self) -> NDArray[np.int32]:
        """The largest `MOST_MIRRORS` mirrors."""
        mirrors = np.flatnonzero(self.patches.mirror)
        order = np.argsort(-self.patches.area[mirrors], kind="stable")
        return np.sort(mirrors[order[:MOST_MIRRORS]]).astype(np.int32)

    @cached_property
    def doubles(self) -> NDArray[np.int64]:
        """Ordered pairs `[n, 2]` of edges of which some part sees some part."""
        edges = self.edges.first(MOST_DOUBLE)
        a, b = (i.ravel() for i in np.indices((len(edges), len(edges))))
        a, b = a[a < b], b[a < b]
        places = edges.points(np.linspace(0, 1, 5))
        seen = np.zeros(len(a), np.bool_)
        inside = _inside(edges, places)
        for i in range(5):
            for j in range(5):
                todo = np.flatnonzero(~seen & inside[a, b, j] & inside[b, a, i])
                seen[todo] = self.caster.visible(places[a[todo], i], places[b[todo], j])
        pairs = np.stack([a[seen], b[seen]], axis=1)
        return np.concatenate([pairs, pairs[:, ::-1]])

    @cached_property
    def echoes(self) -> NDArray[np.int64]:
        """Pairs `[n, 2]` of an edge and a mirror that stands in front of some part of it."""
        places = self.edges.points(np.array([0.1, 0.5, 0.9]))
        aims = _patch_points(self.scene, self.patches, self.mirrors)
        e, m = (i.ravel() for i in np.indices((len(self.edges), len(self.mirrors))))
        seen = np.zeros(len(e), np.bool_)
        for i in range(places.shape[1]):
            for j in range(aims.shape[1]):
                todo = np.flatnonzero(~seen)
                aim = aims[m[todo], j]
                seen[todo] = self.caster.visible(places[e[todo], i], aim, margin=1e-3)
        return np.stack([e[seen], self.mirrors[m[seen]]], axis=1)

    def seen_from(self, source: Array) -> NDArray[np.int64]:
        """Edges of which the source sees some part, as rows image 0, edge, no mirror."""
        edges = self.edges
        angle = edges.around(source[None])[0]
        places = edges.points(SAMPLES)
        seen = self.caster.visible(places.reshape(-1, 3), source).reshape(places.shape[:2])
        e = np.flatnonzero((angle <= edges.angle) & seen.any(axis=1))
        return np.stack([np.zeros_like(e), e, np.full_like(e, -1)], axis=1)

    def seen_in_mirrors(self, source: Array, chain: NDArray, image: Array) -> NDArray[np.int64]:
        """Edges of which an image of the source is seen in its mirror, as rows of `Lit.pair`."""
        patches = self.patches
        places = self.edges.points(SAMPLES[1::2])
        rows = []
        for v in range(1, len(chain)):
            m = chain[v, 0]
            a = places @ patches.normal[m] - patches.offset[m]
            b = image[v] @ patches.normal[m] - patches.offset[m]
            with np.errstate(divide="ignore", invalid="ignore"):
                point = image[v] + (places - image[v]) * (b / (b - a))[..., None]
            low, high = patches.lower[m] - ON_PATCH, patches.upper[m] + ON_PATCH
            held = (a * b < 0) & ((point >= low) & (point <= high)).all(axis=-1)
            e, s = np.nonzero(held)
            start = np.broadcast_to(source, (len(e), 3))
            good = reaches(self.caster, patches, start, point[e, s], np.full(len(e), m))
            e, s = e[good], s[good]
            good = self.caster.visible(point[e, s], places[e, s], margin=1e-3)
            e = np.unique(e[good])
            rows.append(np.stack([np.full_like(e, v), e, np.full_like(e, -1)], axis=1))
        return np.concatenate(rows) if rows else np.empty((0, 3), np.int64)


def _inside(edges: Edges, places: Array) -> NDArray[np.bool_]:
    """Whether places `[e, s, 3]` on each edge lie in the air of each edge, `[e, e, s]`."""
    number, samples, _ = places.shape
    angle = edges.around(places.reshape(-1, 3))
    within = (angle < edges.angle + ON_FACE) | (angle > 2 * np.pi - ON_FACE)
    return np.moveaxis(within.reshape(number, samples, number), 2, 0)


def _patch_points(scene: Scene, patches: Patches, mirrors: NDArray) -> Array:
    """Eight points `[m, 8, 3]` on each of `mirrors`: centres of faces, spread over the patch."""
    centre = scene.vertices[scene.faces].mean(axis=1)
    order = np.argsort(patches.of_face, kind="stable")
    low, high = (np.searchsorted(patches.of_face[order], mirrors, s) for s in ("left", "right"))
    pick = low[:, None] + ((high - low)[:, None] * (np.arange(8) + 0.5) / 8).astype(np.int64)
    return np.asarray(centre[order[pick]])


def reaches(
    caster: RayCaster, patches: Patches, start: Array, end: Array, patch: NDArray
) -> NDArray[np.bool_]:
    """Whether rays from `start` `[n, 3]` first meet `patch` `[n]`, at `end` `[n, 3]`."""
    way = end - start
    far = np.linalg.norm(way, axis=1)
    ahead = way / np.maximum(far, 1e-9)[:, None]
    distance, face = caster.closest(start, ahead)
    own = patches.of_face[np.maximum(face, 0)] == patch
    return np.asarray(own & (np.abs(distance - far) < ON_PATCH))
