"""Impulse responses of a generated room, in the layout of RAF."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas import __version__
from piavas.acoustics import Simulator
from piavas.datasets.raf import RATE, write_raf
from piavas.datasets.rirset import Response
from piavas.files import atomic, write_json
from piavas.progress import track
from piavas.scene import ImpulseResponses, Pose, Scene, Source
from piavas.twin.benchmark import TRUTH, demand
from piavas.twin.hidden import microphone_noise
from piavas.twin.low import crossed, field_of
from piavas.twin.places import Place, make_place
from piavas.twin.record import place_sources
from piavas.twin.released import WORK, begin, finish
from piavas.twin.wave import HIGHEST, WaveField

Array = NDArray[np.float64]
APART = 0.5  # metres between a microphone and a loudspeaker
HEIGHTS = (0.8, 1.9)  # metres of microphones
SHARES = {"train": 0.8, "val": 0.05, "test": 0.15}


@dataclass(frozen=True)
class Responses:
    """A set in the layout of RAF.

    Args:
        seed: of everything.
        speakers: places of the loudspeaker.
        microphones: places of the microphone, for each of the loudspeaker.
        seconds: of a response.
        rays: traced from each source.
        waves: whether frequencies below 250 Hz come from the wave equation.
        floor_db: of the microphone's noise, below the peak of each response.

    Raises:
        DataError: a value out of range.
    """

    seed: int = 0
    speakers: int = 4
    microphones: int = 30
    seconds: float = 4.0
    rays: int = 6_000
    waves: bool = True
    floor_db: float = 75.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", float(self.seconds))
        demand("seed", self.seed, 0, 10**6)
        demand("speakers", self.speakers, 1, 99)
        demand("microphones", self.microphones, 1, 5000)
        demand("seconds", self.seconds, 0.35, 60)
        demand("rays", self.rays, 1, 10**8)
        demand("floor_db", self.floor_db, 0, 150)


def write_responses(root: str | os.PathLike[str], options: Responses | None = None) -> Path:
    """Write a benchmark in the layout of RAF: one furnished dwelling, responses in all its rooms.

    Loudspeakers that an interrupted run finished are kept; a whole set is only checked.

    Args:
        root: folder of `data/`, `metadata/`, `truth/`, `README.txt` and `SHA256SUMS`, written last.
        options: what it holds.

    Raises:
        DataError: `root` holds something else or is harmed.
    """
    root, options = Path(root), options or Responses()
    if begin(root, "raf", asdict(options)):
        return root
    place = make_place("apartment", options.seed)
    sources = place_sources(place.world, options.speakers, options.seed)
    heads = [place_microphones(place, sources, options, k) for k in range(len(sources))]
    write_raf(
        root, _listed(root, sources, heads, options), _sounds(root, place, sources, heads, options)
    )
    for path in root.glob("data/*/rir.wav"):
        _undate(path)
    place.world.save(root / TRUTH)
    write_json(root / TRUTH / "hidden.json", place.hidden.to_json())
    finish(root, _readme(options))
    return root


def place_microphones(
    place: Place, sources: list[Source], options: Responses, speaker: int
) -> Array:
    """Poses `[m, 4, 4]` over free floor, none at a loudspeaker."""
    rng = np.random.default_rng([place.world.seed, options.seed, 41, speaker])
    spots = np.array([source.position[:2] for source in sources])
    many = 2 * options.microphones + 8 * len(sources)
    points = place.world.free_points(many, 100 * options.seed + speaker + 1, clearance=0.3)
    near = np.linalg.norm(points[:, None, :2] - spots, axis=-1).min(axis=1) < APART
    chosen = points[~near][: options.microphones]
    chosen[:, 2] = rng.uniform(*HEIGHTS, len(chosen))
    return np.stack([Pose.at(np.round(point, 3)).matrix for point in chosen])


def _undate(path: Path) -> None:
    """Take the time of writing out of a float WAV's PEAK chunk: the same sound, the same file."""
    data = bytearray(path.read_bytes())
    at = data.find(b"PEAK", 0, 256)
    if at >= 0:
        data[at + 12 : at + 16] = bytes(4)
        with atomic(path) as part:
            part.write_bytes(data)


def _listed(
    root: Path, sources: list[Source], heads: list[Array], options: Responses
) -> list[Response]:
    splits = iter(_splits(sum(len(poses) for poses in heads), options.seed))
    return [
        Response("", root, source.position, pose, source.axis, next(splits))
        for source, poses in zip(sources, heads, strict=True)
        for pose in poses
    ]


