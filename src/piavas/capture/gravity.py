"""Find which way is up in a capture whose world is turned anyhow, and turn it to +z.

1. From the cameras alone: people pitch and turn a camera but seldom roll it, so up is the
   direction most nearly perpendicular to all camera right axes (smallest eigenvector of their
   scatter matrix), where the cameras turned enough for that to be defined; else the mean of the
   camera up axes. Good to some degrees (Hartley & Zisserman call this the upright prior).
2. From depth: the normals of small planar patches that lie within 35 degrees of that guess, on
   either side, are those of floor, worktops and ceiling; their densest direction, refined by
   the leading eigenvector of its inliers in shrinking cones, is up.

A patch normal is a least-squares fit of inverse depth, which over a plane is linear in the pixel:
for a plane n.X = d and X = z K^-1 (u, v, 1), 1/z = a u + b v + c with n/d = K^T (a, b, c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from piavas.capture.types import Capture, Frame, Intrinsics, Recording
from piavas.progress import track

Array = NDArray[np.float64]

OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0])
"""Camera axes: OpenCV (x right, y down, z ahead) to OpenGL (x right, y up, z back)."""

GUESS_CONE = 35.0
"""Degrees around the cameras' guess in which normals count as those of level surfaces."""
CONES = (6.0, 4.0, 3.0)
"""Degrees: half-width of the cone of inliers, from the densest direction inwards."""
MAX_FRAMES = 40
MIN_NORMALS = 500


def up_from_cameras(poses: Array) -> Array:
    """Up `[3]`, unit, in the world of `poses` `[n, 4, 4]` (OpenGL axes)."""
    mean = poses[:, :3, 1].mean(axis=0)
    right = poses[:, :3, 0]
    values, vectors = np.linalg.eigh(right.T @ right / len(right))
    # Rights that fill a plane leave one small eigenvalue; rights along a line leave two.
    if values[0] < 0.25 * values[1]:
        axis = vectors[:, 0]
        mean = axis if axis @ mean >= 0 else -axis
    length = np.linalg.norm(mean)
    return (
        np.asarray(mean / length, dtype=np.float64) if length > 1e-9 else np.array([0.0, 0.0, 1.0])
    )


def patch_normals(depth: NDArray[np.float32], camera: Intrinsics, half: int = 10) -> Array:
    """Normals of planar patches of a depth image, towards the camera.

    Args:
        depth: `[height, width]` metres, NaN where invalid.
        camera: pinhole of the depth image.
        half: half the side of a patch in pixels.

    Returns:
        `[n, 3]`, unit, OpenGL camera axes; only patches measured everywhere and flat to 1 % rms.
    """
    import cv2

    side = 2 * half + 1
    offset = np.arange(-half, half + 1, dtype=np.float64)
    spread = float((offset**2).mean())
    mean, slope = np.full(side, 1 / side), offset / (side * spread)
    valid = np.isfinite(depth)
    inverse = np.where(valid, 1.0 / np.where(valid, depth, 1.0), 0.0)

    def fit(image: Array, across: Array, down: Array) -> Array:
        fitted: Array = np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, across, down), np.float64)
        return fitted[half::half, half::half]

    q, a, b = fit(inverse, mean, mean), fit(inverse, slope, mean), fit(inverse, mean, slope)
    residual = fit(inverse**2, mean, mean) - q**2 - (a**2 + b**2) * spread
    full = cv2.erode(valid.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0)
    flat = (full[half::half, half::half] > 0) & (residual < (0.01 * q) ** 2)
    v, u = np.mgrid[half : depth.shape[0] : half, half : depth.shape[1] : half]
    plane = np.stack([a, b, q - a * u - b * v], axis=-1)[flat] @ camera.matrix
    normals = -plane / np.linalg.norm(plane, axis=-1, keepdims=True)
    return np.asarray(normals @ OPENCV_TO_OPENGL)


def refine_up(guess: Array, normals: Array) -> Array:
    """Up `[3]`: the densest direction among world normals `[n, 3]` near +-`guess`.

    Returns `guess` where fewer than `MIN_NORMALS` normals lie near it.
    """
    cosine = normals @ guess
    near = np.abs(cosine) > np.cos(np.radians(GUESS_CONE))
    level = normals[near] * np.sign(cosine[near])[:, None]
    if len(level) < MIN_NORMALS:
        return guess
    candidates = level[:: max(1, len(level) // 400)]
    # A bounded share of the normals is enough to rank candidates.
    votes = level[:: max(1, len(level) // 20_000)]
    count = (candidates @ votes.T > np.cos(np.radians(CONES[0]))).sum(axis=1)
    up = candidates[int(count.argmax())]
    for cone in np.repeat(CONES, 5):
        inliers = level[level @ up > np.cos(np.radians(cone))]
        axis = np.linalg.eigh(inliers.T @ inliers)[1][:, -1]
        up = axis if axis @ up > 0 else -axis
    return np.asarray(up, dtype=np.float64)


def estimate_up(frames: Sequence[Frame]) -> Array:
    """Up `[3]`, unit, in the world of `frames`, from cameras and, where there is, depth.

    Reads at most 40 depth images, evenly spread.

    Raises:
        CaptureError: a depth image cannot be read.
    """
    guess = up_from_cameras(np.stack([frame.pose for frame in frames]))
    deep = [frame for frame in frames if frame.depth_path is not None]
    if not deep:
        return guess
    chosen = deep[:: -(-len(deep) // MAX_FRAMES)]
    normals = [
        patch_normals(frame.depth(), frame.intrinsics) @ frame.pose[:3, :3].T
        for frame in track(chosen, "finding up")
    ]
    return refine_up(guess, np.concatenate(normals))


def turn_to_z(up: Array) -> Array:
    """The smallest rotation `[4, 4]` that takes unit `up` to +z (Rodrigues' formula)."""
    turn = np.eye(4)
    axis, cosine = np.cross(up, [0.0, 0.0, 1.0]), float(up[2])
    if cosine < -1 + 1e-12:
        turn[:3, :3] = np.diag([1.0, -1.0, -1.0])
        return turn
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn[:3, :3] += cross + cross @ cross / (1 + cosine)
    return turn


def _turned(recording: Recording, turn: Array) -> Recording:
    source = turn[:3, :3] @ recording.source + turn[:3, 3]
    return replace(recording, source=source, poses=turn @ recording.poses)


def align_to_gravity(capture: Capture) -> Capture:
    """`capture` turned so that up is +z; the turn is composed into `Capture.transform`.

    The origin and the scale stay. For captures whose world is arbitrary, such as those of
    structure from motion; the readers of such formats call it themselves.

    Raises:
        CaptureError: a depth image cannot be read.
    """
    turn = turn_to_z(estimate_up(capture.frames))
    return replace(
        capture,
        frames=tuple(replace(frame, pose=turn @ frame.pose) for frame in capture.frames),
        recordings=tuple(_turned(recording, turn) for recording in capture.recordings),
        transform=turn @ capture.transform,
    )
