"""Read `transforms.json` as nerfstudio writes it, and the keys our own generator adds.

Read: `frames[].file_path`, `.transform_matrix`; shared or per-frame `fl_x`, `fl_y` (or
`camera_angle_x`, `camera_angle_y`), `cx`, `cy`, `w`, `h`, `k1`, `k2`, `p1`, `p2`, `k3`;
`camera_model` OPENCV or PINHOLE; `depth_file_path` (16-bit PNG, z-depth) with
`depth_unit_scale_factor`; `applied_transform`.
Ours: `metric`, `scale_by`, `labels` {index: name}, `frames[].label_file_path`, `.time`,
`depth_invalid`, `image_intrinsics`, `confidence_file_path` with `confidence_least`, `recordings`.
The world is taken as it is, +z up.

nerfstudio puts the centre of the first pixel at (0.5, 0.5), `Intrinsics` at (0, 0) as OpenCV:
half a pixel is taken off `cx` and `cy` here and put back by `write_nerfstudio`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.capture import fields
from piavas.capture.images import check_header, image_size
from piavas.capture.recordings import read_recordings
from piavas.capture.types import Capture, Frame, Intrinsics, Recording
from piavas.errors import CaptureError
from piavas.files import read_json

FILE = "transforms.json"
DISTORTION = ("k1", "k2", "p1", "p2", "k3")
UNSUPPORTED = ("k4", "k5", "k6")
MODELS = ("OPENCV", "PINHOLE")
DEPTH_SCALE = 1e-3
"""Metres a unit, nerfstudio's default `depth_unit_scale_factor`."""
DEPTH_INVALID = (0, 65535)


