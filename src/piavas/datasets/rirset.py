"""Sets of impulse responses with places: a table and sound files.

Generic sets have a table `rirs.csv` with the columns file, source_x, source_y, source_z,
listener_x, listener_y, listener_z in the convention of the house (metres, +z up), and, where known,
axis_x, axis_y, axis_z (the way the source faces), yaw (degrees from +x, the way the head faces) and
split (train, val, test). Files lie relative to the table and share rate and channels.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from piavas.audio import Audio, read_audio, write_audio
from piavas.capture.recordings import SPLITS, relative
from piavas.datasets.checks import Check
from piavas.datasets.protocols import Protocol
from piavas.errors import AudioError, DataError
from piavas.files import atomic
from piavas.progress import track
from piavas.scene import Pose

Array = NDArray[np.float64]

TABLE = "rirs.csv"
SOURCE = ("source_x", "source_y", "source_z")
LISTENER = ("listener_x", "listener_y", "listener_z")
AXIS = ("axis_x", "axis_y", "axis_z")
NEEDED = ("file", *SOURCE, *LISTENER)
OPTIONAL = (*AXIS, "yaw", "split")


@dataclass(frozen=True)
class Response:
    """One measured response and where it was measured.

    Args:
        name: unique in its set.
        path: sound file.
        source: `[3]` metres.
        pose: `[4, 4]` of the head or microphone.
        axis: `[3]` the way the source faces, or None.
        split: "train", "val", "test", or "" for none.
    """

    name: str
    path: Path
    source: Array
    pose: Array
    axis: Array | None = None
    split: str = ""


@dataclass(frozen=True)
class RirSet:
    """Responses of one rate and channel count.

    Args:
        root: where they lie.
        layout: "raf" or "rirs".
        responses: in the order of the files.
        sample_rate: hertz.
        channels: of every response.
    """

    root: Path
    layout: str
    responses: tuple[Response, ...]
    sample_rate: int
    channels: int = 1

    def __len__(self) -> int:
        return len(self.responses)

    def of(self, split: str) -> tuple[Response, ...]:
        """The responses of one split."""
        return tuple(response for response in self.responses if response.split == split)

    @cached_property
    def by_name(self) -> Mapping[str, Response]:
        """Each response by its name."""
        return {response.name: response for response in self.responses}

    def read(self, name: str, seconds: float | None = None) -> Audio:
        """The samples `[channel, time]` of a response, cut after `seconds`.

        Raises:
            AudioError: silent, not finite, truncated, or of another rate or channel count.
        """
        path = self.by_name[name].path
        samples, rate = read_audio(path, channels=self.channels)
        if rate != self.sample_rate:
            raise AudioError(
                f"has {rate} Hz, the set {self.sample_rate}", file=path, mend="copy it anew"
            )
        return samples if seconds is None else samples[:, : round(seconds * rate)]

    def protocol(self, name: str) -> Protocol:
        """The set's own splits."""
        splits = {split: tuple(r.name for r in self.of(split)) for split in SPLITS}
        return Protocol(name, {split: names for split, names in splits.items() if names})


def check_header(path: Path, rate: int | None, channels: int | None) -> tuple[int, int]:
    """Rate and channels of a sound file, from its header.

    Raises:
        AudioError: missing, unreadable, empty, or of another rate or channel count than asked.
    """
    if not path.is_file():
        raise AudioError("no such file", file=path, mend="complete the copy")
    try:
        info = soundfile.info(path)
    except soundfile.SoundFileError as problem:
        raise AudioError(f"cannot be read: {problem}", file=path, mend="copy it anew") from None
    wanted = (rate or info.samplerate, channels or info.channels)
    if (info.samplerate, info.channels) != wanted or not info.frames:
        raise AudioError(
            f"has {info.channels} channel(s) of {info.frames} samples at {info.samplerate} Hz",
            file=path,
            mend=f"give {wanted[1]} channel(s) at {wanted[0]} Hz",
        )
    return wanted


