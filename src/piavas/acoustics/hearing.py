"""Many pairs of a source and a head: each traced from whichever end is shared by more of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.acoustics.ambisonics import to_head
from piavas.acoustics.confidence import Confidence, energies
from piavas.acoustics.early import early
from piavas.acoustics.field import Field, Reaching, ReversedField
from piavas.acoustics.paths import Paths
from piavas.acoustics.room import Room
from piavas.errors import SimulationError
from piavas.scene import Source

if TYPE_CHECKING:
    from piavas.acoustics.receivers import Late, Listener
    from piavas.acoustics.simulator import Simulator

TOGETHER = 64  # responses made at a time
PROBED = 24  # heads at which the number of rays is chosen
PILOT = 1024  # rays traced first to choose it
MOST_RAYS = 1 << 18
MARGIN = 1.1  # rays above what the pilot asks for, whose own errors are uncertain


def as_sources(source: Source | ArrayLike | Sequence[Source]) -> list[Source]:
    """One or many sources: `Source` objects, or positions `[3]` or `[n, 3]` in metres.

    Raises:
        SimulationError: none of these.
    """
    if isinstance(source, Source):
        return [source]
    if isinstance(source, Sequence) and source and isinstance(source[0], Source):
        return list(source)  # type: ignore[arg-type]
    try:
        places = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError):
        places = np.empty(0)
    if places.size and places.ndim == 2 and places.shape[1] == 3:
        return [Source(place) for place in places]
    return [Source(source)]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pairs:
    """Which source is heard by which head.

    Args:
        sources: `[n]`, one for each response.
        poses: `[n, 4, 4]` likewise.
    """

    sources: list[Source]
    poses: NDArray[np.float64]

    @classmethod
    def of(cls, sources: list[Source], poses: NDArray[np.float64]) -> Pairs:
        """One source with every head, every source with one head, or each with its own.

        Raises:
            SimulationError: other numbers of both.
        """
        n = max(len(sources), len(poses))
        if not {len(sources), len(poses)} <= {1, n}:
            raise SimulationError(
                f"{len(sources)} sources for {len(poses)} listeners",
                field="source",
                mend="give one source, one listener, or equally many of both",
            )
        sources = sources * n if len(sources) == 1 else sources
        return cls(sources, np.broadcast_to(poses, (n, 4, 4)) if len(poses) == 1 else poses)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def places(self) -> NDArray[np.float64]:
        """`[n, 3]` positions of the sources."""
        return np.stack([source.position for source in self.sources])

    @property
    def source(self) -> NDArray[np.float64]:
        """`[3]` where there is one source, else `[n, 3]`."""
        first = self.sources[0]
        return first.position if all(s is first for s in self.sources) else self.places

    @property
    def pieces(self) -> int:
        """How many bundles they are made in."""
        return sum(len(group.pieces()) for group in self.groups())

    def groups(self) -> list[Group]:
        """The pairs by the end that fewer traces serve."""
        forth = _same([id(source) for source in self.sources])
        back = _same([tuple(place) for place in self.poses[:, :3, 3]])
        if len(forth) <= len(back):
            return [Group(rows, False) for rows in forth]
        return [Group(rows, True) for rows in back]


def _same(keys: list[Any]) -> list[NDArray[np.int64]]:
    """Rows of equal keys, in order of their first."""
    rows: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, []).append(i)
    return [np.array(r) for r in rows.values()]


@dataclass(frozen=True)
class Group:
    """Responses that one trace serves.

    Args:
        rows: their indices.
        reverse: whether it starts at the head they share, not at the source.
    """

    rows: NDArray[np.int64]
    reverse: bool

    def pieces(self) -> list[Group]:
        """Its responses in bundles of at most `TOGETHER`."""
        starts = range(0, len(self.rows), TOGETHER)
        return [Group(self.rows[i : i + TOGETHER], self.reverse) for i in starts]

    def origin(self, pairs: Pairs) -> Source:
        """Where the trace starts."""
        first = self.rows[0]
        return Source(pairs.poses[first, :3, 3]) if self.reverse else pairs.sources[first]

    def ends(self, pairs: Pairs) -> NDArray[np.float64]:
        """`[rows, 3]` where it is to arrive."""
        return pairs.places[self.rows] if self.reverse else pairs.poses[self.rows, :3, 3]


@dataclass(frozen=True)
class Heard:
    """Some responses.

    Args:
        rows: `[n]` which they are.
        samples: `[n, channel, time]`.
        confidence: their errors.
    """

    rows: NDArray[np.int64]
    samples: NDArray[np.float32]
    confidence: Confidence


def summary(traces: list[dict[str, Any]], confidence: Confidence) -> dict[str, Any]:
    """What the traces (`Field.report`) of one call were; of several, the largest of each figure."""
    largest = {name: max(trace[name] for trace in traces) for name in traces[0]}
    return {"traces": len(traces), **largest, "standard_error": confidence.report()}


@dataclass(frozen=True)
class Hearing:
    """Everything that one call of a simulator needs to make its responses, bit by bit.

    Args:
        simulator: the options.
        room: the scene made ready.
        pairs: what is asked.
        groups: how it is traced.
        how: of the late field.
        listener: of every pose.
    """

    simulator: Simulator
    room: Room
    pairs: Pairs
    groups: list[Group]
    how: Late
    listener: Listener

    @property
    def channels(self) -> int:
        """Of a response."""
        return self.listener.receiver.channels

    @property
    def reach(self) -> float:
        """Metres that sound travels in the time of a response."""
        return self.how.duration * self.how.speed

    def all(self, found: dict[str, Any]) -> Iterator[Heard]:
        """Every response, some at a time; what was traced is put in `found`."""
        traces, errors = [], []
        for group in self.groups:
            field = self.field(group)
            traces.append(field.report())
            for piece in group.pieces():
                heard = self.hear(field, piece)
                errors.append(heard.confidence)
                yield heard
        found.update(summary(traces, Confidence.join(errors)))

    def field(self, group: Group, rays: int | None = None) -> Field:
        """The traced field of `group`, of `rays` rays or as many as the asked errors need."""
        options = self.simulator
        origin = group.origin(self.pairs)
        asked = rays or options.rays
        if asked != "auto":
            return options.shoot(self.room, origin, reach=self.reach, rays=int(asked))
        probed = Group(group.rows[:: max(1, len(group.rows) // PROBED)][:PROBED], group.reverse)
        field = options.shoot(self.room, origin, reach=self.reach, rays=PILOT)
        reaching = self._reaching(field, probed)
        for stage in (1, 2):
            excess = self._confidence(field, reaching).excess(
                options.t30_error, options.level_error
            )
            wanted = min(int(MARGIN * excess * field.segments.rays), MOST_RAYS)
            if excess <= 1 or wanted <= field.segments.rays:
                break
            more = wanted - field.segments.rays
            field = field.joined(
                options.shoot(self.room, origin, reach=self.reach, rays=more, stage=stage).segments
            )
            # The discrete paths of the pilot do for the errors.
            reaching = self._reaching(field, probed, [one.paths for one in reaching])
        return field

    def hear(self, field: Field, piece: Group) -> Heard:
        """The responses of `piece`."""
        reaching = self._reaching(field, piece)
        samples = np.empty((len(piece.rows), self.channels, self.how.length), np.float32)
        for i, row in enumerate(piece.rows):
            samples[i] = self._response(reaching[i], self.pairs.poses[row])
        return Heard(piece.rows, samples, self._confidence(field, reaching))

    def _reaching(
        self, field: Field, group: Group, paths: list[Paths] | None = None
    ) -> list[Reaching]:
        if group.reverse:
            sources = [self.pairs.sources[i] for i in group.rows]
            return ReversedField(field).reaching(sources, paths)
        return field.reaching(self.pairs.poses[group.rows, :3, 3], paths)

    def _confidence(self, field: Field, reaching: list[Reaching]) -> Confidence:
        how, share = self.how, field.segments.share
        return Confidence.of(
            energies(one, share, duration=how.duration, speed=how.speed, air=how.air)
            for one in reaching
        )

    def early(self, paths: Paths, pose: NDArray[np.float64]) -> NDArray[np.float32]:
        """What `paths` bring to a head at `pose` `[4, 4]`, `[channel, time]`."""
        how = self.how
        return early(
            paths,
            to_head(pose, -paths.arrival),
            self.listener.receiver,
            air_db=self.simulator.air_db,
            speed=how.speed,
            sample_rate=how.sample_rate,
            length=how.length,
        )

    def _response(self, reaching: Reaching, pose: NDArray[np.float64]) -> NDArray[np.float32]:
        late = self.listener.late(reaching.hits, reaching.arrivals, pose)
        return self.early(reaching.paths, pose) + late
