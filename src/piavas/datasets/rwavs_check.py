"""Look at a copy of RWAVS item by item, with the functions that read it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from piavas.datasets.checks import Check
from piavas.datasets.rwavs import (
    DRY,
    POSITIONS,
    SPLITS,
    WET,
    check_sound,
    cube_of,
    existing_folder,
    list_videos,
    position_of,
    read_positions,
    read_shots,
    release_of,
)
from piavas.datasets.transforms import read_transforms
from piavas.errors import DataError

Array = NDArray[np.float64]

PICKLES = ("feats_train.pkl", "feats_val.pkl")


def check_rwavs(root: str | os.PathLike[str], videos: Sequence[int] | None = None) -> Check:
    """Look at every item of a copy, and say what is missing or wrong.

    Raises:
        DataError: `root` is no folder.
    """
    check = Check(Path(root))
    if not check.root.is_dir():
        raise DataError("no such folder", file=root, mend="check the path")
    release = check.look(POSITIONS, partial(release_of, root))
    if release is None:
        return check
    known = check.look("environments", partial(list_videos, root), "") or {}
    positions = check.look("source positions", partial(read_positions, release)) or {}
    for number in videos if videos is not None else known:
        _check_video(check, release / str(number), number, positions)
    return check


def _check_video(check: Check, folder: Path, number: int, positions: Mapping[int, Array]) -> None:
    name = f"video {number}"
    if check.look(f"{name}, folder", partial(existing_folder, folder)) is None:
        return
    if positions:
        check.look(f"{name}, source", partial(position_of, number, positions, folder.parent))
    seconds = check.look(f"{name}, sound", partial(check_sound, folder), "{:.1f} s")
    if seconds is not None:
        _check_peaks(check, folder, name)
    for split in SPLITS:
        for kind in ("transforms", "transforms_scale"):
            file = folder / f"{kind}_{split}.json"
            check.look(f"{name}, {file.name}", partial(read_transforms, file))
    shots = check.look(f"{name}, frames and splits", partial(read_shots, folder))
    if shots is not None:
        _check_shots(check, folder, name, shots, seconds)
    for pickle in PICKLES:
        if (folder / pickle).exists():
            check.note(f"{name}, {pickle}", "is never opened: a pickle can run code")


def _check_peaks(check: Check, folder: Path, name: str) -> None:
    for file in (DRY, WET):
        samples, _ = soundfile.read(folder / file, dtype="float32")
        peak = float(np.abs(samples).max())
        if not 0.5 < peak <= 1:
            check.note(f"{name}, {file}", f"peaks at {peak:.3f}; published files at about 1")
        if (kind := soundfile.info(folder / file).subtype) != "PCM_16":
            check.note(f"{name}, {file}", f"is {kind}; published files are PCM_16")


def _check_shots(check: Check, folder: Path, name: str, shots: Any, seconds: float | None) -> None:
    plain, scaled, splits = shots
    poses, cubed = (np.stack([shot.pose for shot in side]) for side in (plain, scaled))
    check.look(f"{name}, scaled poses", partial(cube_of, poses, cubed, folder))
    share = splits.count("train") / len(splits)
    if abs(share - 0.8) > 0.03:
        check.note(f"{name}, splits", f"{100 * share:.0f} % train; published ones 80 %")
    if seconds is not None and plain[-1].second > seconds + 1:
        told = f"{plain[-1].image.name} comes after the end of the sound, {seconds:.1f} s"
        check.note(f"{name}, frames", told)
    if all(
        a.intrinsics is None and b.intrinsics is None for a, b in zip(plain, scaled, strict=True)
    ):
        check.note(f"{name}, camera", "no file says its angle of view; give it to use the images")
