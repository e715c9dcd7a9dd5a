"""Depth from the images alone: matched between views, kept where the views agree.

Matching says nothing where a wall has no texture: such patches take a plane that their edges lie
on (`fill`), and stay empty where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.capture.types import Frame, Intrinsics
from piavas.errors import GeometryError
from piavas.geometry.depth.fill import Plate, fill_flat
from piavas.geometry.depth.neighbours import neighbours
from piavas.geometry.depth.patchmatch import FARTHEST, FLAT, NEAREST, RADIUS, WORST, spread
from piavas.geometry.depth.source import DepthMap
from piavas.geometry.depth.sweep import inverse_depths, sweep
from piavas.progress import track

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
FLIP = np.diag([1.0, -1.0, -1.0])  # between OpenGL and OpenCV axes


@dataclass(frozen=True)
class _Match:
    """An image on its way to depth."""

    frame: Frame
    camera: Intrinsics
    colour: NDArray[np.uint8]
    grey: F32
    near: list[int]

    @property
    def lens(self) -> F64:
        return np.array([self.camera.fx, self.camera.fy, self.camera.cx, self.camera.cy])

    @property
    def turn(self) -> F64:
        """World to camera, OpenCV axes."""
        return np.asarray(FLIP @ self.frame.pose[:3, :3].T)


@dataclass(frozen=True)
class Stereo:
    """Multi-view stereo on the CPU.

    Args:
        views: other images that each one is matched with.
        width: pixels to which images are thinned.
        rounds: of propagation.
        agree: other views that must confirm a pixel.
        tolerance: relative depth within which a view confirms.
        worst: cost (1 - correlation) above which a match is not believed.
        fill: whether patches without texture take the plane of their edges.
        seed: of chance.
    """

    views: int = 4
    width: int = 320
    rounds: int = 3
    agree: int = 1
    tolerance: float = 0.015
    worst: float = 0.5
    fill: bool = True
    seed: int = 0
    name: str = "stereo"

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """See `DepthSource`.

        Raises:
            GeometryError: fewer than three images, or none that sees what another sees.
        """
        near = neighbours(capture.frames, self.views)
        if len(capture) < 3 or not any(near):
            raise GeometryError(
                "has no two images of one thing from two places",
                file=capture.root,
                field="frames",
                mend="take images that overlap, a step apart",
            )
        images = [self._prepare(f, n) for f, n in zip(capture.frames, near, strict=True)]
        guesses = [
            self._match(images, i) for i in track(range(len(images)), "match images", len(images))
        ]
        depths = [self._confirmed(images, guesses, i) for i in range(len(images))]
        matched = [depth > 0 for depth in depths]
        if self.fill:
            depths = _filled(images, depths)
        for image, depth, known in zip(images, depths, matched, strict=True):
            if image.near:
                yield DepthMap(replace(image.frame, intrinsics=image.camera), depth, known)

    def _prepare(self, frame: Frame, near: list[int]) -> _Match:
        colour: NDArray[Any] = frame.image()
        camera, factor = frame.intrinsics, min(1.0, self.width / frame.intrinsics.width)
        if factor < 1:
            size = round(camera.width * factor), round(camera.height * factor)
            colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
            x, y = size[0] / camera.width, size[1] / camera.height
            camera = replace(
                camera, width=size[0], height=size[1], fx=camera.fx * x, fy=camera.fy * y,
                cx=(camera.cx + 0.5) * x - 0.5, cy=(camera.cy + 0.5) * y - 0.5,
            )  # fmt: skip
        grey = np.asarray(cv2.cvtColor(colour.astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32)
        return _Match(frame, camera, colour, grey, near)

    def _match(self, images: list[_Match], i: int) -> tuple[F32, F32]:
        """Depth `[h, w]` and its cost for image `i`."""
        one = images[i]
        if not one.near:
            return np.zeros_like(one.grey), np.full_like(one.grey, WORST)
        others = [images[j] for j in one.near if images[j].grey.shape == one.grey.shape]
        turns = np.stack([other.turn @ one.turn.T for other in others])
        places = np.stack([o.turn @ (one.frame.pose[:3, 3] - o.frame.pose[:3, 3]) for o in others])
        lenses, greys = np.stack([o.lens for o in others]), np.stack([o.grey for o in others])
        depth = sweep(
            one.grey, greys, one.lens, turns, places, lenses, inverse_depths(NEAREST, FARTHEST)
        )
        normal = np.zeros((*depth.shape, 3), np.float32)
        normal[..., 2] = -1
        cost = np.full(depth.shape, WORST - 1e-3, np.float32)
        upright = np.ascontiguousarray(one.turn[:, 2]).astype(np.float32)
        spread(
            one.grey, greys, one.lens, turns, places, lenses, upright, depth, normal, cost,
            self.rounds, self.seed + 104_729 * i,
        )  # fmt: skip
        cost[_flat(one.grey)] = WORST
        return depth, cost

    def _confirmed(self, images: list[_Match], guesses: list[tuple[F32, F32]], i: int) -> F32:
        """Depth of image `i` where enough others found the same point; 0 elsewhere."""
        one, (depth, cost) = images[i], guesses[i]
        votes = np.zeros(depth.shape, np.int32)
        for j in one.near:
            other = images[j]
            _vote(
                depth, guesses[j][0], guesses[j][1], one.lens, other.turn @ one.turn.T,
                other.turn @ (one.frame.pose[:3, 3] - other.frame.pose[:3, 3]), other.lens,
                self.tolerance, self.worst, votes,
            )  # fmt: skip
        good = (votes >= self.agree) & (cost < self.worst)
        return np.where(_not_specks(good, depth), depth, 0).astype(np.float32)


def _filled(images: list[_Match], depths: list[F32]) -> list[F32]:
    """`depths` with planes in patches without texture."""
    from piavas.geometry.frame import manhattan_yaw
    from piavas.geometry.views import make_view

    frames = [replace(image.frame, intrinsics=image.camera) for image in images]
    views = [make_view(frame, depth) for frame, depth in zip(frames, depths, strict=True)]
    plates = [
        Plate(image.colour, depth, image.lens, image.frame.pose)
        for image, depth in zip(images, depths, strict=True)
    ]
    return fill_flat(plates, manhattan_yaw([view for view in views if view is not None]))


def _flat(grey: F32) -> NDArray[np.bool_]:
    """Where a window is too even to tell one place from the next."""
    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    mean = cv2.boxFilter(grey, cv2.CV_32F, size)
    power = cv2.boxFilter(grey * grey, cv2.CV_32F, size)
    return np.asarray(power - mean**2 < FLAT**2)


@njit(cache=True, parallel=True)
def _vote(depth, there, cost, lens, turn, place, other, tolerance, worst, votes):  # type: ignore[no-untyped-def]
    """Count a vote where the other image's depth is that of the point carried over."""
    height, width = depth.shape
    for v in prange(height):
        for u in range(width):
            z = depth[v, u]
            if z <= 0:
                continue
            x, y = (u - lens[2]) / lens[0] * z, (v - lens[3]) / lens[1] * z
            px = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z + place[0]
            py = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + place[1]
            pz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z + place[2]
            if pz < 0.05:
                continue
            s = int(np.round(px / pz * other[0] + other[2]))
            t = int(np.round(py / pz * other[1] + other[3]))
            if s < 0 or t < 0 or s >= there.shape[1] or t >= there.shape[0]:
                continue
            if cost[t, s] < worst and abs(there[t, s] - pz) < tolerance * pz:
                votes[v, u] += 1


def _not_specks(good: NDArray[np.bool_], depth: F32, least: int = 60) -> NDArray[np.bool_]:
    """`good` without islands of fewer than `least` pixels."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(good.astype(np.uint8))
    big = stats[:, cv2.CC_STAT_AREA] >= least
    big[0] = False
    return np.asarray(big[label])
