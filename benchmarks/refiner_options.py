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
import itertools
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
from piavas.refine.balance import fit_share
from piavas.refine.features import with_known
from piavas.refine.model import power
from piavas.trials import refine_clips

METRICS = ("MAG", "LRE", "ENV")
BEST = "the same, 1 evaluation"
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
        known: what the network is told besides, of "images" and "acoustics", if the clips have it.
        balance: give the ears the share of the expected level difference that training clips bear
            out, of the "own" room or of "all"; clips must have been imported with several draws.
    """

    train: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    evaluations: int = 4
    rooms: str = "own"
    model: str = ""
    balance: str = ""
    known: tuple[str, ...] = ()


OPTIONS = {
    "base": Option(),
    "1 evaluation instead of 4": Option(evaluations=1, model="base"),
    "expected ear levels": Option(model="base", balance="own"),
    "the same, share of all rooms": Option(model="base", balance="all"),
    "the same, 1 evaluation": Option(evaluations=1, model="base", balance="all"),
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
    "images": Option(known=("images",)),
    "acoustics": Option(known=("acoustics",)),
    "images and acoustics": Option(known=("images", "acoustics")),
    "images and acoustics, all rooms": Option(rooms="all", known=("images", "acoustics")),
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
            if _possible(OPTIONS[name], rooms, place):
                run = lambda n=name, p=place: _try(n, p, rooms, given)  # noqa: E731
                _keep(log, name, place, given, run)
    print(table(_lines(log, given), [*rooms]))


def _possible(option: Option, rooms: dict[str, list[Clip]], place: str) -> bool:
    if option.balance:
        return all(clip.balance is not None for clips in rooms.values() for clip in clips)
    if any(getattr(clip, kind) is None for kind in option.known for clip in rooms[place]):
        return False
    return option.rooms == "own" or len(rooms) > 1


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
    heard_in = "all" if option.rooms == "all" else place  # one model serves all of them
    home = folder / f"{option.model or name}-{heard_in}".replace(" ", "_").replace("/", "")
    tests = [clip for clip in rooms[place] if clip.split == "test"]
    if option.model:
        refiner = Refiner.load(home)
        if option.balance:
            heard = rooms[place] if option.balance == "own" else [*itertools.chain(*rooms.values())]
            refiner.balance = fit_share([c for c in heard if c.split == "train"])
    else:
        chosen = {"own": [place], "all": [*rooms], "others": [r for r in rooms if r != place]}
        clips = [
            replace(c, name=f"{room}/{c.name}")
            for room in chosen[option.rooms]
            for c in rooms[room]
            if c.split == "train"
        ]
        config = TrainConfig.quick(max_steps=given.steps, seed=given.seed, **option.train)
        network = replace(
            RefinerConfig.spectral(), sample_rate=clips[0].sample_rate, **option.network
        )
        network = with_known(network, clips, **dict.fromkeys(option.known, True))
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


def table(lines: Sequence[dict[str, Any]], places: Sequence[str]) -> str:
    """Means over all recordings, and the paired difference to `base` in per cent of it.

    Then the same of what is best against physics, room by room.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines:
        if line["place"] in places:
            found.setdefault(line["option"], {}).update({row["name"]: row for row in line["rows"]})
    whole = {option: rows for option, rows in found.items() if len(rows) == len(found["base"])}
    out = [_row("option"), _row("---")]
    out += [_compared(option, rows, found["base"], option == "base")
            for option, rows in whole.items()]  # fmt: skip
    out += ["", f"`{BEST}` against physics, by room:", "", _row("room"), _row("---")]
    for line in lines:
        if line["option"] == BEST and line["place"] in places:
            rows = {row["name"]: row for row in line["rows"]}
            out.append(_compared(line["place"], rows, found["physics"]))
    return "\n".join(out)


def _row(first: str) -> str:
    return f"| {' | '.join([first, *(['---'] * 3 if first == '---' else METRICS)])} |"


def _compared(label: str, rows: dict[str, Any], base: dict[str, Any], alone: bool = False) -> str:
    names = sorted(rows)
    groups = [rows[name]["group"] for name in names]
    cells = []
    for metric in METRICS:
        values, others = (np.array([some[n][metric] for n in names]) for some in (rows, base))
        cell = f"{bootstrap(values, groups).mean:.3g}"
        if not alone:
            gap, full = bootstrap(values - others, groups), bootstrap(others, groups).mean / 100
            span = f"{gap.low / full:+.0f} to {gap.high / full:+.0f}"
            cell += f" ({gap.mean / full:+.0f} %, {span})"
        cells.append(cell)
    return f"| {label} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
