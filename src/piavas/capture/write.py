"""Write a capture as nerfstudio's `transforms.json`, so that `load_capture` reads it back exactly.

The keys beyond nerfstudio's own are listed in `piavas.capture.nerfstudio`; nerfstudio ignores them.
A principal point that its half pixel carries over a power of two may lose its last bit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from piavas.capture.nerfstudio import DEPTH_INVALID, DISTORTION, FILE
from piavas.capture.recordings import relative, write_recordings
from piavas.capture.types import Frame, Intrinsics, Recording
from piavas.errors import CaptureError
from piavas.files import write_json

RECORDINGS = "recordings.json"


def write_nerfstudio(
    folder: str | os.PathLike[str],
    frames: Sequence[Frame],
    *,
    labels: Mapping[int, str] | None = None,
    metric: bool = True,
    recordings: Sequence[Recording] = (),
    transform: ArrayLike | None = None,
    scale_by: str = "",
) -> Path:
    """Write `transforms.json` and, with recordings, `recordings.json`; images lie there already.

    What one frame shares with all others is written once. Paths are relative to `folder`.

    Args:
        folder: made where it does not exist.
        frames: at least one; poses in the convention of the house.
        labels: name of each index of the label images.
        metric: whether lengths are metres.
        recordings: sounds recorded in the room.
        scale_by: what the metres come from, as in `Capture`.
        transform: `[4, 4]` written as `applied_transform`, what was applied to the original world.

    Returns:
        the path of `transforms.json`.

    Raises:
        CaptureError: no frames.
    """
    folder = Path(folder)
    if not frames:
        raise CaptureError("no frames to write", file=folder, field="frames", mend="give some")
    entries = [_frame(frame, folder) for frame in frames]
    top: dict[str, Any] = {"camera_model": "OPENCV", "metric": metric, **_take_shared(entries)}
    if transform is not None:
        top["applied_transform"] = np.asarray(transform, np.float64).reshape(4, 4).tolist()
    if scale_by:
        top["scale_by"] = scale_by
    if labels:
        top["labels"] = {str(index): name for index, name in labels.items()}
    if recordings:
        write_recordings(folder / RECORDINGS, recordings)
        top["recordings"] = RECORDINGS
    write_json(folder / FILE, {**top, "frames": entries})
    return folder / FILE


SHARED = ("fl_x", "fl_y", "cx", "cy", "w", "h", *DISTORTION)
SHARED_DEPTH = ("depth_unit_scale_factor", "depth_invalid")


def _take_shared(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Move what all entries agree on out of them."""
    same = [
        k for k in (*SHARED, *SHARED_DEPTH) if all(e.get(k) == entries[0].get(k) for e in entries)
    ]
    shared = {key: entries[0][key] for key in same if key in entries[0]}
    for entry in entries:
        for key in shared:
            del entry[key]
    return shared


def _camera(camera: Intrinsics) -> dict[str, Any]:
    """Intrinsics in nerfstudio's terms: the first pixel's centre is at (0.5, 0.5)."""
    return {
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx + 0.5,
        "cy": camera.cy + 0.5,
        "w": camera.width,
        "h": camera.height,
        **dict(zip(DISTORTION, camera.distortion, strict=True)),
    }


def _frame(frame: Frame, folder: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "file_path": relative(frame.image_path, folder),
        "transform_matrix": np.asarray(frame.pose, np.float64).tolist(),
        **_camera(frame.intrinsics),
        "depth_unit_scale_factor": frame.depth_scale,
    }
    if frame.depth_path is not None:
        entry["depth_file_path"] = relative(frame.depth_path, folder)
    if tuple(frame.depth_invalid) != DEPTH_INVALID:
        entry["depth_invalid"] = list(frame.depth_invalid)
    if frame.label_path is not None:
        entry["label_file_path"] = relative(frame.label_path, folder)
    if frame.confidence_path is not None:
        entry["confidence_file_path"] = relative(frame.confidence_path, folder)
        entry["confidence_least"] = frame.confidence_least
    if frame.time is not None:
        entry["time"] = frame.time
    if frame.image_intrinsics is not None:
        entry["image_intrinsics"] = _camera(frame.image_intrinsics)
    return entry
