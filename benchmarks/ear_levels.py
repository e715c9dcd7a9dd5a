"""What the level difference of the ears is worth, draw by draw and as expected from many.

    python benchmarks/ear_levels.py FOLDER [--draws 12] [--places office house apartment outdoor]

FOLDER is one of `piavas experiments`. Its scans are simulated with several seeds; on the held-out
clips of RWAVS-Gen the LRE (dB, mean of absolute differences) of every single draw is shown as mean
and range, beside that of no difference at all (Mono), and that of the mean energies of all draws.
One table of physics alone holds one draw, and chance moves it by the range. One JSON line a place.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.audio import read_audio
from piavas.capture import load_capture
from piavas.datasets.rwavs import RATE
from piavas.experiments import SIZES, data
from piavas.experiments.ablations import GEN
from piavas.experiments.bench import Bench
from piavas.files import read_json
from piavas.materials import load_scene
from piavas.pairs import WINDOWS, simulate_recording
from piavas.refine.balance import level_difference

CLIP = 1.0  # seconds


def energies(bench: Bench, place: str, draws: int) -> dict[str, NDArray[np.float64]]:
    """`[draw, 2]` energies of the ears by clip."""
    room = load_scene(bench.at("scenes", place, "scan"))
    simulator, size = data.simulator(bench), round(CLIP * RATE)
    found: dict[str, list[NDArray[np.float64]]] = {}
    for recording in load_capture(bench.at("captures", place)).recordings:
        dry, _ = read_audio(recording.dry_path, sample_rate=RATE, channels=1)
        wet, _ = read_audio(recording.wet_path, sample_rate=RATE, channels=2)
        starts = np.round((recording.times + WINDOWS["centred"] * CLIP) * RATE).astype(int)
        for seed in range(draws):
            engine = replace(simulator, seed=seed)
            heard = simulate_recording(recording, room, engine, dry, wet.shape[1])
            for i, start in enumerate(starts):
                piece = heard[:, max(start, 0) : start + size].astype(np.float64)
                found.setdefault(f"{recording.name}-{i:04d}", []).append(
                    np.square(piece).sum(axis=1)
                )
    return {name: np.array(rows) for name, rows in found.items()}


def measure(bench: Bench, place: str, draws: int) -> dict[str, Any]:
    """LRE of single draws, of no difference, and of the mean of all draws."""
    rules = data.protocol(bench, GEN)
    clips = data.split_by(data.simulated(bench, place, "scan"), rules)
    tests = list(clips.of(data.held_out(rules)))
    heard = energies(bench, place, draws)
    each = np.array([heard[clip.name] for clip in tests])
    truth = np.array([level_difference(clip.x_rx) for clip in tests])
    single = np.abs(decibels(each) - truth[:, None]).mean(axis=0)
    return {
        "place": place,
        "clips": len(tests),
        "draws": draws,
        "single_mean": round(float(single.mean()), 3),
        "single_range": [round(float(v), 3) for v in (single.min(), single.max())],
        "mono": round(float(np.abs(truth).mean()), 3),
        "expected": round(float(np.abs(decibels(each.mean(axis=1)) - truth).mean()), 3),
    }


def decibels(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the left ear over the right, of `[..., 2]`."""
    return np.asarray(10 * np.log10(energy[..., 0] / energy[..., 1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--places", nargs="+")
    args = parser.parse_args()
    recipe = SIZES[read_json(args.folder / "experiments.json")["recipe"]["name"]]
    bench = Bench(args.folder, recipe)
    for place in args.places or recipe.videos.places:
        print(json.dumps(measure(bench, place, args.draws)), flush=True)


if __name__ == "__main__":
    main()
