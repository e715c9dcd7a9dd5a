"""Predictions and recordings by name, checked before anything is measured."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from piavas.audio import Audio, check_audio, read_audio
from piavas.errors import AudioError, DataError

AudioSet = Mapping[str, NDArray[np.floating]] | str | os.PathLike[str]
"""Signals `[channel, time]` by name, or a folder of sound files whose stems are the names."""

SUFFIXES = (".wav", ".flac")
RWAVS_RATE = 22_050
TRIM_SECONDS = 0.02


@dataclass(frozen=True)
class Items:
    """A set of signals of one rate, read one at a time.

    Args:
        what: "predictions" or "recordings", for messages.
        sample_rate: hertz.
        arrays: signals by name; empty for a folder.
        files: paths by name; empty for arrays.
        channels: of every signal.
    """

    what: str
    sample_rate: int
    arrays: Mapping[str, NDArray[np.floating]]
    files: Mapping[str, Path]
    channels: int = 2

    @property
    def names(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(self.files or self.arrays))

    def read(self, name: str) -> Audio:
        """`[channel, time]`.

        Raises:
            AudioError: another number of channels, empty, silent or not finite.
        """
        if self.files:
            return read_audio(self.files[name], channels=self.channels)[0]
        return check_audio(self.arrays[name], field=self.where(name), channels=self.channels)

    def where(self, name: str) -> str:
        """How a message names an item."""
        return f"{self.what}[{name!r}]"

    def file(self, name: str) -> Path | None:
        """The item's path, where it has one."""
        return self.files.get(name)


def _folder(path: Path, what: str) -> dict[str, Path]:
    if not path.is_dir():
        raise DataError("no such folder", file=path, field=what, mend="check the path")
    files: dict[str, Path] = {}
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in SUFFIXES and file.is_file():
            name = file.relative_to(path).with_suffix("").as_posix()
            if name in files:
                raise DataError(
                    f"two files named {name!r}", file=file, field=what, mend="keep one of them"
                )
            files[name] = file
    if not files:
        raise DataError("holds no WAV or FLAC files", file=path, field=what, mend="check the path")
    return files


def _file_rate(files: Mapping[str, Path], what: str, sample_rate: int | None) -> int:
    for file in files.values():
        try:
            rate = soundfile.info(file).samplerate
        except soundfile.SoundFileError as problem:
            raise AudioError(
                f"cannot be read as audio: {problem}", file=file, mend="give a WAV or FLAC file"
            ) from None
        if sample_rate is not None and rate != sample_rate:
            raise AudioError(
                f"has {rate} Hz, {sample_rate} Hz needed",
                file=file,
                field=what,
                mend="resample it; a metric depends on the rate",
            )
        sample_rate = rate
    assert sample_rate is not None
    return sample_rate


def open_items(
    source: AudioSet, what: str, sample_rate: int | None = None, channels: int = 2
) -> Items:
    """Predictions or recordings, from arrays or a folder (its subfolders are part of the names).

    Args:
        source: see `AudioSet`.
        what: its name in messages.
        sample_rate: hertz; None takes the files' rate, and 22,050 (RWAVS) for arrays.
        channels: of every signal.

    Raises:
        DataError: no such folder, or nothing in it.
        AudioError: files that cannot be read or differ in rate.
    """
    if isinstance(source, Mapping):
        if not source:
            raise DataError("holds nothing", field=what, mend="give at least one item")
        return Items(what, sample_rate or RWAVS_RATE, source, {}, channels)
    files = _folder(Path(source), what)
    return Items(what, _file_rate(files, what, sample_rate), {}, files, channels)


def _names(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(repr(n) for n in shown[:3]) + (
        f" and {len(shown) - 3} more" * (len(shown) > 3)
    )


def match(predictions: Items, recordings: Items) -> tuple[str, ...]:
    """The names, which both sets share exactly.

    Raises:
        DataError: a recording without a prediction, or the other way round.
        AudioError: the two sets differ in rate.
    """
    ours, theirs = set(predictions.names), set(recordings.names)
    if theirs - ours:
        raise DataError(
            f"no prediction for {_names(theirs - ours)}",
            field=predictions.what,
            mend="predict every recording, or leave these recordings out of both sets",
        )
    if ours - theirs:
        raise DataError(
            f"no recording for {_names(ours - theirs)}",
            field=recordings.what,
            mend="give the recording, or leave these predictions out",
        )
    if predictions.sample_rate != recordings.sample_rate:
        raise AudioError(
            f"{predictions.sample_rate} Hz against {recordings.sample_rate} Hz of "
            f"{recordings.what}",
            file=predictions.file(recordings.names[0]),
            field=predictions.what,
            mend="resample one set; a metric depends on the rate",
        )
    return recordings.names


def read_pair(
    predictions: Items,
    recordings: Items,
    name: str,
    trim: float = TRIM_SECONDS,
    duration: float | None = None,
) -> tuple[Audio, Audio, int]:
    """Prediction and recording `[channel, time]` of one item, both cut at the end to the shorter.

    Args:
        predictions: one set.
        recordings: the other.
        name: of the item.
        trim: longest difference in seconds that is cut off.
        duration: seconds from the start that are kept of each, None for all.

    Returns:
        prediction, recording, and samples cut from the longer.

    Raises:
        AudioError: silent, not finite, another number of channels.
        DataError: the lengths differ by more than `trim` seconds.
    """
    predicted, recorded = predictions.read(name), recordings.read(name)
    if duration is not None:
        kept = round(duration * recordings.sample_rate)
        predicted, recorded = predicted[:, :kept], recorded[:, :kept]
    cut = abs(predicted.shape[1] - recorded.shape[1])
    if cut > trim * recordings.sample_rate:
        raise DataError(
            f"{predicted.shape[1]} samples against {recorded.shape[1]} of the recording, "
            f"more than {trim:g} s apart",
            file=predictions.file(name),
            field=predictions.where(name),
            mend="align and cut both to one length",
        )
    size = min(predicted.shape[1], recorded.shape[1])
    predicted, recorded = predicted[:, :size], recorded[:, :size]
    for items, signal in ((predictions, predicted), (recordings, recorded)):
        check_audio(signal, file=items.file(name), field=items.where(name))
    return predicted, recorded, cut


def split_hash(names: tuple[str, ...]) -> str:
    """SHA-256 of the sorted names, so that two tables can show that they share a split."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
