"""Recordings of a world, made with physics that the pipeline does not get to see."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator, load_hrtf
from piavas.audio import Audio, read_audio, write_audio
from piavas.capture import Recording, load_capture, write_nerfstudio
from piavas.capture.nerfstudio import FILE
from piavas.errors import CaptureError, DataError
from piavas.files import read_json, write_json
from piavas.poses import write_trajectory
from piavas.progress import track
from piavas.render import render
from piavas.scene import Source, Trajectory
from piavas.twin.hidden import Hidden, draw_hidden, microphone_noise
from piavas.twin.low import with_waves
from piavas.twin.music import music_like
from piavas.twin.speech import speech_like
from piavas.twin.walk import stroll
from piavas.twin.world import TRUTH, World

PEAK = 0.95
FINE = 4  # true poses a second; one a second is written
TURNS = 8.0  # seconds of speech, then as many of music
HEIGHTS = (1.0, 1.5)  # metres of loudspeakers
FORMAT = "PCM_16"


@dataclass(frozen=True)
class Options:
    """How recordings are made.

    Args:
        seed: of everything.
        seconds: length of a recording.
        sample_rate: of the files, hertz.
        snr_db: mean level of the sound above that of the microphones' noise.
        hrtf: the head, as `piavas.load_hrtf` takes it.
        rays: traced from each source.
        waves: whether low frequencies come from the wave equation.
    """

    seed: int
    seconds: float
    sample_rate: int
    snr_db: float
    hrtf: str
    rays: int
    waves: bool


def record(
    world: World,
    folder: str | os.PathLike[str],
    *,
    sources: int = 3,
    seed: int = 0,
    seconds: float = 48.0,
    sample_rate: int = 22_050,
    snr_db: float = 45.0,
    hrtf: str | os.PathLike[str] = "rigid-sphere",
    rays: int = 6_000,
    waves: bool = False,
) -> tuple[Recording, ...]:
    """Play dry sound in `world` and record it with a head that walks about.

    The exact mesh, other specimens of the materials, a loudspeaker with a directivity and a
    response of its own, another climate, another head and noisy microphones make the sound; each
    recording is scaled to its peak. The first source is for training, the others for testing.
    What an interrupted run left is kept if the options are the same.

    Args:
        world: what `generate_capture` gave for `folder`.
        folder: a capture; gets `dry/`, `wet/`, `recordings.json`, and the truth in `truth/`.
        sources: loudspeakers, each at a place of its own and recorded alone.
        seed: of places, ways, sounds and hidden physics.
        seconds: length of a recording.
        sample_rate: of the files, hertz.
        snr_db: mean level of the sound above that of the microphones' noise.
        hrtf: the head, as `piavas.load_hrtf` takes it.
        rays: traced from each source.
        waves: take frequencies below 250 Hz from the wave equation (see `piavas.twin.wave`).

    Raises:
        CaptureError: options out of range.
        DataError: `folder` is not a capture of `world`.
        HrtfError: the head cannot be had.
    """
    if not (1 <= sources <= 99 and 2 <= seconds <= 3600 and 0 <= snr_db <= 120):
        raise CaptureError(
            f"{sources} sources for {seconds} s at {snr_db} dB",
            field="options",
            mend="give 1 to 99 sources, 2 to 3600 s, a ratio of 0 to 120 dB",
        )
    folder = Path(folder)
    _check_world(world, folder)
    _forget(folder / FILE)
    options = Options(seed, float(seconds), sample_rate, snr_db, os.fspath(hrtf), rays, waves)
    found = record_sounds(world, folder, options, sources, draw_hidden(seed, world.seed))
    capture = load_capture(folder)
    write_nerfstudio(
        folder, capture.frames, labels=capture.labels, metric=capture.metric, recordings=found
    )
    return found


def _check_world(world: World, folder: Path) -> None:
    truth = folder / "truth" / TRUTH
    data = read_json(truth)
    if data.get("seed") != world.seed:
        raise DataError(
            f"is of the world of seed {data.get('seed')}, not {world.seed}",
            file=truth,
            field="seed",
            mend="record the world that the capture was generated of",
        )


def record_sounds(
    world: World, folder: Path, options: Options, sources: int, hidden: Hidden
) -> tuple[Recording, ...]:
    """Write the sounds and the truth of `sources` loudspeakers; `folder` need be no capture."""
    _start(folder, world, hidden, options)
    places = place_sources(world, sources, options.seed)
    return tuple(
        _record_one(world, folder, hidden, options, source, i)
        for i, source in enumerate(track(places, "record"))
    )


def _forget(file: Path) -> None:
    """Take the recordings out of a capture's index, until there are new ones."""
    index = read_json(file)
    if index.pop("recordings", None) is not None:
        write_json(file, index)


