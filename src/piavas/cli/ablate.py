"""The verb that tries solvers: ablate."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from piavas.cli.tell import tell
from piavas.cli.training import Device, check_device


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
    from piavas.ablate import draw
    from piavas.refine import Refiner, load_clips
    from piavas.refine.solvers import SOLVERS

    refiner = Refiner.load(model, device=check_device(device))
    found = run(
        load_clips(clips), refiner, out, solvers=solvers or tuple(SOLVERS), most=evaluations,
        family=family, split=split, seed=seed,
    )  # fmt: skip
    draw(found, out)
    tell({"wrote": str(out / "ablation.json"), "points": len(found.points)}, json)
