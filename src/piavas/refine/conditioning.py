"""What the network knows of the place: the source as the head sees it.

Nothing in it tells where in the room the head is, so that it holds for places never heard.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.scene import as_point, check_pose

OCTAVES = 4
FEATURES = 3 * (1 + 2 * OCTAVES) + 3
NEAREST = 0.1  # metres


def _mirror() -> NDArray[np.float32]:
    """Signs `[FEATURES]` that swap left and right: of y, and of the sines of y."""
    signs = np.ones(FEATURES, np.float32)
    signs[1] = -1
    for k in range(OCTAVES):
        signs[3 + 6 * k + 1] = -1
    return signs


MIRROR = _mirror()


def place_features(pose: ArrayLike, source: ArrayLike) -> NDArray[np.float32]:
    """Features `[FEATURES]` of a source `[3]` as seen from a head at `pose` `[4, 4]`.

    The direction in the head's frame (x ahead, y left, z up) with its sines and cosines at
    `OCTAVES` octaves, and the distance as logarithm, inverse and height difference in metres.
    Turning and moving head and source together changes nothing, save that up stays up.
    """
    matrix, point = check_pose(pose), as_point(source, "source")
    way = point - matrix[:3, 3]
    far = max(float(np.linalg.norm(way)), NEAREST)
    right, up, back = matrix[:3, :3].T
    seen = np.array([-back @ way, -right @ way, up @ way]) / far
    waves = [f(np.pi * 2**k * seen) for k in range(OCTAVES) for f in (np.sin, np.cos)]
    distance = [np.log(far), 1 / far, way[2]]
    return np.concatenate([seen, *waves, distance]).astype(np.float32)
