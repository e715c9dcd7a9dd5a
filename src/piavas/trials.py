"""Clips refined, measured against their recordings, and shown: what every experiment ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas import __version__
from piavas.audio import Audio
from piavas.errors import DataError, about
from piavas.evaluate import Comparison, Table, compare, evaluate, get_family
from piavas.evaluate.items import open_items
from piavas.evaluate.report import Example, ReportData, RoomMap
from piavas.progress import track
from piavas.refine import Clip, ClipSet, Refiner, get_solver
from piavas.scene import Scene

SHOWN = 5
"""Examples in a report."""


@dataclass(frozen=True)
class Trial:
    """What predictions of clips were worth.

    Args:
        result: physics alone, or physics alone against refined.
        tests: the clips that were evaluated.
        refined: refined audio `[2, time]` by clip name; empty without a refiner.
        baselines: tables of the energy baselines; empty without training clips.
    """

    result: Table | Comparison
    tests: tuple[Clip, ...]
    refined: Mapping[str, Audio] = field(default_factory=dict)
    baselines: Mapping[str, Table] = field(default_factory=dict)


def refine_clips(
    refiner: Refiner, clips: Sequence[Clip], *, solver: str = "euler", steps: int = 4
) -> dict[str, Audio]:
    """Refined audio `[2, time]` of each clip by name, at the level of its x_sim."""
    return {
        clip.name: refine_clip(refiner, clip, solver=solver, steps=steps)
        for clip in track(clips, "refine", len(clips))
    }


def refine_clip(refiner: Refiner, clip: Clip, *, solver: str = "euler", steps: int = 4) -> Audio:
    """Refined audio `[2, time]` of one clip, with all that the clip knows."""
    return refiner(
        clip.x_sim,
        clip.x_tx,
        pose=clip.pose,
        source=clip.source,
        solver=solver,
        steps=steps,
        sample_rate=clip.sample_rate,
        balance=clip.balance,
        images=clip.images,
        acoustics=clip.acoustics,
    )


def try_clips(
    clips: ClipSet,
    refiner: Refiner | None = None,
    *,
    split: str = "test",
    family: str = "avcloud",
    solver: str = "euler",
    steps: int = 4,
    seed: int = 0,
    protocol: str = "",
    meta: Mapping[str, Any] | None = None,
    baselines: bool = True,
) -> Trial:
    """Evaluate the clips of one split: physics alone, refined, and the energy baselines.

    Args:
        clips: with recordings; the baselines learn from the split "train".
        refiner: what turns x_sim into a prediction; None evaluates physics alone.
        split: what is evaluated, "all" for everything.
        family: of the metrics.
        solver: of the refiner.
        steps: of the solver.
        seed: of the bootstrap.
        protocol: for the record.
        meta: more for the record, such as the hash of the protocol.
        baselines: also evaluate these.

    Raises:
        DataError: no clip of that split, or one without a recording.
    """
    tests = _tests(clips, split)
    with about(clips.folder):
        truth = {clip.name: _recorded(clip) for clip in tests}
    how: dict[str, Any] = {
        "sample_rate": clips.sample_rate,
        "seed": seed,
        "protocol": protocol,
        "groups": {clip.name: clip.environment or "all" for clip in tests},
        "meta": {"split": split, "left_out": dict(clips.broken), **clips.facts, **(meta or {})},
    }
    physics = {clip.name: clip.x_sim for clip in tests}
    refined: dict[str, Audio] = {}
    result: Table | Comparison
    if refiner is None:
        result = evaluate(physics, truth, family, **how)
    else:
        with about(clips.folder):
            refined = refine_clips(refiner, tests, solver=solver, steps=steps)
        nfe = get_solver(solver).evaluations(steps)
        how["meta"] |= {"solver": solver, "steps": steps, "evaluations": nfe}
        result = compare(physics, refined, truth, family, **how)
    simple = _baselines(clips.of("train"), tests, truth, family, how) if baselines else {}
    return Trial(result, tests, refined, simple)


def _tests(clips: ClipSet, split: str) -> tuple[Clip, ...]:
    chosen = clips if split == "all" else clips.of(split)
    if not len(chosen):
        raise DataError(
            f"holds no clip of split {split!r}",
            file=clips.folder,
            field="split",
            mend="choose another split, or all",
        )
    return tuple(chosen)


def _recorded(clip: Clip) -> NDArray[np.float32]:
    if clip.x_rx is None:
        raise DataError("has no recording", field=clip.name, mend="evaluate clips with recordings")
    return clip.x_rx


def _baselines(
    learn: ClipSet,
    tests: Sequence[Clip],
    truth: Mapping[str, NDArray[np.float32]],
    family: str,
    how: Mapping[str, Any],
) -> dict[str, Table]:
    from piavas.baselines import ENERGY_BASELINES, fit_energy

    pairs = [(clip.x_tx, clip.x_rx) for clip in learn if clip.x_rx is not None]
    if not pairs:
        return {}
    found: dict[str, Table] = {}
    for kind in ENERGY_BASELINES:
        predict = fit_energy(kind, pairs)
        found[kind] = evaluate({c.name: predict(c.x_tx) for c in tests}, truth, family, **how)
    return found


def report_of_trial(trial: Trial, clips: ClipSet, title: str, scene: Scene | None) -> ReportData:
    """A page: tables, a map with training and evaluation poses, clips to see and hear."""
    comparison = trial.result if isinstance(trial.result, Comparison) else None
    tables = dict(trial.baselines)
    if isinstance(trial.result, Table):
        tables["physics"] = trial.result
    sources = {clip.environment or "source": clip.source for clip in trial.tests}
    train = [np.asarray(row["pose"]) for row in clips.rows if row["split"] == "train"]
    return ReportData(
        title=title,
        tables=tables,
        comparison=comparison,
        room_map=RoomMap(
            sources=sources,
            mesh=scene,
            train=np.stack(train) if train else None,
            held_out=np.stack([clip.pose for clip in trial.tests]),
        ),
        examples=tuple(_example(clip, trial.refined.get(clip.name)) for clip in _few(trial.tests)),
        provenance={"Versions": {"piavas": __version__}, "Clips": {"folder": clips.folder.name}},
    )


def _few(items: Sequence[Any]) -> Sequence[Any]:
    return items[:: max(1, len(items) // SHOWN)][:SHOWN]


def _example(clip: Clip, refined: Audio | None) -> Example:
    far = float(np.linalg.norm(clip.pose[:3, 3] - clip.source))
    return Example(
        clip.name,
        clip.sample_rate,
        dry=clip.x_tx,
        simulated=clip.x_sim,
        refined=refined,
        recorded=clip.x_rx,
        note=f"{far:.1f} m from the source, split {clip.split}",
    )


def report_of_folders(
    result: Table | Comparison, first: Path, second: Path | None, recordings: Path, title: str
) -> ReportData:
    """A page about folders of predictions: tables, and items to see and hear."""
    shown = _folder_examples(result, first, second, recordings)
    folders = {"predictions": first, "second": second, "recordings": recordings}
    return ReportData(
        title=title,
        tables={first.name: result} if isinstance(result, Table) else {},
        comparison=result if isinstance(result, Comparison) else None,
        examples=tuple(shown),
        provenance={
            "Versions": {"piavas": __version__},
            "Folders": {kind: path.name for kind, path in folders.items() if path is not None},
        },
    )


def _folder_examples(
    result: Table | Comparison, first: Path, second: Path | None, recordings: Path
) -> list[Example]:
    """A few items; families of one channel compare impulse responses."""
    table = result.first if isinstance(result, Comparison) else result
    channels = get_family(table.family).channels
    if channels == 1:
        folders = {"simulated_response": first, "recorded_response": recordings}
        note = f"response of {first.name}"
    elif second is not None:
        folders = {"simulated": first, "refined": second, "recorded": recordings}
        note = f"“simulated” is of {first.name}, “refined” of {second.name}"
    else:
        folders = {"refined": first, "recorded": recordings}
        note = f"“refined” is of {first.name}"
    sets = {kind: open_items(path, kind, channels=channels) for kind, path in folders.items()}
    rate = next(iter(sets.values())).sample_rate
    examples = []
    for row in _few(table.rows):
        name = str(row["name"])
        signals: dict[str, Any] = {kind: items.read(name) for kind, items in sets.items()}
        examples.append(Example(name, rate, note=note, **signals))
    return examples
