"""What any engine is asked: a checked scene, a source, listeners, and how they hear."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.ambisonics import to_head
from piavas.acoustics.backends import engine
from piavas.acoustics.early import Receiver, early
from piavas.acoustics.field import LEAK, Room, ready
from piavas.acoustics.hrtf import Hrtf, load_hrtf
from piavas.acoustics.paths import Paths, direct_paths
from piavas.acoustics.receivers import Late, ambisonic_order
from piavas.acoustics.sphere_grid import uniform_directions
from piavas.audio import resample
from piavas.errors import SimulationError
from piavas.scene import OCTAVE_BANDS, ImpulseResponses, Scene, Source

if TYPE_CHECKING:
    from piavas.acoustics.simulator import Simulator

RATE = 48_000
FEELERS = 2048
RAYS = 8192  # where the simulator leaves it open


@dataclass(frozen=True)
class Job:
    """One call of a simulator.

    Args:
        simulator: its options.
        room: the scene, made ready.
        source: of the sound.
        poses: `[l, 4, 4]`.
        duration: seconds.
    """

    simulator: Simulator
    room: Room
    source: Source
    poses: NDArray[np.float64]
    duration: float

    @property
    def rays(self) -> int:
        """How many to trace; `RAYS` where the simulator leaves it open."""
        rays = self.simulator.rays
        return rays if isinstance(rays, int) else RAYS

    @property
    def heads(self) -> NDArray[np.float64]:
        """`[l, 3]` metres."""
        return self.poses[:, :3, 3]

    @property
    def length(self) -> int:
        """Samples of a response at `RATE`."""
        return round(self.duration * RATE)

    @property
    def order(self) -> int | None:
        """Of ambisonics; 0 for mono, None for binaural."""
        return ambisonic_order(self.simulator.output)

    @property
    def air(self) -> NDArray[np.float64]:
        """`[9]` energy attenuation of the octave bands, 1/m."""
        return self.simulator.air_db(np.array(OCTAVE_BANDS)) * np.log(10) / 10

    @cached_property
    def head(self) -> Hrtf:
        """The head, for binaural output."""
        named = self.simulator.hrtf
        found = named if isinstance(named, Hrtf) else load_hrtf(named, sample_rate=RATE)
        return found.dense()

    @cached_property
    def receiver(self) -> Receiver:
        """How discrete paths are taken in: the native engine's way."""
        how = Late(self.duration, self.simulator.speed, self.air, RATE, self.simulator.seed)
        return self.simulator.listener(how).receiver

    @cached_property
    def direct(self) -> Paths:
        """The direct sound, where it is not blocked."""
        return direct_paths(self.room.walls(0), self.source, self.heads, 0)

    def discrete(self, paths: Paths, listener: int) -> NDArray[np.float32]:
        """`paths` of one listener as samples `[channel, time]`, exact in time and level."""
        return early(
            paths,
            to_head(self.poses[listener], -paths.arrival),
            self.receiver,
            air_db=self.simulator.air_db,
            speed=self.simulator.speed,
            sample_rate=RATE,
            length=self.length,
        )


def simulate(
    simulator: Simulator, scene: Scene, source: Source, poses: NDArray[np.float64]
) -> ImpulseResponses:
    """What `Simulator.__call__` gives, traced by the engine that `simulator.backend` names.

    Raises:
        MissingDependencyError: that engine is not on this machine.
        SimulationError: as the native engine, and what this one cannot do.
    """
    started = time.process_time()
    if simulator.microphone is not None:
        raise SimulationError(
            f"{simulator.backend} has no directional microphones",
            field="microphone",
            mend="leave it out, or choose the native backend",
        )
    run = engine(simulator.backend)
    room = ready(scene)
    simulator._check_places(room, source, poses)
    _check_leaks(simulator, room, source)
    job = Job(simulator, room, source, poses, simulator._duration(room, source, poses))
    heard = run(job)
    return ImpulseResponses(
        samples=_at_rate(heard.samples, simulator.sample_rate),
        sample_rate=simulator.sample_rate,
        output=simulator.output,
        source=source.position,
        listeners=poses,
        report={**_options(job), **heard.report, "cpu_seconds": time.process_time() - started},
    )


def _check_leaks(simulator: Simulator, room: Room, source: Source) -> None:
    """As the native engine does, on the first flights of rays."""
    way = uniform_directions(FEELERS)
    _, face = room.caster.closest(np.broadcast_to(source.position, way.shape), way)
    away = float((face < 0).mean())
    if away <= LEAK:
        return
    share = f"{100 * away:.1f} % of the rays from {source.position.tolist()} escape"
    if not simulator.allow_leaks:
        raise SimulationError(
            f"{share} from the scene", field="scene", mend="close the mesh, or allow leaks"
        )
    warnings.warn(f"{share}: the reverberation comes out too short", stacklevel=4)


def _options(job: Job) -> dict[str, Any]:
    simulator = job.simulator
    options = asdict(replace(simulator, hrtf=None))
    if job.order is None:
        options["hrtf"] = {"name": job.head.name, "sha256": job.head.digest}
    return {**options, "duration": job.duration, "speed_of_sound": simulator.speed}


def _at_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Responses at `rate`, scaled so that their spectrum, not their peak, stays what it is."""
    if rate == RATE:
        return samples
    return resample(samples, RATE, rate) * np.float32(RATE / rate)
