"""Clips to learn from: dry, simulated and recorded sound of one place, on one clock."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.audio import check_audio, read_audio, write_audio
from piavas.errors import AudioError, DataError, PiavasError
from piavas.files import read_json, write_json
from piavas.refine.features import check_features, load_features, save_features
from piavas.scene import as_point, check_pose

FORMAT = "piavas-clips-1"
INDEX = "clips.json"
SPLITS = ("train", "val", "test")
PARTS = ("x_tx", "x_sim", "x_rx")


@dataclass(frozen=True)
class Clip:
    """One clip.

    Args:
        name: unique in its set.
        x_tx: `[1, time]` dry.
        x_sim: `[2, time]` simulated.
        x_rx: `[2, time]` recorded, or None.
        sample_rate: hertz.
        pose: `[4, 4]` of the head.
        source: `[3]` metres.
        split: "train", "val" or "test".
        environment: what is grouped in evaluation, e.g. a recording or a room.
        balance: decibels by which physics expects the left ear to be louder than the right, of
            which x_sim shows one chance; None where it is not known.
        images: `[2, features]` what images show at head and source, and what they show in the
            mirror; None where it is not known (`piavas.refine.views`).
        acoustics: `[numbers]` of the simulated response; likewise (`piavas.refine.room`).
        seen: which images those are, for the record.

    Raises:
        AudioError: a signal of wrong shape, not finite, or of another length than the others.
        DataError: another split, or features of wrong shape or not finite.
    """

    name: str
    x_tx: NDArray[np.float32]
    x_sim: NDArray[np.float32]
    x_rx: NDArray[np.float32] | None
    sample_rate: int
    pose: NDArray[np.float64]
    source: NDArray[np.float64]
    split: str = "train"
    environment: str = ""
    balance: float | None = None
    images: NDArray[np.float32] | None = None
    acoustics: NDArray[np.float32] | None = None
    seen: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for part in PARTS:
            signal = getattr(self, part)
            if signal is None and part == "x_rx":
                continue
            label = f"{self.name}.{part}"
            channels = 1 if part == "x_tx" else 2
            audio = check_audio(signal, field=label, channels=channels, allow_silence=True)
            if audio.shape[1] != np.shape(self.x_sim)[-1]:
                raise AudioError(
                    f"{audio.shape[1]} samples, x_sim has {np.shape(self.x_sim)[-1]}",
                    field=label,
                    mend="cut all signals of a clip to one length",
                )
            object.__setattr__(self, part, audio)
        if self.split not in SPLITS:
            raise DataError(
                f"no split {self.split!r}", field=self.name, mend=f"choose of {', '.join(SPLITS)}"
            )
        for kind, axes in (("images", 2), ("acoustics", 1)):
            if (given := getattr(self, kind)) is not None:
                checked = check_features(given, axes, f"{self.name}.{kind}")
                object.__setattr__(self, kind, checked)
        object.__setattr__(self, "pose", check_pose(self.pose, f"{self.name}.pose"))
        object.__setattr__(self, "source", as_point(self.source, f"{self.name}.source"))


def save_clips(
    folder: str | os.PathLike[str],
    clips: Iterable[Clip],
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write float WAV files, features if there are any and, last, the index that makes them a set.

    Args:
        folder: to write to.
        clips: of one rate.
        facts: how x_sim was made, which results then carry, see `piavas.pairs.provenance`.

    Raises:
        DataError: no clips, two of one name, or features of some clips only.
    """
    folder, rows = Path(folder), []
    features: dict[str, list[NDArray[np.float32] | None]] = {"images": [], "acoustics": []}
    for clip in clips:
        for kind, column in features.items():
            column.append(getattr(clip, kind))
        for part in PARTS:
            signal = getattr(clip, part)
            if signal is not None:
                path = folder / clip.name / f"{part}.wav"
                write_audio(path, signal, clip.sample_rate, subtype="FLOAT")
        expected = {k: getattr(clip, k) for k in ("balance", "seen")}
        rows.append(
            {
                **{k: v for k, v in expected.items() if v is not None},
                "name": clip.name,
                "split": clip.split,
                "environment": clip.environment,
                "pose": clip.pose.tolist(),
                "source": clip.source.tolist(),
                "recorded": clip.x_rx is not None,
                "sample_rate": clip.sample_rate,
            }
        )
    if not rows or len({row["name"] for row in rows}) < len(rows):
        raise DataError("no clips, or two of one name", file=folder, mend="name each clip once")
    save_features(folder, [row["name"] for row in rows], features)
    write_json(folder / INDEX, {"format": FORMAT, "facts": dict(facts or {}), "clips": rows})
    return folder / INDEX


