"""Read the raw data that Polycam exports (LiDAR and room mode, developer mode on).

`keyframes/corrected_cameras/*.json` with `keyframes/corrected_images/`, else `keyframes/cameras/`
with `keyframes/images/`: `fx`, `fy`, `cx`, `cy`, `width`, `height` and `t_00` to `t_23`, the upper
rows of the camera-to-world matrix. `keyframes/depth/*.png` (16 bit, millimetres) and
`keyframes/confidence/*.png` (0 low, 127 medium, 255 high) are small; depth of low confidence is
not believed. Files of one frame share a name, the time in microseconds. `blur_score` is not read.

Axes, pixels and sizes are those of ARKit, as `piavas.capture.arkit` tells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from piavas.capture import fields
from piavas.capture.arkit import DEVICE, Y_UP_TO_Z_UP, lens_of, make_frame, present
from piavas.capture.types import Capture, Frame
from piavas.errors import CaptureError
from piavas.files import read_json

KEYFRAMES = "keyframes"
PAIRS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))
KINDS = (".jpg", ".jpeg", ".png")
MEDIUM = 127


class PolycamReader:
    """Folders with `keyframes/`."""

    name = "polycam"
    sign = "keyframes/cameras/*.json"

    def matches(self, folder: Path) -> bool:
        """Whether `folder` has `keyframes/` with cameras."""
        return any((folder / KEYFRAMES / cameras).is_dir() for cameras, _ in PAIRS)

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`.

        Raises:
            CaptureError: anything missing or inconsistent.
        """
        root = folder / KEYFRAMES
        cameras, images = _pair(root)
        files = sorted(cameras.glob("*.json"), key=lambda file: (len(file.stem), file.stem))
        if not files:
            raise CaptureError("holds no cameras", file=cameras, mend="export the raw data anew")
        frames = tuple(_frame(file, images, root) for file in files)
        return Capture(folder, self.name, frames, Y_UP_TO_Z_UP.copy(), scale_by=DEVICE)


def _pair(root: Path) -> tuple[Path, Path]:
    """The folders of cameras and images that belong together; optimised ones go first."""
    for cameras, images in PAIRS:
        if (root / cameras).is_dir() and (root / images).is_dir():
            return root / cameras, root / images
    raise CaptureError(
        "its cameras have no images", file=root, mend="restore images/ or corrected_images/"
    )


def _frame(file: Path, images: Path, root: Path) -> Frame:
    entry = fields.record(read_json(file, error=CaptureError), file, "top level")

    def given(key: str) -> float:
        return fields.number(fields.need(entry, key, file), file, key)

    pose = np.eye(4)
    pose[:3] = [[given(f"t_{row}{column}") for column in range(4)] for row in range(3)]
    lens = given("fx"), given("fy"), given("cx"), given("cy")
    found = [path for kind in KINDS if (path := present(images / (file.stem + kind)))]
    if not found:
        raise CaptureError(
            f"no such file, for {file}", file=images / f"{file.stem}.jpg", mend="restore it"
        )
    name = f"{file.stem}.png"
    return make_frame(
        found[0],
        lens_of((int(given("width")), int(given("height"))), lens, file, "fx, fy"),
        fields.pose(pose, file, "t_00 to t_23"),
        depth=_depth(root / "depth", name, file),
        confidence=present(root / "confidence" / name),
        least=MEDIUM,
        time=int(file.stem) / 1e6 if file.stem.isdecimal() else None,
    )


def _depth(folder: Path, name: str, file: Path) -> Path | None:
    """The depth image of a frame; None where the export has no depth at all."""
    if not folder.is_dir():
        return None
    if not (folder / name).is_file():
        raise CaptureError(
            f"no such file, for {file}", file=folder / name, mend="restore it, or take depth/ away"
        )
    return folder / name
