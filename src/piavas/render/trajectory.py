"""A trajectory at other times."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation, Slerp

from piavas.scene import Trajectory


def sample_trajectory(trajectory: Trajectory, times: ArrayLike) -> Trajectory:
    """`trajectory` at `times`: positions linear, rotations slerp (Shoemake 1985).

    Args:
        trajectory: known poses.
        times: `[n]` seconds, rising; before the first and after the last known time the head
            rests there.

    Raises:
        SimulationError: times do not rise or are not finite.
    """
    wanted = np.atleast_1d(np.asarray(times, dtype=np.float64))
    known = trajectory.times
    held = np.clip(np.nan_to_num(wanted), known[0], known[-1])
    poses = np.tile(np.eye(4), (wanted.size, 1, 1))
    for axis in range(3):
        poses[:, axis, 3] = np.interp(held, known, trajectory.poses[:, axis, 3])
    turns = Rotation.from_matrix(trajectory.poses[:, :3, :3])
    poses[:, :3, :3] = (
        Slerp(known, turns)(held).as_matrix() if known.size > 1 else turns[0].as_matrix()
    )
    return Trajectory(np.where(np.isfinite(wanted), wanted, np.nan), poses)
