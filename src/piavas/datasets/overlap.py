"""Whether two videos share a world, asked of their images, and the move between them if not.

Frames of both videos that show the same things are found by their features alone (SIFT, Lowe 2004;
five-point essential matrices, Nister 2004), whatever the poses say. Then the poses are held against
them: a point of one image must lie on its epipolar line in the other. Where the videos do not share
a world it does not, and the similarity that takes one world to the other is fitted: its rotation
from the relative rotations, scale and translation linearly from the directions of the baselines,
all seven then by least squares over the points' distances to the epipolar lines (Sampson).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from piavas.capture.gravity import OPENCV_TO_OPENGL
from piavas.datasets.alignment import Alignment
from piavas.datasets.rwavs import Video
from piavas.datasets.similarity import Similarity
from piavas.errors import DataError
from piavas.progress import track

Array = NDArray[np.float64]
Features = dict[int, tuple[Array, Any, float]]
"""Rays `[n, 2]` on the plane z = 1, descriptors and focal length, by index of the frame."""

FRAMES = (12, 36)
"""Frames of each video that are compared, evenly spread: few, and more where few are tied."""
FEATURES = 800
RATIO = 0.75
"""Of the distances to the nearest and the second nearest feature, up to which a match counts."""
FEWEST = 25
"""Matches of one geometry that tie two frames."""
TIES = 3
"""Tied pairs of frames that make evidence."""
PROOF = 5
"""Tied pairs that one other move must explain: it has seven numbers to fit three of them with."""
PIXELS = 2.0
"""Up to which a point lies on its epipolar line."""
AGREE = 0.6
"""Share of a tie's points that must lie on the lines that the poses give."""


@dataclass(frozen=True)
class Tie:
    """Two frames that show the same things.

    Args:
        poses: `[2, 4, 4]` as each video has them.
        points: `[2, n, 2]` matched, on the plane z = 1 of each camera (OpenCV axes).
        turn: `[3, 3]` from the first camera to the second, from the images alone.
        way: `[3]` unit, the first camera as the second sees it.
        focal: pixels.
    """

    poses: Array
    points: Array
    turn: Array
    way: Array
    focal: float


@dataclass(frozen=True)
class Verdict:
    """Whether two videos share a world.

    Args:
        videos: their numbers.
        verdict: "agree"; "disagree" where another move explains what the poses do not; else
            "unknown": too few frames show the same things, or things that only look alike.
        ties: pairs of frames that do.
        share: of the tied points that agree with the poses.
    """

    videos: tuple[int, int]
    verdict: Literal["agree", "disagree", "unknown"]
    ties: int
    share: float

    def __str__(self) -> str:
        names = f"videos {self.videos[0]} and {self.videos[1]}"
        if self.verdict == "unknown":
            return f"{names}: {self._doubt}, whether they align is unknown"
        told = f"{100 * self.share:.0f} % of the points in {self.ties} pairs of frames agree"
        if self.verdict == "agree":
            return f"{names} align: {told}"
        return f"{names} DO NOT ALIGN: {told}; give an alignment file"

    @property
    def _doubt(self) -> str:
        if self.ties < TIES:
            return f"only {self.ties} pairs of frames match"
        return f"{self.ties} pairs of frames match, but no one move explains them"


def judge(videos: Sequence[Video], alignment: Alignment | None = None) -> list[Verdict]:
    """Say of every two videos of each environment whether their poses share a world.

    Args:
        videos: with cameras; those of one environment are compared.
        alignment: the moves into one world; None takes the frames as they are.
    """
    alignment = alignment or Alignment({})
    pairs = [(a, b) for a, b in combinations(videos, 2) if a.environment == b.environment]
    several = {video.number: video for pair in pairs for video in pair}
    features = {number: _features(video) for number, video in several.items()}
    return [
        _judge(a, b, _enough(a, b, features), alignment) for a, b in track(pairs, "compare images")
    ]


def _judge(a: Video, b: Video, ties: Sequence[Tie], alignment: Alignment) -> Verdict:
    back = alignment.of(b).inverse @ alignment.of(a)
    verdict: Literal["agree", "disagree", "unknown"] = "unknown"
    # Rooms hold many things twice: ties of such things contradict the poses, and each other too.
    if _whole(ties, back) >= TIES:
        verdict = "agree"
    elif _explained(ties):
        verdict = "disagree"
    share = _share(ties, back)
    return Verdict((a.number, b.number), verdict, len(ties), share)


