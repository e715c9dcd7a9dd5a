"""What a recogniser of materials sees, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from piavas.capture.types import Frame
from piavas.materials.recognise.surroundings import Surroundings
from piavas.rays import RayCaster

F64 = NDArray[np.float64]
WIDTH = 320
"""Pixels across at which frames are looked at."""
STRIDE = 4
"""Pixels between rays that ask what a frame shows."""
SLIVER = 1e-12
"""Square metres that a face without area counts for, so that means over such faces exist."""


@dataclass(frozen=True)
class Room:
    """The surface whose materials are asked for, in faces small enough to be of one.

    Args:
        vertices: `[v, 3]` metres.
        faces: `[n, 3]`.
        centre: `[n, 3]` metres.
        normal: `[n, 3]` unit normals into the air.
        area: `[n]` square metres; faces without any count for `SLIVER`.
        caster: the same faces, ready for rays.
    """

    vertices: F64
    faces: NDArray[np.int32]
    centre: F64
    normal: F64
    area: F64
    caster: RayCaster

    @classmethod
    def of(cls, vertices: F64, faces: NDArray[np.int32]) -> Room:
        """The room of these triangles."""
        a, b, c = np.moveaxis(vertices[faces], 1, 0)
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal, axis=1)
        normal /= np.maximum(length, 1e-20)[:, None]
        area = np.maximum(length / 2, SLIVER)
        return cls(vertices, faces, (a + b + c) / 3, normal, area, RayCaster(vertices, faces))

    @cached_property
    def surroundings(self) -> Surroundings:
        """What is around each face."""
        return Surroundings.of(self.centre, self.normal, self.area, self.caster)


class View:
    """One frame, with the room it shows.

    Args:
        frame: image, intrinsics and pose.
        room: what it was taken in.
    """

    def __init__(self, frame: Frame, room: Room) -> None:
        self.frame, self.room = frame, room
        lens = frame.intrinsics
        width = min(WIDTH, lens.width)
        self.shape = (max(1, round(lens.height * width / lens.width)), width)
        self.scale = width / lens.width

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """Colour `[h, w, 3]`, at most `WIDTH` pixels wide."""
        import cv2

        whole = self.frame.image()
        if whole.shape[:2] == self.shape:
            return whole
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)

    @cached_property
    def rays(self) -> tuple[NDArray[np.int64], F64]:
        """Every `STRIDE`-th pixel's face `[h, w]` (-1: none) and distance in metres, repeated."""
        lens, (h, w) = self.frame.intrinsics, self.shape
        v, u = np.mgrid[STRIDE // 2 : h : STRIDE, STRIDE // 2 : w : STRIDE]
        x = ((u + 0.5) / self.scale - 0.5 - lens.cx) / lens.fx
        y = -((v + 0.5) / self.scale - 0.5 - lens.cy) / lens.fy
        way = np.stack([x, y, -np.ones(u.shape)], axis=-1).reshape(-1, 3)
        way = way @ self.frame.pose[:3, :3].T
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        start = np.broadcast_to(self.frame.pose[:3, 3], way.shape)
        distance, face = self.room.caster.closest(start, way)
        rows = np.minimum(np.arange(h) // STRIDE, u.shape[0] - 1)
        columns = np.minimum(np.arange(w) // STRIDE, u.shape[1] - 1)
        grid = np.ix_(rows, columns)
        return face.reshape(u.shape)[grid], distance.reshape(u.shape)[grid]


@dataclass(frozen=True)
class Guess:
    """What a recogniser says of one frame.

    Args:
        segment: `[h, w]` index of each pixel's segment, -1 where it says nothing; of any size
            that spans the frame.
        probability: `[segments, rows]` of each row of the recogniser, summing to 1.
    """

    segment: NDArray[np.int32]
    probability: F64


@runtime_checkable
class Recogniser(Protocol):
    """What tells materials from pictures: anything with these."""

    @property
    def name(self) -> str:
        """Of the way it takes, for the report."""

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of the table of materials that it tells apart."""

    def recognise(self, view: View) -> Guess | None:
        """Probabilities of the segments of one frame; None where it has nothing to say."""
