"""The sound field of one source in one scene: traced once, asked at any number of heads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.gather import Balls, Grid, Hits, build_grid, gather, place_balls
from piavas.acoustics.patches import Patches, find_patches
from piavas.acoustics.paths import Paths, candidates, direct_paths, join, reflected_paths
from piavas.acoustics.trace import Segments, trace
from piavas.errors import SimulationError
from piavas.rays import RayCaster
from piavas.scene import Scene, Source, triangle_areas

LEAK = 0.005  # share of escaping rays above which a scene counts as open
PROBES = 2048


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

    def escape(self, point: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
        """Shares of rays from `point` that meet nothing, and that meet the back of a face."""
        generator = np.random.default_rng([seed, 4])
        way = generator.normal(size=(PROBES, 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        _, face = self.caster.closest(np.broadcast_to(point, way.shape), way)
        hit = face >= 0
        a, b, c = np.moveaxis(self.scene.vertices[self.scene.faces[face[hit]]], 1, 0)
        behind = np.einsum("ij,ij->i", np.cross(b - a, c - a), way[hit]) * self.inward > 0
        return float((~hit).mean()), float(behind.sum() / PROBES)

    def check_place(self, point: NDArray[np.float64], what: str) -> None:
        """Raise a `SimulationError` where `point` is outside the room or inside something solid."""
        lower, upper = self.scene.vertices.min(axis=0), self.scene.vertices.max(axis=0)
        away, behind = self.escape(point)
        place = np.round(point, 3).tolist()
        if away > 0.5 or ((point < lower) | (point > upper)).any():
            raise SimulationError(
                f"{place} is outside the room, which spans {np.round(lower, 2).tolist()} "
                f"to {np.round(upper, 2).tolist()} m",
                field=what,
                mend="move it into the room",
            )
        if self.closed and behind > 0.5:
            raise SimulationError(
                f"{place} is inside a wall or a piece of furniture",
                field=what,
                mend="move it into the air",
            )


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
    def grid(self) -> Grid:
        """The segments by cells of space."""
        vertices = self.room.scene.vertices
        return build_grid(self.segments, vertices.min(axis=0), vertices.max(axis=0))

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

    def balls(self, heads: NDArray[np.float64]) -> Balls:
        """Where the late sound of `heads` `[l, 3]` is gathered."""
        return place_balls(self.room.caster, heads)

    def hits(self, balls: Balls, listener: int) -> Hits:
        """The late sound that passes one listener."""
        return gather(
            self.segments, self.grid, balls.centre[listener], float(balls.radius[listener])
        )


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
        left.append((kept * pilot.length[row, None]).sum(axis=0))
    rate = np.log(np.maximum(left[0], 1e-30) / np.maximum(left[1], 1e-30)) / step
    return float(13.8155 / (speed * np.maximum(rate.min(), 1e-3)))