def _whole(ties: Sequence[Tie], move: Similarity) -> int:
    """Ties that agree each by itself; poses that were fitted to none of them agree with few."""
    return sum(_share([tie], move) > AGREE for tie in ties)


def _share(ties: Sequence[Tie], move: Similarity) -> float:
    """Of the tied points, those on the lines that poses and move give."""
    if not ties:
        return 0.0
    return float((np.abs(np.concatenate([sampson(tie, move) for tie in ties])) < PIXELS).mean())


def _explained(ties: Sequence[Tie]) -> bool:
    """Whether some move explains enough of the ties, and most of their points."""
    if len(ties) < PROOF:
        return False
    try:
        move = _fit(ties)
    except DataError:
        return False
    return _whole(ties, move) >= PROOF and _share(ties, move) > AGREE


def estimate_move(a: Video, b: Video) -> Similarity:
    """The similarity from the world of `a` to that of `b`, from their images and poses.

    Raises:
        DataError: too few frames show the same things, or they do not fix the move.
    """
    ties = find_ties(a, b)
    if len(ties) < TIES:
        raise DataError(
            f"only {len(ties)} pairs of frames of video {a.number} show the same things",
            file=b.folder,
            field="alignment",
            mend="give the move in an alignment file",
        )
    return _fit(ties)


def _fit(ties: Sequence[Tie]) -> Similarity:
    """The move that brings the ties' points to their lines; not fixed is a `DataError`."""
    start = _linear(ties)
    first = np.concatenate([Rotation.from_matrix(start.rotation).as_rotvec(), start.translation])

    def gaps(p: Array) -> Array:
        move = Similarity(
            float(np.exp(p[6])), Rotation.from_rotvec(p[:3]).as_matrix(), np.asarray(p[3:6])
        )
        return np.concatenate([sampson(tie, move) for tie in ties])

    done = least_squares(gaps, np.append(first, np.log(start.scale)), loss="soft_l1", x_scale="jac")
    p = done.x
    return Similarity(float(np.exp(p[6])), Rotation.from_rotvec(p[:3]).as_matrix(), p[3:6])


def sampson(tie: Tie, move: Similarity) -> Array:
    """Distances `[n]` in pixels of a tie's points to the epipolar lines that the poses give.

    First-order (Sampson 1982). Args: the tie, and the move from the first world to the second.
    """
    first, second = move.poses(tie.poses[0]), tie.poses[1]
    ours, theirs = (pose[:3, :3] @ OPENCV_TO_OPENGL for pose in (first, second))
    baseline = theirs.T @ (first[:3, 3] - second[:3, 3])
    x, y, z = baseline / max(float(np.linalg.norm(baseline)), 1e-12)
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ (theirs.T @ ours)
    a, b = (np.column_stack([p, np.ones(len(p))]) for p in tie.points)
    lines, back = a @ essential.T, b @ essential
    slope = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    return np.asarray(tie.focal * (b * lines).sum(axis=1) / np.maximum(slope, 1e-12))


def _linear(ties: Sequence[Tie]) -> Similarity:
    """The move from relative rotations and the directions of baselines, outliers weighed down."""
    frames = [[pose[:3, :3] @ OPENCV_TO_OPENGL for pose in tie.poses] for tie in ties]
    turns = np.stack([b @ tie.turn @ a.T for tie, (a, b) in zip(ties, frames, strict=True)])
    turn = _mean_turn(turns)
    ways = np.stack([b @ tie.way for tie, (_, b) in zip(ties, frames, strict=True)])
    ours = np.stack([turn @ tie.poses[0, :3, 3] for tie in ties])
    theirs = np.stack([tie.poses[1, :3, 3] for tie in ties])
    # way x (s ours + t - theirs) = 0, three rows a tie for the unknown s and t.
    cross = np.stack([[[0, -z, y], [z, 0, -x], [-y, x, 0]] for x, y, z in ways])
    rows = np.concatenate([(cross @ ours[..., None]), cross], axis=2)
    wanted = (cross @ theirs[..., None])[..., 0]
    weights = np.ones(len(ties))
    for _ in range(20):
        scaled = rows * weights[:, None, None]
        found = np.linalg.lstsq(
            scaled.reshape(-1, 4), (wanted * weights[:, None]).ravel(), rcond=None
        )[0]
        gap = np.linalg.norm((rows @ found) - wanted, axis=1)
        weights = 1 / np.sqrt(gap + 0.1 * np.median(gap) + 1e-9)
    if found[0] <= 0:
        raise DataError(
            "the frames do not fix the scale", field="alignment", mend="give an alignment file"
        )
    return Similarity(float(found[0]), turn, np.asarray(found[1:], dtype=np.float64))


