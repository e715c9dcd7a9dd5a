"""How far the level difference of the ears is chance: the hidden physics recorded many times.

    python benchmarks/chance.py [--places office house apartment outdoor] [--seconds 40]
        [--draws 6] [--without head materials ...]

The same head walks the same way past the same source in the same room; only the seed of rays and
late noise differs. Each draw in turn is the recording. Figures are LRE, dB, mean over clips of 1 s
and over draws:

- `mono`: of no difference;
- `one`: of another draw, a model that is right in all but the draw;
- `floor`: of the mean energies of all other draws, what that model expects. Nothing that does not
  know the draw does better than this by much.

`--without` also predicts with a part of the hidden physics replaced by what stage 1 has: its own
`head`, a `loudspeaker` with a flat response, no `directivity`, `materials` of the table's default
but where there is sky, no `waves`. Several at once are joined by `+`. One JSON line a place.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator, load_hrtf
from piavas.materials import load_table
from piavas.render import render
from piavas.scene import ImpulseResponses, Scene, Source, Trajectory
from piavas.twin.benchmark import Videos
from piavas.twin.low import crossed, ears, field_of
from piavas.twin.places import ROOMS, Place, make_place
from piavas.twin.record import Options

PARTS = ("head", "loudspeaker", "directivity", "materials", "waves")
SOURCES = (1, 2)  # those that are held out
CLIP = 1.0  # seconds


def levels(
    place: Place, options: Options, source: int, draws: int, without: frozenset[str] = frozenset()
) -> NDArray[np.float64]:
    """Energies `[draw, clip, ear]` of what the head hears, with a part of the truth left out."""
    recording = import_module("piavas.twin.record")  # its function of that name hides it
    rate, hidden = options.sample_rate, place.hidden
    where = recording.place_sources(place.world, 3, options.seed)[source]
    way = recording.stroll(
        place.world, where.position, options.seconds, recording.FINE, 100 * options.seed + source
    )
    sound = recording.play(
        recording._number([place.world.seed, options.seed, source]), options.seconds, rate
    )
    played = sound if "loudspeaker" in without else hidden.loudspeaker(sound, rate)
    speaker = Source(where.position, where.axis, hidden.directivity)
    if "directivity" in without:
        speaker = Source(where.position)
    scene = place.world.scene(hidden.materials)
    if "materials" in without:
        scene = plain(scene)
    head = None if "head" in without else options.hrtf
    waves = options.waves and "waves" not in without
    size, found = round(CLIP * rate), []
    for responses in drawn(place, options, scene, speaker, way, head, draws, waves):
        heard = render(played, responses, way)[:, : sound.shape[1]].astype(np.float64)
        whole = heard[:, : heard.shape[1] // size * size].reshape(2, -1, size)
        found.append(np.square(whole).sum(axis=2).T)
    return np.array(found)


def drawn(
    place: Place,
    options: Options,
    scene: Scene,
    speaker: Source,
    way: Trajectory,
    head: str | None,
    draws: int,
    waves: bool,
) -> Iterator[ImpulseResponses]:
    """Responses of draw after draw; what the wave equation says is the same in each."""
    low = None
    for seed in range(draws):
        simulator = Simulator(
            rays=options.rays, seed=1000 + seed, sample_rate=options.sample_rate, hrtf=head,
            temperature=place.hidden.temperature, humidity=place.hidden.humidity,
        )  # fmt: skip
        responses = simulator(scene, speaker, way)
        if waves:
            length = responses.samples.shape[2]
            if low is None or low.shape[2] != length:
                field = field_of(scene, responses, simulator.speed)
                ear = load_hrtf(head, sample_rate=options.sample_rate)
                low = ears(field, responses.listeners, ear, length)
            samples = crossed(low, responses.samples, responses.sample_rate)
            responses = replace(responses, samples=samples.astype(np.float32))
        yield responses


def plain(scene: Scene) -> Scene:
    """Every material the table's default, but for the sky."""
    row = load_table()["default"]
    rows = tuple(
        one if (one.absorption == 1).all() else replace(row, name=one.name)
        for one in scene.materials
    )
    return replace(scene, materials=rows)


def decibels(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the left ear over the right, of `[..., 2]`."""
    return np.asarray(10 * np.log10(energy[..., 0] / energy[..., 1]))


def expected(truth: NDArray[np.float64], model: NDArray[np.float64]) -> float:
    """LRE of what the mean energies of `model` expect of each draw of `truth`, unseen.

    The draw of the same seed is left out: with parts of the truth it shares its late noise.
    """
    errors = []
    for k, drawn_ in enumerate(truth):
        others = np.delete(model, k, axis=0)
        errors.append(np.abs(decibels(others.mean(axis=0)) - decibels(drawn_)).mean())
    return float(np.mean(errors))


def single(truth: NDArray[np.float64], model: NDArray[np.float64]) -> float:
    """LRE of one draw of `model` of each other draw of `truth`."""
    pairs = [(i, j) for i in range(len(truth)) for j in range(len(model)) if i != j]
    return float(
        np.mean([np.abs(decibels(truth[i]) - decibels(model[j])).mean() for i, j in pairs])
    )


def measure(name: str, seconds: int, draws: int, without: list[str]) -> dict[str, Any]:
    """One line."""
    videos = Videos(seconds=seconds)
    place, options = make_place(name, videos.seed), videos.sound
    truth = [levels(place, options, i, draws) for i in SOURCES]
    row: dict[str, Any] = {"place": name, "seconds": seconds, "draws": draws}
    row["mono"] = np.mean([np.abs(decibels(t)).mean() for t in truth])
    row["one"] = np.mean([single(t, t) for t in truth])
    row["floor"] = np.mean([expected(t, t) for t in truth])
    for part in without:
        models = [levels(place, options, i, draws, frozenset(part.split("+"))) for i in SOURCES]
        both = list(zip(truth, models, strict=True))
        row[f"one without {part}"] = np.mean([single(t, m) for t, m in both])
        row[f"expected without {part}"] = np.mean([expected(t, m) for t, m in both])
    return {k: round(float(v), 2) if isinstance(v, np.floating) else v for k, v in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--places", nargs="+", choices=tuple(ROOMS), default=list(ROOMS))
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--without", nargs="+", default=[], help="+".join(PARTS))
    args = parser.parse_args()
    if unknown := {one for part in args.without for one in part.split("+")} - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in args.places:
        print(json.dumps(measure(name, args.seconds, args.draws, args.without)), flush=True)


if __name__ == "__main__":
    main()