@dataclass(frozen=True)
class ClipSet(Sequence[Clip]):
    """A folder of clips, read when asked for.

    Args:
        folder: where they lie.
        rows: the index.
        broken: names that were left out, with the reason.
        facts: how x_sim was made, where that is known.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]
    broken: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [_read(self.folder, row) for row in self.rows[index]]
        return _read(self.folder, self.rows[index])

    def __iter__(self) -> Iterator[Clip]:
        return (_read(self.folder, row) for row in self.rows)

    def of(self, split: str) -> ClipSet:
        """The clips of one split."""
        rows = tuple(row for row in self.rows if row["split"] == split)
        return replace(self, rows=rows)

    @property
    def sample_rate(self) -> int:
        """Hertz, the same for all clips."""
        return int(self.rows[0]["sample_rate"])


def _read(folder: Path, row: dict[str, Any]) -> Clip:
    """One clip; every error holds the path of the file it lies in."""
    signals: dict[str, NDArray[np.float32] | None] = {"x_rx": None}
    for part in PARTS if row["recorded"] else PARTS[:2]:
        path = folder / row["name"] / f"{part}.wav"
        audio, rate = read_audio(path, channels=1 if part == "x_tx" else 2, allow_silence=True)
        if rate != row["sample_rate"]:
            raise AudioError(
                f"{rate} Hz, the set has {row['sample_rate']}", file=path, mend="resample it"
            )
        signals[part] = audio
    try:
        return Clip(
            name=row["name"],
            x_tx=signals["x_tx"],  # type: ignore[arg-type]
            x_sim=signals["x_sim"],  # type: ignore[arg-type]
            x_rx=signals["x_rx"],
            sample_rate=rate,
            pose=row["pose"],
            source=row["source"],
            split=row["split"],
            environment=row["environment"],
            **{k: row.get(k) for k in ("balance", "images", "acoustics", "seen")},
        )
    except PiavasError as problem:
        where = folder / row["name"]
        raise type(problem)(
            problem.what, file=where, field=problem.field, mend=problem.mend
        ) from None


def load_clips(folder: str | os.PathLike[str], *, skip_broken: bool = False) -> ClipSet:
    """Open a folder of clips.

    Args:
        folder: with `clips.json`.
        skip_broken: read every clip now and leave the broken out, named in `.broken`.

    Raises:
        DataError: no index, another format, a row without a key, several rates, no clip, or
            features that are not these clips'.
    """
    folder = Path(folder)
    data = read_json(folder / INDEX)
    if not isinstance(data, dict) or data.get("format") != FORMAT or not data.get("clips"):
        raise DataError(
            f"is no set of format {FORMAT}", file=folder / INDEX, mend="write the clips anew"
        )
    keys = {"name", "split", "environment", "pose", "source", "recorded", "sample_rate"}
    for i, row in enumerate(data["clips"]):
        if lacking := keys - set(row):
            raise DataError(
                f"lacks {', '.join(sorted(lacking))}",
                file=folder / INDEX,
                field=f"clips[{i}]",
                mend="write the clips anew",
            )
    if len({row["sample_rate"] for row in data["clips"]}) > 1:
        raise DataError(
            "clips of several rates", file=folder / INDEX, field="sample_rate", mend="resample them"
        )
    known = load_features(folder, [row["name"] for row in data["clips"]])
    rows = ({**row, **more} for row, more in zip(data["clips"], known, strict=True))
    facts = data.get("facts", {})
    if not isinstance(facts, dict):
        raise DataError(
            "is no object", file=folder / INDEX, field="facts", mend="write the clips anew"
        )
    clips = ClipSet(folder, tuple(rows), facts=facts)
    return _without_broken(clips) if skip_broken else clips


def _without_broken(clips: ClipSet) -> ClipSet:
    kept, broken = [], {}
    for row in clips.rows:
        try:
            _read(clips.folder, row)
            kept.append(row)
        except PiavasError as problem:
            broken[row["name"]] = str(problem)
    if not kept:
        raise DataError("every clip is broken", file=clips.folder, mend=next(iter(broken.values())))
    return replace(clips, rows=tuple(kept), broken=broken)
