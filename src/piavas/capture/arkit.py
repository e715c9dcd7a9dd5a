"""Read the "All Data" export of 3D Scanner App, and what exports of ARKit have in common.

`frame_XXXXX.json` holds `cameraPoseARFrame` (16 numbers, row by row, camera-to-world) and
`intrinsics` (9 numbers, row by row, of the colour image), optionally `time` in seconds;
`frame_XXXXX.jpg` is the colour image: the app writes one for some frames only, and frames without
one are left out. `depth_XXXXX.png` (16 bit, millimetres) and `conf_XXXXX.png` (0 low, 1 medium,
2 high) are small; depth of low confidence is not believed.

ARKit's world is metric with +y up, and its camera has OpenGL axes: the world alone is turned to +z
up. Its principal point counts from the corner of the first pixel: half a pixel is taken off. The
depth image is a smaller picture by the same lens, so `Frame.intrinsics` are those of the colour
camera scaled to it, and `Frame.image_intrinsics` the colour camera.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.capture import fields
from piavas.capture.images import check_header, image_size
from piavas.capture.types import Capture, Frame, Intrinsics
from piavas.errors import CaptureError
from piavas.files import read_json

Y_UP_TO_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""World axes: ARKit (+y up) to the house's (+z up)."""
DEVICE = "device: ARKit measures its world in metres"
STRETCH = 0.01
"""Most that the shapes of colour and depth image may differ."""
FRAME = re.compile(r"^frame_(?P<key>\d+)\.json$")


class ScannerAppReader:
    """Folders of `frame_XXXXX.json` and `.jpg`."""

    name = "3dscannerapp"
    sign = "frame_XXXXX.json"

    def matches(self, folder: Path) -> bool:
        """Whether any file in `folder` is named as such a frame."""
        return any(FRAME.match(path.name) for path in folder.iterdir())

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`.

        Raises:
            CaptureError: anything missing or inconsistent.
        """
        files = sorted(path for path in folder.iterdir() if FRAME.match(path.name))
        files = [file for file in files if file.with_suffix(".jpg").is_file()]
        if not files:
            raise CaptureError(
                "no frame has an image", file=folder, mend="export with images: All Data"
            )
        frames = tuple(_frame(file) for file in files)
        return Capture(folder, self.name, frames, Y_UP_TO_Z_UP.copy(), scale_by=DEVICE)


def _frame(file: Path) -> Frame:
    entry = fields.record(read_json(file, error=CaptureError), file, "top level")
    numbers = fields.array(fields.need(entry, "intrinsics", file), (9,), file, "intrinsics")
    matrix = numbers.reshape(3, 3)
    raw = fields.array(
        fields.need(entry, "cameraPoseARFrame", file), (16,), file, "cameraPoseARFrame"
    )
    image = file.with_suffix(".jpg")
    lens = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    time = entry.get("time")
    key = file.stem.split("_", 1)[1]
    return make_frame(
        image,
        lens_of(image_size(image), lens, file, "intrinsics"),
        fields.pose(raw.reshape(4, 4), file, "cameraPoseARFrame"),
        depth=present(file.with_name(f"depth_{key}.png")),
        confidence=present(file.with_name(f"conf_{key}.png")),
        least=1,
        time=None if time is None else fields.number(time, file, "time"),
    )


def present(path: Path) -> Path | None:
    """`path` where it is a file."""
    return path if path.is_file() else None


def lens_of(
    size: tuple[int, int], lens: tuple[float, float, float, float], file: Path, field: str
) -> Intrinsics:
    """A camera from fx, fy, cx, cy that count from the corner of the first pixel.

    Raises:
        CaptureError: a focal length is not positive; it names `file` and `field`.
    """
    fx, fy, cx, cy = (float(value) for value in lens)
    if fx <= 0 or fy <= 0:
        raise CaptureError(
            "focal lengths are not positive", file=file, field=field, mend="give values > 0"
        )
    return Intrinsics(*size, fx, fy, cx - 0.5, cy - 0.5)


def shrunk(camera: Intrinsics, width: int, height: int, file: Path) -> Intrinsics:
    """The same lens before a picture of `width` x `height`.

    Raises:
        CaptureError: a picture of another shape; it names `file`.
    """
    across, down = width / camera.width, height / camera.height
    if abs(across / down - 1) > STRETCH:
        raise CaptureError(
            f"is {width} x {height}, of another shape than the colour image of "
            f"{camera.width} x {camera.height}",
            file=file,
            mend="export colour and depth of one camera",
        )
    return Intrinsics(
        width,
        height,
        camera.fx * across,
        camera.fy * down,
        (camera.cx + 0.5) * across - 0.5,
        (camera.cy + 0.5) * down - 0.5,
    )


def make_frame(
    image: Path,
    camera: Intrinsics,
    pose: NDArray[np.float64],
    *,
    depth: Path | None = None,
    depth_size: tuple[int, int] | None = None,
    confidence: Path | None = None,
    least: int = 1,
    time: float | None = None,
) -> Frame:
    """A frame from what ARKit says of it, checked.

    Args:
        image: colour.
        camera: of the colour image.
        pose: `[4, 4]` camera-to-world, OpenGL axes, +y up.
        depth: 16 bit, millimetres, of any size; or packed (`piavas.capture.packed`).
        depth_size: width and height of `depth`, where it does not tell.
        confidence: of the size of `depth`.
        least: confidence from which depth is believed.
        time: seconds.

    Raises:
        CaptureError: an image is missing or does not fit.
    """
    check_header(image, camera, "colour")
    turned = Y_UP_TO_Z_UP @ pose
    if depth is None:
        return Frame(image, camera, turned, time=time)
    small = shrunk(camera, *(depth_size or image_size(depth)), depth)
    check_header(depth, small, "depth")
    if confidence is not None:
        check_header(confidence, small, "confidence")
    return Frame(
        image,
        small,
        turned,
        depth,
        time=time,
        image_intrinsics=camera if small != camera else None,
        confidence_path=confidence,
        confidence_least=least,
    )
