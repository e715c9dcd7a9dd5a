"""The sound field of one source in one scene: traced once, asked at any number of heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.discrete import Discrete, Ways
from piavas.acoustics.echogram import Arrivals
from piavas.acoustics.gather import Hits, Places, gather, place_balls
from piavas.acoustics.paths import Paths, candidates
from piavas.acoustics.room import Room, ready
from piavas.acoustics.trace import Segments, trace
from piavas.scene import Source, triangle_areas

__all__ = [
    "LEAK",
    "Field",
    "Reaching",
    "ReversedField",
    "Room",
    "decay_time",
    "ready",
    "trace_field",
]

LEAK = 0.005  # share of escaping rays above which a scene counts as open


@dataclass(frozen=True)
class Reaching:
    """All that reaches one head from one source.

    Args:
        paths: the discrete paths.
        hits: traced sound.
        arrivals: what the segments of `hits` bring.
    """

    paths: Paths
    hits: Hits
    arrivals: Arrivals


@dataclass(frozen=True)
class Field:
    """What one source does in one room, for all heads.

    Args:
        room: the scene made ready.
        source: the source.
        segments: its traced path segments.
        sequences: `[n, order]` mirror chains worth a look.
        ways: which paths are followed one by one.
        reach: metres to which paths were followed.
    """

    room: Room
    source: Source
    segments: Segments
    sequences: NDArray[np.int32]
    ways: Ways
    reach: float

    @cached_property
    def arrivals(self) -> Arrivals:
        """What each segment brings to a head that it passes."""
        segments = self.segments
        return Arrivals.of(segments.energy, -segments.direction, segments.batch[segments.ray])

    @cached_property
    def discrete(self) -> Discrete:
        """What all discrete paths of the source share."""
        walls = self.room.walls(self.ways.walls)
        return Discrete(self.ways, self.room.corners, walls, self.source, self.sequences)

    def paths(self, heads: NDArray[np.float64]) -> Paths:
        """Direct, mirrored and diffracted sound at `heads` `[l, 3]`."""
        return self.discrete.paths(heads)

    def balls(self, heads: NDArray[np.float64]) -> Places:
        """Where the late sound of `heads` `[l, 3]` is gathered."""
        return place_balls(self.room.caster, heads)

    def hits(self, places: Places) -> list[Hits]:
        """The late sound that passes each listener."""
        return gather(self.segments, places)

    def reaching(
        self, heads: NDArray[np.float64], paths: list[Paths] | None = None
    ) -> list[Reaching]:
        """What reaches each of `heads` `[l, 3]`; along `paths`, where they are at hand."""
        found = paths or self.paths(heads).split(len(heads))
        hits = self.hits(self.balls(heads))
        return [Reaching(p, h, self.arrivals) for p, h in zip(found, hits, strict=True)]

    def report(self) -> dict[str, Any]:
        """What was traced, as plain JSON values."""
        traced = self.segments
        return {
            "rays": traced.rays,
            "segments": len(traced),
            "mirror_chains": len(self.sequences),
            "escaped": traced.escaped,
            "mean_free_path": traced.mean_free_path,
        }

    def joined(self, segments: Segments) -> Field:
        """The same field with the segments of more rays."""
        both = self.segments.join(segments)
        sequences = candidates(both.sequences, self.room.patches, self.ways.order)
        return replace(self, segments=both, sequences=sequences)


@dataclass(frozen=True)
class ReversedField:
    """What any number of sources do at one head, by reciprocity: traced once, from the head.

    Sound takes the same paths with the same losses either way (Helmholtz; Allen & Berkley's images
    swap likewise). It arrives from where a traced ray left the head, and leaves its source against
    the ray.

    Args:
        field: traced from the head, as from an omnidirectional source.
    """

    field: Field

    @cached_property
    def arrivals(self) -> Arrivals:
        """What each segment brings to the head from an omnidirectional source that it passes."""
        segments = self.field.segments
        toward = segments.launch[segments.ray]
        return Arrivals.of(segments.energy, toward, segments.batch[segments.ray])

    def reaching(self, sources: list[Source], paths: list[Paths] | None = None) -> list[Reaching]:
        """What reaches the head from each of `sources`; along `paths`, where they are at hand."""
        field, segments = self.field, self.field.segments
        out = []
        places = np.stack([source.position for source in sources])
        found = paths or field.paths(places).backwards(sources).split(len(sources))
        for source, way, hits in zip(sources, found, field.hits(field.balls(places)), strict=True):
            if source.directivity is None:
                out.append(Reaching(way, hits, self.arrivals))
                continue
            some = hits.segment
            energy = segments.energy[some] * source.energy(-segments.direction[some])
            mine = self.arrivals
            arrivals = Arrivals.of(energy.astype(np.float32), mine.toward[some], mine.batch[some])
            renumbered = replace(hits, segment=np.arange(len(some), dtype=np.int32))
            out.append(Reaching(way, renumbered, arrivals))
        return out


def trace_field(
    room: Room,
    source: Source,
    *,
    rays: int,
    ways: Ways,
    reach: float,
    seed: int,
    stage: int = 0,
) -> Field:
    """Trace `source` in `room`; arguments as for `trace`, and the `ways` that it leaves out."""
    segments = trace(
        room.scene,
        room.patches,
        room.caster,
        source,
        rays=rays,
        reach=reach,
        order=ways.order,
        seed=seed,
        stage=stage,
        normals=room.normals,
    )
    sequences = candidates(segments.sequences, room.patches, ways.order)
    return Field(room, source, segments, sequences, ways, reach)


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
        normals=room.normals,
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
