"""What a simulation will cost, from a few of its responses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from piavas.acoustics.field import Field, ready
from piavas.acoustics.hearing import TOGETHER, Group, Pairs
from piavas.scene import Scene

if TYPE_CHECKING:
    from piavas.acoustics.simulator import Simulator

SAMPLE = 8  # responses that are made to see how long one takes
PROGRAM = 900  # megabytes of libraries and compiled kernels, whatever is simulated


@dataclass(frozen=True)
class Estimate:
    """What a simulation will cost on this machine.

    Args:
        responses: to make.
        duration: of each, seconds.
        rays: of each trace.
        traces: from sources or, where fewer, from listeners.
        seconds: until they are all made.
        memory_mb: peak when they are streamed.
        disk_mb: that the samples take.
    """

    responses: int
    duration: float
    rays: int
    traces: int
    seconds: float
    memory_mb: float
    disk_mb: float


def estimate(simulator: Simulator, scene: Scene, pairs: Pairs) -> Estimate:
    """Trace once, make a few responses twice (the first time compiles), and scale up.

    Raises:
        SimulationError: as `Simulator.__call__`.
    """
    hearing = simulator.prepare(ready(scene), pairs)
    group = hearing.groups[0]
    some = Group(group.rows[:SAMPLE], group.reverse)
    field = hearing.field(group)
    samples = hearing.hear(field, some).samples
    start = time.perf_counter()
    hearing.field(group, field.segments.rays)
    traced = time.perf_counter() - start
    start = time.perf_counter()
    simulator.at_rate(hearing.hear(field, some).samples)
    each = (time.perf_counter() - start) / len(some.rows)
    one = samples[0].nbytes * simulator.sample_rate / hearing.how.sample_rate
    return Estimate(
        responses=len(pairs),
        duration=hearing.how.duration,
        rays=field.segments.rays,
        traces=len(hearing.groups),
        seconds=round(traced * len(hearing.groups) + each * len(pairs), 1),
        memory_mb=round(PROGRAM + (_bytes(field) + 3 * TOGETHER * samples[0].nbytes) / 1e6),
        disk_mb=round(one * len(pairs) / 1e6, 1),
    )


def _bytes(field: Field) -> int:
    """Bytes of the segments, and of their directions again as ears ask for them."""
    traced = field.segments
    columns = (traced.origin, traced.direction, traced.energy, traced.length, traced.travelled)
    return sum(column.nbytes for column in columns) + traced.direction.nbytes
