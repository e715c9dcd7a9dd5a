"""The engine `steam-audio`: Valve's library for what is reflected, ours for the direct sound.

Reflections come as the library makes them: energy in three bands and bins of 10 ms, filled with
noise, so without discrete echoes. Mended on the way: the propagation delay is put back, sound
travels at the asked speed, the air is the asked one, the level is that of a unit source at any
rate, ambisonics are ambiX in the listener's axes, and a head hears them through the same HRTF as
everything else here.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.backends import Heard
from piavas.acoustics.backends.decode import from_n3d, to_ears, turned
from piavas.acoustics.backends.job import RATE, Job
from piavas.acoustics.backends.steam_level import TAPS, mend, octave_gains
from piavas.acoustics.backends.steam_library import MEND, Phonon, steam_audio
from piavas.acoustics.backends.steam_probe import survives_convolution
from piavas.acoustics.backends.steam_roads import Facing, Trace, road_a, road_b
from piavas.acoustics.backends.steam_scene import band_middles, convert
from piavas.errors import MissingDependencyError, SimulationError
from piavas.progress import track
from piavas.scene import Directivity

BOUNCES = 1024  # rays end with the duration; 32 or 64 of them end the decay of a live room early
MAX_ORDER = 3
EARS_ORDER = 1
"""Ambisonic order behind binaural output: its late field is nearly mono at any order."""
TOGETHER = 16  # listeners in one bake, after which an interrupt is heard
REFERENCE_BAND = 4  # 1 kHz: its directivity knows no bands


class SteamAudio:
    """See `piavas.acoustics.backends.Engine`."""

    def __call__(self, job: Job) -> Heard:
        """The responses that `job` asks for."""
        phonon = steam_audio()
        trace = _trace(job)
        facing = _facing(job)
        if facing is not None and trace.order > 0:
            _check_convolution(phonon)
        mesh = convert(job.room.scene, inward=job.room.inward, scale=trace.scale)
        gains = octave_gains(phonon) * trace.scale
        channels = job.receiver.channels
        samples = np.empty((len(job.poses), channels, job.length), np.float32)
        chunks = [range(i, min(i + TOGETHER, len(job.poses))) for i in _starts(job)]
        for chunk in track(chunks, "steam-audio"):
            heads = job.heads[chunk.start : chunk.stop]
            if facing is None:
                found = road_b(phonon, mesh, job.source.position, heads, trace)
            else:
                found = road_a(phonon, mesh, job.source.position, heads, trace, facing=facing)
            for i, reflected in zip(chunk, found, strict=True):
                samples[i] = job.discrete(job.direct.of(i), i)
                samples[i] += _reflected(job, i, reflected, gains)
        return Heard(
            samples,
            {
                "version": phonon.version,
                "deterministic": False,
                "road": "B: baked energy field" if facing is None else "A: convolution effect",
                "bounces": BOUNCES,
                "ambisonic_order": trace.order,
                "level_gains_db": (20 * np.log10(gains)).round(2).tolist(),
            },
        )


def _starts(job: Job) -> range:
    return range(0, len(job.poses), TOGETHER)


def _trace(job: Job) -> Trace:
    order = EARS_ORDER if job.order is None else job.order
    if order > MAX_ORDER:
        raise SimulationError(
            f"steam-audio has no {job.simulator.output}",
            field="output",
            mend=f"choose binaural, mono or ambisonic-1 to ambisonic-{MAX_ORDER}",
        )
    speed = job.simulator.speed
    nearest = np.linalg.norm(job.heads - job.source.position, axis=1).min() / speed
    return Trace(
        rays=job.rays,
        bounces=BOUNCES,
        duration=max(job.duration - float(nearest), 0.02),
        order=order,
        air=job.simulator.air_db(band_middles()) * np.log(10) / 10,
        speed=speed,
        threads=os.cpu_count() or 1,
    )


def _facing(job: Job) -> Facing | None:
    """How the source looks, or None if it is omnidirectional."""
    directivity = job.source.directivity
    if directivity is None:
        return None
    if not isinstance(directivity, Directivity):
        raise SimulationError(
            f"steam-audio has no {type(directivity).__name__}",
            field="source.directivity",
            mend="give a Directivity of the cardioid family",
        )
    return Facing(job.source.axis, float(directivity.pattern[REFERENCE_BAND]))


def _check_convolution(phonon: Phonon) -> None:
    if phonon.path is not None and not survives_convolution(phonon.path):
        raise MissingDependencyError(
            "this build of Steam Audio crashes in its convolution (upstream issue 546), which "
            "directional sources need",
            file=phonon.path,
            mend=f"use mono output or an omnidirectional source, or {MEND}",
        )


def _reflected(
    job: Job, listener: int, found: NDArray[np.float32], gains: NDArray[np.float64]
) -> NDArray[np.float32]:
    """N3D of the world, from the direct sound on, as this listener hears it from the emission."""
    direct = float(np.linalg.norm(job.heads[listener] - job.source.position))
    f = np.fft.rfftfreq(TAPS, 1 / RATE)
    field = turned(from_n3d(found), job.poses[listener])
    field = mend(field, gains, job.simulator.air_db(f) * direct)
    if job.order is None:
        field = to_ears(field, job.head, job.simulator.speed)
    start = round(direct / job.simulator.speed * RATE)
    out = np.zeros((len(field), job.length), np.float32)
    fitting = min(field.shape[1], job.length - start)
    if fitting > 0:
        out[:, start : start + fitting] = field[:, :fitting]
    return out
