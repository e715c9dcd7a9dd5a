"""Recordings to calibrate on: a list of measured responses, or a capture with recordings.

`responses.json` is a list of `{file, source: [3], listener: [3]}`, with `channel` (from 0, of a
file of several) and `held_out` (true or false) where wanted; sound files lie relative to the list.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from piavas.audio import read_audio
from piavas.calibrate.observe import Performance, Recording, RoomResponse
from piavas.capture import fields
from piavas.capture.nerfstudio import FILE as NERFSTUDIO
from piavas.capture.nerfstudio import in_metres
from piavas.capture.recordings import UNUSED
from piavas.capture.recordings import read_recordings as read_performances
from piavas.capture.types import Recording as Walk
from piavas.errors import CalibrationError, CaptureError
from piavas.files import read_json
from piavas.scene import Source

RESPONSES, PERFORMANCES = "responses.json", "recordings.json"
PIECE = 1.0  # seconds of a walk during which the head is taken to rest
PIECES = 24  # of a walk at most, evenly spread


def read_recordings(path: str | os.PathLike[str]) -> tuple[list[Recording], list[int]]:
    """Recordings, and the indices of those held out.

    Args:
        path: a list of responses, or a folder with `responses.json` or, of a capture, with
            `recordings.json`, whose "val" and "test" recordings are held out.

    Raises:
        CalibrationError: no such list, or one that lacks or spoils something; it is named.
        CaptureError, AudioError: a sound file that cannot be used.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in (RESPONSES, PERFORMANCES) if (path / name).is_file()]
        if not found:
            raise CalibrationError(
                f"has neither {RESPONSES} nor {PERFORMANCES}", file=path, mend="write one"
            )
        path = found[0]
    if path.name == PERFORMANCES:
        _demand_metres(path.parent / NERFSTUDIO)
        return _walks(read_performances(path))
    try:
        entries = fields.items(read_json(path, error=CalibrationError), path, "top level")
        rows = [fields.record(entry, path, f"[{i}]") for i, entry in enumerate(entries)]
        out = [_response(row, path, f"[{i}].") for i, row in enumerate(rows)]
    except CaptureError as problem:
        raise CalibrationError(
            problem.what, file=problem.file, field=problem.field, mend=problem.mend
        ) from None
    return list(out), [i for i, row in enumerate(rows) if row.get("held_out", False)]


def _demand_metres(index: Path) -> None:
    """Refuse poses and sources whose unit is not the metre, in which the room is."""
    if not index.is_file():
        return
    top = fields.record(read_json(index, error=CalibrationError), index, "top level")
    if not in_metres(top, index):
        raise CalibrationError(
            "its lengths are no metres, and the room's are",
            file=index,
            field="metric",
            mend="bring both into metres: `piavas.capture.rescale` the capture and write it",
        )


def _response(row: fields.Record, path: Path, where: str) -> RoomResponse:
    file = fields.existing(fields.need(row, "file", path, where), path.parent, path, f"{where}file")
    places = [
        fields.array(fields.need(row, name, path, where), (3,), path, f"{where}{name}")
        for name in ("source", "listener")
    ]
    samples, rate = read_audio(file)
    channel = row.get("channel", 0)
    if not isinstance(channel, int) or not 0 <= channel < len(samples):
        raise CalibrationError(
            f"{channel!r} is no channel of {file.name}, which has {len(samples)}",
            file=path,
            field=f"{where}channel",
            mend="count from 0",
        )
    name = file.stem if len(samples) == 1 else f"{file.stem}[{channel}]"
    return RoomResponse(Source(places[0]), places[1], samples[channel], rate, name)


def _walks(walks: tuple[Walk, ...]) -> tuple[list[Recording], list[int]]:
    """Pieces of what moving heads recorded, each at its middle pose."""
    found: list[Recording] = []
    held = []
    for walk in walks:
        dry, rate = read_audio(walk.dry_path, channels=1)
        wet, _ = read_audio(walk.wet_path, sample_rate=rate, channels=2)
        starts = np.arange(0.0, max(wet.shape[1] / rate - PIECE, 0.0) + 1e-9, PIECE)
        for start in starts[np.linspace(0, len(starts) - 1, min(len(starts), PIECES)).astype(int)]:
            middle = start + PIECE / 2
            nearest = int(np.abs(walk.times - middle).argmin())
            pose = walk.poses[nearest]
            split = walk.splits[nearest] if walk.splits else walk.split
            if split == UNUSED:
                continue
            if split != "train":
                held.append(len(found))
            found.append(
                Performance(
                    Source(walk.source),
                    pose[:3, 3],
                    dry[0].astype(np.float64),
                    wet.astype(np.float64),
                    rate,
                    (float(start), float(start + PIECE)),
                    f"{walk.name}@{start:g}s",
                )
            )
    return found, held
