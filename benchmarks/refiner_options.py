"""What each option of the refiner is worth: one thing changed at a time, on sources never heard.

    python benchmarks/refiner_options.py CLIPS ... --out FOLDER [--steps 300] [--options NAME ...]

CLIPS are folders of clips, one an environment; the split "train" trains, "test" evaluates. Every
option takes the same steps from the same seed on the same clips, and is held against `base`, the
preset `spectral`, clip by clip: the difference's 95 % interval comes of a bootstrap inside each
recording. One JSON line an option and environment in FOLDER/options.jsonl; what is there is kept.
The table goes to the standard output. `--coupling` trains nothing and says in how many batches
optimal transport would pair clips otherwise than they are. OMP_NUM_THREADS=1 suits this network.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from piavas.evaluate import evaluate
from piavas.evaluate.bootstrap import bootstrap
from piavas.refine import Clip, Refiner, RefinerConfig, TrainConfig, load_clips, train
from piavas.refine.model import power
from piavas.trials import refine_clips

METRICS = ("MAG", "LRE", "ENV")
PAPER_LOSS = {
    "spectral_weight": 0.0, "level_weight": 0.0, "flow_weight": 1.0, "at_start": 0.0,
    "own_path": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One thing changed.

    Args:
        train: fields of `TrainConfig`.
        network: fields of `RefinerConfig`.
        evaluations: of the network, by Euler's rule.
        rooms: whose training clips are learnt from: "own", "all" or "others".
        model: the option whose weights are taken; itself if empty.
    """

    train: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    evaluations: int = 4
    rooms: str = "own"
    model: str = ""


