"""Who trains and who is evaluated: named splits of items, with a hash to compare them by.

RWAVS (AV-NeRF): 80 % of the poses of each video train, the others evaluate. RWAVS-Gen (π-AVAS):
one video of an environment trains, all its others evaluate. RAF: the lists of the data set. Few
shots: a drawn share of the training items, nothing else changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from piavas.capture.recordings import SPLITS
from piavas.errors import DataError


@dataclass(frozen=True)
class Protocol:
    """Named splits.

    Args:
        name: "RWAVS", "RWAVS-Gen", "RAF", or one of these with its share of shots.
        splits: names of items by split: "train", "val", "test".
        facts: what else tells it from its kin, e.g. the training videos or the seed.

    Raises:
        DataError: an unknown split, a name twice in a split, or splits that overlap.
    """

    name: str
    splits: Mapping[str, tuple[str, ...]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for split, names in self.splits.items():
            if split not in SPLITS:
                raise DataError(
                    f"no split {split!r}", field=self.name, mend=f"choose of {', '.join(SPLITS)}"
                )
            for name in names:
                if name in seen:
                    raise DataError(
                        f"{name!r} is in {seen[name]} and in {split}"
                        if seen[name] != split
                        else f"{name!r} is twice in {split}",
                        field=self.name,
                        mend="a split must not overlap",
                    )
                seen[name] = split

    @cached_property
    def split_of(self) -> dict[str, str]:
        """The split of each item."""
        return {name: split for split, names in self.splits.items() for name in names}

    @property
    def hash(self) -> str:
        """SHA-256 of all names with their splits, whatever their order."""
        lines = sorted(f"{split}\t{name}" for name, split in self.split_of.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For the record of a result."""
        counts = {split: len(names) for split, names in self.splits.items()}
        return {"protocol": self.name, "protocol_hash": self.hash, **counts, **self.facts}


def rwavs(items: Mapping[str, Sequence[str]], own: Mapping[str, str]) -> Protocol:
    """RWAVS: every video trains on its own part and is evaluated on the rest.

    Args:
        items: names of the clips by video.
        own: the data set's split of each, "train" or "val".
    """
    names = [name for group in items.values() for name in group]
    lacking = [name for name in names if name not in own]
    if lacking:
        raise DataError(f"no split for {lacking[0]!r}", field="RWAVS", mend="give one for each")
    return Protocol("RWAVS", _gather((name, own[name]) for name in names))


def rwavs_gen(
    items: Mapping[str, Sequence[str]],
    environments: Mapping[str, str],
    train: Mapping[str, str] | None = None,
) -> Protocol:
    """RWAVS-Gen: one video of each environment trains, its others are evaluated.

    Args:
        items: names of the clips by video.
        environments: of each video.
        train: the training video of each environment; None takes the first.

    Raises:
        DataError: an environment of one video, or a training video that is not of its own.
    """
    groups: dict[str, list[str]] = {}
    for video in items:
        groups.setdefault(environments[video], []).append(video)
    chosen = {}
    for place, videos in groups.items():
        chosen[place] = (train or {}).get(place, videos[0])
        if chosen[place] not in videos:
            raise DataError(
                f"{chosen[place]!r} is no video of {place}",
                field="train",
                mend=f"choose of {', '.join(videos)}",
            )
        if len(videos) < 2:
            raise DataError(
                f"{place} has one video", field="RWAVS-Gen", mend="leave it out, or add videos"
            )
    named = (
        (name, "train" if video in chosen.values() else "test")
        for video, names in items.items()
        for name in names
    )
    return Protocol("RWAVS-Gen", _gather(named), {"training_videos": chosen})


def raf(splits: Mapping[str, Sequence[str]]) -> Protocol:
    """RAF: its own lists, of which "validation" is called "val" here."""
    named = {"val" if split == "validation" else split: tuple(n) for split, n in splits.items()}
    return Protocol("RAF", named)


def few_shot(protocol: Protocol, share: float, seed: int = 0) -> Protocol:
    """`protocol` with a drawn share of its training items, at least one; the rest is left out.

    Draws of one seed are nested: a smaller share is part of a larger one.

    Args:
        protocol: what is thinned.
        share: e.g. 0.01 or 0.001.
        seed: of the draw.

    Raises:
        DataError: no share in (0, 1], or nothing to train on.
    """
    if not 0 < share <= 1:
        raise DataError(f"{share} is no share", field="share", mend="give a number in (0, 1]")
    names = sorted(protocol.splits.get("train", ()))
    if not names:
        raise DataError("trains on nothing", field=protocol.name, mend="give training items")
    drawn = np.random.default_rng(seed).permutation(len(names))
    kept = sorted(drawn[: max(1, round(share * len(names)))].tolist())
    splits = {**protocol.splits, "train": tuple(names[i] for i in kept)}
    facts = {**protocol.facts, "share": share, "seed": seed}
    return replace(protocol, name=f"{protocol.name}, {100 * share:g} %", splits=splits, facts=facts)


def _gather(named: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name, split in named:
        found.setdefault(split, []).append(name)
    return {split: tuple(names) for split, names in found.items()}
