"""Where heads go, on disk: a JSON trajectory, or a table of positions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from piavas.errors import DataError, PiavasError
from piavas.files import read_json, write_json
from piavas.scene import Pose, Trajectory


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
    rows = np.genfromtxt(path, delimiter=",", names=True, ndmin=1, dtype=np.float64)
    yaws = rows["yaw"] if "yaw" in (rows.dtype.names or ()) else np.zeros(len(rows))
    places = np.stack([rows[axis] for axis in "xyz"], axis=1)
    poses = [Pose.at(place, yaw=yaw).matrix for place, yaw in zip(places, yaws, strict=True)]
    return Trajectory(np.arange(len(poses)), np.stack(poses))
