"""Camera poses of a video as RWAVS keeps them, in either of the two schemas that are told of it.

nerfstudio's data schema: `frames[]` of `file_path` and `transform_matrix` [4][4], with its keys of
intrinsics. nerfstudio's camera path schema: `camera_path[]` of `camera_to_world` (16 numbers, row
by row), vertical `fov` in degrees and `file_path`. Both are camera-to-world with OpenGL axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Intrinsics, fields
from piavas.capture.images import image_size
from piavas.capture.nerfstudio import read_intrinsics
from piavas.errors import CaptureError
from piavas.files import read_json, write_json

Schema = Literal["frames", "camera_path"]
FRAMES = "frames"
"""Folder of the images, beside the transforms."""
LENSES = ("fl_x", "camera_angle_x")


@dataclass(frozen=True)
class Shot:
    """One image of a video.

    Args:
        image: `frames/00012.png`; its number is the second at which it was taken.
        pose: `[4, 4]` camera-to-world, OpenGL axes.
        intrinsics: the camera, where the file says it.
    """

    image: Path
    pose: NDArray[np.float64]
    intrinsics: Intrinsics | None = None

    @property
    def second(self) -> int:
        """When it was taken."""
        return int(self.image.stem)


def read_transforms(file: Path) -> tuple[Shot, ...]:
    """Read either schema; images are looked for in `frames/` beside `file`.

    Raises:
        CaptureError: missing, no or both schemas, a pose that is none, an image that is missing,
            named by no number, or listed twice.
    """
    top = fields.record(read_json(file, error=CaptureError), file, "top level")
    found = [key for key in ("frames", "camera_path") if key in top]
    if len(found) != 1:
        raise CaptureError(
            f"holds {' and '.join(found) or 'neither frames nor camera_path'}",
            file=file,
            mend="give one of the two schemas",
        )
    key = found[0]
    shots = []
    for i, entry in enumerate(fields.items(top[key], file, key)):
        where = f"{key}[{i}]."
        shots.append(_shot(top, fields.record(entry, file, where), key, file, where))
    names = [shot.image.name for shot in shots]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CaptureError(f"lists {twice} twice", file=file, field=key, mend="list it once")
    return tuple(sorted(shots, key=lambda shot: shot.second))


def _shot(top: fields.Record, entry: fields.Record, key: str, file: Path, where: str) -> Shot:
    image = _image(fields.need(entry, "file_path", file, where), file, f"{where}file_path")
    if key == "frames":
        matrix = fields.need(entry, "transform_matrix", file, where)
        pose = fields.pose(matrix, file, f"{where}transform_matrix")
        both = {**top, **entry}
        has_lens = any(lens in both for lens in LENSES)
        return Shot(image, pose, read_intrinsics(both, image, file, where) if has_lens else None)
    flat = np.ravel(np.asarray(fields.need(entry, "camera_to_world", file, where), dtype=object))
    numbers = fields.array(flat.tolist(), (16,), file, f"{where}camera_to_world")
    pose = fields.pose(numbers.reshape(4, 4), file, f"{where}camera_to_world")
    return Shot(image, pose, _from_fov(entry, image, file, where))


def _image(value: Any, file: Path, field: str) -> Path:
    """The image in `frames/`, whatever folder the file of another machine names."""
    name = Path(fields.text(value, file, field).replace("\\", "/")).name
    path = file.parent / FRAMES / name
    if not path.stem.isdecimal():
        raise CaptureError(
            f"{name} has no number", file=file, field=field, mend="name images 00001.png, ..."
        )
    return fields.existing(f"{FRAMES}/{name}", file.parent, file, field)


def _from_fov(entry: fields.Record, image: Path, file: Path, where: str) -> Intrinsics | None:
    """Square pixels and the axis in the middle, which is all that a camera path says."""
    if "fov" not in entry:
        return None
    angle = fields.number(entry["fov"], file, f"{where}fov")
    if not 0 < angle < 180:
        raise CaptureError(
            f"{angle:g} is no angle of view", file=file, field=f"{where}fov", mend="give degrees"
        )
    width, height = image_size(image)
    focal = 0.5 * height / math.tan(0.5 * math.radians(angle))
    return Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def write_transforms(file: Path, shots: Sequence[Shot], schema: Schema) -> Path:
    """Write `shots` in one of the schemas; `camera_path` can only state square, centred pixels."""
    if schema == "frames":
        write_json(file, {"camera_model": "OPENCV", "frames": [_frame(shot) for shot in shots]})
    else:
        write_json(file, {"camera_type": "perspective", "camera_path": [_stop(s) for s in shots]})
    return file


def _frame(shot: Shot) -> dict[str, Any]:
    entry = {
        "file_path": f"{FRAMES}/{shot.image.name}",
        "transform_matrix": np.asarray(shot.pose, np.float64).tolist(),
    }
    camera = shot.intrinsics
    if camera is None:
        return entry
    lens = dict(zip(("k1", "k2", "p1", "p2", "k3"), camera.distortion, strict=True))
    size = {"w": camera.width, "h": camera.height}
    centre = {"cx": camera.cx + 0.5, "cy": camera.cy + 0.5}
    return {**entry, "fl_x": camera.fx, "fl_y": camera.fy, **centre, **size, **lens}


def _stop(shot: Shot) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "file_path": f"{FRAMES}/{shot.image.name}",
        "camera_to_world": np.asarray(shot.pose, np.float64).ravel().tolist(),
    }
    camera = shot.intrinsics
    if camera is not None:
        entry["fov"] = math.degrees(2 * math.atan(0.5 * camera.height / camera.fy))
        entry["aspect"] = camera.width / camera.height
    return entry
