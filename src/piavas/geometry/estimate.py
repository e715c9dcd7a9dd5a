"""What a reconstruction will cost, from a coarse one of a few frames on this machine."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from piavas.capture import Capture
from piavas.geometry.files import FACE, VERTEX
from piavas.geometry.frame import fitting
from piavas.geometry.reconstruct import reconstruct, usual
from piavas.geometry.views import WIDEST

SAMPLE = 8  # frames of the coarse run
COARSER = 2.0  # its voxels re those asked for
PROGRAM = 250.0  # MB that the program takes before it reads a frame
VIEW_BYTES = 16  # a pixel: depth and normal


@dataclass(frozen=True)
class Estimate:
    """What a reconstruction will cost on this machine.

    Args:
        frames: to be read.
        seconds: until the mesh is there.
        memory_mb: peak.
        disk_mb: that the mesh takes at most.
    """

    frames: int
    seconds: float
    memory_mb: float
    disk_mb: float


def estimate(
    capture: Capture,
    *,
    voxel: float | None = None,
    triangles: int | None = None,
    max_frames: int | None = None,
    sample: int = SAMPLE,
    **options: Any,
) -> Estimate:
    """Reconstruct a few frames on a coarse grid, twice (the first time compiles), and scale up.

    Reading grows with frames; fusing with frames and voxels; the rest with voxels.

    Args:
        capture: as for `reconstruct`.
        voxel: likewise.
        triangles: likewise.
        max_frames: likewise.
        sample: frames of the coarse run.
        **options: others of `reconstruct`.

    Raises:
        GeometryError: as `reconstruct`.
    """
    depth = options.get("depth", "sensor")
    voxels, many = usual(depth if isinstance(depth, str) else depth.name, voxel)
    triangles = triangles or many
    frames = min(len(capture), max_frames or len(capture))
    few, coarse = min(sample, frames), min(COARSER * voxels[1], 0.5)
    how = {"voxel": coarse, "triangles": triangles, "max_frames": few, **options}
    reconstruct(capture, **how)
    tracemalloc.start()
    try:
        report = reconstruct(capture, **how).report
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    spent = report["seconds"]
    voxel = fitting(coarse**3 * float(np.prod(report["grid"])), voxels)
    more, finer = frames / few, (coarse / voxel) ** 3
    view = VIEW_BYTES * _pixels(capture)
    grid = max(peak - few * view, 0) * finer
    return Estimate(
        frames=frames,
        seconds=round(_seconds(spent, more, finer), 1),
        memory_mb=round(PROGRAM + (frames * view + grid) / 1e6),
        disk_mb=round(triangles * (FACE.itemsize + 0.5 * VERTEX.itemsize) / 1e6, 2),
    )


def _seconds(spent: Mapping[str, float], more: float, finer: float) -> float:
    scale = {"read": more, "fuse": more * finer}
    return float(sum(seconds * scale.get(step, finer) for step, seconds in spent.items()))


def _pixels(capture: Capture) -> int:
    """Of a view: wide images are thinned."""
    camera = capture.frames[0].intrinsics
    thin = max(1, round(camera.width / WIDEST))
    return int(np.ceil(camera.width / thin) * np.ceil(camera.height / thin))
