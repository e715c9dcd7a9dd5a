"""Metres for captures whose lengths are only up to scale: never assumed, always said by someone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.capture.types import Capture
from piavas.errors import CaptureError


def rescale(capture: Capture, metres: float) -> Capture:
    """`capture` with lengths in metres.

    Args:
        capture: up to scale, or metric in another unit.
        metres: that one unit of its lengths is, e.g. a known length over the same in its units.

    Raises:
        CaptureError: no positive finite number.
    """
    if not (np.isfinite(metres) and metres > 0):
        raise CaptureError(
            f"{metres!r} m is no scale", field="metres", mend="give a positive number"
        )
    frames = tuple(
        replace(
            f,
            pose=_scaled(f.pose, metres),
            depth_scale=f.depth_scale * metres,
            points=None if f.points is None else f.points * (1.0, 1.0, metres),
        )
        for f in capture.frames
    )
    recordings = tuple(
        replace(r, source=r.source * metres, poses=np.stack([_scaled(p, metres) for p in r.poses]))
        for r in capture.recordings
    )
    transform = np.diag([metres, metres, metres, 1.0]) @ capture.transform
    return replace(capture, frames=frames, recordings=recordings, transform=transform, metric=True)


def metres_from_length(one: ArrayLike, two: ArrayLike, metres: float) -> float:
    """Metres a unit, from two points `[3]` in the capture's units whose distance is known."""
    gap = float(np.linalg.norm(np.asarray(one, float) - np.asarray(two, float)))
    if not gap > 0 or not metres > 0:
        raise CaptureError(
            f"{metres!r} m between points {gap:g} apart tell no scale",
            field="metres",
            mend="give two different points and a positive length",
        )
    return metres / gap


def _scaled(pose: NDArray[np.float64], metres: float) -> NDArray[np.float64]:
    out = pose.copy()
    out[:3, 3] *= metres
    return out
