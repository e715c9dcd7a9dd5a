"""Depth from the images alone: matched between views, kept where the views agree.

Matching says nothing where a wall has no texture: such patches take a plane that their edges lie
on (`fill`), and stay empty where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import cv2
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.capture.gravity import OPENCV_TO_OPENGL
from piavas.capture.types import Frame, Intrinsics
from piavas.errors import GeometryError
from piavas.geometry.depth.fill import fill_flat
from piavas.geometry.depth.neighbours import neighbours
from piavas.geometry.depth.patchmatch import (
    FARTHEST,
    NEAREST,
    STEEPEST,
    WORST,
    likeness,
    spread,
)
from piavas.geometry.depth.plate import Plate
from piavas.geometry.depth.source import DepthMap
from piavas.geometry.depth.sweep import inverse_depths, sweep
from piavas.geometry.depth.texture import own_contrast
from piavas.progress import track

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
AGAIN = 0.5  # size of the first changes tried to planes that were matched before
ROOM = 8.0  # metres beyond which what was matched is not of the room


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
        return np.asarray(OPENCV_TO_OPENGL @ self.frame.pose[:3, :3].T)

    @property
    def upright(self) -> F32:
        """The way up in the camera."""
        return np.ascontiguousarray(self.turn[:, 2]).astype(np.float32)


@dataclass(frozen=True)
class _Planes:
    """A plane at every pixel: z-depth `[h, w]` in metres, normal `[h, w, 3]` to the camera."""

    depth: F32
    normal: F32

    def drawn(self, coarse: Intrinsics, fine: Intrinsics) -> _Planes:
        """The same planes at the pixels of a finer image."""
        u = (np.arange(fine.width) + 0.5) * coarse.width / fine.width - 0.5
        v = (np.arange(fine.height) + 0.5) * coarse.height / fine.height - 0.5
        j = np.clip(np.round(u), 0, coarse.width - 1).astype(np.int64)
        i = np.clip(np.round(v), 0, coarse.height - 1).astype(np.int64)
        normal = self.normal[i[:, None], j]
        slope = [
            normal[..., 2]
            + normal[..., 0] * ((across - coarse.cx) / coarse.fx)
            + normal[..., 1] * ((down - coarse.cy) / coarse.fy)[:, None]
            for across, down in ((j, i), (u, v))
        ]
        ahead = np.minimum(slope[1], STEEPEST)
        held = self.depth[i[:, None], j]
        depth = np.clip(
            held * np.where(slope[0] < STEEPEST, slope[0] / ahead, 1), NEAREST, FARTHEST
        )
        return _Planes(np.where(held > 0, depth, 0).astype(np.float32), normal)


@dataclass(frozen=True)
class _Others:
    """The images that one is matched with: arguments of `patchmatch.spread`."""

    number: list[int]
    greys: F32
    turns: F64
    places: F64
    lenses: F64


@dataclass(frozen=True)
class Stereo:
    """Multi-view stereo on the CPU.

    Args:
        views: other images that each one is matched with.
        width: pixels to which images are thinned.
        coarse: pixels to which they are thinned at first; wider ones are matched once more.
        rounds: of propagation by looks alone, at first.
        passes: rounds in which images also heed each other's depth, at first.
        agree: other views that must confirm a pixel, all where there are fewer.
        tolerance: relative depth within which a view confirms.
        worst: cost (1 - correlation) above which a match is not believed.
        fill: whether patches without texture take the plane of their edges.
        seed: of chance.
    """

    views: int = 12
    width: int = 640
    coarse: int = 320
    rounds: int = 2
    passes: int = 2
    agree: int = 2
    tolerance: float = 0.015
    worst: float = 0.9
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
        frames = list(zip(capture.frames, near, strict=True))
        images = [_prepare(frame, n, min(self.width, self.coarse)) for frame, n in frames]
        planes = self._match_all(images)
        widest = max(frame.intrinsics.width for frame in capture.frames)
        if min(self.width, widest) > self.coarse:
            coarse, images = images, [_prepare(frame, n, self.width) for frame, n in frames]
            planes = self._match_finer(coarse, images, planes)
        guesses = [(one.depth, _likeness(images, planes, i)) for i, one in enumerate(planes)]
        depths = [self._confirmed(images, guesses, i) for i in range(len(images))]
        plates = [
            Plate(one.colour, depth, one.lens, one.frame.pose, own_contrast(one.grey))
            for one, depth in zip(images, depths, strict=True)
        ]
        found = _filled(images, plates) if self.fill else [plate.stays for plate in plates]
        for image, plate, depth in zip(images, plates, found, strict=True):
            if image.near:
                frame = replace(image.frame, intrinsics=image.camera)
                yield DepthMap(frame, depth, plate.stays > 0)

    def _match_all(self, images: list[_Match]) -> list[_Planes]:
        """Planes of all images, first by looks alone, then by each other's depth as well."""
        planes: list[_Planes] = []
        turns = list(product(range(1 + self.passes), range(len(images))))
        for turn, i in track(turns, "match images"):
            planes[i : i + 1] = [self._match(images, planes if turn else None, i)]
        return planes

    def _match_finer(
        self, coarse: list[_Match], images: list[_Match], planes: list[_Planes]
    ) -> list[_Planes]:
        """Planes of `images` from those of the same images, thinned; thin ones keep theirs."""
        planes = [
            plane.drawn(small.camera, image.camera)
            for small, image, plane in zip(coarse, images, planes, strict=True)
        ]
        for i in track(range(len(images)), "match finer"):
            if images[i].grey.shape != coarse[i].grey.shape:
                planes[i] = self._match(images, planes, i)
        return planes

    def _match(self, images: list[_Match], planes: list[_Planes] | None, i: int) -> _Planes:
        """Planes of image `i`, from `planes` of all images once there are any."""
        one, others = images[i], _others(images, i)
        if others is None:
            return _Planes(np.zeros_like(one.grey), np.zeros((*one.grey.shape, 3), np.float32))
        relation = others.turns, others.places, others.lenses
        if planes is None:
            reach = inverse_depths(NEAREST, FARTHEST)
            depth = sweep(one.grey, others.greys, one.lens, *relation, reach)
            normal = np.zeros((*depth.shape, 3), np.float32)
            normal[..., 2] = -1
            there, rounds, size = np.zeros((0, *depth.shape), np.float32), self.rounds, 1.0
        else:
            depth, normal = planes[i].depth.copy(), planes[i].normal.copy()
            there, rounds, size = np.stack([planes[j].depth for j in others.number]), 1, AGAIN
        spread(
            one.grey, others.greys, one.lens, *relation, one.upright, there, depth, normal,
            rounds, size, self.seed + 104_729 * i,
        )  # fmt: skip
        return _Planes(depth, normal)

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
        good = (votes >= min(self.agree, len(one.near))) & (cost < self.worst) & (depth < ROOM)
        return np.where(_not_specks(good, depth), depth, 0).astype(np.float32)