def load_rirs(root: str | os.PathLike[str]) -> RirSet:
    """Read a generic set, strictly; of sound files only the headers.

    Raises:
        DataError: no table, an unknown column, a row without numbers, or a file listed twice.
        AudioError: a file that is missing or differs in rate or channels.
    """
    root = Path(root)
    file = root / TABLE
    responses = tuple(_response(row, i, file) for i, row in enumerate(read_table(file)))
    names = [response.name for response in responses]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"lists {twice!r} twice", file=file, field="file", mend="list it once")
    rate, channels = check_header(responses[0].path, None, None)
    for response in responses[1:]:
        check_header(response.path, rate, channels)
    return RirSet(root, "rirs", responses, rate, channels)


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a table.

    Raises:
        DataError: missing, no rows, or columns that are unknown or lacking.
    """
    if not file.is_file():
        raise DataError("no such file", file=file, mend=f"write a table {', '.join(NEEDED)}")
    try:
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.DictReader(text, skipinitialspace=True)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as problem:
        raise DataError(f"is no table: {problem}", file=file, mend="write CSV") from None
    if lacking := [name for name in NEEDED if name not in columns]:
        raise DataError(f"lacks {', '.join(lacking)}", file=file, mend="add these columns")
    if odd := [name for name in columns if name not in (*NEEDED, *OPTIONAL)]:
        raise DataError(
            f"has unknown columns {', '.join(odd)}", file=file, mend=f"use {', '.join(OPTIONAL)}"
        )
    if not rows:
        raise DataError("holds no rows", file=file, mend="give at least one response")
    return rows


def _response(row: Mapping[str, str], index: int, file: Path) -> Response:
    where = f"line {index + 2}"
    name = (row["file"] or "").strip()
    split = (row.get("split") or "").strip()
    if not name:
        raise DataError("names no file", file=file, field=where, mend="give its path")
    if split and split not in SPLITS:
        raise DataError(
            f"{split!r} is no split", file=file, field=where, mend=f"one of {', '.join(SPLITS)}"
        )
    source, listener = (_point(row, keys, file, where) for keys in (SOURCE, LISTENER))
    axis = _point(row, AXIS, file, where) if any(row.get(key) for key in AXIS) else None
    if axis is not None and not axis.any():
        raise DataError("has no length", file=file, field=f"{where}, axis", mend="give a direction")
    (yaw,) = _point(row, ("yaw",), file, where) if row.get("yaw") else (0.0,)
    pose = Pose.at(listener, yaw=float(yaw)).matrix
    path = file.parent / name
    stem = Path(name).with_suffix("").as_posix()
    return Response(stem, path, source, pose, axis, split)


def _point(row: Mapping[str, str], keys: Sequence[str], file: Path, where: str) -> Array:
    try:
        values = [float(row.get(key) or "") for key in keys]
    except ValueError:
        values = [math.nan]
    if not all(math.isfinite(value) for value in values):
        raise DataError(
            f"{', '.join(keys)} are no numbers", file=file, field=where, mend="give finite numbers"
        )
    return np.array(values)


def write_table(folder: str | os.PathLike[str], responses: Iterable[Response]) -> Path:
    """Write `rirs.csv` of files that lie there already, relative to it."""
    file = Path(folder) / TABLE
    with atomic(file) as part, part.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow((*NEEDED, *OPTIONAL))
        for response in responses:
            ahead = -response.pose[:3, 2]
            yaw = math.degrees(math.atan2(ahead[1], ahead[0]))
            axis = ("", "", "") if response.axis is None else map(repr, response.axis.tolist())
            places = (*response.source.tolist(), *response.pose[:3, 3].tolist())
            name = relative(response.path, file.parent)
            writer.writerow((name, *map(repr, places), *axis, repr(yaw), response.split))
    return file


def write_rirs(
    folder: str | os.PathLike[str],
    responses: Sequence[Response],
    samples: Iterable[NDArray[np.floating]],
    sample_rate: int,
) -> Path:
    """Write a generic set: float WAV files `NAME.wav` and, last, the table.

    Args:
        folder: of the set.
        responses: their paths are not used; names become files.
        samples: `[channel, time]` of each.
        sample_rate: hertz.

    Raises:
        DataError: no responses, or two of one name.
        AudioError: samples that are not finite or empty.
    """
    folder = Path(folder)
    names = [response.name for response in responses]
    if not names or len(set(names)) < len(names):
        raise DataError("no responses, or two of one name", file=folder, mend="name each once")
    placed = []
    for response, signal in zip(responses, samples, strict=True):
        path = folder / f"{response.name}.wav"
        write_audio(path, signal, sample_rate, subtype="FLOAT")
        placed.append(replace(response, path=path))
    return write_table(folder, placed)


def check_rirs(root: str | os.PathLike[str]) -> Check:
    """Look at every row and file of a generic set, samples included.

    Raises:
        DataError: `root` is no folder.
    """
    check = Check(Path(root))
    if not check.root.is_dir():
        raise DataError("no such folder", file=root, mend="check the path")
    file = check.root / TABLE
    rows = check.look(TABLE, partial(read_table, file))
    first: tuple[int, int] | None = None
    for i, row in track(list(enumerate(rows or ())), "check"):
        response = check.look(f"line {i + 2}", partial(_response, row, i, file))
        if response is not None:
            shape = check.look(response.name, partial(_check_file, response.path, first))
            first = first or shape
    if check.good:
        check.look("the whole set", partial(load_rirs, root))
    return check


def _check_file(path: Path, shape: tuple[int, int] | None) -> tuple[int, int]:
    found = check_header(path, *(shape or (None, None)))
    read_audio(path)
    return found
