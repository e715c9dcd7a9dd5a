"""Read folders of RGB-D frames as 7-Scenes and many sensor tools write them.

`frame-XXXXXX.color.jpg|png`, `.depth.png` (16 bit, z-depth in millimetres, 0 and 65535 invalid),
`.pose.txt` (4x4 camera-to-world, OpenCV axes, metres), `camera-intrinsics.txt` (3x3, of the depth
images) and, optionally, `color-intrinsics.txt` (3x3, of the colour images).

The world of such a folder is that of its first camera. Poses come out with OpenGL axes in a world
turned to +z up by `piavas.capture.gravity`; `Capture.transform` keeps the turn.

Registration: where `color-intrinsics.txt` is absent, `piavas.capture.registration` measures
whether colour and depth lie on each other. In 7-Scenes (RedKitchen) both are 640 x 480, yet they
do not: the raw colour image must be scaled by .90 about its centre and moved some 7 px to meet
the depth image (edge correlation .19 against .05 as the files lie), which fits a colour camera of
focal length 528 px, 2.5 cm beside the depth camera of 585 px. Such frames carry the colour
camera as `Frame.image_intrinsics`, and `Frame.image()` is drawn onto the depth image; what remains
is the parallax of things much nearer or farther than the middle distance, some pixels.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.capture import fields
from piavas.capture.gravity import OPENCV_TO_OPENGL, align_to_gravity
from piavas.capture.images import check_header, image_size
from piavas.capture.registration import estimate_registration
from piavas.capture.types import Capture, Frame, Intrinsics
from piavas.errors import CaptureError

COLOUR = re.compile(r"^(?P<key>frame-\d+)\.color\.(jpg|jpeg|png)$")
INTRINSICS = "camera-intrinsics.txt"
SENSOR = "layout: poses are in metres and depth images in millimetres"
COLOUR_INTRINSICS = "color-intrinsics.txt"


class RgbdReader:
    """Folders of `frame-XXXXXX.color.*`, `.depth.png`, `.pose.txt`."""

    name = "rgbd"
    sign = "frame-XXXXXX.color.jpg"

    def matches(self, folder: Path) -> bool:
        """Whether any file in `folder` is named as such a frame."""
        return any(COLOUR.match(path.name) for path in folder.iterdir())

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`.

        Raises:
            CaptureError: anything missing or inconsistent.
        """
        images = sorted(path for path in folder.iterdir() if COLOUR.match(path.name))
        camera = _camera(folder / INTRINSICS, _depth_path(images[0]))
        own = folder / COLOUR_INTRINSICS
        colour = _camera(own, images[0]) if own.is_file() else None
        frames = tuple(_frame(image, camera, colour) for image in images)
        if colour is None:
            frames = _registered(frames)
        return align_to_gravity(Capture(folder, self.name, frames, np.eye(4), scale_by=SENSOR))


def _registered(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """`frames` with the colour camera that their images show, where it differs."""
    found = estimate_registration(frames)
    if not found.needed:
        return frames
    colour = found.camera(frames[0].intrinsics)
    return tuple(replace(frame, image_intrinsics=colour) for frame in frames)


def _key(image: Path) -> str:
    return image.name.split(".", 1)[0]


def _depth_path(image: Path) -> Path:
    return image.with_name(f"{_key(image)}.depth.png")


def _frame(image: Path, camera: Intrinsics, colour: Intrinsics | None) -> Frame:
    depth = _depth_path(image)
    check_header(image, colour or camera, "colour")
    check_header(depth, camera, "depth")
    file = image.with_name(f"{_key(image)}.pose.txt")
    pose = fields.pose(_matrix(file, 4), file, None)
    pose[:3, :3] = pose[:3, :3] @ OPENCV_TO_OPENGL
    return Frame(image, camera, pose, depth, image_intrinsics=colour)


def _matrix(file: Path, side: int) -> NDArray[np.float64]:
    if not file.is_file():
        raise CaptureError("no such file", file=file, mend="restore it")
    try:
        values = [[float(word) for word in line.split()] for line in file.read_text().splitlines()]
    except (UnicodeDecodeError, ValueError):
        values = []
    rows = [row for row in values if row]
    if [len(row) for row in rows] != [side] * side:
        raise CaptureError(
            f"holds no {side} x {side} numbers", file=file, mend=f"write {side} rows of {side}"
        )
    return np.array(rows)


def _camera(file: Path, image: Path) -> Intrinsics:
    matrix = _matrix(file, 3)
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    if not np.isfinite(matrix).all() or fx <= 0 or fy <= 0:
        raise CaptureError(
            "focal lengths are not positive", file=file, mend="give [fx 0 cx; 0 fy cy; 0 0 1]"
        )
    width, height = image_size(image)
    return Intrinsics(width, height, float(fx), float(fy), float(cx), float(cy))