def _splits(count: int, seed: int) -> list[str]:
    """A drawn split of each response, in RAF's shares."""
    ends = np.cumsum([round(share * count) for share in SHARES.values()])
    ranks = np.random.default_rng([seed, 42]).permutation(count)
    names = list(SHARES)
    return [names[min(int(np.searchsorted(ends, rank, "right")), 2)] for rank in ranks]


def _sounds(
    root: Path, place: Place, sources: list[Source], heads: list[Array], options: Responses
) -> Iterator[NDArray[np.float32]]:
    """`[1, time]` of each response in order; those of a finished loudspeaker are read again."""
    for k, (source, poses) in enumerate(zip(track(sources, "measure"), heads, strict=True)):
        path = root / WORK / f"speaker-{k}.npy"
        if not path.exists():
            measured = measure(place, source, poses, options, k)
            with atomic(path) as part:
                np.save(part, measured, allow_pickle=False)
        yield from np.load(path, allow_pickle=False)[:, None]


def measure(
    place: Place, source: Source, poses: Array, options: Responses, speaker: int
) -> NDArray[np.float32]:
    """Responses `[m, time]` at 48 kHz of one loudspeaker at omnidirectional microphones."""
    hidden = place.hidden
    simulator = Simulator(
        output="mono",
        sample_rate=RATE,
        duration=options.seconds,
        rays=options.rays,
        seed=1000 * options.seed + speaker,
        temperature=hidden.temperature,
        humidity=hidden.humidity,
    )
    scene = place.world.scene(hidden.materials)
    played = Source(source.position, source.axis, hidden.directivity)
    responses = simulator(scene, played, poses)
    samples = responses.samples[:, 0].astype(np.float64)
    if options.waves:
        samples = _with_waves(responses, scene, simulator.speed)
    samples = hidden.loudspeaker(samples, RATE).astype(np.float64)
    length = round(options.seconds * RATE)
    samples = np.pad(samples, ((0, 0), (0, max(length - samples.shape[1], 0))))[:, :length]
    rng = np.random.default_rng([place.world.seed, options.seed, 43, speaker])
    noise = microphone_noise(len(samples), length, RATE, rng)
    peak = np.abs(samples).max(axis=1, keepdims=True)
    return (samples + noise * peak * 10 ** (-options.floor_db / 20)).astype(np.float32)


def _with_waves(responses: ImpulseResponses, scene: Scene, speed: float) -> Array:
    field = field_of(scene, responses, speed)
    low = pressure(field, responses.samples.shape[2], RATE)
    return crossed(low, responses.samples[:, 0], RATE)


def pressure(field: WaveField, length: int, rate: int) -> Array:
    """Responses `[l, length]` of omnidirectional microphones, at a multiple of the field's rate."""
    share = round(rate / field.sample_rate)
    size = 2 * int(np.ceil(length / share))
    f = np.fft.rfftfreq(size, 1 / field.sample_rate)
    heard = np.fft.rfft(field.samples[:, 0], size)[:, f < 1.7 * HIGHEST]
    return np.asarray(np.fft.irfft(heard, share * size)[:, :length])


def _readme(options: Responses) -> str:
    waves = "the wave equation below 250 Hz, rays above" if options.waves else "rays alone"
    return f"""A SYNTHETIC DATA SET in the layout of RAF, made by piavas {__version__}.
Nothing in it was measured: the room, the loudspeaker and the microphones are made up.

Made of: seed {options.seed}, one furnished dwelling, {options.speakers} places of a loudspeaker,
{options.microphones} of a microphone for each; all options are in benchmark.json. The same options
and version give the same files: compare SHA256SUMS (sha256sum -c SHA256SUMS).

data/      a folder for each response: rir.wav (48 kHz, one channel, {options.seconds:g} s),
           rx_pos.txt (x, y, z), tx_pos.txt (quaternion x, y, z, w, then x, y, z); metres, RAF axes.
metadata/  the splits, drawn 80/5/15, and all positions.
truth/     mesh, materials, loudspeaker and climate. Nothing that is evaluated may read it.

Responses: the exact mesh; {waves}; materials, loudspeaker (directivity
and response) and climate drawn about the tables' values; a noise {options.floor_db:g} dB below the
peak of each response.
"""
