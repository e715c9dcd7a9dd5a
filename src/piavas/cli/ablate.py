"""The verb that tries solvers: ablate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from piavas.cli.tell import tell
from piavas.cli.training import Device, check_device

if TYPE_CHECKING:
    from piavas.ablate import Ablation


def ablate(
    clips: tyro.conf.Positional[Path],
    model: tyro.conf.Positional[Path],
    out: Path,
    solvers: tuple[str, ...] = (),
    evaluations: int = 10,
    family: Literal["avcloud", "avnerf"] = "avcloud",
    split: Literal["train", "val", "test", "all"] = "test",
    seed: int = 0,
    device: Device = "cpu",
    json: bool = False,
) -> None:
    """Every solver with 1 to 10 evaluations of a model: a table and the paper's Fig. 2.

    Args:
        clips: folder of clips.
        model: model folder.
        out: folder of ablation.json, fig2-light.png and fig2-dark.png; finished points are kept.
        solvers: names; all if not given.
        evaluations: of the network, at most.
        family: of the metrics; figures of two families are never comparable.
        split: which clips.
        seed: of the confidence intervals.
        device: where the network runs.
        json: print JSON for scripts.
    """
    from piavas.ablate import ablate as run
    from piavas.refine import Refiner, load_clips
    from piavas.refine.solvers import SOLVERS

    refiner = Refiner.load(model, device=check_device(device))
    found = run(
        load_clips(clips), refiner, out, solvers=solvers or tuple(SOLVERS), most=evaluations,
        family=family, split=split, seed=seed,
    )  # fmt: skip
    _draw(found, out)
    tell({"wrote": str(out / "ablation.json"), "points": len(found.points)}, json)


def _draw(found: Ablation, out: Path) -> None:
    from piavas.files import atomic
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
        with atomic(out / f"fig2-{theme}.png") as part:
            sweep(metrics, found.physics.intervals, dark=theme == "dark").savefig(part)
