"""Read recordings of Record3D: an `.r3d` file, which is a ZIP, unzipped into a folder.

`metadata` (JSON) holds `poses` (quaternion x, y, z, w and place), `w`, `h`, `K` (9 numbers, column
by column) or `perFrameIntrinsicCoeffs` (fx, fy, cx, cy a frame), `dw`, `dh`, and `frameTimestamps`
or `fps`; `rgbd/N.jpg` is the colour image, `rgbd/N.depth` the depth in metres and `rgbd/N.conf` its
confidence (0 low, 1 medium, 2 high; low is not believed), both compressed by LZFSE, 32-bit floats
and bytes. They are decoded when they are asked for, by the extra `record3d`; colour and poses need
it not. The app's other exports (EXR, PLY, video) are not read.

Axes, pixels and sizes are those of ARKit, as `piavas.capture.arkit` tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from piavas.capture import fields
from piavas.capture.arkit import DEVICE, Y_UP_TO_Z_UP, lens_of, make_frame, present
from piavas.capture.types import Capture, Frame
from piavas.errors import CaptureError
from piavas.files import read_json

METADATA = "metadata"
FRAMES = "rgbd"
UNIT = 1e-3
"""Most that the length of a quaternion may differ from 1."""


class Record3DReader:
    """Folders with `metadata` and `rgbd/`."""

    name = "record3d"
    sign = "metadata and rgbd/"

    def matches(self, folder: Path) -> bool:
        """Whether `folder` is an unzipped `.r3d`."""
        return (folder / METADATA).is_file() and (folder / FRAMES).is_dir()

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`.

        Raises:
            CaptureError: anything missing or inconsistent.
        """
        file = folder / METADATA
        top = fields.record(read_json(file, error=CaptureError), file, "top level")
        poses = fields.array(fields.need(top, "poses", file), (-1, 7), file, "poses")
        lenses, times = _lenses(top, len(poses), file), _times(top, len(poses), file)
        frames = tuple(
            _frame(folder, top, i, pose, lens, time)
            for i, (pose, lens, time) in enumerate(zip(poses, lenses, times, strict=True))
        )
        if not frames:
            raise CaptureError("is empty", file=file, field="poses", mend="record some frames")
        return Capture(folder, self.name, frames, Y_UP_TO_Z_UP.copy(), scale_by=DEVICE)


def _frame(
    folder: Path,
    top: fields.Record,
    number: int,
    place: NDArray[np.float64],
    lens: NDArray[np.float64],
    time: float | None,
) -> Frame:
    file, field = folder / METADATA, f"poses[{number}]"
    if abs(np.linalg.norm(place[:4]) - 1) > UNIT:
        raise CaptureError(
            "is no rotation", file=file, field=field, mend="give a unit quaternion x, y, z, w"
        )
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(place[:4]).as_matrix()
    pose[:3, 3] = place[4:]
    image = folder / FRAMES / f"{number}.jpg"
    if not image.is_file():
        raise CaptureError(
            f"no such file, for {field} of {file}", file=image, mend="unzip the recording anew"
        )
    fx, fy, cx, cy = (float(value) for value in lens)
    depth = present(image.with_suffix(".depth"))
    return make_frame(
        image,
        lens_of(_size(top, "w", "h", file), (fx, fy, cx, cy), file, "K"),
        pose,
        depth=depth,
        depth_size=None if depth is None else _size(top, "dw", "dh", file),
        confidence=present(image.with_suffix(".conf")),
        least=1,
        time=time,
    )


def _size(top: fields.Record, across: str, down: str, file: Path) -> tuple[int, int]:
    sides = []
    for key in (across, down):
        value = fields.number(fields.need(top, key, file), file, key)
        if value < 1 or value != int(value):
            raise CaptureError(
                f"{value:g} is no number of pixels", file=file, field=key, mend="give a whole one"
            )
        sides.append(int(value))
    return sides[0], sides[1]


def _lenses(top: fields.Record, count: int, file: Path) -> NDArray[np.float64]:
    """fx, fy, cx, cy `[count, 4]`; those of each frame go before those of all."""
    key = "perFrameIntrinsicCoeffs"
    if top.get(key):
        return fields.array(top[key], (count, 4), file, key)
    k = fields.array(fields.need(top, "K", file), (9,), file, "K")
    return np.tile(k[[0, 4, 6, 7]], (count, 1))


def _times(top: fields.Record, count: int, file: Path) -> list[Any]:
    """Seconds of each frame, or None."""
    if top.get("frameTimestamps"):
        given = fields.array(top["frameTimestamps"], (count,), file, "frameTimestamps")
        return [float(value) for value in given]
    if top.get("fps"):
        rate = fields.number(top["fps"], file, "fps")
        return [i / rate for i in range(count)]
    return [None] * count