OPTIONS = {
    "base": Option(),
    "1 evaluation instead of 4": Option(evaluations=1, model="base"),
    "gain and delay aligned": Option({"align": True}),
    "all rooms": Option(rooms="all"),
    "only other rooms": Option(rooms="others"),
    "flow loss alone (paper)": Option(PAPER_LOSS),
    "no level loss": Option({"level_weight": 0.0}),
    "no own path": Option({"own_path": 0.0}),
    "no average of weights": Option({"average": 0.0}),
    "sigma 0.05": Option({"sigma": 0.05}),
    "sigma 0.5": Option({"sigma": 0.5}),
    "32 channels": Option(network={"channels": 32}),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", nargs="+", choices=tuple(OPTIONS), default=tuple(OPTIONS))
    parser.add_argument("--coupling", action="store_true")
    given = parser.parse_args()
    rooms = {_name(path): list(load_clips(path)) for path in given.clips}
    if given.coupling:
        print(json.dumps({place: coupling(clips, given.seed) for place, clips in rooms.items()}))
        return
    log = given.out / "options.jsonl"
    given.out.mkdir(parents=True, exist_ok=True)
    for place, clips in rooms.items():
        _keep(log, "physics", place, given, lambda clips=clips: _physics(clips))
    for name in ("base", *(n for n in given.options if n != "base")):
        for place in rooms:
            if OPTIONS[name].rooms == "own" or len(rooms) > 1:
                run = lambda n=name, p=place: _try(n, p, rooms, given)  # noqa: E731
                _keep(log, name, place, given, run)
    print(table(_lines(log, given)))


def _name(path: Path) -> str:
    """Of an environment: its recordings are called after it."""
    return str(load_clips(path).rows[0]["environment"]).rsplit("-", 1)[0]


def _lines(log: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [one for one in lines if (one["steps"], one["seed"]) == (given.steps, given.seed)]


def _keep(log: Path, option: str, place: str, given: argparse.Namespace, run: Any) -> None:
    """Append what `run` finds, unless the log has it."""
    if any((one["option"], one["place"]) == (option, place) for one in _lines(log, given)):
        return
    start = time.process_time()
    rows = run()
    line = {"option": option, "place": place, "steps": given.steps, "seed": given.seed,
            "cpu_seconds": round(time.process_time() - start, 1), "rows": rows}  # fmt: skip
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{option}, {place}: {line['cpu_seconds']} CPU s", flush=True)


def _physics(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    tests = [clip for clip in clips if clip.split == "test"]
    return _rows(tests, {clip.name: clip.x_sim for clip in tests})


def _try(
    name: str, place: str, rooms: dict[str, list[Clip]], given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train one option for one environment, and measure its test clips."""
    option, folder = OPTIONS[name], given.out / "models" / f"{given.steps}-{given.seed}"
    home = folder / f"{option.model or name}-{place}".replace(" ", "_").replace("/", "")
    tests = [clip for clip in rooms[place] if clip.split == "test"]
    if option.model:
        refiner = Refiner.load(home)
    else:
        heard = {"own": [place], "all": [*rooms], "others": [r for r in rooms if r != place]}
        clips = [
            replace(c, name=f"{room}/{c.name}")
            for room in heard[option.rooms]
            for c in rooms[room]
            if c.split == "train"
        ]
        config = TrainConfig.quick(max_steps=given.steps, seed=given.seed, **option.train)
        network = replace(
            RefinerConfig.spectral(), sample_rate=clips[0].sample_rate, **option.network
        )
        refiner = train(clips, home, config, model=network)
    return _rows(tests, refine_clips(refiner, tests, steps=option.evaluations))


def _rows(tests: Sequence[Clip], found: dict[str, Any]) -> list[dict[str, Any]]:
    truth = {clip.name: clip.x_rx for clip in tests}
    groups = {clip.name: clip.environment for clip in tests}
    rate = tests[0].sample_rate
    return [
        {key: row[key] for key in ("name", "group", *METRICS)}
        for row in evaluate(found, truth, "avcloud", sample_rate=rate, groups=groups).rows
    ]


def coupling(clips: Sequence[Clip], seed: int, size: int = 4, count: int = 200) -> dict[str, Any]:
    """Optimal transport between simulated and recorded clips of a batch (Tong et al. 2024).

    Its cost is the squared distance of waveforms at unit power of x_sim. Says in how many batches
    the best permutation is another than the clips' own, and how many clips it would pair wrongly.
    """
    rng = np.random.default_rng(seed)
    learnt = [clip for clip in clips if clip.split == "train" and clip.x_rx is not None]
    moved = []
    for _ in range(count):
        batch = [learnt[i] for i in rng.choice(len(learnt), size, replace=False)]
        start, end = (
            np.stack([getattr(c, part).ravel() / power(c.x_sim) for c in batch])
            for part in ("x_sim", "x_rx")
        )
        cost = np.square(start[:, None] - end[None]).sum(axis=-1)
        moved.append(int((linear_sum_assignment(cost)[1] != np.arange(size)).sum()))
    return {"batches": count, "of": size, "permuted": int(np.count_nonzero(moved)),
            "clips_mispaired": sum(moved)}  # fmt: skip


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Means over all recordings, and the paired difference to `base` in per cent of it."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        rows = found.setdefault(line["option"], {})
        rows.update({row["name"]: row for row in line["rows"]})
    base = found["base"]
    out = [f"| option | {' | '.join(METRICS)} |", "| --- |" + " --- |" * len(METRICS)]
    for option, rows in found.items():
        names = sorted(rows)
        cells = [_cell(option, metric, [rows[n] for n in names], [base[n] for n in names])
                 for metric in METRICS]  # fmt: skip
        out.append(f"| {option} | {' | '.join(cells)} |")
    return "\n".join(out)


def _cell(option: str, metric: str, rows: Sequence[Any], base: Sequence[Any]) -> str:
    groups = [row["group"] for row in rows]
    values, others = (np.array([row[metric] for row in some]) for some in (rows, base))
    mean = bootstrap(values, groups).mean
    if option == "base":
        return f"{mean:.3g}"
    gap, whole = bootstrap(values - others, groups), bootstrap(others, groups).mean / 100
    return (
        f"{mean:.3g} ({gap.mean / whole:+.0f} %, {gap.low / whole:+.0f} to {gap.high / whole:+.0f})"
    )


if __name__ == "__main__":
    main()
