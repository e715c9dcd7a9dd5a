"""Whether colour and depth images lie on each other, and by how much they do not.

A colour camera beside a depth camera sees with another focal length from another place. To first
order a colour pixel is a similarity of the depth pixel, uc = s (ud - c) + c + t; s is the ratio of
the focal lengths, t the offset of the axes and the parallax at the middle distance. Steps in depth
are edges in colour, so (s, t) is where the gradient of the colour best matches the steps of the
depth (mean correlation over some frames), by a grid at a quarter of the size and Nelder-Mead at
half of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from piavas.capture.types import Frame, Intrinsics

Image = NDArray[Any]
"""float32 `[height, width]`."""

MAX_FRAMES = 12
STEP = 0.06
"""A depth step, relative to the nearer depth."""
SCALES = np.arange(0.84, 1.17, 0.02)
SHIFTS = np.arange(-24.0, 25.0, 8.0)
GAIN = 0.05
"""Correlation that registration must win to be believed."""


@dataclass(frozen=True)
class Registration:
    """A similarity from depth pixels to colour pixels about the image centre.

    Args:
        scale: colour pixels a depth pixel.
        shift: `[2]` pixels, right and down.
        correlation: of edges, with it.
        correlation_without: of edges, as the files lie.
    """

    scale: float
    shift: tuple[float, float]
    correlation: float
    correlation_without: float

    @property
    def needed(self) -> bool:
        """Whether the images are clearly better aligned with it than without."""
        return self.correlation - self.correlation_without > GAIN

    def camera(self, depth: Intrinsics) -> Intrinsics:
        """The colour camera, given that of the depth images."""
        middle = np.array([(depth.width - 1) / 2, (depth.height - 1) / 2])
        cx, cy = self.scale * (np.array([depth.cx, depth.cy]) - middle) + middle + self.shift
        return replace(
            depth, fx=depth.fx * self.scale, fy=depth.fy * self.scale, cx=float(cx), cy=float(cy)
        )


def estimate_registration(frames: Sequence[Frame]) -> Registration:
    """Measure the registration of colour and depth images of equal size.

    Raises:
        CaptureError: an image cannot be read.
    """
    chosen = frames[:: -(-len(frames) // MAX_FRAMES)]
    pairs = [_edges(frame) for frame in chosen]
    coarse, fine = ([_shrink(pair, n) for pair in pairs] for n in (4, 2))
    grid = [(s, x, y) for s in SCALES for x in SHIFTS for y in SHIFTS]
    start = max(grid, key=lambda p: _match(coarse, p, 4))
    # Nelder-Mead wants all parameters of one size: a tenth of a pixel weighs as .001 of scale.
    unit = np.array([0.01, 1.0, 1.0])
    simplex = np.array(start) / unit + np.vstack([np.zeros(3), 2.0 * np.eye(3)])
    best = minimize(
        lambda p: -_match(fine, p * unit, 2),
        simplex[0],
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-4},
    )
    scale, x, y = best.x * unit
    without = _match(fine, (1.0, 0.0, 0.0), 2)
    return Registration(float(scale), (float(x), float(y)), float(-best.fun), without)


def _edges(frame: Frame) -> tuple[Image, Image]:
    """Depth steps and colour gradient, both `[height, width]`."""
    import cv2

    depth = frame.depth()
    near = np.fmax(np.nan_to_num(depth, nan=1.0), 0.1)
    steps = np.zeros(depth.shape, np.float32)
    with np.errstate(invalid="ignore"):
        for axis in (0, 1):
            steps[np.abs(np.diff(depth, axis=axis, prepend=np.nan)) > STEP * near] = 1
    grey = cv2.GaussianBlur(frame.image().astype(np.float32).mean(axis=-1), (0, 0), 1.0)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    # Strong texture must not outweigh the outlines of things.
    return cv2.GaussianBlur(steps, (0, 0), 2.0), np.minimum(gradient, 200).astype(np.float32)


def _shrink(pair: tuple[Image, Image], by: int) -> tuple[Image, Image]:
    import cv2

    height, width = pair[0].shape
    size = (width // by, height // by)
    steps, gradient = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in pair)
    return steps, gradient


def _match(pairs: Sequence[tuple[Image, Image]], p: Any, by: int) -> float:
    """Mean correlation of depth steps with the colour gradient drawn onto them by `p`."""
    import cv2

    scale, x, y = p
    height, width = pairs[0][0].shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    way = np.array(
        [[scale, 0, cx - scale * cx + x / by], [0, scale, cy - scale * cy + y / by]], np.float32
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # All candidates are judged on the inner part, which even the widest one covers.
    inner = np.s_[height // 8 : -(height // 8), width // 8 : -(width // 8)]
    total = 0.0
    for steps, gradient in pairs:
        a = steps[inner].ravel()
        b = cv2.warpAffine(gradient, way, (width, height), flags=flags)[inner].ravel()
        a, b = a - a.mean(), b - b.mean()
        total += float(a @ b / max(1e-9, float(np.sqrt((a @ a) * (b @ b)))))
    return total / len(pairs)
