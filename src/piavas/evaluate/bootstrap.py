"""Means over groups and their bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError

Array = NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % percentile bootstrap interval.

    Args:
        mean: the mean, NaN where nothing was measured.
        low: lower end, NaN for fewer than two items.
        high: upper end, likewise.
        count: items that were measured.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is significant at this level."""
        return self.low > 0 or self.high < 0


def weights(groups: Sequence[str]) -> Array:
    """The share of each item in a nested mean, `[item]`, summing to 1.

    A group is a path such as "office/3" (category, then scene); every level is averaged with
    equal weights before the next, as AV-NeRF does (scene, category, all).

    Args:
        groups: a path for each item; one name for all gives the plain mean.

    Raises:
        DataError: paths of different depth.
    """
    paths = [tuple(group.split("/")) for group in groups]
    if len({len(path) for path in paths}) > 1:
        raise DataError(
            "group paths of different depth",
            field="groups",
            mend="give every item a path of the same depth, such as category/scene",
        )
    share = np.ones(len(paths))
    for depth in range(len(paths[0]) if paths else 0):
        parents = [path[:depth] for path in paths]
        children = {path[: depth + 1] for path in paths}
        siblings = {p: sum(1 for c in children if c[:depth] == p) for p in set(parents)}
        share /= [siblings[p] for p in parents]
    members = {path: paths.count(path) for path in set(paths)}
    return np.asarray(share / [members[path] for path in paths])


def _resampled_means(
    values: Array, share: Array, labels: NDArray[np.object_], seed: int, resamples: int
) -> Array:
    """`[resample]` nested means of items drawn with replacement inside their group."""
    rng = np.random.default_rng(seed)
    means = np.zeros(resamples)
    for label in sorted(set(labels)):
        members = np.nonzero(labels == label)[0]
        weighted = (share * values)[members]
        # In slices, so that thousands of items do not need gigabytes of indices.
        step = max(int(4e6) // members.size, 1)
        for first in range(0, resamples, step):
            part = slice(first, min(first + step, resamples))
            drawn = rng.integers(0, members.size, (part.stop - part.start, members.size))
            means[part] += weighted[drawn].sum(axis=-1)
    return means


def bootstrap(
    values: Array,
    groups: Sequence[str] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Nested mean of `values` and its percentile bootstrap interval (Efron 1979).

    Items are drawn with replacement inside their group (stratified), so group sizes stay.
    Paired differences are bootstrapped by passing the differences.

    Args:
        values: `[item]`; NaN items are left out and not counted.
        groups: a path for each item, see `weights`; None is one group.
        seed: of the resampling.
        resamples: how many.
        level: of the interval.
    """
    values = np.asarray(values, dtype=np.float64)
    labels = np.array(groups if groups is not None else [""] * values.size, dtype=object)
    kept = np.isfinite(values)
    values, labels = values[kept], labels[kept]
    if not values.size:
        return Interval(np.nan, np.nan, np.nan, 0)
    share = weights(list(labels))
    mean = float(share @ values)
    if values.size < 2:
        return Interval(mean, np.nan, np.nan, values.size)
    means = _resampled_means(values, share, labels, seed, resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), values.size)


def group_paths(groups: Mapping[str, str] | None, names: Sequence[str]) -> list[str] | None:
    """The path of each name.

    Raises:
        DataError: a name without a group.
    """
    if groups is None:
        return None
    lost = [name for name in names if name not in groups]
    if lost:
        raise DataError(
            f"no group for {lost[0]!r} ({len(lost)} in all)",
            field="groups",
            mend="give every item a group",
        )
    return [groups[name] for name in names]
