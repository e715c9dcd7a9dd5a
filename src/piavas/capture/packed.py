"""Bare arrays compressed by LZFSE, as Record3D writes them; the camera tells their size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture.types import Intrinsics
from piavas.errors import CaptureError, MissingDependencyError

KINDS = {".depth": "<f4", ".conf": "u1"}
"""Suffix to the kind of number: depth in metres, confidence."""


def read_packed(path: Path, camera: Intrinsics) -> NDArray[Any]:
    """Array `[height, width]` of the kind that the suffix tells.

    Raises:
        CaptureError: missing, undecodable, or of another size than the camera's.
        MissingDependencyError: the extra `record3d` is absent.
    """
    try:
        import lzfse
    except ImportError:
        raise MissingDependencyError(
            "depth of Record3D is compressed by LZFSE, which needs the package lzfse",
            file=path,
            mend='pip install "piavas[record3d]", or take depth from the images: "stereo"',
        ) from None
    kind = np.dtype(KINDS[path.suffix])
    try:
        data = lzfse.decompress(path.read_bytes())
    except FileNotFoundError:
        raise CaptureError("no such file", file=path, mend="restore it") from None
    except (lzfse.error, OSError):
        raise CaptureError("cannot be decoded", file=path, mend="unzip it anew") from None
    if len(data) != camera.width * camera.height * kind.itemsize:
        raise CaptureError(
            f"holds {len(data) // kind.itemsize} numbers, not {camera.width} x {camera.height}",
            file=path,
            mend="check dw and dh in metadata",
        )
    return np.frombuffer(data, kind).reshape(camera.height, camera.width)
