"""Where a clip was heard, as the learned baselines are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piavas.refine import Clip
from piavas.scene import Mesh, Scene

OCTAVES = 6
MARGIN = 1.0  # metres that the box reaches beyond what was heard in training
PLACE = 9


@dataclass(frozen=True)
class Box:
    """The part of the world that coordinates are relative to.

    Args:
        low: `[3]` metres.
        high: `[3]` metres.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def around(cls, clips: Sequence[Clip], scene: Mesh | Scene | None = None) -> Box:
        """All heads and sources of `clips` with a margin, and all of the scene.

        What lies outside is seen at the border, so without the scene a source in a room that was
        never walked through is not told from others.
        """
        points = np.concatenate([[c.pose[:3, 3] for c in clips], [c.source for c in clips]])
        low, high = points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN
        if scene is not None:
            low = np.minimum(low, scene.vertices.min(axis=0))
            high = np.maximum(high, scene.vertices.max(axis=0))
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    def normal(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres `[..., 3]` to [-1, 1], at most."""
        low, high = np.array(self.low), np.array(self.high)
        return np.clip(2 * (points - low) / (high - low) - 1, -1, 1)


def place_of(clip: Clip, box: Box) -> Tensor:
    """`[PLACE]`: head and source in the box, and the way to the source as the head sees it.

    The last has the direction's x ahead, y left and z up.
    """
    way = clip.source - clip.pose[:3, 3]
    right, up, back = clip.pose[:3, :3].T
    seen = np.array([-back @ way, -right @ way, up @ way]) / max(float(np.linalg.norm(way)), 0.1)
    head, source = box.normal(clip.pose[:3, 3]), box.normal(clip.source)
    return torch.from_numpy(np.concatenate([head, source, seen]).astype(np.float32))


def waves(x: Tensor) -> Tensor:
    """Sines and cosines of `[..., n]` in octaves (Mildenhall et al. 2020), and the values."""
    scaled = [torch.pi * 2**k * x for k in range(OCTAVES)]
    return torch.cat([x, *(f(s) for s in scaled for f in (torch.sin, torch.cos))], dim=-1)


def waved(count: int) -> int:
    """Width of `waves` of so many values."""
    return count * (1 + 2 * OCTAVES)
