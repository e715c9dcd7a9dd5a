"""Depth images made ready for fusion: maps of depth and surface normal in the world's frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.capture.types import Frame
from piavas.errors import CaptureError, GeometryError
from piavas.geometry.depth.source import DepthSource
from piavas.progress import track

F32 = NDArray[np.float32]
FARTHEST = 8.0  # metres beyond which sensors and stereo are not believed
FEWEST = 3  # frames
VALID = 0.01  # share of pixels with depth under which a frame is of no use
JUMP = 0.05  # relative depth step that counts as an edge
WIDEST = 640  # pixels; larger images are thinned


@dataclass(frozen=True)
class View:
    """One depth image.

    Args:
        depth: `[h, w]` z-depth in metres, 0 where there is none.
        normal: `[h, w, 3]` unit normals towards the camera, world; 0 where there is none.
        pose: `[4, 4]` camera-to-world, OpenGL axes.
        focal: fx, fy in pixels.
        centre: cx, cy in pixels.
        measured: `[h, w]` where depth was measured, see `DepthMap`; None for all of it.
    """

    depth: F32
    normal: F32
    pose: NDArray[np.float64]
    focal: tuple[float, float]
    centre: tuple[float, float]
    measured: NDArray[np.bool_] | None = None

    def points(self, stride: int = 1, *, measured: bool = False) -> NDArray[np.float64]:
        """World points `[n, 3]` of every `stride`-th pixel with depth, or with `measured` depth."""
        depth = self.depth[::stride, ::stride]
        if measured and self.measured is not None:
            depth = np.where(self.measured[::stride, ::stride], depth, 0)
        v, u = np.nonzero(depth)
        z = depth[v, u].astype(np.float64)
        x = (u * stride - self.centre[0]) / self.focal[0] * z
        y = (v * stride - self.centre[1]) / self.focal[1] * z
        return np.stack([x, -y, -z], axis=1) @ self.pose[:3, :3].T + self.pose[:3, 3]


def load_views(capture: Capture, source: DepthSource, max_frames: int | None = None) -> list[View]:
    """The frames of `capture` with usable depth, evenly thinned to `max_frames` before.

    Args:
        capture: metric, with poses.
        source: of depth.
        max_frames: None for all.

    Raises:
        GeometryError: no depth, or fewer than three usable frames.
    """
    frames = capture.frames
    if max_frames is not None and len(frames) > max_frames:
        kept = np.linspace(0, len(frames) - 1, max_frames).astype(int)
        capture = replace(capture, frames=tuple(frames[i] for i in kept))
    maps = track(source.depths(capture), f"depth: {source.name}", len(capture))
    made = (make_view(found.frame, found.depth, found.measured) for found in maps)
    views = [view for view in made if view is not None]
    if len(views) < FEWEST:
        raise GeometryError(
            f"{len(views)} of {len(capture)} frames have usable depth",
            file=capture.root,
            field="depth",
            mend=f"give at least {FEWEST} frames with depth between 0 and {FARTHEST:g} m",
        )
    return views


def make_view(frame: Frame, depth: F32, measured: NDArray[np.bool_] | None = None) -> View | None:
    """`depth` `[h, w]` of `frame` made ready; None where hardly any of it is usable.

    Raises:
        CaptureError: depth of another size than the intrinsics.
    """
    camera = frame.intrinsics
    if depth.shape != (camera.height, camera.width):
        raise CaptureError(
            f"depth is {depth.shape[::-1]}, the camera {(camera.width, camera.height)}",
            file=frame.depth_path,
            mend="give depth of the size of the intrinsics",
        )
    thin = max(1, round(camera.width / WIDEST))
    depth = depth[::thin, ::thin]
    depth = np.where(np.isfinite(depth) & (depth > 0) & (depth < FARTHEST), depth, 0)
    if (depth > 0).mean() < VALID:
        return None
    focal = (camera.fx / thin, camera.fy / thin)
    centre = (camera.cx / thin, camera.cy / thin)
    depth = depth.astype(np.float32)
    normal = _normals(depth, focal, centre) @ frame.pose[:3, :3].T.astype(np.float32)
    if measured is not None:
        measured = np.ascontiguousarray(measured[::thin, ::thin])
    return View(depth, np.ascontiguousarray(normal), frame.pose, focal, centre, measured)


def _normals(depth: F32, focal: tuple[float, float], centre: tuple[float, float]) -> F32:
    """Normals `[h, w, 3]` in the camera's frame from central differences over a smoothed map.

    Differences reach over `step` pixels to beat the sensor's noise, never over a depth edge.
    """
    step = max(1, round(depth.shape[1] / 160))
    h, w = depth.shape
    v, u = np.mgrid[0:h, 0:w].astype(np.float32)
    point = np.stack(
        [(u - centre[0]) / focal[0], -(v - centre[1]) / focal[1], -np.ones_like(u)], -1
    )
    point *= depth[..., None]
    right, left = np.roll(point, -step, 1), np.roll(point, step, 1)
    down, up = np.roll(point, -step, 0), np.roll(point, step, 0)
    normal = np.cross(right - left, up - down)
    length = np.linalg.norm(normal, axis=-1)
    good = (length > 0) & (depth > 0)
    for other in (right, left, down, up):
        good &= (other[..., 2] < 0) & (np.abs(other[..., 2] + depth) < JUMP * depth)
    for axis in (0, 1):
        edge = np.ones(depth.shape, bool)
        edge[
            (slice(step, -step), slice(None)) if axis == 0 else (slice(None), slice(step, -step))
        ] = 0
        good &= ~edge
    normal /= np.maximum(length, 1e-12)[..., None]
    facing = np.einsum("ijk,ijk->ij", normal, point) < 0
    normal = np.where(facing[..., None], normal, -normal)
    return np.where(good[..., None], normal, 0).astype(np.float32)
