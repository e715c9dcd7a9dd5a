"""What there is to be seen from head and source: the surfaces around them, or photographs.

An extractor gives features of a pose and a source, as seen and as seen in a mirrored world, so that
a network that hears the world mirrored sees it mirrored too. `Panorama` needs no photograph and
no weights: it looks at the scene itself, and so holds for places where no camera has been.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.rays import RayCaster
from piavas.scene import OCTAVE_BANDS, Scene, as_point, check_pose

AROUND, UP = 8, 3
"""Cells of a panorama: in azimuth, and in the sine of elevation, so that all are as large."""
FINE = 3
"""Rays across each cell, and up it."""
FARTHEST = 30.0
"""Metres that count as open."""
HEARD = (250.0, 4000.0)
"""Hertz between which the absorption of a surface is averaged."""


@dataclass(frozen=True)
class Sight:
    """What is seen.

    Args:
        features: `[2, count]` as seen, and as seen in the mirror.
        facts: which images, for the record.
    """

    features: NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Extractor(Protocol):
    """Anything that says what is seen from a head at a pose, and from a source."""

    def __call__(self, pose: ArrayLike, source: ArrayLike) -> Sight:
        """Of a head `[4, 4]` and a source `[3]`."""


class Panorama:
    """Distance and absorption of what lies around the head, and around the source.

    The head looks in its own frame; the source, which has no front here, looks at the head.

    Args:
        scene: the room as stage 1 knows it.
    """

    def __init__(self, scene: Scene) -> None:
        self.caster = RayCaster(scene.vertices, scene.faces)
        low, high = HEARD
        heard = [low <= band <= high for band in OCTAVE_BANDS]
        of_material = np.array([m.absorption[heard].mean() for m in scene.materials])
        self.absorption = of_material[scene.face_material]

    def __call__(self, pose: ArrayLike, source: ArrayLike) -> Sight:
        """See `Extractor`: logarithms of metres and absorption, at the head, then at the source."""
        matrix, point = check_pose(pose), as_point(source, "source")
        right, up, back = matrix[:3, :3].T
        grids = [
            self._look(matrix[:3, 3], np.stack([-back, -right, up])),
            self._look(point, _facing(matrix[:3, 3] - point)),
        ]
        seen = np.concatenate(grids)
        mirrored = seen[:, ::-1]  # azimuth turns round: what was left is right
        return Sight(np.stack([seen.ravel(), mirrored.ravel()]).astype(np.float32))

    def _look(self, at: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
        """`[2, AROUND, UP]` of distance and absorption; rows of `frame` are ahead, left and up."""
        ways = (directions() @ frame).reshape(-1, 3)
        distance, face = self.caster.closest(np.broadcast_to(at, ways.shape), ways)
        far = np.log(np.clip(distance, 0.05, FARTHEST))
        taken = np.where(face >= 0, self.absorption[face], 1.0)
        cells = np.stack([far, taken]).reshape(2, AROUND, FINE, UP, FINE)
        return np.asarray(cells.mean(axis=(2, 4)))


def directions() -> NDArray[np.float64]:
    """Unit vectors `[AROUND FINE, UP FINE, 3]` (ahead, left, up), the same on both sides."""
    azimuth = 2 * np.pi * (np.arange(AROUND * FINE) + 0.5) / (AROUND * FINE)
    sine = 2 * (np.arange(UP * FINE) + 0.5) / (UP * FINE) - 1
    turn, height = np.meshgrid(azimuth, sine, indexing="ij")
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=-1)


def _facing(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows ahead, left and up of a level view along `way`."""
    flat = np.array([way[0], way[1], 0.0])
    size = float(np.linalg.norm(flat))
    ahead = flat / size if size > 1e-6 else np.array([1.0, 0.0, 0.0])
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([ahead, np.cross(up, ahead), up])
