"""Where heads go, on disk: a JSON trajectory, or a table of positions."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from piavas.errors import DataError, PiavasError, SimulationError
from piavas.files import read_json, write_json
from piavas.scene import Pose, Trajectory

KEYS = ("x", "y", "z", "yaw")


def write_trajectory(path: str | os.PathLike[str], trajectory: Trajectory) -> None:
    """Write `{"times": [n], "poses": [n, 4, 4]}` as JSON."""
    write_json(path, {"times": trajectory.times.tolist(), "poses": trajectory.poses.tolist()})


def read_trajectory(path: str | os.PathLike[str]) -> Trajectory:
    """Read poses from a file.

    Args:
        path: JSON `{"times": [n] (seconds; may be absent: one a second), "poses": [n, 4, 4]}`,
            or CSV with the columns x, y, z in metres and, if wanted, yaw in degrees from +x.

    Raises:
        DataError: missing, or not of this form; the message holds the path.
    """
    path = Path(path)
    try:
        return _from_csv(path) if path.suffix.lower() == ".csv" else _from_json(path)
    except DataError:
        raise
    except PiavasError as problem:
        raise DataError(problem.what, file=path, field=problem.field, mend=problem.mend) from None
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(
            f"holds no poses: {problem}", file=path, mend='give {"times": [...], "poses": [...]}'
        ) from None


def _from_json(path: Path) -> Trajectory:
    data = read_json(path)
    poses = np.asarray(data["poses"], dtype=np.float64)
    return Trajectory(np.asarray(data.get("times", np.arange(len(poses)))), poses)


def _from_csv(path: Path) -> Trajectory:
    if not path.is_file():
        raise DataError("no such file", file=path, mend="check the path")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    poses = [_pose_of_row(row, path, f"line {i + 2}").matrix for i, row in enumerate(rows)]
    return Trajectory(np.arange(len(poses), dtype=np.float64), np.array(poses))


def _pose_of_row(row: Mapping[str, str | None], path: Path, where: str) -> Pose:
    try:
        x, y, z, yaw = (float(row.get(key) or ("0" if key == "yaw" else "")) for key in KEYS)
        return Pose.at((x, y, z), yaw=yaw)
    except (ValueError, SimulationError):
        raise DataError(
            "holds no finite x, y, z", file=path, field=where, mend="head the columns x, y, z, yaw"
        ) from None
