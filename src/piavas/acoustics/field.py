"""The sound field of one source in one scene: traced once, asked at any number of heads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.echogram import Arrivals
from piavas.acoustics.gather import Hits, Places, gather, place_balls
from piavas.acoustics.patches import Patches, face_normals, find_patches
from piavas.acoustics.paths import Paths, candidates, direct_paths, join, reflected_paths
from piavas.acoustics.trace import Segments, launch_directions, trace
from piavas.errors import SimulationError
from piavas.rays import RayCaster
from piavas.scene import Scene, Source, triangle_areas

LEAK = 0.005  # share of escaping rays above which a scene counts as open
PROBES = 128


class Room:
    """A scene made ready: its mirrors and its ray caster.

    Args:
        scene: the room.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.patches: Patches = find_patches(scene)
        self.caster = RayCaster(scene.vertices, scene.faces)

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


@dataclass(frozen=True)
class Field:
    """What one source does in one room, for all heads.

    Args:
        room: the scene made ready.
        source: the source.
        segments: its traced path segments.
        sequences: `[n, order]` mirror chains worth a look.
        order: highest specular order carried by image sources.
        reach: metres to which paths were followed.
    """

    room: Room
    source: Source
    segments: Segments
    sequences: NDArray[np.int32]
    order: int
    reach: float

    @cached_property
    def arrivals(self) -> Arrivals:
        """What each segment brings to a head that it passes."""
        return Arrivals(self.segments.energy, -self.segments.direction.T)

    def paths(self, heads: NDArray[np.float64]) -> Paths:
        """Direct sound and image sources at `heads` `[l, 3]`."""
        room = self.room
        direct = direct_paths(room.caster, self.source, heads, self.order)
        if not len(self.sequences):
            return direct
        mirrored = reflected_paths(
            room.scene,
            room.patches,
            room.caster,
            source=self.source,
            heads=heads,
            sequences=self.sequences,
        )
        return join(direct, mirrored)

    def balls(self, heads: NDArray[np.float64]) -> Places:
        """Where the late sound of `heads` `[l, 3]` is gathered."""
        return place_balls(self.room.caster, heads)

    def hits(self, places: Places) -> list[Hits]:
        """The late sound that passes each listener."""
        return gather(self.segments, places)


def trace_field(
    room: Room, source: Source, *, rays: int, order: int, reach: float, seed: int
) -> Field:
    """Trace `source` in `room`; arguments as for `trace`."""
    segments = trace(
        room.scene,
        room.patches,
        room.caster,
        source,
        rays=rays,
        reach=reach,
        order=order,
        seed=seed,
    )
    return Field(
        room, source, segments, candidates(segments.sequences, room.patches, order), order, reach
    )


def decay_time(
    room: Room, source: Source, *, speed: float, air: NDArray[np.float64], seed: int
) -> float:
    """Longest reverberation time over bands in seconds, from a pilot of few rays.

    The slope of the energy that is left after 10 to 20 and after 20 to 30 mean free paths.
    """
    area = float(triangle_areas(room.scene.vertices, room.scene.faces).sum())
    pilot = trace(
        room.scene,
        room.patches,
        room.caster,
        source,
        rays=1024,
        reach=max(area, 50.0),
        order=0,
        seed=seed,
    )
    if not len(pilot):
        return 0.1
    step = 10 * pilot.mean_free_path
    left = []
    for low in (step, 2 * step):
        row = (pilot.travelled >= low) & (pilot.travelled < low + step)
        kept = pilot.energy[row] * np.exp(-air * pilot.travelled[row, None])
        alive = pilot.length[row] * pilot.weight[row]
        left.append((kept * alive[:, None]).sum(axis=0))
    rate = np.log(np.maximum(left[0], 1e-30) / np.maximum(left[1], 1e-30)) / step
    return float(13.8155 / (speed * np.maximum(rate.min(), 1e-3)))