class NerfstudioReader:
    """Folders with a `transforms.json`."""

    name = "nerfstudio"
    sign = FILE

    def matches(self, folder: Path) -> bool:
        """Whether `transforms.json` lies in `folder`."""
        return (folder / FILE).is_file()

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`.

        Lengths are metres where the file says `"metric": true` or, without that key, where
        every frame has depth; else they are up to scale.

        Raises:
            CaptureError: anything missing or inconsistent.
        """
        file = folder / FILE
        top = fields.record(read_json(file, error=CaptureError), file, "top level")
        entries = fields.items(fields.need(top, "frames", file), file, "frames")
        frames = tuple(
            _frame(top, fields.record(entry, file, f"frames[{i}]"), folder, f"frames[{i}].")
            for i, entry in enumerate(entries)
        )
        metric = in_metres(top, file)
        return Capture(
            root=folder,
            layout=self.name,
            frames=frames,
            transform=_applied_transform(top, file),
            metric=metric,
            labels=_labels(top, file),
            recordings=_recordings(top, folder),
            scale_by=_scale_by(top, metric, file),
        )


def _frame(top: fields.Record, entry: fields.Record, folder: Path, where: str) -> Frame:
    file = folder / FILE
    both = {**top, **entry}
    image = _image(entry, folder, where)
    camera = read_intrinsics(both, image, file, where)
    own = entry.get("image_intrinsics")
    own_camera = None
    if own is not None:
        at = f"{where}image_intrinsics."
        own_camera = read_intrinsics(fields.record(own, file, at), image, file, at)
    check_header(image, own_camera or camera, "colour")
    depth, label = (_side_image(entry, kind, folder, where, camera) for kind in ("depth", "label"))
    time = entry.get("time")
    matrix = fields.need(entry, "transform_matrix", file, where)
    return Frame(
        image_path=image,
        intrinsics=camera,
        pose=fields.pose(matrix, file, f"{where}transform_matrix"),
        depth_path=depth,
        depth_scale=_positive(both, "depth_unit_scale_factor", file, where, DEPTH_SCALE),
        depth_invalid=_depth_invalid(both, file, where),
        label_path=label,
        time=None if time is None else fields.number(time, file, f"{where}time"),
        image_intrinsics=own_camera,
        confidence_path=_side_image(entry, "confidence", folder, where, camera),
        confidence_least=int(
            fields.number(both.get("confidence_least", 1), file, f"{where}confidence_least")
        ),
    )


def _image(entry: fields.Record, folder: Path, where: str) -> Path:
    file = folder / FILE
    name = fields.need(entry, "file_path", file, where)
    return fields.existing(name, folder, file, f"{where}file_path")


def _side_image(
    entry: fields.Record, kind: str, folder: Path, where: str, camera: Intrinsics
) -> Path | None:
    """The "depth", "label" or "confidence" image of a frame, its header checked."""
    key = f"{kind}_file_path"
    if entry.get(key) is None:
        return None
    path = fields.existing(entry[key], folder, folder / FILE, where + key)
    check_header(path, camera, kind)
    return path


def _depth_invalid(both: fields.Record, file: Path, where: str) -> tuple[int, ...]:
    values = fields.array(
        both.get("depth_invalid", DEPTH_INVALID), (-1,), file, f"{where}depth_invalid"
    )
    return tuple(int(value) for value in values)


def _positive(
    source: fields.Record, key: str, file: Path, where: str, default: float | None = None
) -> float:
    raw = source.get(key, default) if default is not None else fields.need(source, key, file, where)
    value = fields.number(raw, file, where + key)
    if value <= 0:
        raise CaptureError(
            f"{value:g} is not positive", file=file, field=where + key, mend="give a value > 0"
        )
    return value


def read_intrinsics(source: fields.Record, image: Path, file: Path, where: str) -> Intrinsics:
    """The camera that `source` of `file` states in nerfstudio's keys.

    Args:
        source: JSON object with `fl_x` or `camera_angle_x`, and so on.
        image: whose header gives the size where `w` and `h` are not stated.
        file: named in errors.
        where: prefix of the fields named in errors.

    Raises:
        CaptureError: a field is missing or wrong, or the camera model is not supported.
    """
    model = source.get("camera_model", "OPENCV")
    if model not in MODELS:
        raise CaptureError(
            f"camera model {model!r} is not supported",
            file=file,
            field=f"{where}camera_model",
            mend=f"undistort the images to {' or '.join(MODELS)}",
        )
    width, height = _size(source, image, file, where)
    fx, fy = _focal(source, width, height, file, where)
    cx, cy = (
        fields.number(source.get(key, side / 2), file, where + key) - 0.5
        for key, side in (("cx", width), ("cy", height))
    )
    return Intrinsics(width, height, fx, fy, cx, cy, _distortion(source, model, file, where))


def _size(source: fields.Record, image: Path, file: Path, where: str) -> tuple[int, int]:
    if "w" not in source and "h" not in source:
        return image_size(image)
    width, height = (_positive(source, key, file, where) for key in ("w", "h"))
    if width != int(width) or height != int(height):
        raise CaptureError(
            "size is no whole number of pixels", file=file, field=f"{where}w, h", mend="round it"
        )
    return int(width), int(height)


def _focal(
    source: fields.Record, width: int, height: int, file: Path, where: str
) -> tuple[float, float]:
    """Focal lengths in pixels; from a field of view a, half the side over tan(a / 2)."""
    if "fl_x" in source:
        fx = _positive(source, "fl_x", file, where)
    elif "camera_angle_x" in source:
        fx = 0.5 * width / math.tan(0.5 * _angle(source, "camera_angle_x", file, where))
    else:
        raise CaptureError(
            "is missing", file=file, field=f"{where}fl_x", mend="write fl_x or camera_angle_x"
        )
    if "fl_y" in source:
        return fx, _positive(source, "fl_y", file, where)
    if "camera_angle_y" in source and "fl_x" not in source:
        return fx, 0.5 * height / math.tan(0.5 * _angle(source, "camera_angle_y", file, where))
    return fx, fx


def _angle(source: fields.Record, key: str, file: Path, where: str) -> float:
    angle = _positive(source, key, file, where)
    if angle >= math.pi:
        raise CaptureError(
            f"{angle:g} is no angle of view", file=file, field=where + key, mend="give radians < pi"
        )
    return angle


def _distortion(
    source: fields.Record, model: str, file: Path, where: str
) -> tuple[float, float, float, float, float]:
    values = [fields.number(source.get(key, 0.0), file, where + key) for key in DISTORTION]
    for key in UNSUPPORTED:
        if source.get(key):
            raise CaptureError(
                "is not supported", file=file, field=where + key, mend="undistort the images"
            )
    if model == "PINHOLE" and any(values):
        raise CaptureError(
            "a PINHOLE camera has no distortion",
            file=file,
            field=f"{where}camera_model",
            mend="write OPENCV or take the distortion out",
        )
    k1, k2, p1, p2, k3 = values
    return k1, k2, p1, p2, k3


def _applied_transform(top: fields.Record, file: Path) -> NDArray[np.float64]:
    """`[4, 4]`; nerfstudio writes the upper three rows. Not only rotations: it may scale."""
    matrix = np.eye(4)
    if top.get("applied_transform") is not None:
        rows = top["applied_transform"]
        count = 4 if isinstance(rows, list) and len(rows) == 4 else 3
        matrix[:count] = fields.array(rows, (count, 4), file, "applied_transform")
    return matrix


def in_metres(top: fields.Record, file: Path) -> bool:
    """Whether the index `top` of `file` says so or, where it says nothing, all frames have depth.

    Raises:
        CaptureError: what it says is neither true nor false, or its frames are none.
    """
    entries = fields.items(top["frames"], file, "frames") if "frames" in top else []
    deep = all(fields.record(e, file, "frames").get("depth_file_path") for e in entries)
    metric = top.get("metric", deep)
    if not isinstance(metric, bool):
        raise CaptureError("is no truth value", file=file, field="metric", mend="true or false")
    return metric


def _scale_by(top: fields.Record, metric: bool, file: Path) -> str:
    if not metric:
        return ""
    if top.get("scale_by"):
        return fields.text(top["scale_by"], file, "scale_by")
    if "metric" in top:
        return f'stated: "metric" in {FILE}'
    return "taken for metres, as every frame has depth in metres"


def _labels(top: fields.Record, file: Path) -> dict[int, str]:
    labels: dict[int, str] = {}
    for key, name in fields.record(top.get("labels", {}), file, "labels").items():
        if not key.isdecimal():
            raise CaptureError(
                f"{key!r} is no label index", file=file, field="labels", mend='write {"0": "name"}'
            )
        labels[int(key)] = fields.text(name, file, f"labels.{key}")
    return labels


def _recordings(top: fields.Record, folder: Path) -> tuple[Recording, ...]:
    if top.get("recordings") is None:
        return ()
    path = fields.existing(top["recordings"], folder, folder / FILE, "recordings")
    return read_recordings(path)
