"""The verb that judges: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.console import Console

from piavas.cli.training import Device, check_device
from piavas.errors import DataError, PiavasError

if TYPE_CHECKING:
    from piavas.evaluate import Comparison, Table
    from piavas.evaluate.report import ReportData
    from piavas.refine import ClipSet, Refiner

Family = Literal["avcloud", "avnerf", "raf"]
Split = Literal["train", "val", "test", "all"]
TABLE, REPORT = "table.json", "report.html"

console = Console()


def evaluate(
    predictions: tyro.conf.Positional[Path],
    out: Path,
    recordings: Path | None = None,
    against: Path | None = None,
    model: Path | None = None,
    family: Family = "avcloud",
    split: Split = "test",
    scene: Path | None = None,
    solver: str = "euler",
    steps: int = 4,
    device: Device = "cpu",
    baselines: bool = True,
    protocol: str = "",
    seed: int = 0,
    skip_broken: bool = False,
    json: bool = False,
) -> None:
    """How far predictions are from recordings: a table, and a report to see and hear.

    Args:
        predictions: folder of WAV files, with --recordings; or folder of clips, whose x_sim is
            evaluated, and what --model makes of it.
        out: folder to write table.json and report.html to.
        recordings: folder of WAV files of the same names.
        against: folder of other predictions that these are compared with, such as physics alone.
        model: model folder, for clips.
        family: of the metrics; figures of two families are never comparable.
        split: which clips.
        scene: scene folder, for the map in the report.
        solver: of the model.
        steps: of the solver.
        device: where the network runs.
        baselines: also evaluate the energy baselines, learnt from the training clips.
        protocol: for the record: a name such as "RWAVS-Gen", or the protocol.json that
            `piavas import rwavs` wrote.
        seed: of the confidence intervals.
        skip_broken: leave out clips that cannot be read, and count them.
        json: print JSON for scripts.
    """
    record = _record(protocol)
    if recordings is None:
        if against is not None:
            raise PiavasError(
                "compares folders of predictions",
                field="against",
                mend="give --recordings, or leave --against out",
            )
        how = {"solver": solver, "steps": steps, "split": split, "baselines": baselines}
        result, page = _of_clips(
            _open_clips(predictions, skip_broken), _open_model(model, device), scene,
            family=family, seed=seed, **record, **how,
        )  # fmt: skip
    else:
        if model is not None:
            raise PiavasError(
                "refines clips", field="model", mend="give a folder of clips without --recordings"
            )
        result, page = _of_folders(
            predictions, recordings, against, family=family, seed=seed, **record
        )
    _write(result, page, out, json)


def _record(protocol: str) -> dict[str, Any]:
    """Name and facts of a protocol, which may be a file."""
    from piavas.files import read_json

    if not protocol.endswith(".json"):
        return {"protocol": protocol}
    facts = read_json(protocol)
    if not isinstance(facts, dict) or "protocol" not in facts:
        raise DataError("names no protocol", file=protocol, mend="give what piavas import wrote")
    return {"protocol": str(facts.pop("protocol")), "meta": {"protocol_facts": facts}}


def _open_clips(folder: Path, skip_broken: bool) -> ClipSet:
    from piavas.refine import load_clips

    return load_clips(folder, skip_broken=skip_broken)


def _open_model(folder: Path | None, device: Device) -> Refiner | None:
    from piavas.refine import Refiner

    return None if folder is None else Refiner.load(folder, device=check_device(device))


def _of_clips(
    clips: ClipSet, refiner: Refiner | None, scene: Path | None, **how: Any
) -> tuple[Table | Comparison, ReportData]:
    from piavas.materials import load_scene
    from piavas.trials import report_of_trial, try_clips

    room = load_scene(scene) if scene is not None else None
    trial = try_clips(clips, refiner, **how)
    return trial.result, report_of_trial(trial, clips, _title(clips.folder, how), room)


def _of_folders(
    predictions: Path, recordings: Path, against: Path | None, **how: Any
) -> tuple[Table | Comparison, ReportData]:
    from piavas.evaluate import compare, evaluate
    from piavas.trials import report_of_folders

    title = _title(predictions, how)
    if against is None:
        table = evaluate(predictions, recordings, **how)
        return table, report_of_folders(table, predictions, None, recordings, title)
    labels = (against.name, predictions.name)
    if labels[0] == labels[1]:
        labels = (str(against), str(predictions))
    both = compare(against, predictions, recordings, labels=labels, **how)
    return both, report_of_folders(both, against, predictions, recordings, title)


def _title(folder: Path, how: dict[str, Any]) -> str:
    return f"{folder.resolve().name}, metrics of the {how['family']} family"


def _write(result: Table | Comparison, page: ReportData, out: Path, json: bool) -> None:
    from piavas.evaluate import write_report

    write_report(out / REPORT, page)
    result.save(out / TABLE)
    if json:
        facts = result.to_json()
        for table in (facts, *(facts[k] for k in ("first", "second") if k in facts)):
            table.pop("rows", None)
        console.print_json(data={**facts, "table": str(out / TABLE), "report": str(out / REPORT)})
    else:
        result.show(console)
        console.print(f"open {out / REPORT}", highlight=False, soft_wrap=True, markup=False)
