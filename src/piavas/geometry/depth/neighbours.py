"""Which images see the same things from far enough apart to tell how far those are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.capture.types import Frame

F64 = NDArray[np.float64]
DEPTHS = (1.0, 1.7, 3.0)  # metres at which two images are asked whether they overlap
BEST_ANGLE = np.radians(8.0)  # between two rays to a point: more tells depth, less looks alike
SPREAD = 0.7  # of the logarithm of the angle about the best
WIDEST_ANGLE = np.radians(40.0)  # beyond it, windows no longer look alike
GRID = 5  # points across and up an image
LEAST_SHARE = 0.2  # of those points that both images must see
LEAST_SCORE = 0.05  # mean over those points under which a pair is not worth matching


def _probes(frame: Frame) -> F64:
    """World points `[n, 3]` that `frame` may see."""
    camera = frame.intrinsics
    u, v = np.meshgrid(
        (np.arange(GRID) + 0.5) / GRID * camera.width,
        (np.arange(GRID) + 0.5) / GRID * camera.height,
    )
    ray = np.stack(
        [(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones_like(u)], -1
    )
    points = np.concatenate([depth * ray.reshape(-1, 3) for depth in DEPTHS])
    return np.asarray(points @ frame.pose[:3, :3].T + frame.pose[:3, 3])


def _sees(frame: Frame, points: F64) -> NDArray[np.bool_]:
    local = (points - frame.pose[:3, 3]) @ frame.pose[:3, :3]
    camera, ahead = frame.intrinsics, np.maximum(-local[:, 2], 1e-9)
    u = camera.cx + camera.fx * local[:, 0] / ahead
    v = camera.cy - camera.fy * local[:, 1] / ahead
    inside = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    return np.asarray(inside & (local[:, 2] < -0.1))


def neighbours(frames: tuple[Frame, ...], most: int) -> list[list[int]]:
    """For each frame, up to `most` others that are good to match it with, best first.

    Args:
        frames: with poses.
        most: how many.
    """
    places = np.stack([frame.pose[:3, 3] for frame in frames])
    found = []
    for i, frame in enumerate(frames):
        points = _probes(frame)
        score = np.zeros(len(frames))
        for j, other in enumerate(frames):
            if i == j:
                continue
            both = _sees(other, points)
            if both.mean() < LEAST_SHARE:
                continue
            one, two = points[both] - places[i], points[both] - places[j]
            cosine = np.einsum("ij,ij->i", one, two) / (
                np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
            )
            angle = np.arccos(np.clip(cosine, -1, 1))
            good = (angle < WIDEST_ANGLE) * np.exp(
                -0.5 * (np.log(np.maximum(angle, 1e-4) / BEST_ANGLE) / SPREAD) ** 2
            )
            score[j] = good.sum() / len(points)
        order = np.argsort(-score)[:most]
        found.append([int(j) for j in order if score[j] > LEAST_SCORE])
    return found
