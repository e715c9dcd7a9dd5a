"""Pixels of a frame: colour, depth and labels, undistorted onto the frame's pinhole.

PIL decodes, because it refuses truncated files where OpenCV returns half an image; EXIF rotation
is not applied, since intrinsics describe the pixels as they are stored.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from piavas.capture.packed import KINDS, read_packed
from piavas.capture.types import Frame, Intrinsics
from piavas.errors import CaptureError

DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")
"""PIL's names of single-channel images of 16 bit (PNG of 16 bit opens as `I` in older versions)."""
LABEL_MODES = (*DEPTH_MODES, "L", "P")


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise CaptureError("no such file", file=path, mend="restore the image") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise CaptureError(
            f"cannot be read as an image: {problem}", file=path, mend="write it anew"
        ) from None


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone."""
    with _open(path) as image:
        return image.size


def check_header(path: Path, intrinsics: Intrinsics, kind: str) -> None:
    """Raise a `CaptureError` unless the image header fits; no pixel is decoded.

    Args:
        path: the image.
        intrinsics: whose width and height it must have.
        kind: "colour", "depth" (one channel of 16 bit), "label" (one channel of 8 or 16) or
            "confidence" (one channel of 8).
    """
    if path.suffix in KINDS:  # has no header
        return
    modes = {"depth": DEPTH_MODES, "label": LABEL_MODES, "confidence": ("L",)}.get(kind)
    with _open(path) as image:
        size, mode = image.size, image.mode
    if size != (intrinsics.width, intrinsics.height):
        raise CaptureError(
            f"{kind} image is {size[0]} x {size[1]}, its intrinsics are of "
            f"{intrinsics.width} x {intrinsics.height}",
            file=path,
            mend="give intrinsics of this image's size, or resize the image",
        )
    if modes is not None and mode not in modes:
        raise CaptureError(
            f"{kind} image has pixels of kind {mode}",
            file=path,
            mend="give one channel of "
            + {"label": "16 or 8 bit", "confidence": "8 bit"}.get(kind, "16 bit"),
        )


def _pixels(path: Path, intrinsics: Intrinsics, kind: str) -> NDArray[Any]:
    if path.suffix in KINDS:
        return read_packed(path, intrinsics)
    check_header(path, intrinsics, kind)
    with _open(path) as image:
        try:
            return np.asarray(image.convert("RGB") if kind == "colour" else image)
        except (OSError, ValueError, SyntaxError) as problem:
            raise CaptureError(
                f"cannot be decoded: {problem}", file=path, mend="write it anew"
            ) from None


def _resample(
    pixels: NDArray[Any], camera: Intrinsics, target: Intrinsics, border: int, *, smooth: bool
) -> NDArray[Any]:
    """Move an image from `camera` to the distortion-free pinhole of `target`."""
    if not any(camera.distortion) and (camera == target):
        return pixels
    import cv2

    if smooth:
        pixels, camera = _thinned(pixels, camera, target)
    x, y = cv2.initUndistortRectifyMap(
        camera.matrix,
        np.array(camera.distortion),
        np.eye(3),
        target.matrix,
        (target.width, target.height),
        cv2.CV_32FC1,
    )
    way = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    return cv2.remap(pixels, x, y, way, borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 4)


def _thinned(
    pixels: NDArray[Any], camera: Intrinsics, target: Intrinsics
) -> tuple[NDArray[Any], Intrinsics]:
    """Averages over blocks, where `target` has far fewer pixels: sampling alone would alias."""
    import cv2

    by = int(camera.fx / target.fx)
    if by < 2 or camera.width % by or camera.height % by:
        return pixels, camera
    width, height = camera.width // by, camera.height // by
    thin = replace(
        camera,
        width=width,
        height=height,
        fx=camera.fx / by,
        fy=camera.fy / by,
        cx=(camera.cx + 0.5) / by - 0.5,
        cy=(camera.cy + 0.5) / by - 0.5,
    )
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), thin


def read_color(frame: Frame) -> NDArray[np.uint8]:
    """Colour `[height, width, 3]` RGB on the pinhole of `frame.intrinsics`, black outside.

    Raises:
        CaptureError: missing, undecodable, or of another size than its intrinsics.
    """
    camera = frame.image_intrinsics or frame.intrinsics
    pixels = _pixels(frame.image_path, camera, "colour")
    return _resample(pixels, camera, frame.intrinsics, 0, smooth=True)


def read_depth(frame: Frame) -> NDArray[np.float32]:
    """z-depth `[height, width]` in metres, undistorted by nearest neighbour, NaN where invalid.

    Raises:
        CaptureError: the frame has none, or it is missing, undecodable, of another size.
    """
    path = frame.depth_path
    if path is None:
        raise CaptureError(
            "has no depth image", file=frame.image_path, mend="give a capture with depth"
        )
    raw = _pixels(path, frame.intrinsics, "depth")
    if path.suffix in KINDS:
        metres = np.where(raw > 0, raw, np.float32(np.nan)) * np.float32(1e3 * frame.depth_scale)
    else:
        raw = raw.astype(np.uint16)
        metres = (raw * np.float64(frame.depth_scale)).astype(np.float32)
        metres[np.isin(raw, frame.depth_invalid)] = np.nan
    if frame.confidence_path is not None:
        trust = _pixels(frame.confidence_path, frame.intrinsics, "confidence")
        metres[trust < frame.confidence_least] = np.nan
    if not any(frame.intrinsics.distortion):
        return metres
    # 0 marks what lies outside the image; a metre value is never exactly 0.
    moved = _resample(metres, frame.intrinsics, frame.intrinsics, 0, smooth=False)
    moved[moved == 0] = np.nan
    return moved


def read_labels(frame: Frame) -> NDArray[np.int32]:
    """Label indices `[height, width]`, undistorted by nearest neighbour, -1 where there is none.

    255 in an 8-bit and 65535 in a 16-bit image mean "no label".

    Raises:
        CaptureError: the frame has none, or it is missing, undecodable, of another size.
    """
    path = frame.label_path
    if path is None:
        raise CaptureError(
            "has no label image", file=frame.image_path, mend="give a capture with labels"
        )
    raw = _pixels(path, frame.intrinsics, "label")
    void = 255 if raw.dtype == np.uint8 else 65535
    moved = _resample(raw.astype(np.uint16), frame.intrinsics, frame.intrinsics, void, smooth=False)
    labels = moved.astype(np.int32)
    labels[labels == void] = -1
    return labels
