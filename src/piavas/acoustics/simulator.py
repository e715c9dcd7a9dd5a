"""Scene, source and listeners to impulse responses: direct + early specular + late."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas import __version__
from piavas.acoustics.ambisonics import to_head
from piavas.acoustics.backends import BACKENDS, NATIVE
from piavas.acoustics.bands import EXACT_BANDS
from piavas.acoustics.early import early
from piavas.acoustics.field import LEAK, Field, Room, decay_time, ready, trace_field
from piavas.acoustics.medium import REFERENCE_PRESSURE, air_absorption, speed_of_sound
from piavas.acoustics.receivers import Ambisonic, Binaural, Late, Listener, ambisonic_order
from piavas.audio import resample
from piavas.errors import SimulationError
from piavas.progress import track
from piavas.scene import ImpulseResponses, Scene, Source, as_poses

if TYPE_CHECKING:
    from piavas.acoustics.hrtf import Hrtf

INSIDE_RATE = 48_000  # hertz at which everything is made
TOGETHER = 64  # listeners heard at a time
LONGEST = 10.0  # seconds that an automatic duration may reach
DECIBEL_TO_ENERGY = np.log(10) / 10


@dataclass(frozen=True)
class Simulator:
    """Simulates sound propagation.

    Args:
        backend: "native", "steam-audio" or "pyroomacoustics" (`piavas.acoustics.backends`).
        rays: traced from the source.
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
        allow_leaks: simulate scenes that sound escapes from.

    Raises:
        SimulationError: an option out of its range.
    """

    backend: str = "native"
    rays: int = 20_000
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
    allow_leaks: bool = False

    def __post_init__(self) -> None:
        ambisonic_order(self.output)
        _demand(self.rays >= 1, "rays", self.rays, "trace at least one ray")
        _demand(1000 <= self.sample_rate <= 768_000, "sample_rate", self.sample_rate, "give hertz")
        _demand(
            self.duration is None or 0 < self.duration <= 60,
            "duration",
            self.duration,
            "give 0 to 60 s",
        )
        _demand(0 <= self.specular_order <= 8, "specular_order", self.specular_order, "give 0 to 8")
        _demand(
            self.speed_of_sound is None or 100 < self.speed_of_sound < 2000,
            "speed_of_sound",
            self.speed_of_sound,
            "give m/s",
        )
        engines = f"choose one of {', '.join(BACKENDS)}"
        _demand(self.backend in BACKENDS, "backend", self.backend, engines)

    def __call__(
        self, scene: Scene, source: Source | ArrayLike, listeners: Any
    ) -> ImpulseResponses:
        """The responses of `scene` from `source` at `listeners`.

        Args:
            scene: the room.
            source: a `Source`, or the position `[3]` in metres of an omnidirectional one.
            listeners: whatever `piavas.scene.as_poses` takes.

        Raises:
            SimulationError: source or a listener outside the room or inside something solid, or a
                scene that sound escapes from.
            HrtfError: the head-related transfer functions cannot be had.
        """
        started = time.process_time()
        source = source if isinstance(source, Source) else Source(np.asarray(source))
        poses = as_poses(listeners)
        if self.backend != NATIVE:
            from piavas.acoustics.backends.job import simulate

            return simulate(self, scene, source, poses)
        room = ready(scene)
        field = self.trace(room, source, poses)
        how = self.late_options(field)
        listener = self.listener(how)
        samples = self._hear(field, listener, how, poses)
        return ImpulseResponses(
            samples=_to_rate(samples, self.sample_rate),
            sample_rate=self.sample_rate,
            output=self.output,
            source=source.position,
            listeners=poses,
            report=self._report(field, how, listener, time.process_time() - started),
        )

    @property
    def speed(self) -> float:
        """Speed of sound, m/s."""
        return self.speed_of_sound or speed_of_sound(self.temperature)

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
        self._check_places(room, source, poses)
        field = trace_field(
            room,
            source,
            rays=self.rays,
            order=self.specular_order,
            reach=self._duration(room, source, poses) * self.speed,
            seed=self.seed,
        )
        if field.segments.escaped > LEAK:
            share = (
                f"{100 * field.segments.escaped:.1f} % of the rays from {source.position.tolist()}"
            )
            if not self.allow_leaks:
                raise SimulationError(
                    f"{share} escape from the scene",
                    field="scene",
                    mend="close the mesh, or allow leaks",
                )
            warnings.warn(f"{share} escape: the reverberation comes out too short", stacklevel=3)
        return field

    def _check_places(self, room: Room, source: Source, poses: NDArray[np.float64]) -> None:
        if self.allow_leaks:
            return
        names = ["source", *(f"listeners[{i}]" for i in range(len(poses)))]
        room.check_places(np.vstack([source.position, poses[:, :3, 3]]), names)

    def _duration(self, room: Room, source: Source, poses: NDArray[np.float64]) -> float:
        if self.duration is not None:
            return self.duration
        direct = np.linalg.norm(poses[:, :3, 3] - source.position, axis=1).max() / self.speed
        decay = decay_time(room, source, speed=self.speed, air=self._air_energy(), seed=self.seed)
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
        if order is not None:
            return Ambisonic(order, how)
        from piavas.acoustics.hrtf import Hrtf, load_hrtf

        hrtf = self.hrtf
        if not isinstance(hrtf, Hrtf):
            hrtf = load_hrtf(hrtf, sample_rate=INSIDE_RATE)
        return Binaural(hrtf, how)

    def _hear(
        self, field: Field, listener: Listener, how: Late, poses: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        out = np.empty((len(poses), listener.receiver.channels, how.length), np.float32)
        chunks = [slice(i, i + TOGETHER) for i in range(0, len(poses), TOGETHER)]
        for chunk in track(chunks, "simulate"):
            self._hear_some(field, listener, how, poses[chunk], out[chunk])
        return out

    def _hear_some(
        self,
        field: Field,
        listener: Listener,
        how: Late,
        poses: NDArray[np.float64],
        out: NDArray[np.float32],
    ) -> None:
        heads = poses[:, :3, 3]
        paths, hits = field.paths(heads), field.hits(field.balls(heads))
        receiver = listener.receiver
        for i, pose in enumerate(poses):
            mine = paths.of(i)
            out[i] = early(
                mine,
                to_head(pose, -mine.arrival),
                receiver,
                air_db=self.air_db,
                speed=self.speed,
                sample_rate=INSIDE_RATE,
                length=how.length,
            )
            out[i] += listener.late(hits[i], field.arrivals, pose)

    def _report(
        self, field: Field, how: Late, listener: Listener, seconds: float
    ) -> dict[str, Any]:
        options = asdict(replace(self, hrtf=None))
        if isinstance(listener, Binaural):
            options["hrtf"] = {"name": listener.hrtf.name, "sha256": listener.hrtf.digest}
        return {
            **options,
            "version": __version__,
            "deterministic": True,
            "duration": how.duration,
            "speed_of_sound": self.speed,
            "segments": len(field.segments),
            "mirrors": int(field.room.patches.mirror.sum()),
            "mirror_chains": len(field.sequences),
            "escaped": field.segments.escaped,
            "mean_free_path": field.segments.mean_free_path,
            "cpu_seconds": seconds,
        }


def _demand(good: bool, field: str, value: object, mend: str) -> None:
    if not good:
        raise SimulationError(f"{value!r} is out of range", field=field, mend=mend)


def _to_rate(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Responses at `rate`, scaled so that their spectrum, not their peak, stays what it is."""
    if rate == INSIDE_RATE:
        return samples
    return resample(samples, INSIDE_RATE, rate) * np.float32(INSIDE_RATE / rate)
