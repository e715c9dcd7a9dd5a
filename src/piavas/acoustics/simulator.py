"""Scene, source and listeners to impulse responses: direct + early specular + late."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas import __version__
from piavas.acoustics.backends import BACKENDS, NATIVE
from piavas.acoustics.bands import EXACT_BANDS
from piavas.acoustics.discrete import Ways
from piavas.acoustics.field import LEAK, Field, Room, decay_time, ready, trace_field
from piavas.acoustics.hearing import Hearing, Pairs, as_sources
from piavas.acoustics.medium import REFERENCE_PRESSURE, air_absorption, speed_of_sound
from piavas.acoustics.microphone import Microphone
from piavas.acoustics.receivers import Ambisonic, Binaural, Late, Listener, ambisonic_order
from piavas.audio import resample
from piavas.errors import SimulationError
from piavas.progress import track
from piavas.scene import ImpulseResponses, Scene, Source, as_poses

if TYPE_CHECKING:
    from piavas.acoustics.estimate import Estimate
    from piavas.acoustics.hrtf import Hrtf
    from piavas.source import Pattern

INSIDE_RATE = 48_000  # hertz at which everything is made
LONGEST = 10.0  # seconds that an automatic duration may reach
DECIBEL_TO_ENERGY = np.log(10) / 10


@dataclass(frozen=True)
class Simulator:
    """Simulates sound propagation.

    Args:
        backend: "native", "steam-audio" or "pyroomacoustics" (`piavas.acoustics.backends`).
        rays: to trace from the source, or "auto" for as many as the next two errors need.
        t30_error: standard error of T30, relative, at which "auto" stops.
        level_error: standard error of the level in any octave band, dB, likewise.
        seed: the same seed gives the same samples.
        output: "binaural", "mono" (pressure at the head's centre), or "ambisonic-1" to "-7".
        sample_rate: of the responses, hertz.
        duration: seconds; None for as long as the decay to -60 dB takes.
        hrtf: name or SOFA path for binaural output; None for the default, MIT KEMAR.
        temperature: degrees Celsius.
        humidity: relative, per cent.
        pressure: kPa.
        air_absorption: whether air swallows sound (ISO 9613-1).
        speed_of_sound: m/s; None for that of `temperature`.
        specular_order: reflections up to which mirror paths are discrete.
        diffraction_order: edges that a discrete path may bend round: 0, 1 or 2.
        transmission: walls that a discrete path may pass through, 0 to 4.
        microphone: directivity of a "mono" output that faces where its pose looks; None for omni.
        allow_leaks: simulate scenes that sound escapes from.

    Raises:
        SimulationError: an option out of its range.
    """

    backend: str = "native"
    rays: int | Literal["auto"] = "auto"
    t30_error: float = 0.02
    level_error: float = 0.25
    seed: int = 0
    output: str = "binaural"
    sample_rate: int = 48_000
    duration: float | None = None
    hrtf: str | Path | Hrtf | None = None
    temperature: float = 20.0
    humidity: float = 50.0
    pressure: float = REFERENCE_PRESSURE
    air_absorption: bool = True
    speed_of_sound: float | None = None
    specular_order: int = 3
    diffraction_order: int = 1
    transmission: int = 1
    microphone: Pattern | None = None
    allow_leaks: bool = False

    def __post_init__(self) -> None:
        ambisonic_order(self.output)
        good = self.rays == "auto" or (isinstance(self.rays, int) and self.rays >= 1)
        _demand(good, "rays", self.rays, 'trace at least one ray, or "auto"')
        _demand(self.t30_error > 0, "t30_error", self.t30_error, "give a share above 0")
        _demand(self.level_error > 0, "level_error", self.level_error, "give decibels above 0")
        _demand(1000 <= self.sample_rate <= 768_000, "sample_rate", self.sample_rate, "give hertz")
        _demand(
            self.duration is None or 0 < self.duration <= 60,
            "duration",
            self.duration,
            "give 0 to 60 s",
        )
        _demand(0 <= self.specular_order <= 8, "specular_order", self.specular_order, "give 0 to 8")
        _one_of(self.diffraction_order, "diffraction_order", 2)
        _one_of(self.transmission, "transmission", 4)
        _demand(
            self.microphone is None or self.output == "mono",
            "microphone",
            self.microphone,
            'choose the output "mono"',
        )
        _demand(
            self.speed_of_sound is None or 100 < self.speed_of_sound < 2000,
            "speed_of_sound",
            self.speed_of_sound,
            "give m/s",
        )
        engines = f"choose one of {', '.join(BACKENDS)}"
        _demand(self.backend in BACKENDS, "backend", self.backend, engines)

    def __call__(
        self, scene: Scene, source: Source | ArrayLike | Sequence[Source], listeners: Any
    ) -> ImpulseResponses:
        """The responses of `scene` from `source` at `listeners`.

        One source is traced once for all listeners. Many sources with one listener, as of a source
        that moves, are traced once from the listener (`piavas.acoustics.hearing`); as many sources
        as listeners are heard pair by pair.

        Args:
            scene: the room.
            source: a `Source`, or the position `[3]` in metres of an omnidirectional one; or many
                of either.
            listeners: whatever `piavas.scene.as_poses` takes.

        Raises:
            SimulationError: source or a listener outside the room or inside something solid, a
                scene that sound escapes from, or numbers of sources and listeners that differ.
            HrtfError: the head-related transfer functions cannot be had.
        """
        started = time.process_time()
        pairs = Pairs.of(as_sources(source), as_poses(listeners))
        if self.backend != NATIVE:
            return self._elsewhere(scene, pairs)
        hearing = self.prepare(ready(scene), pairs)
        samples = np.empty((len(pairs), hearing.channels, hearing.how.length), np.float32)
        found: dict[str, Any] = {}
        for heard in track(hearing.all(found), "simulate", pairs.pieces):
            samples[heard.rows] = heard.samples
        return ImpulseResponses(
            samples=self.at_rate(samples),
            sample_rate=self.sample_rate,
            output=self.output,
            source=pairs.source,
            listeners=pairs.poses,
            report=self.report(hearing, found, time.process_time() - started),
        )

    def stream(
        self,
        scene: Scene,
        source: Source | ArrayLike | Sequence[Source],
        listeners: Any,
        folder: str | Path,
    ) -> ImpulseResponses:
        """As a call, but the responses go to `folder` as they are made, in bounded memory.

        An interrupted run goes on where it stopped when it is started again with the same
        arguments. The result's samples stay on disk until they are used
        (`piavas.acoustics.stream`).

        Raises:
            DataError: `folder` holds something else, or the disk is too small.
        """
        from piavas.acoustics.stream import stream

        return stream(self, scene, Pairs.of(as_sources(source), as_poses(listeners)), folder)

    def _elsewhere(self, scene: Scene, pairs: Pairs) -> ImpulseResponses:
        """The responses of another engine."""
        from piavas.acoustics.backends.job import simulate

        asked = replace(self, rays=8192) if self.rays == "auto" else self
        if len({id(source) for source in pairs.sources}) == 1:
            return simulate(asked, scene, pairs.sources[0], pairs.poses)
        ones = [
            simulate(asked, scene, source, pose[None])
            for source, pose in zip(pairs.sources, pairs.poses, strict=True)
        ]
        length = max(one.samples.shape[2] for one in ones)
        samples = [
            np.pad(one.samples, ((0, 0), (0, 0), (0, length - one.samples.shape[2])))
            for one in ones
        ]
        return replace(
            ones[0], samples=np.concatenate(samples), source=pairs.source, listeners=pairs.poses
        )

    def prepare(self, room: Room, pairs: Pairs) -> Hearing:
        """Check what is asked and make ready to hear it."""
        self._check(room, pairs.places, pairs.poses)
        groups = pairs.groups()
        seconds = self.duration or max(
            self._needed(room, group.origin(pairs), group.ends(pairs)) for group in groups
        )
        how = Late(seconds, self.speed, self._air_energy(), INSIDE_RATE, self.seed)
        return Hearing(self, room, pairs, groups, how, self.listener(how))

    def estimate(
        self, scene: Scene, source: Source | ArrayLike | Sequence[Source], listeners: Any
    ) -> Estimate:
        """What a call or `stream` with these arguments will cost in time, memory and disk."""
        from piavas.acoustics.estimate import estimate

        return estimate(self, scene, Pairs.of(as_sources(source), as_poses(listeners)))

    @property
    def speed(self) -> float:
        """Speed of sound, m/s."""
        return self.speed_of_sound or speed_of_sound(self.temperature)

    @property
    def ways(self) -> Ways:
        """Which paths are followed one by one."""
        return Ways(self.specular_order, self.diffraction_order, self.transmission, self.speed)

    def air_db(self, frequency: NDArray[np.floating]) -> NDArray[np.float64]:
        """Attenuation of air in dB/m at `frequency` in hertz; zero when air absorption is off."""
        if not self.air_absorption:
            return np.zeros(np.shape(frequency))
        return air_absorption(
            frequency,
            temperature=self.temperature,
            humidity=self.humidity,
            pressure=self.pressure,
        )

    def trace(self, room: Room, source: Source, poses: NDArray[np.float64]) -> Field:
        """The field of `source`, long enough for the asked duration at `poses` `[l, 4, 4]`."""
        hearing = self.prepare(room, Pairs.of([source], poses))
        return hearing.field(hearing.groups[0])

    def shoot(
        self, room: Room, source: Source, *, reach: float, rays: int, stage: int = 0
    ) -> Field:
        """The field of `rays` rays over `reach` metres; `stage` numbers other rays of one seed."""
        field = trace_field(
            room,
            source,
            rays=rays,
            ways=self.ways,
            reach=reach,
            seed=self.seed,
            stage=stage,
        )
        if field.segments.escaped > LEAK:
            place = source.position
            share = f"{100 * field.segments.escaped:.1f} % of the rays from {place.tolist()} escape"
            where = room.where_it_leaks(place)
            if not self.allow_leaks:
                raise SimulationError(
                    f"{share} from the scene{where}",
                    field="scene",
                    mend="close the mesh, or allow leaks",
                )
            warnings.warn(f"{share}{where}: the reverberation comes out too short", stacklevel=3)
        return field

    def _check_places(self, room: Room, source: Source, poses: NDArray[np.float64]) -> None:
        self._check(room, source.position[None], poses)

    def _check(self, room: Room, sources: NDArray, poses: NDArray[np.float64]) -> None:
        if self.allow_leaks:
            if room.broken:
                warnings.warn(str(room.broken), stacklevel=3)
            return
        if room.broken:
            raise room.broken
        sources = np.unique(sources, axis=0)
        names = ["source"] * len(sources) + [f"listeners[{i}]" for i in range(len(poses))]
        room.check_places(np.concatenate([sources, poses[:, :3, 3]]), names)

    def _duration(self, room: Room, source: Source, poses: NDArray[np.float64]) -> float:
        return self.duration or self._needed(room, source, poses[:, :3, 3])

    def _needed(self, room: Room, origin: Source, ends: NDArray[np.float64]) -> float:
        """Seconds that the decay from `origin` takes at `ends` `[n, 3]`."""
        direct = np.linalg.norm(ends - origin.position, axis=1).max() / self.speed
        decay = decay_time(room, origin, speed=self.speed, air=self._air_energy(), seed=self.seed)
        return float(min(direct + 1.05 * decay + 0.05, LONGEST))

    def _air_energy(self) -> NDArray[np.float64]:
        return self.air_db(EXACT_BANDS) * DECIBEL_TO_ENERGY

    def late_options(self, field: Field) -> Late:
        """How the late field of `field` is made."""
        seconds = field.reach / self.speed
        return Late(seconds, self.speed, self._air_energy(), INSIDE_RATE, self.seed)

    def listener(self, how: Late) -> Listener:
        """The kind of listener that `output` asks for."""
        order = ambisonic_order(self.output)
        if self.microphone is not None:
            return Microphone(self.microphone, how)
        if order is not None:
            return Ambisonic(order, how)
        from piavas.acoustics.hrtf import Hrtf, load_hrtf

        hrtf = self.hrtf
        if not isinstance(hrtf, Hrtf):
            hrtf = load_hrtf(hrtf, sample_rate=INSIDE_RATE)
        return Binaural(hrtf, how)

    def at_rate(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Responses made at `INSIDE_RATE` at the asked rate, scaled to keep their spectrum."""
        if self.sample_rate == INSIDE_RATE:
            return samples
        scale = np.float32(INSIDE_RATE / self.sample_rate)
        return resample(samples, INSIDE_RATE, self.sample_rate) * scale

    def report(self, hearing: Hearing, found: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Options, what was `found` on the way, and CPU seconds, as plain JSON values."""
        options = asdict(replace(self, hrtf=None, microphone=None))
        if self.microphone is not None:
            options["microphone"] = getattr(self.microphone, "name", "") or "given"
        listener = hearing.listener
        if isinstance(listener, Binaural):
            options["hrtf"] = {"name": listener.hrtf.name, "sha256": listener.hrtf.digest}
        return {
            **options,
            "version": __version__,
            "deterministic": True,
            "duration": hearing.how.duration,
            "speed_of_sound": self.speed,
            "mirrors": int(hearing.room.patches.mirror.sum()),
            **found,
            "cpu_seconds": seconds,
        }


def _demand(good: bool, field: str, value: object, mend: str) -> None:
    if not good:
        raise SimulationError(f"{value!r} is out of range", field=field, mend=mend)


def _one_of(value: object, field: str, most: int) -> None:
    _demand(value in range(most + 1), field, value, f"give a whole number from 0 to {most}")
