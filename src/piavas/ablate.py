"""Solvers and numbers of function evaluations of a refiner, held against recordings."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from piavas.errors import DataError
from piavas.evaluate import Comparison, Table
from piavas.evaluate.table import interval_json
from piavas.files import atomic, read_json, write_json
from piavas.progress import track
from piavas.refine import ClipSet, Refiner, get_solver
from piavas.refine.solvers import SOLVERS
from piavas.trials import try_clips

FORMAT = "piavas-ablation-1"
MOST = 10
"""Function evaluations, at most, as in the paper's Fig. 2."""


@dataclass(frozen=True)
class Point:
    """One way to solve the flow, and what it was worth.

    Args:
        solver: its name.
        steps: of it.
        evaluations: of the network in them.
        result: physics alone against refined.
    """

    solver: str
    steps: int
    evaluations: int
    result: Comparison

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without the single clips."""
        found, gaps = self.result.second.intervals, self.result.differences
        return {
            "solver": self.solver,
            "steps": self.steps,
            "evaluations": self.evaluations,
            "metrics": {name: interval_json(value) for name, value in found.items()},
            "differences": {name: interval_json(value) for name, value in gaps.items()},
        }


@dataclass(frozen=True)
class Ablation:
    """All points, beside physics alone.

    Args:
        physics: what x_sim was worth.
        points: by solver, then by evaluations.
    """

    physics: Table
    points: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        physics = {name: interval_json(v) for name, v in self.physics.intervals.items()}
        meta = {k: v for k, v in self.physics.meta.items() if k not in WAY}
        points = [point.to_json() for point in self.points]
        return {"format": FORMAT, "meta": meta, "physics": physics, "points": points}


WAY = ("solver", "steps", "evaluations")


def ways(solvers: Iterable[str], most: int = MOST) -> list[tuple[str, int, int]]:
    """Solver, steps and evaluations wherever a solver can have just so many, from 1 to `most`.

    Raises:
        DataError: `most` is below 1.
        PiavasError: no such solver.
    """
    if most < 1:
        raise DataError(f"{most} evaluations", field="most", mend="give 1 or more")
    found = [
        (name, get_solver(name).steps_for(n), n) for name in solvers for n in range(1, most + 1)
    ]
    return [(name, steps, n) for name, steps, n in found if steps is not None]


def ablate(
    clips: ClipSet,
    refiner: Refiner,
    out: str | os.PathLike[str],
    *,
    solvers: Iterable[str] = tuple(SOLVERS),
    most: int = MOST,
    family: str = "avcloud",
    split: str = "test",
    seed: int = 0,
    meta: Mapping[str, Any] | None = None,
) -> Ablation:
    """Refine and measure the clips of one split with every solver and number of evaluations.

    Points that an interrupted run finished are kept where clips, model and options are the same.

    Args:
        clips: with recordings.
        refiner: one model.
        out: folder of `ablation.json`, and of `points/`.
        solvers: names.
        most: evaluations.
        family: of the metrics.
        split: which clips.
        seed: of the confidence intervals.
        meta: more for the record.

    Raises:
        DataError: no clip of that split, or one without a recording.
        PiavasError: no such solver.
    """
    out = Path(out)
    key = _key(clips, refiner, {"family": family, "split": split, "seed": seed})
    points = []
    for name, steps, count in track(ways(solvers, most), "ablate"):
        path = out / "points" / f"{name}-{count}.json"
        result = _kept(path, key)
        if result is None:
            trial = try_clips(
                clips, refiner, split=split, family=family, solver=name, steps=steps,
                seed=seed, meta={**(meta or {}), "key": key}, baselines=False,
            )  # fmt: skip
            assert isinstance(trial.result, Comparison)
            result = trial.result
            result.save(path)
        points.append(Point(name, steps, count, result))
    found = Ablation(points[0].result.first, tuple(points))
    write_json(out / "ablation.json", found.to_json())
    return found


@dataclass(frozen=True)
class Estimate:
    """What an ablation will cost on this machine.

    Args:
        points: solvers by evaluations.
        clips: that each refines.
        evaluations: of the network, in all.
        seconds: until all points are there.
    """

    points: int
    clips: int
    evaluations: int
    seconds: float


def estimate(
    clips: ClipSet,
    refiner: Refiner,
    *,
    solvers: Iterable[str] = tuple(SOLVERS),
    most: int = MOST,
    family: str = "avcloud",
    split: str = "test",
) -> Estimate:
    """Refine and measure one clip, write nothing, and scale up.

    Raises:
        DataError, PiavasError: as `ablate`.
    """
    chosen = clips if split == "all" else clips.of(split)
    todo = ways(solvers, most)
    if not len(chosen):
        raise DataError(f"no clip of split {split!r}", field="split", mend="choose another, or all")
    one = replace(chosen, rows=chosen.rows[:1])
    how: dict[str, Any] = {"split": "all", "family": family, "baselines": False}
    try_clips(one, refiner, **how, steps=1)
    seconds = []
    for steps in (1, 5):
        started = time.perf_counter()
        try_clips(one, refiner, **how, steps=steps)
        seconds.append(time.perf_counter() - started)
    each = max(seconds[1] - seconds[0], 0.0) / 4
    count, total = len(chosen), sum(n for _, _, n in todo)
    spent = count * (total * each + len(todo) * max(seconds[0] - each, 0.0))
    return Estimate(len(todo), count, count * total, round(spent, 1))


def draw(found: Ablation, out: str | os.PathLike[str]) -> None:
    """The paper's Fig. 2: `fig2-light.png` and `fig2-dark.png` in `out`."""
    from piavas.plot.sweeps import sweep

    names = dict.fromkeys(point.solver for point in found.points)
    metrics = {
        metric: {
            name: {
                p.evaluations: p.result.second.intervals[metric]
                for p in found.points
                if p.solver == name
            }
            for name in names
        }
        for metric in found.physics.metrics
    }
    for theme in ("light", "dark"):
        with atomic(Path(out) / f"fig2-{theme}.png") as part:
            sweep(metrics, found.physics.intervals, dark=theme == "dark").savefig(part)


def _key(clips: ClipSet, refiner: Refiner, options: Mapping[str, Any]) -> str:
    """Of what points depend on: the index of the clips, the weights and the options."""
    total = hashlib.sha256(repr((sorted(options.items()), clips.rows)).encode())
    for name, value in sorted(refiner.network.state_dict().items()):
        total.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return total.hexdigest()


def _kept(path: Path, key: str) -> Comparison | None:
    if not path.is_file() or read_json(path)["first"]["meta"].get("key") != key:
        return None
    return Comparison.load(path)