def _start(folder: Path, world: World, hidden: Hidden, options: Options) -> None:
    """Write the truth; recordings made with another one go."""
    truth = {"options": asdict(options), "world": world.seed, **hidden.to_json()}
    path = folder / "truth" / "hidden.json"
    if path.exists() and read_json(path) == truth:
        return
    for kind in ("dry", "wet"):
        for old in (folder / kind).glob("source-*.wav"):
            old.unlink()
    write_json(path, truth)


def place_sources(world: World, count: int, seed: int) -> list[Source]:
    """Loudspeakers far from each other, each turned roughly to the middle of its room."""
    rng = np.random.default_rng([world.seed, seed, 22])
    points = world.free_points(count, seed, clearance=0.45)
    placed = []
    for x, y, _ in points:
        room = next((r for r in world.plan.rooms if r.holds(x, y)), world.plan.rooms[0])
        to = np.array(room.centre) - (x, y)
        angle = np.arctan2(to[1], to[0]) + np.radians(rng.uniform(-40, 40))
        place = np.round([x, y, rng.uniform(*HEIGHTS)], 3)
        placed.append(Source(place, np.array([np.cos(angle), np.sin(angle), 0.0])))
    return placed


def _record_one(
    world: World, folder: Path, hidden: Hidden, options: Options, source: Source, index: int
) -> Recording:
    name = f"source-{index}"
    dry, wet = (folder / kind / f"{name}.wav" for kind in ("dry", "wet"))
    way = stroll(world, source.position, options.seconds, FINE, 100 * options.seed + index)
    if not (dry.exists() and wet.exists()):
        seed = [world.seed, options.seed, index]
        sound = play(_number(seed), options.seconds, options.sample_rate)
        write_audio(dry, sound, options.sample_rate, subtype=FORMAT)
        sound, _ = read_audio(dry)
        heard, level = _hear(world, hidden, options, source, way, sound, seed)
        write_trajectory(folder / "truth" / f"{name}.json", way)
        write_json(folder / "truth" / f"{name}.level.json", {"axis": source.axis.tolist(), **level})
        write_audio(wet, heard, options.sample_rate, subtype=FORMAT)
    split = "train" if index == 0 else "test"
    times, poses = way.times[::FINE], way.poses[::FINE]
    return Recording(name, source.position, dry, wet, times, poses, split)


def _number(seed: list[int]) -> int:
    """One number from several, other ones from others."""
    return int(np.random.default_rng(seed).integers(2**31))


def play(seed: int, seconds: float, sample_rate: int) -> Audio:
    """What a loudspeaker plays: speech and music in turn, equally strong; `[1, time]`, peak .9."""
    count = round(seconds * sample_rate)
    out = np.zeros((1, count), np.float32)
    for k, start in enumerate(np.arange(0, seconds, TURNS)):
        make = (speech_like, music_like)[k % 2]
        part = make(seed + k, TURNS, sample_rate)
        at = round(start * sample_rate)
        piece = part[:, : count - at] / np.sqrt((part**2).mean())
        out[:, at : at + piece.shape[1]] = piece
    return 0.9 * out / np.abs(out).max()


def _hear(
    world: World,
    hidden: Hidden,
    options: Options,
    source: Source,
    way: Trajectory,
    sound: Audio,
    seed: list[int],
) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
    """What the head records, scaled to its peak, and what was done to its level."""
    simulator = Simulator(
        rays=options.rays,
        seed=_number([*seed, 1]),
        sample_rate=options.sample_rate,
        hrtf=options.hrtf,
        temperature=hidden.temperature,
        humidity=hidden.humidity,
    )
    speaker = Source(source.position, source.axis, hidden.directivity)
    scene = world.scene(hidden.materials)
    responses = simulator(scene, speaker, way)
    if options.waves:
        head = load_hrtf(options.hrtf, sample_rate=options.sample_rate)
        responses = with_waves(responses, scene, head, simulator.speed)
    played = hidden.loudspeaker(sound, options.sample_rate)
    heard = render(played, responses, way)[:, : sound.shape[1]].astype(np.float64)
    noise = microphone_noise(
        2, heard.shape[1], options.sample_rate, np.random.default_rng([*seed, 2])
    )
    noise *= np.sqrt((heard**2).mean() / 10 ** (options.snr_db / 10))
    gain = PEAK / np.abs(heard + noise).max()
    level = {"gain": float(gain), "noise_rms": float(gain * noise.std())}
    return (gain * (heard + noise)).astype(np.float32), level


def digest(folder: str | os.PathLike[str]) -> str:
    """SHA-256 over all sound files of a capture, by name: the same seeds give the same."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).glob("[dw][re][yt]/*.wav")):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()
