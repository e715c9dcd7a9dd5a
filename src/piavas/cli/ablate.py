"""The verb that tries solvers: ablate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import tyro

from piavas.cli.tell import tell
from piavas.cli.training import Device, check_device
from piavas.errors import about


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
    skip_broken: bool = False,
    dry_run: bool = False,
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
        skip_broken: leave out clips that cannot be read, and count them.
        dry_run: only say what it will cost in time.
        json: print JSON for scripts.
    """
    from piavas.ablate import ablate as run
    from piavas.ablate import draw, estimate
    from piavas.refine import Refiner, load_clips
    from piavas.refine.solvers import SOLVERS

    refiner = Refiner.load(model, device=check_device(device))
    chosen = load_clips(clips, skip_broken=skip_broken)
    how: dict[str, Any] = {
        "solvers": solvers or tuple(SOLVERS),
        "most": evaluations,
        "family": family,
        "split": split,
    }
    with about(clips):
        if dry_run:
            tell(vars(estimate(chosen, refiner, **how)), json)
            return
        found = run(chosen, refiner, out, seed=seed, **how)
    draw(found, out)
    facts = {"points": len(found.points), "left_out": len(chosen.broken)}
    tell({"wrote": str(out / "ablation.json"), **facts}, json)
