"""Real spherical harmonics of the ambiX convention: ACN order, SN3D norm."""

from __future__ import annotations

from math import factorial, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import assoc_legendre_p_all


def harmonics(directions: NDArray[np.floating], order: int) -> NDArray[np.float64]:
    """Real spherical harmonics `[n, (order + 1)²]` at unit vectors `[n, 3]`.

    Axes x ahead, y left, z up; no Condon-Shortley phase (Nachbar et al., "ambiX", 2011).
    """
    d = np.asarray(directions, dtype=np.float64)
    azimuth = np.arctan2(d[:, 1], d[:, 0])
    # assoc_legendre_p_all: [1, degree, order (wrapped negatives), n], with Condon-Shortley phase.
    legendre = assoc_legendre_p_all(order, order, np.clip(d[:, 2], -1, 1))[0]
    columns = []
    for n in range(order + 1):
        for m in range(-n, n + 1):
            k = abs(m)
            norm = sqrt((1 if m == 0 else 2) * factorial(n - k) / factorial(n + k))
            turn = np.cos(k * azimuth) if m >= 0 else np.sin(k * azimuth)
            columns.append((-1) ** k * norm * legendre[n, k] * turn)
    return np.stack(columns, axis=1)


def to_head(pose: NDArray[np.float64], directions: NDArray[np.floating]) -> NDArray[np.float64]:
    """World vectors `[n, 3]` in the frame of a head (x ahead, y left, z up) at `pose` `[4, 4]`."""
    right, up, back = pose[:3, :3].T
    return np.asarray(directions @ np.stack([-back, -right, up], axis=1))
