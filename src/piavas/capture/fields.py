"""Strict look-ups in JSON records: each failure names the file, the field and the mend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import CaptureError, SimulationError
from piavas.scene import check_pose

Record = Mapping[str, Any]


def record(value: Any, file: Path, field: str) -> Record:
    """`value` as a JSON object."""
    if not isinstance(value, dict):
        raise CaptureError("is no JSON object", file=file, field=field, mend="give {...}")
    return value


def items(value: Any, file: Path, field: str) -> list[Any]:
    """`value` as a JSON list that holds something."""
    if not isinstance(value, list):
        raise CaptureError("is no JSON list", file=file, field=field, mend="give [...]")
    if not value:
        raise CaptureError("is empty", file=file, field=field, mend="give at least one entry")
    return value


def need(source: Record, key: str, file: Path, where: str = "") -> Any:
    """`source[key]`."""
    if key not in source:
        raise CaptureError("is missing", file=file, field=where + key, mend="write this key")
    return source[key]


def number(value: Any, file: Path, field: str) -> float:
    """`value` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CaptureError(
            f"{value!r} is no finite number", file=file, field=field, mend="give a number"
        )
    return float(value)


def text(value: Any, file: Path, field: str) -> str:
    """`value` as a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise CaptureError(f"{value!r} is no text", file=file, field=field, mend="give a string")
    return value


def array(value: Any, shape: tuple[int, ...], file: Path, field: str) -> NDArray[np.float64]:
    """`value` as a finite float64 array; -1 in `shape` stands for any length."""
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    fits = values.ndim == len(shape) and all(
        want in (-1, got) for want, got in zip(shape, values.shape, strict=True)
    )
    if not fits or not np.isfinite(values).all():
        sides = " x ".join("n" if side < 0 else str(side) for side in shape)
        raise CaptureError(
            f"holds no {sides} finite numbers", file=file, field=field, mend=f"give {sides} numbers"
        )
    return values


def pose(value: Any, file: Path, field: str | None) -> NDArray[np.float64]:
    """`value` as a rigid camera-to-world `[4, 4]`."""
    try:
        return check_pose(value, field or "pose")
    except SimulationError as problem:
        raise CaptureError(problem.what, file=file, field=field, mend=problem.mend) from None
    except (TypeError, ValueError):
        raise CaptureError(
            "is no matrix of numbers", file=file, field=field, mend="give a finite 4x4 matrix"
        ) from None


def existing(value: Any, folder: Path, file: Path, field: str) -> Path:
    """The file that `value` names, relative to `folder` or absolute; it must exist."""
    path = folder / text(value, file, field)
    if not path.is_file():
        raise CaptureError(
            f"no such file, named by {file} in {field}", file=path, mend="restore it or its entry"
        )
    return path