def _mean_turn(turns: Array) -> Array:
    """Mean rotation `[3, 3]` of `[n, 3, 3]`, those far from it weighed down."""
    weights = np.ones(len(turns))
    for _ in range(20):
        u, _, v = np.linalg.svd(np.einsum("n,nij->ij", weights, turns))
        mean = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
        weights = 1 / (np.linalg.norm(turns - mean, axis=(1, 2)) + 0.01)
    return np.asarray(mean)


def find_ties(a: Video, b: Video) -> list[Tie]:
    """Pairs of frames of two videos that show the same things, by their images alone.

    Raises:
        DataError: a video whose camera is not known.
    """
    return _enough(a, b, {})


def _enough(a: Video, b: Video, known: Mapping[int, Features]) -> list[Tie]:
    """Ties between few frames, and between more where those prove nothing."""
    ties: list[Tie] = []
    for frames in FRAMES:
        ours, theirs = (
            known[v.number] if v.number in known and frames == FRAMES[0] else _features(v, frames)
            for v in (a, b)
        )
        ties = _ties(a, b, ours, theirs)
        if len(ties) >= PROOF:
            break
    return ties


def _ties(a: Video, b: Video, ours: Features, theirs: Features) -> list[Tie]:
    ties = []
    for i, (place, seen, focal) in ours.items():
        for j, (other, known, _) in theirs.items():
            tie = _tie(place, seen, other, known, focal, np.stack([a.poses[i], b.poses[j]]))
            if tie is not None:
                ties.append(tie)
    return ties


def _features(video: Video, frames: int = FRAMES[0]) -> Features:
    """Of some frames of a video."""
    import cv2

    if video.intrinsics is None:
        raise DataError(
            "no file says the angle of view of the camera", file=video.folder, mend="add it"
        )
    found = {}
    sift = cv2.SIFT_create(nfeatures=FEATURES)  # type: ignore[attr-defined]
    for i in np.unique(np.linspace(0, len(video) - 1, frames).round().astype(int)).tolist():
        grey = cv2.imread(str(video.images[i]), cv2.IMREAD_GRAYSCALE)
        camera = video.intrinsics[i]
        if grey is None:
            raise DataError("cannot be decoded", file=video.images[i], mend="copy it anew")
        points, descriptors = sift.detectAndCompute(grey, None)
        if descriptors is None or len(points) < FEWEST:
            continue
        pixels = np.array([point.pt for point in points]).reshape(-1, 1, 2)
        rays = cv2.undistortPoints(pixels, camera.matrix, np.array(camera.distortion))
        found[i] = (np.asarray(rays, np.float64)[:, 0], descriptors, camera.fx)
    return found


def _tie(
    place: Array, seen: Any, other: Array, known: Any, focal: float, poses: Array
) -> Tie | None:
    import cv2

    pairs = cv2.BFMatcher().knnMatch(seen, known, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < RATIO * p[1].distance]
    if len(good) < FEWEST:
        return None
    a = place[[match.queryIdx for match in good]]
    b = other[[match.trainIdx for match in good]]
    cv2.setRNGSeed(0)
    matrix, kept = cv2.findEssentialMat(
        a, b, np.eye(3), method=cv2.RANSAC, prob=0.999, threshold=PIXELS / focal
    )
    if matrix is None or matrix.shape != (3, 3) or int(kept.sum()) < FEWEST:
        return None
    count, turn, way, kept = cv2.recoverPose(matrix, a, b, np.eye(3), mask=kept)
    inside = np.ravel(kept) > 0
    if count < FEWEST:
        return None
    points = np.stack([a[inside], b[inside]])
    return Tie(poses, points, np.asarray(turn), np.ravel(way), focal)


def align(videos: Sequence[Video]) -> Alignment:
    """Moves of all videos into the world of the first of their environment, from images.

    Raises:
        DataError: a video whose images do not tie it to the first.
    """
    first: dict[str, Video] = {}
    moves = {}
    for video in track(videos, "align"):
        base = first.setdefault(video.environment, video)
        moves[video.number] = Similarity() if video is base else estimate_move(video, base)
    return Alignment(moves)
