"""Photos in a folder, or the sharpest frames of a video, and which are too poor to be placed.

Phones store portrait photos lying, with an EXIF note of how to turn them. Structure from motion
reads the pixels as they are stored, and the upright guess (`piavas.capture.gravity`) takes the
camera's right for level: such photos are turned here, once, and their EXIF kept, since it tells the
focal length.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.errors import CaptureError
from piavas.files import atomic
from piavas.progress import track

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
DARK = 12.0
"""Mean grey level, of 255, below which nothing is to be seen."""
ORIENTATION, UPRIGHT = 0x0112, 1
"""EXIF's tag of how an image is to be turned, and its value for not at all."""
BLURRED = 0.75
"""Blur, 0 to 1, from which nothing can be matched: what blurring an image again changes little."""


def gather_shots(source: Path, out: Path, frames: int) -> list[Path]:
    """Images of a folder, copied to `out`, or the sharpest of `frames` stretches of a video.

    Raises:
        CaptureError: neither, or no image.
    """
    if source.is_dir():
        found = sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise CaptureError(
                "holds no image", file=source, mend=f"give a folder of {', '.join(SUFFIXES)}"
            )
        out.mkdir(parents=True, exist_ok=True)
        for path in found:
            if not _turned(path, out / path.name):
                shutil.copyfile(path, out / path.name)
        return [out / path.name for path in found]
    if not source.is_file():
        raise CaptureError("no such file or folder", file=source, mend="check the path")
    return _frames(source, out, frames)


def _turned(path: Path, out: Path) -> bool:
    """Whether EXIF says that `path` lies; then it is written to `out` with its pixels upright."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if image.getexif().get(ORIENTATION, UPRIGHT) in (0, UPRIGHT):
                return False
            upright = ImageOps.exif_transpose(image)
            kind, exif = image.format, upright.getexif()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # `judge_shots` says what cannot be decoded
    exif[ORIENTATION] = UPRIGHT
    how = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    with atomic(out) as part, part.open("wb") as file:
        upright.save(file, kind, exif=exif, **how)
    return True


def _frames(video: Path, out: Path, count: int) -> list[Path]:
    import cv2

    film = cv2.VideoCapture(str(video))
    total = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    if not film.isOpened() or total < 1:
        raise CaptureError("cannot be read as a video", file=video, mend="convert it to MP4")
    out.mkdir(parents=True, exist_ok=True)
    ends = np.linspace(0, total, min(count, total) + 1).round().astype(int)[1:]
    found: list[Path] = []
    best: NDArray[np.uint8] | None = None
    sharpest = -1.0
    for number in track(range(total), "read video"):
        good, image = film.read()
        if good:
            clear = sharpness(np.asarray(image, np.uint8))
            if clear > sharpest:
                best, sharpest = np.asarray(image, np.uint8), clear
        if number + 1 == ends[len(found)] and best is not None:
            path = out / f"{len(found):05d}.png"
            with atomic(path) as part:
                part.write_bytes(cv2.imencode(".png", best)[1].tobytes())
            found.append(path)
            best, sharpest = None, -1.0
            if len(found) == len(ends):
                break
    film.release()
    if not found:
        raise CaptureError("holds no frame", file=video, mend="convert it to MP4")
    return found


def judge_shots(shots: Sequence[Path]) -> dict[str, str]:
    """The reason by name of images that cannot be decoded, are dark, or blurred (Crete 2007)."""
    found = {path.name: judge_shot(path) for path in shots}
    return {name: why for name, why in found.items() if why is not None}


def judge_shot(path: Path, widest: int | None = None) -> str | None:
    """Why an image is of no use, or None where it is.

    Args:
        path: of the image.
        widest: pixels to which it is thinned before; None for as it is.
    """
    import cv2
    from skimage.measure import blur_effect

    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return "cannot be decoded"
    if widest is not None and image.shape[1] > widest:
        size = widest, max(1, round(image.shape[0] * widest / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if image.mean() < DARK:
        return f"dark: mean grey level {image.mean():.0f} of 255"
    if image.std() > 0 and (blur := float(blur_effect(image))) > BLURRED:
        return f"blurred: {blur:.2f} of 1"
    return None


def sharpness(image: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) of `[h, w]` or `[h, w, 3]`."""
    import cv2

    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
