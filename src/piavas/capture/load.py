"""One door for every layout: find the reader that knows a folder, and read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from piavas.capture.arkit import ScannerAppReader
from piavas.capture.colmap import ColmapReader
from piavas.capture.nerfstudio import NerfstudioReader
from piavas.capture.polycam import PolycamReader
from piavas.capture.record3d import Record3DReader
from piavas.capture.rgbd import RgbdReader
from piavas.capture.types import Capture
from piavas.errors import CaptureError


class Reader(Protocol):
    """What knows one layout on disk."""

    @property
    def name(self) -> str:
        """Key of the layout, as in `Capture.layout`."""
        ...

    @property
    def sign(self) -> str:
        """What marks a folder of this layout, in words, for the error message."""
        ...

    def matches(self, folder: Path) -> bool:
        """Whether `folder` bears the sign of this layout."""
        ...

    def read(self, folder: Path) -> Capture:
        """Read and check `folder`; a `CaptureError` names the file that is wrong."""
        ...


READERS: tuple[Reader, ...] = (
    NerfstudioReader(),
    RgbdReader(),
    ColmapReader(),
    PolycamReader(),
    ScannerAppReader(),
    Record3DReader(),
)


def load_capture(path: str | os.PathLike[str]) -> Capture:
    """Read a capture of any supported layout; the layout is found by its files.

    Poses come out in the convention of the house: camera-to-world, OpenGL axes (+x right,
    +y up, -z ahead), world right-handed with +z up. Every path, image size and pose is checked
    here, from the headers alone; pixels are read by `Frame.image`, `.depth` and `.labels`.

    Args:
        path: folder of one of the layouts in `READERS`.

    Raises:
        CaptureError: no such folder, no known layout, two layouts at once, or anything in it
            that is missing or inconsistent; it names the file.
    """
    folder = Path(path)
    if folder.suffix == ".r3d" and folder.is_file():
        raise CaptureError(
            "is a ZIP of a recording of Record3D",
            file=folder,
            mend="unzip it into a folder, and give that",
        )
    if not folder.is_dir():
        raise CaptureError("no such folder", file=folder, mend="give the folder of a capture")
    found = [reader for reader in READERS if reader.matches(folder)]
    if len(found) == 1:
        return found[0].read(folder)
    if found:
        raise CaptureError(
            f"holds {len(found)} layouts: {', '.join(reader.name for reader in found)}",
            file=folder,
            mend="keep one of them in the folder",
        )
    raise CaptureError(
        "is no capture of a known layout",
        file=folder,
        mend="give a folder with " + " or ".join(f"{r.sign} ({r.name})" for r in READERS),
    )
