"""From predictions and recordings to a table, and from two tables to their difference."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError
from piavas.evaluate.bootstrap import RESAMPLES, bootstrap, group_paths
from piavas.evaluate.families import (
    Distance,
    Family,
    Metric,
    dpam_absence,
    dpam_metric,
    get_family,
    rte_ir,
)
from piavas.evaluate.items import (
    TRIM_SECONDS,
    AudioSet,
    Items,
    match,
    open_items,
    read_pair,
    split_hash,
)
from piavas.evaluate.table import Comparison, Table
from piavas.progress import track

Responses = Mapping[str, NDArray[np.floating]]


def source_commit() -> str | None:
    """The commit of the source tree that this package runs from, None for an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _columns(
    family: Family, responses: tuple[Responses, Responses] | None, distance: Distance | None
) -> tuple[list[Metric], dict[str, str]]:
    """The metrics that can be measured here, and why the others cannot."""
    metrics, absent = list(family.metrics), {}
    if "DPAM" in family.optional:
        why = None if distance else dpam_absence()
        if why:
            absent["DPAM"] = why
        else:
            metrics.append(dpam_metric(distance))
    if "RTE" in family.optional and responses is None:
        absent["RTE"] = "not measured: no impulse responses given"
    return metrics, absent


def _response_error(
    responses: tuple[Responses, Responses], name: str, sample_rate: int, variant: str
) -> float:
    for what, given in zip(("predicted", "recorded"), responses, strict=True):
        if name not in given:
            raise DataError(
                f"no {what} impulse response for {name!r}",
                field="responses",
                mend="give a response for every item, or none at all",
            )
    return rte_ir(responses[0][name], responses[1][name], sample_rate, variant=variant)


def _definition(metric: Metric) -> str:
    return f"{metric.definition}, in {metric.unit}" if metric.unit else metric.definition


def _add_rte(
    rows: list[dict[str, Any]],
    responses: tuple[Responses, Responses],
    sample_rate: int,
    variant: str,
) -> dict[str, str]:
    """Put the reverberation time error into each row and return its definition by name."""
    column = f"RTE[ir:{variant}]"
    for row in rows:
        row[column] = _response_error(responses, row["name"], sample_rate, variant)
    return {column: f"absolute difference of {variant} of impulse responses, in seconds"}


def _measure(
    predictions: Items,
    recordings: Items,
    names: Sequence[str],
    metrics: Sequence[Metric],
    trim: float,
    duration: float | None,
) -> tuple[list[dict[str, Any]], int]:
    rows, trimmed = [], 0
    for name in track(names, "evaluate"):
        predicted, recorded, cut = read_pair(predictions, recordings, name, trim, duration)
        trimmed += cut > 0
        rate = recordings.sample_rate
        values = {metric.name: metric.compute(predicted, recorded, rate) for metric in metrics}
        rows.append({"name": name, **values})
    return rows, trimmed