def _prepare(frame: Frame, near: list[int], width: int) -> _Match:
    """An image thinned to `width` pixels."""
    colour: NDArray[Any] = frame.image()
    camera, factor = frame.intrinsics, min(1.0, width / frame.intrinsics.width)
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


def _others(images: list[_Match], i: int) -> _Others | None:
    """What image `i` is matched with; None where there is nothing."""
    one = images[i]
    number = [j for j in one.near if images[j].grey.shape == one.grey.shape]
    if not number:
        return None
    others = [images[j] for j in number]
    return _Others(
        number,
        np.stack([other.grey for other in others]),
        np.stack([other.turn @ one.turn.T for other in others]),
        np.stack([o.turn @ (one.frame.pose[:3, 3] - o.frame.pose[:3, 3]) for o in others]),
        np.stack([other.lens for other in others]),
    )


def _likeness(images: list[_Match], planes: list[_Planes], i: int) -> F32:
    """Cost `[h, w]` of the planes of image `i`."""
    one, others = images[i], _others(images, i)
    if others is None:
        return np.full_like(one.grey, WORST)
    relation = others.turns, others.places, others.lenses
    held = planes[i].depth, planes[i].normal
    return np.asarray(likeness(one.grey, others.greys, one.lens, *relation, *held))


def _filled(images: list[_Match], plates: list[Plate]) -> list[F32]:
    """Depths of `plates` with planes in patches without texture."""
    from piavas.geometry.frame import manhattan_yaw
    from piavas.geometry.views import make_view

    views = [
        make_view(replace(image.frame, intrinsics=image.camera), plate.depth)
        for image, plate in zip(images, plates, strict=True)
    ]
    return fill_flat(plates, manhattan_yaw([view for view in views if view is not None]))


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
