"""A scene made ready for sound: its mirrors, its ray caster, and what is wrong with it."""

from __future__ import annotations

from collections import deque
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.corners import Corners
from piavas.acoustics.defects import check_faces, find_holes, leaving_through
from piavas.acoustics.patches import Patches, face_normals, find_patches
from piavas.acoustics.relief import over_relief
from piavas.acoustics.trace import launch_directions
from piavas.acoustics.transmission import Walls
from piavas.errors import PiavasError, SimulationError
from piavas.rays import RayCaster
from piavas.scene import Scene

PROBES = 128
LOOKS = 4096  # rays that look for holes


class Room:
    """A scene made ready: its mirrors and its ray caster.

    Args:
        scene: the room.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.patches: Patches = over_relief(scene, find_patches(scene))
        self.caster = RayCaster(scene.vertices, scene.faces)
        self.corners = Corners(scene, self.patches, self.caster)

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        """`[f, 3]`."""
        return face_normals(self.scene)

    @cached_property
    def closed(self) -> bool:
        """Whether every edge joins two faces that run along it in opposite ways."""
        faces = self.scene.faces
        edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
        number = len(self.scene.vertices)
        forth = np.sort(edges[:, 0] * number + edges[:, 1])
        back = np.sort(edges[:, 1] * number + edges[:, 0])
        return bool((np.diff(forth) > 0).all() and np.array_equal(forth, back))

    @cached_property
    def inward(self) -> float:
        """1 if the normals of a closed scene point into the air, -1 if they point out of it."""
        a, b, c = np.moveaxis(self.scene.vertices[self.scene.faces], 1, 0)
        return -1.0 if np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0 else 1.0

    def walls(self, most: int) -> Walls:
        """What lets sound through, up to `most` walls on one way."""
        return Walls(self.scene, self.patches, self.caster, self.normals * self.inward, most)

    def surroundings(self, points: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        """Shares `[n]` of rays from `points` `[n, 3]` that meet nothing, and the back of a face."""
        feelers = launch_directions(PROBES, 4)
        way = np.tile(feelers, (len(points), 1))
        _, face = self.caster.closest(np.repeat(points, PROBES, axis=0), way)
        normal = self.normals[np.maximum(face, 0)]
        behind = np.einsum("ij,ij->i", normal, way) * self.inward > 0
        by_point = (len(points), PROBES)
        away = (face < 0).reshape(by_point).mean(axis=1)
        return away, (behind & (face >= 0)).reshape(by_point).mean(axis=1)

    def where_it_leaks(self, point: NDArray[np.float64]) -> str:
        """Where sound from `point` `[3]` leaves the scene, in words that begin with a comma."""
        way = launch_directions(LOOKS, 5)
        _, face = self.caster.closest(np.broadcast_to(point, way.shape), way)
        lost = way[face < 0]
        if not len(lost):
            return ""
        lower, upper = self.scene.vertices.min(axis=0), self.scene.vertices.max(axis=0)
        start = np.broadcast_to(point, lost.shape)
        return ", " + leaving_through(find_holes(self.scene), start, lost, lower, upper)

    @cached_property
    def broken(self) -> PiavasError | None:
        """What `piavas.acoustics.defects.check_faces` refuses."""
        try:
            check_faces(self.scene)
        except PiavasError as problem:
            return problem
        return None

    def check_places(self, points: NDArray[np.float64], names: list[str]) -> None:
        """Raise a `SimulationError` where a point is outside the room or inside something solid."""
        lower, upper = self.scene.vertices.min(axis=0), self.scene.vertices.max(axis=0)
        for start in range(0, len(points), 1024):
            some = points[start : start + 1024]
            away, behind = self.surroundings(some)
            outside = (away > 0.5) | ((some < lower) | (some > upper)).any(axis=1)
            inside = self.closed & (behind > 0.5)
            for i in np.flatnonzero(outside | inside)[:1]:
                place = np.round(some[i], 3).tolist()
                if outside[i]:
                    raise SimulationError(
                        f"{place} is outside the room, which spans {np.round(lower, 2).tolist()} "
                        f"to {np.round(upper, 2).tolist()} m",
                        field=names[start + i],
                        mend="move it into the room",
                    )
                raise SimulationError(
                    f"{place} is inside a wall or a piece of furniture",
                    field=names[start + i],
                    mend="move it into the air",
                )


_READY: deque[Room] = deque(maxlen=2)


def ready(scene: Scene) -> Room:
    """`scene` made ready; the last two are kept, for they are asked again and again."""
    for room in _READY:
        if room.scene is scene:
            return room
    _READY.append(Room(scene))
    return _READY[-1]
