"""How much texture of its own a place has to be matched by."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

RADIUS = 4  # pixels of a window
ALIKE = 10.0  # grey levels within which two pixels belong to one surface


@njit(cache=True, parallel=True)
def own_contrast(grey):  # type: ignore[no-untyped-def]
    """Standard deviation `[h, w]` of those pixels of a window that look like its middle one.

    Beside the outline of a thing all windows are rich, and matching gives the plain wall behind it
    the thing's depth; a wall's own contrast tells.

    Args:
        grey: image `[h, w]` in grey levels of 255.
    """
    height, width = grey.shape
    out = np.zeros((height, width), np.float32)
    for v in prange(height):
        for u in range(width):
            middle, total, mean, power = grey[v, u], 0.0, 0.0, 0.0
            for i in range(max(v - RADIUS, 0), min(v + RADIUS + 1, height)):
                for j in range(max(u - RADIUS, 0), min(u + RADIUS + 1, width)):
                    off = grey[i, j] - middle
                    weight = np.exp(-0.5 * (off / ALIKE) ** 2)
                    total += weight
                    mean += weight * off
                    power += weight * off * off
            out[v, u] = np.sqrt(max(power / total - (mean / total) ** 2, 0.0))
    return out
