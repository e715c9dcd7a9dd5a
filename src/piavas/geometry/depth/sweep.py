"""A first guess for every pixel: planes square to the camera, swept through the scene.

Collins 1996; windows are compared by normalised cross-correlation (box filters), and a guess is
the plane of the best mean over the two best views.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
WINDOW = 9  # pixels
HYPOTHESES = 48


def inverse_depths(nearest: float, farthest: float) -> F32:
    """`HYPOTHESES` depths in metres, even in their inverse, far to near."""
    return (1 / np.linspace(1 / farthest, 1 / nearest, HYPOTHESES)).astype(np.float32)


def _box(image: F32) -> F32:
    return np.asarray(cv2.boxFilter(image, cv2.CV_32F, (WINDOW, WINDOW)))


def sweep(
    reference: F32,
    others: F32,
    lens: NDArray[np.float64],
    turns: NDArray[np.float64],
    places: NDArray[np.float64],
    lenses: NDArray[np.float64],
    depths: F32,
) -> F32:
    """Depth `[h, w]` of the best plane; arguments as for `patchmatch.spread`."""
    height, width = reference.shape
    mean = _box(reference)
    spread = np.maximum(_box(reference * reference) - mean**2, 1e-2)
    inverse = np.linalg.inv(_matrix(lens))
    best = np.full((height, width), np.inf, np.float32)
    out = np.full((height, width), depths[0], np.float32)
    for depth in depths:
        scores = []
        for image, turn, place, other in zip(others, turns, places, lenses, strict=True):
            plane = turn + np.outer(place, [0, 0, 1]) / depth
            map_ = _matrix(other) @ plane @ inverse
            warped = cv2.warpPerspective(
                image, map_, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT, borderValue=-1.0,
            )  # fmt: skip
            there = _box(warped)
            power = np.maximum(_box(warped * warped) - there**2, 1e-2)
            cost = 1 - (_box(reference * warped) - mean * there) / np.sqrt(spread * power)
            scores.append(np.where(cv2.erode(warped, np.ones((WINDOW, WINDOW))) < 0, 2.0, cost))
        score = np.sort(np.stack(scores), axis=0)[:2].mean(axis=0)
        better = score < best
        best[better], out[better] = score[better], depth
    return np.asarray(cv2.medianBlur(out, 5))


def _matrix(lens: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1.0]])
