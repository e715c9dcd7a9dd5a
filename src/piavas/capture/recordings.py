"""`recordings.json`: what was played in the room, from where, and what a moving head recorded.

A list of `{name, source: [3], dry, wet, times: [n], poses: [n][4][4], split}`, and `splits: [n]`
where a recording holds poses of several; sound files lie relative to the list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from piavas.capture import fields
from piavas.capture.types import Recording
from piavas.errors import CaptureError
from piavas.files import read_json, write_json

SPLITS = ("train", "val", "test")
UNUSED = "unused"
"""What a pose is whose sound no split holds; the head was there all the same."""


def read_recordings(path: Path) -> tuple[Recording, ...]:
    """Read and check a list of recordings; of sound files only the headers.

    Raises:
        CaptureError: anything missing, of the wrong shape or channel count, or a name twice.
    """
    entries = fields.items(read_json(path, error=CaptureError), path, "top level")
    found = tuple(
        _recording(fields.record(entry, path, f"[{i}]"), path, f"[{i}].")
        for i, entry in enumerate(entries)
    )
    names = [recording.name for recording in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CaptureError(
            f"recording {twice[0]!r} is listed twice", file=path, field="name", mend="rename one"
        )
    return found


def _recording(entry: fields.Record, path: Path, where: str) -> Recording:
    dry, wet, times, poses = (fields.need(entry, k, path, where) for k in _BULK)
    split = _split(entry.get("split", "train"), SPLITS, path, f"{where}split")
    matrices = fields.items(poses, path, f"{where}poses")
    rising = fields.array(times, (len(matrices),), path, f"{where}times")
    if not (np.diff(rising) > 0).all():
        raise CaptureError(
            "times do not rise", file=path, field=f"{where}times", mend="sort times and poses"
        )
    source = fields.need(entry, "source", path, where)
    return Recording(
        name=fields.text(fields.need(entry, "name", path, where), path, f"{where}name"),
        source=fields.array(source, (3,), path, f"{where}source"),
        dry_path=_sound(dry, path, f"{where}dry", channels=1),
        wet_path=_sound(wet, path, f"{where}wet", channels=2),
        times=rising,
        poses=np.stack(
            [fields.pose(m, path, f"{where}poses[{i}]") for i, m in enumerate(matrices)]
        ),
        split=split,
        splits=_splits(entry.get("splits"), len(matrices), path, f"{where}splits"),
    )


def _split(value: Any, known: tuple[str, ...], path: Path, field: str) -> str:
    if value not in known:
        raise CaptureError(
            f"{value!r} is no split", file=path, field=field, mend=f"one of {', '.join(known)}"
        )
    return str(value)


def _splits(value: Any, count: int, path: Path, field: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = fields.items(value, path, field)
    if len(names) != count:
        raise CaptureError(
            f"{len(names)} splits for {count} poses", file=path, field=field, mend="give one a pose"
        )
    known = (*SPLITS, UNUSED)
    return tuple(_split(name, known, path, f"{field}[{i}]") for i, name in enumerate(names))


_BULK = ("dry", "wet", "times", "poses")


def _sound(value: Any, path: Path, field: str, *, channels: int) -> Path:
    sound = fields.existing(value, path.parent, path, field)
    try:
        info = soundfile.info(sound)
    except soundfile.SoundFileError as problem:
        raise CaptureError(
            f"cannot be read as audio: {problem}", file=sound, mend="give a WAV or FLAC file"
        ) from None
    if info.channels != channels or not info.frames:
        raise CaptureError(
            f"has {info.channels} channel(s) of {info.frames} samples",
            file=sound,
            field=field,
            mend=f"give a clip of {channels} channel(s)",
        )
    return sound


def write_recordings(path: Path, recordings: Sequence[Recording]) -> None:
    """Write the list that `read_recordings` reads, whole or not at all."""
    write_json(path, [_entry(recording, path.parent) for recording in recordings])


def _entry(recording: Recording, folder: Path) -> dict[str, Any]:
    several = {} if recording.splits is None else {"splits": list(recording.splits)}
    return {
        "name": recording.name,
        "source": np.asarray(recording.source, np.float64).tolist(),
        "dry": relative(recording.dry_path, folder),
        "wet": relative(recording.wet_path, folder),
        "times": np.asarray(recording.times, np.float64).tolist(),
        "poses": np.asarray(recording.poses, np.float64).tolist(),
        "split": recording.split,
        **several,
    }


def relative(path: Path, folder: Path) -> str:
    """`path` as seen from `folder`, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
