"""An image with what matching found in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.geometry.depth.patchmatch import FLAT

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Plate:
    """An image with what matching found in it.

    Args:
        colour: `[h, w, 3]` bytes.
        depth: `[h, w]` z-depth in metres, 0 where nothing is known.
        lens: `[4]` fx, fy, cx, cy in pixels.
        pose: `[4, 4]` camera-to-world, OpenGL axes.
        contrast: `[h, w]` of each place's own (`piavas.geometry.depth.texture`), None for plenty.
    """

    colour: NDArray[np.uint8]
    depth: F32
    lens: F64
    pose: F64
    contrast: F32 | None = None

    @property
    def stays(self) -> F32:
        """Depth `[h, w]` that no plane takes the place of: that of what has a texture."""
        if self.contrast is None:
            return self.depth
        return np.where(self.contrast < FLAT, 0, self.depth).astype(np.float32)

    def rays(self) -> F64:
        """Directions `[h, w, 3]` of z-depth 1 in the world."""
        v, u = np.indices(self.depth.shape).astype(np.float64)
        fx, fy, cx, cy = self.lens
        ray = np.stack([(u - cx) / fx, -(v - cy) / fy, -np.ones_like(u)], -1)
        return np.asarray(ray @ self.pose[:3, :3].T)

    def points(self, depth: F32 | None = None) -> F64:
        """World points `[n, 3]` of the pixels with `depth`, None for the plate's own."""
        z = self.depth if depth is None else depth
        return np.asarray(self.pose[:3, 3] + z[z > 0][:, None] * self.rays()[z > 0])
