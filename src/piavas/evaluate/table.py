"""Tables of metrics: one row an item, means with confidence intervals, and where they come from."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError
from piavas.evaluate.bootstrap import Interval
from piavas.files import read_json, write_json

FORMAT = "piavas-table-1"
COMPARISON_FORMAT = "piavas-comparison-1"


@dataclass(frozen=True)
class Table:
    """Metrics of one set of predictions.

    Args:
        rows: one mapping an item: "name", "group", and each metric (NaN where not measurable).
        means: mean of each metric.
        intervals: mean, 95 % bootstrap interval and count of each metric.
        meta: protocol, family, definitions, what is absent and why, split hash, sample rate,
            trim, filters, HRTF hash, commit, seeds.
    """

    rows: tuple[Mapping[str, Any], ...]
    means: Mapping[str, float]
    intervals: Mapping[str, Interval]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """Name of the metric family."""
        return str(self.meta["family"])

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the measured metrics, in order."""
        return tuple(self.means)

    def column(self, metric: str) -> NDArray[np.float64]:
        """`[item]` values of one metric, in the order of `rows`."""
        return np.array([row[metric] for row in self.rows], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        return {
            "format": FORMAT,
            "meta": dict(self.meta),
            "means": {name: _plain(value) for name, value in self.means.items()},
            "intervals": {name: interval_json(i) for name, i in self.intervals.items()},
            "rows": [{key: _plain(value) for key, value in row.items()} for row in self.rows],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Table:
        """Read what `save` wrote.

        Raises:
            DataError: missing, not JSON, or not a table of this format.
        """
        return cls.from_json(read_json(path), file=path)

    @classmethod
    def from_json(cls, data: Any, *, file: str | os.PathLike[str] | None = None) -> Table:
        """The table that `to_json` gave.

        Raises:
            DataError: not a table of this format; `file` is named.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise DataError(
                f"is no table of format {FORMAT}", file=file, field="format", mend="evaluate anew"
            )
        try:
            means = {name: _number(value) for name, value in data["means"].items()}
            rows = tuple(
                {key: _number(v) if key in means else v for key, v in row.items()}
                for row in data["rows"]
            )
            intervals = {name: _interval(value) for name, value in data["intervals"].items()}
            return cls(rows, means, intervals, data["meta"])
        except (KeyError, TypeError, AttributeError) as problem:
            raise DataError(
                f"lacks a part of a table: {problem}", file=file, mend="evaluate anew"
            ) from None

    def show(self, console: Any = None) -> None:
        """Print the means and intervals with rich."""
        _show(
            f"{self.family}, {len(self.rows)} items",
            self.metrics,
            {
                "mean": [f"{m:.4g}" for m in self.means.values()],
                "95 % interval": [span(i) for i in self.intervals.values()],
            },
            self.meta,
            console,
        )


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions against the same recordings, and their paired difference.

    Args:
        first: e.g. physics alone.
        second: e.g. refined.
        differences: second minus first of each metric, item by item; below zero is better.
        labels: names of the two.
    """

    first: Table
    second: Table
    differences: Mapping[str, Interval]
    labels: tuple[str, str] = ("physics", "refined")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        return {
            "format": COMPARISON_FORMAT,
            "labels": list(self.labels),
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "differences": {name: interval_json(i) for name, i in self.differences.items()},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Comparison:
        """Read what `save` wrote.

        Raises:
            DataError: missing, not JSON, or not a comparison of this format.
        """
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != COMPARISON_FORMAT:
            raise DataError(
                f"is no comparison of format {COMPARISON_FORMAT}",
                file=path,
                field="format",
                mend="compare anew",
            )
        try:
            first, second = (Table.from_json(data[k], file=path) for k in ("first", "second"))
            gaps = {name: _interval(value) for name, value in data["differences"].items()}
            left, right = data["labels"]
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise DataError(
                f"lacks a part of a comparison: {problem}", file=path, mend="compare anew"
            ) from None
        return cls(first, second, gaps, (left, right))

    def show(self, console: Any = None) -> None:
        """Print both means and the difference with its interval."""
        _show(
            f"{self.first.family}, {len(self.first.rows)} items",
            self.first.metrics,
            {
                self.labels[0]: [f"{v:.4g}" for v in self.first.means.values()],
                self.labels[1]: [f"{v:.4g}" for v in self.second.means.values()],
                "difference": [f"{i.mean:+.4g}" for i in self.differences.values()],
                "95 % interval": [span(i) for i in self.differences.values()],
            },
            self.first.meta,
            console,
        )


def span(interval: Interval) -> str:
    """An interval in words of a table."""
    if math.isnan(interval.low):
        return "one item only" if interval.count else "not measured"
    return f"{interval.low:.4g} to {interval.high:.4g}"


def _show(
    title: str,
    metrics: tuple[str, ...],
    columns: Mapping[str, list[str]],
    meta: Mapping[str, Any],
    console: Any,
) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable

    absent = [f"{metric}: {why}" for metric, why in meta.get("absent", {}).items()]
    table = RichTable(title=title, caption="\n".join(absent) or None)
    table.add_column("metric (lower is better)")
    for name in columns:
        table.add_column(name, justify="right")
    for i, metric in enumerate(metrics):
        table.add_row(metric.replace("[", "\\["), *(column[i] for column in columns.values()))
    (console or Console()).print(table)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _interval(value: Any) -> Interval:
    mean, low, high = (_number(value[key]) for key in ("mean", "low", "high"))
    return Interval(mean, low, high, int(value["count"]))


def interval_json(interval: Interval) -> dict[str, Any]:
    """An interval as plain JSON values."""
    return {
        "mean": _plain(interval.mean),
        "low": _plain(interval.low),
        "high": _plain(interval.high),
        "count": interval.count,
    }
