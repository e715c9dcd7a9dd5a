"""What the network knows of the place: the source as the head sees it, and more if asked for.

Nothing in it tells where in the room the head is, so that it holds for places never heard.
More is what images show (`piavas.refine.views`) and numbers that physics knows of the response
(`piavas.refine.room`). A network that hears the world mirrored needs images of the mirrored world,
so images come in pairs: as seen, and as seen in the mirror.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.errors import DataError
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


def condition(
    pose: ArrayLike,
    source: ArrayLike,
    images: ArrayLike | None = None,
    acoustics: ArrayLike | None = None,
    *,
    counts: tuple[int, int] = (0, 0),
    name: str = "",
) -> NDArray[np.float32]:
    """All that a network of `counts` knows, `[FEATURES + 2 images + acoustics]`.

    Args:
        pose: `[4, 4]` of the head.
        source: `[3]` metres.
        images: `[2, images]` as seen and as seen in the mirror; not read where the count is 0.
        acoustics: `[acoustics]`; likewise.
        counts: of image features and of numbers of the room that the network takes.
        name: of the clip, for errors.

    Raises:
        DataError: what the network takes is not given, or in another number.
    """
    parts = [place_features(pose, source)]
    for given, field, shape in (
        (images, "images", (2, counts[0])),
        (acoustics, "acoustics", (counts[1],)),
    ):
        if not shape[-1]:
            continue
        if given is None or np.shape(given) != shape:
            raise DataError(
                f"the model takes {shape[-1]} features and gets "
                f"{'none' if given is None else np.shape(given)[-1]}",
                field=f"{name}.{field}" if name else field,
                mend=f"import the clips with --{field} as for training",
            )
        parts.append(np.asarray(given, np.float32).ravel())
    return np.concatenate(parts)


def mirror(counts: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Order and signs that make of `condition` what it were with left and right swapped.

    Numbers of the room are those of both ears together and stay.
    """
    images, acoustics = counts
    places = np.arange(FEATURES)
    seen = FEATURES + np.arange(2 * images).reshape(2, images)[::-1].ravel()
    heard = FEATURES + 2 * images + np.arange(acoustics)
    signs = np.concatenate([MIRROR, np.ones(2 * images + acoustics, np.float32)])
    return np.concatenate([places, seen, heard]).astype(np.int64), signs
