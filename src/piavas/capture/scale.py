"""Lengths of structure from motion to metres.

Three things can tell what a unit is: a length that somebody knows, the height at which the camera
was held over the floor, and sound (`piavas.datasets.heard`). None is assumed; which one it was
stays with the capture (`Capture.scale_by`) and stands in the report of a reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.capture.types import Capture, Frame
from piavas.errors import CaptureError

F64 = NDArray[np.float64]
BINS = 60
"""Of height, between the lowest point and the cameras."""
CLEAR = 3.0
"""Times the mean bin that a floor must hold."""
LEVEL = 0.3
"""Of the fullest bin, from which a lower one is a floor and no table stands on it."""
FRAMES = 40
"""Depth images that are read."""
STRIDE = 4
HEIGHTS = (0.1, 10.0)
"""Metres at which cameras are held."""


def rescale(capture: Capture, metres: float, by: str = "given") -> Capture:
    """`capture` with lengths in metres.

    Args:
        capture: up to scale, or metric in another unit.
        metres: that one unit of its lengths is, e.g. a known length over the same in its units.
        by: what tells it, in words.

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
    return replace(
        capture,
        frames=frames,
        recordings=recordings,
        transform=np.diag([metres, metres, metres, 1.0]) @ capture.transform,
        metric=True,
        scale_by=f"{by}: {metres:.6g} m a unit",
        unit=capture.unit * metres,
    )


def rescale_as(capture: Capture, report: Mapping[str, Any]) -> Capture:
    """`capture` in the unit of the mesh that was made of it and has this `report`."""
    told = report.get("scale")
    unit = float(told["metres"]) if isinstance(told, Mapping) else 1.0
    if unit == capture.unit:
        return capture
    return rescale(capture, unit / capture.unit, "as the mesh")


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


def metres_from_camera_height(capture: Capture, metres: float) -> float:
    """Metres a unit, from the height of the cameras (their median) over the floor.

    The floor is the lowest level below the cameras at which what is known of depth gathers: depth
    images, or the points of a sparse model. A lower level than the largest counts from three
    tenths of its points, so that a bed is no floor where the floor was seen.

    Raises:
        CaptureError: no such height, nothing known of depth, or no level below the cameras.
    """
    if not HEIGHTS[0] <= metres <= HEIGHTS[1]:
        raise CaptureError(
            f"{metres!r} m is no height of a camera",
            field="camera height",
            mend=f"give metres over the floor, {HEIGHTS[0]:g} to {HEIGHTS[1]:g}",
        )
    return metres / (float(np.median(capture.positions[:, 2])) - find_floor(capture))


def find_floor(capture: Capture) -> float:
    """Height of the floor below the cameras, in units of the capture.

    Raises:
        CaptureError: as `metres_from_camera_height`.
    """
    points, weights = _known(capture)
    eye = float(np.median(capture.positions[:, 2]))
    low = points < eye
    if low.sum() < BINS:
        raise CaptureError(
            "nothing is known of what lies below its cameras",
            file=capture.root,
            field="camera height",
            mend="give a capture with depth images or the sparse points of COLMAP, or a length",
        )
    height, weight = points[low], weights[low]
    lowest = float(np.quantile(height, 0.005))
    step = (eye - lowest) / BINS
    count = np.bincount(
        np.maximum((height - lowest) / step + 1, 0).astype(int), weight, minlength=BINS + 2
    )
    # A level may lie across two bins.
    both = count + np.append(count[1:], 0)
    full = np.flatnonzero((both >= LEVEL * both.max()) & (both >= CLEAR * 2 * count.mean()))
    if not len(full):
        raise CaptureError(
            "no floor stands out below its cameras",
            file=capture.root,
            field="camera height",
            mend="take images that show the floor, or give a length",
        )
    peak = int(full[0]) + int(np.argmax(both[full[0] : full[0] + 3]))
    near = np.abs(height - lowest - peak * step) < 1.5 * step
    return float(np.median(height[near]))


def _known(capture: Capture) -> tuple[F64, F64]:
    """Heights `[n]` of what is known of depth, and the surface that each stands for."""
    heights, weights = [np.empty(0)], [np.empty(0)]
    deep = [f for f in capture.frames if f.depth_path is not None]
    for frame in deep[:: max(1, -(-len(deep) // FRAMES))]:
        depth = frame.depth()[::STRIDE, ::STRIDE].astype(np.float64)
        v, u = np.nonzero(np.isfinite(depth) & (depth > 0))
        known = np.column_stack([u * STRIDE, v * STRIDE, depth[v, u]])
        heights.append(_heights(frame, known))
        weights.append(known[:, 2] ** 2)
    for frame in () if deep else capture.frames:
        if frame.points is not None:
            heights.append(_heights(frame, frame.points))
            weights.append(np.ones(len(frame.points)))
    return np.concatenate(heights), np.concatenate(weights)


def _heights(frame: Frame, known: F64) -> F64:
    """World z `[n]` of `known` `[n, 3]`: column, row, z-depth."""
    camera = frame.intrinsics
    rays = (known[:, :2] - (camera.cx, camera.cy)) / (camera.fx, camera.fy) * (1, -1)
    local = np.column_stack([rays, -np.ones(len(rays))]) * known[:, 2:]
    return np.asarray(local @ frame.pose[2, :3] + frame.pose[2, 3])


def _scaled(pose: F64, metres: float) -> F64:
    out = pose.copy()
    out[:3, 3] *= metres
    return out
