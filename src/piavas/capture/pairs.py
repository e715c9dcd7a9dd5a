"""Whether frames agree with one another on where they stand: by their depth, else by features.

Two frames that see the same things must see them in the same place. With depth, points of the one
are carried to the other: where the other looks through them, one of the two stands elsewhere.
Without, features of both (SIFT, Lowe 2004) that one motion explains (five-point essential matrix,
Nister 2004) must lie on the epipolar lines of the given poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture.gravity import OPENCV_TO_OPENGL
from piavas.capture.types import Capture, Frame, Intrinsics
from piavas.progress import track

F64 = NDArray[np.float64]
AGREE, CONTRADICT = 1, -1

SAMPLES = 400
"""Pixels of a frame that are carried over."""
BESIDE, NEAR = 3, 6
"""Frames before and after, and nearest in place and view, that each frame is held against."""
TURNED = 60.0
"""Degrees between the views of two frames that are held against each other."""
SAME = 0.05
"""Relative, and metres: depth up to which a point is the same."""
THROUGH = (0.08, 0.25)
"""Share of the points, of both directions together, that are looked through: agreement up to the
first if half of the points are the same, contradiction from the second."""
FEW = 0.25
"""Share of points that are the same up to which the first share of points looked through is a
contradiction too."""
SEEN = 40
"""Points that both frames must show."""
WIDTH = 480
"""Pixels to which images are thinned for features."""
FEATURES, RATIO, TIE = 600, 0.75, 25
PIXELS = 2.0
"""Up to which a feature lies on its epipolar line."""
LINES = (0.3, 0.6)
"""Share of the features on their lines up to which poses contradict, and from which they agree."""


@dataclass(frozen=True)
class Look:
    """A frame's depth in few numbers.

    Args:
        points: `[n, 3]` world, of sampled pixels.
        depth: `[h, w]` metres, NaN where unknown.
        frame: it belongs to.
    """

    points: F64
    depth: NDArray[np.float32]
    frame: Frame


def candidates(frames: Sequence[Frame]) -> list[tuple[int, int]]:
    """Pairs `i < j` of frames that may show the same: near in order, or in place and view."""
    places = np.stack([f.pose[:3, 3] for f in frames])
    ahead = -np.stack([f.pose[:3, 2] for f in frames])
    found = {(i, i + k) for k in range(1, BESIDE + 1) for i in range(len(frames) - k)}
    for i in range(len(frames)):
        alike = ahead @ ahead[i] > np.cos(np.radians(TURNED))
        alike[i] = False
        far = np.where(alike, np.linalg.norm(places - places[i], axis=1), np.inf)
        order = np.argsort(far)[:NEAR]
        found |= {(min(i, int(j)), max(i, int(j))) for j in order if np.isfinite(far[j])}
    return sorted(found)


# --- depth


def look(frame: Frame, seed: int = 0) -> Look:
    """The depth of `frame`, and some of its points in the world."""
    depth = frame.depth()
    v, u = np.nonzero(np.isfinite(depth) & (depth > 0))
    keep = np.random.default_rng(seed).permutation(len(v))[:SAMPLES]
    v, u = v[keep], u[keep]
    return Look(unproject(frame, u, v, depth[v, u].astype(np.float64)), depth, frame)


def unproject(frame: Frame, u: Any, v: Any, depth: F64) -> F64:
    """World points `[n, 3]` of pixels and their z-depth."""
    camera = frame.intrinsics
    rays = np.column_stack(
        [(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones(len(depth))]
    )
    return np.asarray((rays * depth[:, None]) @ frame.pose[:3, :3].T + frame.pose[:3, 3])


def carried(points: F64, other: Look) -> tuple[F64, F64]:
    """Depth `[n]` of points from another frame, and what it sees there; NaN where it sees none."""
    camera, pose = other.frame.intrinsics, other.frame.pose
    local = (points - pose[:3, 3]) @ pose[:3, :3] @ OPENCV_TO_OPENGL
    z = local[:, 2]
    safe = np.maximum(z, 1e-6)
    u = np.round(local[:, 0] / safe * camera.fx + camera.cx)
    v = np.round(local[:, 1] / safe * camera.fy + camera.cy)
    good = (z > 0.05) & (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    there = np.full(len(z), np.nan)
    there[good] = other.depth[v[good].astype(int), u[good].astype(int)]
    return z, there


def compare_depth(one: Look, two: Look) -> int:
    """`AGREE`, `CONTRADICT`, or 0 where the two do not see the same things."""
    same = through = seen = 0
    for a, b in ((one, two), (two, one)):
        z, there = carried(a.points, b)
        known = np.isfinite(there)
        slack = SAME * np.maximum(z, 1.0)
        same += int((np.abs(there - z) < slack)[known].sum())
        through += int((there - z > slack)[known].sum())
        seen += int(known.sum())
    if seen < SEEN:
        return 0
    if through > THROUGH[1] * seen or (through > THROUGH[0] * seen and same < FEW * seen):
        return CONTRADICT
    return AGREE if through < THROUGH[0] * seen and same > 0.5 * seen else 0


# --- features


def features(frame: Frame) -> tuple[F64, Any, float]:
    """Rays `[n, 2]` on the plane z = 1 (OpenCV axes), descriptors, and the focal length."""
    import cv2

    grey = cv2.cvtColor(frame.image(), cv2.COLOR_RGB2GRAY)
    camera: Intrinsics = frame.intrinsics
    shrink = min(1.0, WIDTH / camera.width)
    if shrink < 1:
        size = round(camera.width * shrink), round(camera.height * shrink)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    keys, words = cv2.SIFT_create(FEATURES).detectAndCompute(grey, None)  # type: ignore[attr-defined]
    at = np.array([key.pt for key in keys], np.float64).reshape(-1, 2)
    whole = (at + 0.5) / shrink - 0.5
    rays = (whole - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return rays, words, camera.fx * shrink


def compare_features(
    one: tuple[F64, Any, float], two: tuple[F64, Any, float], first: Frame, second: Frame
) -> int:
    """As `compare_depth`, by epipolar lines."""
    import cv2

    (a, words_a, focal), (b, words_b, _) = one, two
    if min(len(a), len(b)) < TIE:
        return 0
    matches = cv2.BFMatcher().knnMatch(words_a, words_b, k=2)
    good = [m for m, n in matches if m.distance < RATIO * n.distance]
    if len(good) < TIE:
        return 0
    p, q = a[[m.queryIdx for m in good]], b[[m.trainIdx for m in good]]
    cv2.setRNGSeed(0)
    _, inside = cv2.findEssentialMat(p, q, np.eye(3), cv2.RANSAC, 0.999, 1.0 / focal)
    if inside is None or (kept := inside.ravel() > 0).sum() < TIE:
        return 0
    turn = OPENCV_TO_OPENGL @ second.pose[:3, :3].T @ first.pose[:3, :3] @ OPENCV_TO_OPENGL
    way = OPENCV_TO_OPENGL @ second.pose[:3, :3].T @ (first.pose[:3, 3] - second.pose[:3, 3])
    share = float((focal * _off_line(p[kept], q[kept], turn, way) < PIXELS).mean())
    return AGREE if share > LINES[1] else CONTRADICT if share < LINES[0] else 0


def _off_line(p: F64, q: F64, turn: F64, way: F64) -> F64:
    """Sampson distances `[n]` on the plane z = 1; without a baseline, distances of turned rays."""
    ones = np.ones((len(p), 1))
    first, second = np.hstack([p, ones]), np.hstack([q, ones])
    turned = first @ turn.T
    length = float(np.linalg.norm(way))
    straight = np.linalg.norm(turned[:, :2] / turned[:, 2:] - q, axis=1)
    if length < 1e-9:
        return np.asarray(straight)
    x, y, z = way / length
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ turn
    lines, back = first @ essential.T, second @ essential
    error = np.abs(np.einsum("ij,ij->i", second, lines))
    steep = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    return np.asarray(error / np.maximum(steep, 1e-12))


def compare_all(capture: Capture, *, by_depth: bool) -> dict[tuple[int, int], int]:
    """What every two frames that may show the same say of each other; pairs that say nothing aside.

    Raises:
        CaptureError: an image cannot be read.
    """
    frames, found = capture.frames, {}
    if by_depth:
        looks = [look(f, i) for i, f in enumerate(track(frames, "compare depth"))]
        for i, j in candidates(frames):
            found[i, j] = compare_depth(looks[i], looks[j])
    else:
        told = [features(f) for f in track(frames, "compare images")]
        for i, j in candidates(frames):
            found[i, j] = compare_features(told[i], told[j], frames[i], frames[j])
    return {pair: verdict for pair, verdict in found.items() if verdict}
