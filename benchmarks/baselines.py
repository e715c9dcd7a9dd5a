"""Learned baselines beside energy baselines and physics, on folders of clips.

    python benchmarks/baselines.py CLIPS ... --scenes SCENE ... [--steps 400] [--out FOLDER]

Trains each on the clips of split "train" and evaluates those of "test", family avcloud, with the
level of each recording's environment known to every method: one number, as stage 1 gets it. One
JSON line a folder and method; rows of the same options that lie in --out are kept.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from piavas.audio import Audio
from piavas.baselines import ENERGY_BASELINES, LEARNED_BASELINES, fit_energy, fit_learned
from piavas.evaluate import evaluate
from piavas.experiments.measure import levelled, predicted
from piavas.experiments.methods import SLOW
from piavas.materials import load_scene
from piavas.refine import Clip, load_clips


def measure(
    predict: Callable[[Clip], Audio], clips: Sequence[Clip], seed: int = 0
) -> dict[str, list[float]]:
    """Mean and 95 % interval of each metric."""
    found = levelled(predicted(predict, clips), clips)
    truth = {clip.name: clip.x_rx for clip in clips}
    groups = {clip.name: clip.environment for clip in clips}
    table = evaluate(
        found, truth, "avcloud", sample_rate=clips[0].sample_rate, seed=seed, groups=groups
    )
    return {
        name: [round(v, 3) for v in (one.mean, one.low, one.high)]
        for name, one in table.intervals.items()
    }


def _kept(path: Path, row: dict[str, Any]) -> bool:
    """Whether a row of these options lies there."""
    return path.is_file() and row.items() <= json.loads(path.read_text(encoding="utf-8")).items()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--scenes", nargs="+", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400, help="of the quick ones; see SLOW")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    for folder, scene in zip(args.clips, args.scenes, strict=True):
        clips = load_clips(folder)
        learn, tests = list(clips.of("train")), list(clips.of("test"))
        pairs = [(c.x_tx, c.x_rx) for c in learn]
        room = load_scene(scene)
        for kind in ("physics", *ENERGY_BASELINES, *LEARNED_BASELINES):
            name = f"{folder.parent.name}-{folder.name}-{kind}.json"
            path = None if args.out is None else args.out / name
            row = {"clips": f"{folder.parent.name}/{folder.name}", "method": kind}
            if kind in LEARNED_BASELINES:
                steps = max(1, round(args.steps * SLOW.get(kind, 1.0)))
                row |= {"steps": steps, "width": args.width, "seed": args.seed}
            if path is not None and _kept(path, row):
                print(path.read_text().strip(), flush=True)
                continue
            started = time.process_time()
            predict: Callable[[Clip], Any]
            if kind == "physics":
                predict = lambda clip: clip.x_sim  # noqa: E731
            elif kind in ENERGY_BASELINES:
                simple = fit_energy(kind, pairs)  # type: ignore[arg-type]
                predict = lambda clip, simple=simple: simple(clip.x_tx)  # noqa: E731
            else:
                predict = fit_learned(
                    kind, learn, scene=room, steps=steps, width=args.width, seed=args.seed
                )
            spent = round(time.process_time() - started, 1)
            row |= {"trained_cpu_s": spent, **measure(predict, tests, args.seed)}
            print(json.dumps(row), flush=True)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(row) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
