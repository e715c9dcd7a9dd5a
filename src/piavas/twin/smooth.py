"""Noise out of irradiance, edges left alone.

The edge-avoiding à-trous wavelet of Dammertz, Sewtz, Hanika, Lensch, "Edge-Avoiding À-Trous Wavelet
Transform for fast Global Illumination Filtering", HPG 2010, guided by normals and planes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
PLANE = 0.02  # metres off the tangent plane at which a neighbour's weight falls to 1/e
STEPS = (1, 2, 4, 8)


def smooth(value: F64, place: F64, normal: F64, steps: tuple[int, ...] = STEPS) -> F64:
    """`value` `[h, w, c]` averaged over neighbours on the same surface.

    Args:
        value: what to smooth.
        place: `[h, w, 3]` points seen, metres.
        normal: `[h, w, 3]` unit normals there.
        steps: pixels between neighbours, pass by pass.
    """
    for step in steps:
        total, weight = value.copy(), np.ones(value.shape[:2])
        for dy in (-step, 0, step):
            for dx in (-step, 0, step):
                if dx or dy:
                    _add(total, weight, value, place, normal, dy, dx)
        value = total / weight[..., None]
    return value


def _add(total: F64, weight: F64, value: F64, place: F64, normal: F64, dy: int, dx: int) -> None:
    """Add the neighbours at an offset to the running sums, in place."""
    here, there = _overlap(value.shape[:2], dy, dx)
    off = np.einsum("ijk,ijk->ij", place[there] - place[here], normal[here])
    alike = np.clip(np.einsum("ijk,ijk->ij", normal[here], normal[there]), 0, 1) ** 16
    share = alike * np.exp(-((off / PLANE) ** 2)) * (0.5 if dx and dy else 0.75)
    total[here] += share[..., None] * value[there]
    weight[here] += share


def _overlap(
    shape: tuple[int, ...], dy: int, dx: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of an image and of the same image shifted, where both have pixels."""
    h, w = shape
    here = (slice(max(0, -dy), h - max(0, dy)), slice(max(0, -dx), w - max(0, dx)))
    there = (slice(max(0, dy), h - max(0, -dy)), slice(max(0, dx), w - max(0, -dx)))
    return here, there