def evaluate(
    predictions: AudioSet,
    recordings: AudioSet,
    family: str = "avcloud",
    *,
    sample_rate: int | None = None,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
    trim: float = TRIM_SECONDS,
    protocol: str = "",
    responses: tuple[Responses, Responses] | None = None,
    response_rate: int | None = None,
    t60_variant: str = "t60_iso",
    dpam: Distance | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Table:
    """Measure how far predictions are from recordings, in one family of metrics.

    Args:
        predictions: `[2, time]` by name (responses `[1, time]` for "raf"), or a folder of WAV or
            FLAC files.
        recordings: the same names, rate and, within `trim`, lengths.
        family: "avcloud", "avnerf" or "raf"; their figures are never comparable.
        sample_rate: hertz; None takes the files' rate, and 22,050 Hz (RWAVS) for arrays.
        groups: a path such as "office/3" by name; every level is averaged before the next.
        seed: of the bootstrap.
        trim: longest difference in seconds that is cut off the end of the longer signal.
        protocol: "RWAVS", "RWAVS-Gen", "RAF" or your own name, for the record.
        responses: predicted and recorded impulse responses `[..., time]` by name, for RTE.
        response_rate: their sample rate in hertz; None takes that of the audio.
        t60_variant: which reverberation time RTE compares.
        dpam: your own CDPAM distance, where the package cdpam cannot load its model.
        meta: more to record, e.g. `hrtf_hash`.

    Raises:
        DataError: unknown family, names that do not match, lengths beyond the trim rule.
        AudioError: silent, not finite, another number of channels, or another sample rate.
    """
    chosen = get_family(family)
    ours = open_items(predictions, "predictions", sample_rate, chosen.channels)
    truth = open_items(recordings, "recordings", sample_rate, chosen.channels)
    names = match(ours, truth)
    paths = group_paths(groups, names)
    metrics, absent = _columns(chosen, responses, dpam)
    rows, trimmed = _measure(ours, truth, names, metrics, trim, chosen.duration)
    definitions = {metric.name: _definition(metric) for metric in metrics}
    if responses is not None and "RTE" in chosen.optional:
        definitions |= _add_rte(rows, responses, response_rate or truth.sample_rate, t60_variant)
    record = {
        **_record(chosen, ours, truth, names),
        "protocol": protocol,
        "definitions": definitions,
        "absent": absent,
        "rate_assumed": sample_rate is None and not (ours.files or truth.files),
        "trim_seconds": trim,
        "trimmed_items": trimmed,
        "seed": seed,
        **(meta or {}),
    }
    return _table(rows, paths, list(definitions), record, seed)


def _table(
    rows: list[dict[str, Any]],
    paths: list[str] | None,
    columns: list[str],
    record: dict[str, Any],
    seed: int,
) -> Table:
    if paths is not None:
        rows = [{**row, "group": path} for row, path in zip(rows, paths, strict=True)]
    intervals = {
        name: bootstrap(np.array([row[name] for row in rows]), paths, seed=seed) for name in columns
    }
    means = {name: interval.mean for name, interval in intervals.items()}
    return Table(tuple(rows), means, intervals, {**record, "grouped": paths is not None})


def _record(
    family: Family, predictions: Items, recordings: Items, names: tuple[str, ...]
) -> dict[str, Any]:
    from piavas import __version__

    return {
        "family": family.name,
        "source": family.source,
        "items": len(names),
        "split_hash": split_hash(names),
        "sample_rate": recordings.sample_rate,
        "seconds_compared": family.duration or "all",
        "trim": "both signals start together; the longer is cut at its end",
        "filter": "none; RTE broadband",
        "interval": f"95 %, percentile bootstrap, {RESAMPLES} resamples inside groups",
        "hrtf_hash": None,
        "version": __version__,
        "commit": source_commit(),
    }


def difference(
    first: Table, second: Table, *, seed: int = 0, labels: tuple[str, str] = ("physics", "refined")
) -> Comparison:
    """Paired difference (second minus first) of two tables of the same items.

    Raises:
        DataError: other families, other items, other metrics, another sample rate or trim.
    """
    for key in ("family", "sample_rate", "trim_seconds", "split_hash"):
        if first.meta.get(key) != second.meta.get(key):
            raise DataError(
                f"{labels[0]} has {first.meta.get(key)!r}, {labels[1]} {second.meta.get(key)!r}",
                field=key,
                mend="evaluate both with one family and protocol on the same items",
            )
    if first.metrics != second.metrics:
        raise DataError(
            f"{', '.join(first.metrics)} against {', '.join(second.metrics)}",
            field="metrics",
            mend="measure both with the same optional metrics",
        )
    others = {row["name"]: row for row in second.rows}
    if {row["name"] for row in first.rows} != set(others):
        raise DataError("the items differ", field="rows", mend="evaluate both on the same items")
    paths = [row["group"] for row in first.rows] if "group" in first.rows[0] else None
    gaps = {
        name: np.array([others[row["name"]][name] - row[name] for row in first.rows])
        for name in first.metrics
    }
    found = {name: bootstrap(gap, paths, seed=seed) for name, gap in gaps.items()}
    return Comparison(first, second, found, labels)


def compare(
    physics: AudioSet,
    refined: AudioSet,
    recordings: AudioSet,
    family: str = "avcloud",
    *,
    seed: int = 0,
    labels: tuple[str, str] = ("physics", "refined"),
    **options: Any,
) -> Comparison:
    """Evaluate two sets of predictions and their paired difference with its 95 % interval.

    Args:
        physics: predictions of the simulation alone.
        refined: predictions after the refiner, of the same names.
        recordings: what microphones recorded.
        family: "avcloud", "avnerf" or "raf".
        seed: of the bootstrap.
        labels: names of the two in what is shown.
        options: as `evaluate` takes them.

    Raises:
        DataError, AudioError: as `evaluate`.
    """
    first, second = (
        evaluate(predictions, recordings, family, seed=seed, **options)
        for predictions in (physics, refined)
    )
    return difference(first, second, seed=seed, labels=labels)
