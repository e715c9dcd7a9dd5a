"""The engine `pyroomacoustics`: image sources, then ray tracing, between polygon walls.

Mono responses are the package's own, without the 40 samples of its interpolation filter. A head
hears its image sources each from where it is, and its histogram of rays, which has no directions
here, as a diffuse field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.backends import Heard
from piavas.acoustics.backends.diffuse import diffuse_ears
from piavas.acoustics.backends.job import RATE, Job
from piavas.acoustics.backends.polygons import Polygon, polygons, volume
from piavas.acoustics.paths import Paths
from piavas.errors import MissingDependencyError, SimulationError

FIRST_BAND = 1  # its octaves begin at 125 Hz: 63 Hz takes the values of that one
BIN = 0.004  # seconds of its histogram
RADIUS = 0.5  # metres around a listener in which rays count
MOST_WALLS = 2000
LEAST_AIR = 1e-3  # cubic metres
MOST_CANDIDATES = 100_000  # chains of walls that image sources may be looked for in


class Pyroomacoustics:
    """See `piavas.acoustics.backends.Engine`."""

    def __call__(self, job: Job) -> Heard:
        """The responses that `job` asks for."""
        if job.order not in (None, 0):
            raise SimulationError(
                f"pyroomacoustics has no {job.simulator.output}",
                field="output",
                mend="choose binaural or mono",
            )
        if job.source.directivity is not None:
            raise SimulationError(
                "pyroomacoustics takes omnidirectional sources here",
                field="source.directivity",
                mend="leave the directivity out, or choose another backend",
            )
        package = _package()
        walls = polygons(job.room)
        if volume(walls) < LEAST_AIR:
            # Its late part draws times until a rate that grows with 1 / volume says stop.
            raise SimulationError(
                "the scene encloses no air", field="scene", mend="close it and orient its faces"
            )
        order = image_order(len(walls), job.simulator.specular_order)
        with _constants(package), _seed(package, job.simulator.seed):
            room = _room(package, job, walls, order)
            room.image_source_model()
            room.ray_tracing()
            samples = _own(room, job) if job.order == 0 else _ears(room, job)
        return Heard(
            samples,
            {
                "version": version("pyroomacoustics"),
                "deterministic": True,
                "walls": len(walls),
                "image_order": order,
                "late": "its own" if job.order == 0 else "its histogram as a diffuse field",
            },
        )


def image_order(walls: int, asked: int) -> int:
    """Reflections by image sources that `walls` leave affordable, at most `asked`.

    Raises:
        SimulationError: more walls than its brute-force rays can bear.
    """
    if walls > MOST_WALLS:
        raise SimulationError(
            f"the scene has {walls} plane walls, pyroomacoustics bears {MOST_WALLS}",
            field="scene",
            mend="simplify the mesh, or choose another backend",
        )
    affordable = int(np.log(MOST_CANDIDATES) / np.log(max(walls, 2)))
    return min(asked, affordable)


def _package() -> ModuleType:
    try:
        import pyroomacoustics
    except ImportError as problem:
        raise MissingDependencyError(
            f"pyroomacoustics cannot be imported: {problem}",
            field="backend",
            mend="run `pip install piavas[peers]`",
        ) from None
    return pyroomacoustics


@contextmanager
def _constants(package: ModuleType) -> Iterator[None]:
    """Without its high-pass, which rings ahead of the direct sound; put back at the end."""
    before = package.constants.get("rir_hpf_enable")
    package.constants.set("rir_hpf_enable", False)
    try:
        yield
    finally:
        package.constants.set("rir_hpf_enable", before)


@contextmanager
def _seed(package: ModuleType, seed: int) -> Iterator[None]:
    """Its two generators, of NumPy and of its C++ part, seeded; anew at random at the end."""
    package.random.seed(numpy=seed, libroom=seed)
    try:
        yield
    finally:
        package.random.seed()


def _room(package: ModuleType, job: Job, walls: list[Polygon], order: int) -> Any:
    bands = slice(FIRST_BAND, None)
    materials = job.room.scene.materials
    sides = [
        package.wall_factory(
            wall.corners.T,
            materials[wall.material].absorption[bands].tolist(),
            materials[wall.material].scattering[bands].tolist(),
            name=str(i),
        )
        for i, wall in enumerate(walls)
    ]
    room = package.Room(sides, fs=RATE, max_order=order)
    room.set_sound_speed(job.simulator.speed)
    room.set_ray_tracing(
        n_rays=job.rays,
        receiver_radius=RADIUS,
        time_thres=job.duration,
        hist_bin_size=BIN,
    )
    if job.simulator.air_absorption:
        centers = room.octave_bands.centers
        room.set_air_absorption(
            (job.simulator.air_db(centers) * np.log(10) / 10).tolist(), centers.tolist()
        )
    room.add_source(job.source.position)
    room.add_microphone_array(job.heads.T)
    return room


def _own(room: Any, job: Job) -> NDArray[np.float32]:
    """Its own mono responses `[l, 1, time]`."""
    room.compute_rir()
    late = room_lead()
    out = np.zeros((len(job.poses), 1, job.length), np.float32)
    for i, (response,) in enumerate(room.rir):
        part = response[late : late + job.length]
        out[i, 0, : len(part)] = part
    return out


def room_lead() -> int:
    """Samples by which its responses are late: half its interpolation filter."""
    return int(_package().constants.get("frac_delay_length")) // 2


def image_paths(room: Any, listener: int, head: NDArray[np.float64]) -> Paths:
    """Its visible image sources as paths to one listener, without air."""
    source = room.sources[0]
    seen = room.visibility[0][listener].astype(bool)
    if source.images is None or not seen.any():
        seen = np.zeros(0, bool)
    images = source.images[:, seen].T.astype(np.float64) if len(seen) else np.empty((0, 3))
    damping = source.damping[:, seen].T.astype(np.float64) if len(seen) else np.empty((0, 8))
    order = source.orders[seen] if len(seen) else np.empty(0)
    way = head - images
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-3)
    gain = np.concatenate([damping[:, :1], damping], axis=1) / length[:, None]
    count = len(length)
    return Paths(
        np.zeros(count, np.int32),
        order.astype(np.int32),
        length,
        way / length[:, None],
        np.full((count, 3), np.nan),  # it does not say how its paths leave
        gain,
        np.full((count, 1), -1, np.int32),
        np.full(count, -1, np.int32),
    )


def _ears(room: Any, job: Job) -> NDArray[np.float32]:
    """Binaural responses `[l, 2, time]` from its image sources and its histogram."""
    bin_samples = room.rt_args["hist_bin_size_samples"]
    out = np.empty((len(job.poses), 2, job.length), np.float32)
    for i, head in enumerate(job.heads):
        histogram = np.asarray(room.rt_histograms[i][0][0], dtype=np.float64)
        bands = np.concatenate([histogram[:1], histogram])
        ways = (np.arange(bands.shape[1]) + 0.5) * bin_samples / RATE * job.simulator.speed
        bands *= np.exp(-job.air[:, None] * ways)
        out[i] = job.discrete(image_paths(room, i, head), i)
        out[i] += diffuse_ears(
            bands,
            job.head,
            bin_samples=bin_samples,
            length=job.length,
            seed=job.simulator.seed + i,
        )
    return out
