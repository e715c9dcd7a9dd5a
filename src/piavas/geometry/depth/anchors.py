"""A network's depth held against points that are known, image by image.

Networks tell shapes well and sizes badly: a scale that is wrong by some percent in every image, and
slow errors over the image. Both are one smooth factor, fitted where stereo, a sensor or a sparse
model knows the depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

FEWEST = 30
"""Known pixels below which nothing is fitted."""
SMOOTH = 300
"""Known pixels from which the factor may bend over the image."""
SPREAD = 0.25
"""Median deviation of log ratios above which the two do not speak of the same."""
BINS = 4
"""Along each side of the image; known pixels must lie in half of the squares to bend the factor."""


@dataclass(frozen=True)
class Anchored:
    """Depth after the fit.

    Args:
        depth: `[h, w]` metres.
        factor: median of what the network's depth was multiplied by.
        spread: median deviation of the logarithms of known over fitted depth.
        anchors: pixels that were known; 0 where the network's depth stands as it was.
    """

    depth: F32
    factor: float
    spread: float
    anchors: int


def anchor_depth(depth: F32, known: F32) -> Anchored | None:
    """`depth` times the smooth factor that brings it nearest to what is `known`.

    The logarithm of the factor is a quadratic over the image where many pixels are known all over
    it, else a constant, fitted by least absolute deviations (reweighted least squares).

    Args:
        depth: `[h, w]` of the network.
        known: `[h, w]` metres; not finite or 0 where nothing is known.

    Returns:
        None where the two contradict each other.
    """
    both = np.isfinite(known) & (known > 0) & np.isfinite(depth) & (depth > 0)
    count = int(both.sum())
    if count < FEWEST:
        return Anchored(depth, 1.0, 0.0, 0)
    v, u = np.nonzero(both)
    ratio = np.log(known[both].astype(np.float64) / depth[both])
    bends = count >= SMOOTH and _covers(u, v, depth.shape)
    weights = _fit(_basis(u, v, depth.shape, bends), ratio)
    left = ratio - _basis(u, v, depth.shape, bends) @ weights
    spread = float(np.median(np.abs(left)))
    if spread > SPREAD:
        return None
    rows, columns = np.indices(depth.shape)
    factor = np.exp(_basis(columns.ravel(), rows.ravel(), depth.shape, bends) @ weights)
    scaled = depth * factor.reshape(depth.shape).astype(np.float32)
    return Anchored(scaled, float(np.median(factor)), spread, count)


def _covers(u: NDArray[np.intp], v: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    squares = BINS * (BINS * v // shape[0]) + BINS * u // shape[1]
    return len(np.unique(squares)) >= BINS * BINS // 2


def _basis(
    u: NDArray[np.intp], v: NDArray[np.intp], shape: tuple[int, ...], bends: bool
) -> NDArray[np.float64]:
    """Columns of a quadratic in image coordinates of [-1, 1], or of a constant."""
    x, y = 2 * u / max(shape[1] - 1, 1) - 1, 2 * v / max(shape[0] - 1, 1) - 1
    one = np.ones(len(x))
    return np.stack([one, x, y, x * x, x * y, y * y] if bends else [one], axis=1)


def _fit(basis: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    weight: NDArray[np.float64] = np.ones(len(wanted))
    found: NDArray[np.float64] = np.zeros(basis.shape[1])
    for _ in range(15):
        scaled = basis * weight[:, None]
        found = np.asarray(np.linalg.lstsq(scaled, wanted * weight, rcond=None)[0], np.float64)
        weight = 1 / np.sqrt(np.abs(wanted - basis @ found) + 1e-3)
    return found
