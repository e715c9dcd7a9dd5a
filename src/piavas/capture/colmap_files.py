"""Files of COLMAP, binary and text, taken piece by piece; and the sparse points that they hold."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.errors import CaptureError

LONGEST_NAME = 4096
TRACK = 3
"""Images that must show a point: of two, a wrong match passes as well as a right one."""
ERROR = 2.0
"""Pixels: mean distance of a point from where images show it, above which it is left out."""


class Bytes:
    """A file taken piece by piece, little-endian."""

    def __init__(self, file: Path) -> None:
        self.file, self.data, self.at = file, file.read_bytes(), 0

    def take(self, form: str, field: str) -> tuple[int | float, ...]:
        """The next values of `form`."""
        size = struct.calcsize("<" + form)
        self.skip(size, field)
        return struct.unpack_from("<" + form, self.data, self.at - size)

    def skip(self, size: int, field: str) -> None:
        """Pass over `size` bytes, which must be there."""
        if self.at + size > len(self.data):
            raise CaptureError(
                f"is truncated at byte {len(self.data)}",
                file=self.file,
                field=field,
                mend="export the model anew",
            )
        self.at += size

    def text(self, field: str) -> str:
        """The next string, ended by a zero byte."""
        end = self.data.find(b"\0", self.at, self.at + LONGEST_NAME)
        size = (end if end >= 0 else len(self.data)) + 1 - self.at
        self.skip(size, field)
        try:
            return self.data[self.at - size : self.at - 1].decode()
        except UnicodeDecodeError:
            raise CaptureError(
                "is no UTF-8", file=self.file, field=field, mend="export the model anew"
            ) from None

    def end(self) -> None:
        """Raise unless all was taken."""
        if self.at != len(self.data):
            raise CaptureError(
                f"goes on after byte {self.at}", file=self.file, mend="export the model anew"
            )


def lines(file: Path) -> list[tuple[int, str]]:
    """Lines with their numbers from 1, without comments; blank ones stay."""
    try:
        found = file.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise CaptureError("is no text", file=file, mend="export the model as text") from None
    return [(n, line.strip()) for n, line in enumerate(found, 1) if not line.startswith("#")]


def broken(file: Path, where: str, form: str) -> CaptureError:
    """The error of a line that does not hold `form`."""
    return CaptureError(f"is no {form}", file=file, field=where, mend="export the model anew")


@dataclass(frozen=True)
class Sparse:
    """Points of a model.

    Args:
        places: `[n, 3]` in the model's world and unit.
        seen: indices into `places` by number of the image that shows them.
    """

    places: NDArray[np.float64]
    seen: dict[int, NDArray[np.int64]]


def read_points(file: Path) -> Sparse:
    """Points of `points3D.bin` or `.txt` that three images show, to two pixels in the mean.

    Raises:
        CaptureError: truncated, or not of the form.
    """
    places: list[tuple[float, ...]] = []
    seen: dict[int, list[int]] = {}
    for place, error, images in (_binary if file.suffix == ".bin" else _text)(file):
        if len(images) < TRACK or not error <= ERROR or not np.isfinite(place).all():
            continue
        for image in images:
            seen.setdefault(image, []).append(len(places))
        places.append(place)
    found = np.array(places, np.float64).reshape(-1, 3)
    return Sparse(found, {image: np.array(index) for image, index in seen.items()})


def _binary(file: Path) -> list[tuple[tuple[float, ...], float, set[int]]]:
    data = Bytes(file)
    found: list[tuple[tuple[float, ...], float, set[int]]] = []
    (count,) = data.take("Q", "number of points")
    for at in range(int(count)):
        where = f"points[{at}]"
        values = data.take("Q3d3BdQ", where)
        track = data.take(f"{2 * int(values[-1])}i", f"{where} TRACK")
        found.append((tuple(values[1:4]), float(values[7]), {int(n) for n in track[::2]}))
    data.end()
    return found


def _text(file: Path) -> list[tuple[tuple[float, ...], float, set[int]]]:
    found: list[tuple[tuple[float, ...], float, set[int]]] = []
    for number, line in lines(file):
        if not line:
            continue
        try:
            _, x, y, z, _, _, _, error, *track = line.split()
            place = float(x), float(y), float(z)
            found.append((place, float(error), {int(n) for n in track[::2]}))
        except ValueError:
            form = "POINT3D_ID X Y Z R G B ERROR TRACK[] as (IMAGE_ID, POINT2D_IDX)"
            raise broken(file, f"line {number}", form) from None
    return found
