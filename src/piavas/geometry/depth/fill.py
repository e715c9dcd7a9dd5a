"""Depth where there is no texture: a patch of one colour lies on a plane that its edges lie on.

Matching finds the edges of plain walls and ceilings alone. In a room most of them lie on few planes
(Furukawa et al. 2009, Manhattan-world stereo): level ones, and two families of upright ones. Each
patch of an image takes the plane, or the corner of planes, on which most of its edges lie, where
there is none a plane of its own along the room's axes. It ends at the ceiling of its room (`lids`)
and is kept where other images agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter1d

from piavas.geometry.depth.joints import (
    TOO_HIGH,
    Joint,
    draw_joints,
    find_joints,
    mean_height,
    room_axes,
)
from piavas.geometry.depth.lids import find_lids, under
from piavas.geometry.depth.plate import Plate
from piavas.progress import track

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
FINE = 0.01  # metres of a histogram bin across planes
APART = 0.05  # metres between two planes
STAND = 1.2  # times the points of its surroundings that a plane must hold
LEAST = 0.2  # square metres of points on a plane, a view counted each time
MOST = 48  # planes
PATTERN = 10  # joints across an axis from which a floor is taken to be tiled
SCALE, SMOOTH, SMALLEST = 60, 0.8, 60  # of the segmentation: contrast, pixels, pixels
RING = 5  # pixels across by which a patch is grown to take in its edges
RIM = 9  # pixels across a patch's edge within which what was matched tells of it
RICH = 3.5  # grey levels of contrast from which it does elsewhere
FEWEST = 25  # pixels of known depth in a patch and about it
UNKNOWN = 30  # pixels of a patch without depth below which it is left alone
NEAR, SLOPE = 0.015, 0.01  # metres, and share of the depth, that an edge may lie off its plane
BEHIND = 0.7  # what an edge farther than the plane counts against it, where one on it counts 1
BEFORE = 0.5  # likewise a point that floats before it
OUTLINE = 0.5  # what a nearer edge weighs in the count: it may be of what stands before the plane
BELIEVED = 0.3  # least score
OWN, OWN_BELIEVED = 0.3, 0.4  # share of a patch's edges on a plane of its own, and least score
TIED = 0.7  # of the best score from which a nearer plane is taken: rooms are hollow
GAIN = 0.12  # that a second or third plane must add to the score
CORNER = 3  # planes of a patch
NEAREST, FARTHEST = 0.15, 8.0  # metres
GRAIN, GRAINS = 0.03, 4  # metres of a cell of the cloud of points, and points that it must hold
OTHERS = 64  # images that a filled pixel is held against
AGREE, STEP = 0.02, 0.02  # share of the depth, and metres, within which two images agree


@dataclass(frozen=True)
class _Planes:
    """Places where normal `[p, 3]` times place is offset `[p]`."""

    normal: F64
    offset: F64

    def along(self, eye: F64, rays: F64) -> F32:
        """z-depth `[..., p]` of each plane on `rays` `[..., 3]` from `eye`, inf where not ahead."""
        height = self.offset - self.normal @ eye
        slope = rays @ self.normal.T
        with np.errstate(divide="ignore", invalid="ignore"):
            z = height / slope
        return np.where((z > NEAREST) & (z < 1.5 * FARTHEST), z, np.inf).astype(np.float32)


def fill_flat(plates: Sequence[Plate], yaw: float) -> list[F32]:
    """Depth `[h, w]` of each plate, filled where patches without texture have a plane.

    Args:
        plates: images with the depth that matching found.
        yaw: radians by which the walls are turned (`piavas.geometry.frame.manhattan_yaw`).
    """
    points = [plate.points() for plate in plates]
    # A pixel stands for an area that grows with the square of its depth.
    weight = [p.depth[p.depth > 0].astype(float) ** 2 / (p.lens[0] * p.lens[1]) for p in plates]
    every = np.concatenate(points)
    if len(every) < FEWEST:
        return [plate.stays for plate in plates]
    planes = _find_planes(every, np.concatenate(weight), yaw)
    joints = find_joints(plates, planes.offset[planes.normal[:, 2] > 0.5].tolist(), every, yaw)
    planes = _with_joints(planes, joints, yaw, np.array([p.pose[2, 3] for p in plates]))
    stay = [p.stays[p.depth > 0] > 0 for p in plates]
    cloud = _thin(np.concatenate([at[own] for at, own in zip(points, stay, strict=True)]))
    levels = planes.offset[planes.normal[:, 2] > 0.5].tolist()
    height = float(np.median([p.pose[2, 3] for p in plates]))
    lids = find_lids(levels, joints, cloud @ room_axes(yaw), height)
    filled = []
    for plate in track(plates, "fill flat", len(plates)):
        ceiling = under(lids, plate.pose[:3, 3], plate.rays(), yaw)
        filled.append(_fill(plate, draw_joints(plate, joints, yaw), planes, cloud, ceiling))
    return [_kept(plates, filled, i) for i in range(len(plates))]


def _find_planes(points: F64, weight: F64, yaw: float) -> _Planes:
    """Planes along the room's axes that hold more points than their surroundings."""
    c, s = np.cos(yaw), np.sin(yaw)
    found: list[tuple[float, F64, float]] = []
    for normal in np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]]):
        at = points @ normal
        low = at.min() - 0.3
        count = np.bincount(((at - low) / FINE).astype(int), weight)
        count = np.concatenate([count, np.zeros(30)])
        fine, broad = gaussian_filter1d(count, 1.2), gaussian_filter1d(count, 12)
        tops = (3 * fine > LEAST) & (fine > STAND * broad)
        tops[1:-1] &= (fine[1:-1] >= fine[:-2]) & (fine[1:-1] >= fine[2:])
        taken: list[float] = []
        for bin_ in np.argsort(-fine):
            middle = low + FINE * (bin_ + 0.5)
            if not tops[bin_] or any(abs(middle - other) < APART for other in taken):
                continue
            taken.append(middle)
            near = np.abs(at - middle) < 2 * FINE
            offset = float(np.average(at[near], weights=weight[near]))
            found.append((float(fine[bin_]), normal, offset))
    found = sorted(found, key=lambda plane: -plane[0])[:MOST]
    return _Planes(
        np.array([normal for _, normal, _ in found]).reshape(-1, 3),
        np.array([offset for *_, offset in found]),
    )


def _with_joints(planes: _Planes, joints: list[Joint], yaw: float, eyes: F64) -> _Planes:
    """`planes` with levels at the heights of their joints, and upright planes through those.

    Above the eyes and on the floor hardly anything but a wall ends (unless the floor has a pattern
    of lines): such joints take the place of what was matched about them, others only fill gaps.

    Args:
        planes: what was matched.
        joints: lines on the levels of `planes`.
        yaw: of the room.
        eyes: `[n]` heights of the cameras.
    """
    normal, offset = planes.normal, planes.offset.copy()
    for level in np.flatnonzero(normal[:, 2] > 0.5):
        on = [j for j in joints if abs(j.height - offset[level]) < TOO_HIGH]
        if len(on) > 1:
            offset[level] = mean_height(on)
    low = min(eyes.min(), offset[normal[:, 2] > 0.5].min(initial=np.inf) + APART)
    floor = [j for j in joints if j.height < low]
    for axis in (0, 1):
        walls = [j for j in joints if j.axis == axis and j.height > np.median(eyes)]
        below = [j for j in floor if j.axis == axis]
        walls += below if len(below) <= PATTERN else []
        others = [j for j in joints if j.axis == axis and j not in walls]
        across = room_axes(yaw)[:, axis]
        for some, sure in ((walls, True), (others, False)):
            left = sorted(some, key=lambda joint: joint.doubt)
            while left:
                best = left[0].offset
                one = [j for j in left if abs(j.offset - best) < APART + 2 * j.doubt]
                left = [j for j in left if j not in one]
                near = (normal @ across > 0.99) & (np.abs(offset - best) < APART)
                if near.any() and not sure:
                    continue
                at = np.average([j.offset for j in one], weights=[1 / j.doubt**2 for j in one])
                normal = np.concatenate([normal[~near], across[None]])
                offset = np.append(offset[~near], at)
    return _Planes(normal, offset)


def _thin(points: F64) -> F64:
    """Means `[m, 3]` of the points in each cell of 3 cm that holds a few."""
    if not len(points):
        return points
    cell = np.floor(points / GRAIN).astype(np.int64)
    cell -= cell.min(axis=0)
    size = cell.max(axis=0) + 1
    _, index, count = np.unique(
        (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2],
        return_inverse=True,
        return_counts=True,
    )
    mean = np.stack([np.bincount(index, points[:, k]) / count for k in range(3)], axis=1)
    return np.asarray(mean[count >= GRAINS])


def _patches(colour: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Patches of one colour `[h, w]`, from 1 (Felzenszwalb & Huttenlocher 2004)."""
    from skimage.segmentation import felzenszwalb

    found = felzenszwalb(colour, scale=SCALE, sigma=SMOOTH, min_size=SMALLEST)
    return np.asarray(found + 1, np.int32)


def _rims(patch: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where another patch is near."""
    near, label = np.ones((RIM, RIM)), patch.astype(np.float32)
    return np.asarray(cv2.dilate(label, near) != cv2.erode(label, near))


def _fill(plate: Plate, sure: F32, planes: _Planes, cloud: F64, ceiling: F32 | None = None) -> F32:
    """Depth with a plane in every patch that has one; `sure` `[h, w]` is the depth of edges.

    Nothing lies behind `ceiling` `[h, w]`: a patch that goes on there is the ceiling.
    """
    rays, eye = plate.rays(), plate.pose[:3, 3]
    patch, planar = _patches(plate.colour), planes.along(eye, rays)
    axes = np.unique(planes.normal, axis=0)
    if plate.contrast is not None:  # within a plain patch hardly any match is right
        sure = np.where(_rims(patch) | (plate.contrast >= RICH), sure, 0)
    u, v, z = _seen(plate, cloud)
    owner = patch[v, u]
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(patch.max() + 2))
    out = plate.stays.copy()
    if ceiling is None:
        ceiling = np.full(out.shape, np.inf, np.float32)
    for number, box in enumerate(find_objects(patch), 1):
        grown = tuple(slice(max(side.start - 3, 0), side.stop + 3) for side in box)
        mask, known = patch[grown] == number, sure[grown]
        if (mask & (out[grown] == 0)).sum() < UNKNOWN:
            continue
        edge = (cv2.dilate(mask.astype(np.uint8), np.ones((RING, RING))) > 0) & (known > 0)
        if edge.sum() < FEWEST:
            continue
        floating = order[starts[number] : starts[number + 1]]
        here = planar[grown]
        found = _choose(
            here[mask], here[edge], known[edge], planar[v[floating], u[floating]], z[floating]
        )
        if found is None:  # furniture lies on planes of its own, too small to be seen in the room
            ways = rays[grown]
            own = _own_planes(eye, ways[edge], known[edge], axes)
            found = _choose(
                own.along(eye, ways[mask]), own.along(eye, ways[edge]), known[edge],
                own.along(eye, rays[v[floating], u[floating]]), z[floating], OWN_BELIEVED,
            )  # fmt: skip
        if found is not None:
            target = out[grown]
            found = np.minimum(found, ceiling[grown][mask])
            target[mask] = np.where(target[mask] > 0, target[mask], found)
    return out


def _seen(plate: Plate, cloud: F64) -> tuple[NDArray[np.int64], NDArray[np.int64], F64]:
    """Pixels u, v and z-depths of the points of `cloud` before a camera."""
    local = (cloud - plate.pose[:3, 3]) @ plate.pose[:3, :3]
    local = local[local[:, 2] < -NEAREST]
    z = -local[:, 2]
    fx, fy, cx, cy = plate.lens
    u = np.round(cx + fx * local[:, 0] / z).astype(np.int64)
    v = np.round(cy - fy * local[:, 1] / z).astype(np.int64)
    inside = (u >= 0) & (v >= 0) & (u < plate.depth.shape[1]) & (v < plate.depth.shape[0])
    return u[inside], v[inside], z[inside]


def _own_planes(eye: F64, rays: F64, known: F32, axes: F64) -> _Planes:
    """Planes along the room's axes on which many of one patch's own edges lie.

    Args:
        eye: `[3]` position of the camera.
        rays: `[m, 3]` of the edges, of z-depth 1.
        known: `[m]` their depths.
        axes: `[a, 3]` normals of the room's planes.
    """
    points, near = eye + known[:, None] * rays, NEAR + SLOPE * known
    found: list[tuple[F64, float]] = []
    for normal in axes:
        at = np.sort(points @ normal)
        reach = float(np.median(near))
        count = np.searchsorted(at, at + 2 * reach) - np.arange(len(at))
        top = int(count.argmax())
        if count[top] > OWN * len(at):
            found.append((normal, float(np.median(at[top : top + count[top]]))))
    return _Planes(
        np.array([normal for normal, _ in found]).reshape(-1, 3),
        np.array([offset for _, offset in found]),
    )


def _choose(
    patch: F32, edge: F32, known: F32, behind: F32, floating: F64, believed: float = BELIEVED
) -> F32 | None:
    """Depth of a patch's pixels by the planes that its edges lie on; None where none does.

    Args:
        patch: `[n, p]` depths of the planes at the pixels of the patch.
        edge: `[m, p]` likewise at its edges.
        known: `[m]` what was found there.
        behind: `[k, p]` depths of the planes at points of other views before the patch.
        floating: `[k]` depths of those points.
        believed: least score of the best plane.
    """
    near = (NEAR + SLOPE * known)[:, None]
    close = (NEAR + SLOPE * floating)[:, None]

    def score(edge: F32, behind: F32) -> F64:
        off = known[:, None] - edge
        on = (np.abs(off) < near).sum(axis=0)
        farther, nearer = (off > 2 * near).sum(axis=0), (off < -near).sum(axis=0)
        before = (behind - floating[:, None] > 2 * close).sum(axis=0)
        count = len(known) - (1 - OUTLINE) * nearer
        return np.asarray((on - BEHIND * farther) / count - BEFORE * before / (len(known) + before))

    alone = score(edge, behind)
    if not len(alone) or alone.max() < believed:
        return None
    tied = np.flatnonzero(alone > TIED * alone.max())
    first = int(tied[np.argmin(np.median(patch[:, tied], axis=0))])
    best, depth = alone[first], patch[:, first]
    edge_now, behind_now = edge[:, [first]], behind[:, [first]]
    for _ in range(CORNER - 1):  # seen from within, of two walls the nearer one is there
        edges, behinds = np.minimum(edge, edge_now), np.minimum(behind, behind_now)
        both = score(edges, behinds)
        other = int(np.argmax(both))
        if both[other] < best + GAIN:
            break
        best, depth = both[other], np.minimum(depth, patch[:, other])
        edge_now, behind_now = edges[:, [other]], behinds[:, [other]]
    far = ~(depth < FARTHEST)
    return None if far.mean() > 0.02 else np.where(far, 0, depth).astype(np.float32)


def _kept(plates: Sequence[Plate], filled: list[F32], i: int) -> F32:
    """Filled depth of plate `i` where others agree at least as often as they contradict it."""
    one, depth = plates[i], filled[i]
    agree, against = np.zeros((2, *depth.shape), np.int32)
    step = max(1, len(plates) // OTHERS)
    for j in range(i % step, len(plates), step):
        if j != i:
            other = plates[j]
            turn = other.pose[:3, :3].T @ one.pose[:3, :3]
            place = other.pose[:3, :3].T @ (one.pose[:3, 3] - other.pose[:3, 3])
            _compare(depth, filled[j], one.lens, other.lens, turn, place, agree, against)
    good = (one.stays > 0) | ((agree > 0) & (agree >= against))
    return np.where(good, depth, 0).astype(np.float32)


@njit(cache=True, parallel=True)
def _compare(depth, there, lens, other, turn, place, agree, against):  # type: ignore[no-untyped-def]
    """Count whether another image has the same surface or contradicts it; OpenGL axes.

    It does if it looks through the point, or sees one before it that this image looks through
    (Merrell et al. 2007).
    """
    height, width = there.shape
    for v in prange(depth.shape[0]):
        for u in range(depth.shape[1]):
            z = depth[v, u]
            if z <= 0:
                continue
            x, y = (u - lens[2]) / lens[0] * z, -(v - lens[3]) / lens[1] * z
            ahead = -(turn[2, 0] * x + turn[2, 1] * y - turn[2, 2] * z + place[2])
            if ahead < 0.1:
                continue
            right = turn[0, 0] * x + turn[0, 1] * y - turn[0, 2] * z + place[0]
            up = turn[1, 0] * x + turn[1, 1] * y - turn[1, 2] * z + place[1]
            s = int(np.round(right / ahead * other[0] + other[2]))
            t = int(np.round(-up / ahead * other[1] + other[3]))
            if s < 0 or t < 0 or s >= width or t >= height or there[t, s] <= 0:
                continue
            seen = there[t, s]
            if abs(seen - ahead) < AGREE * ahead + STEP:
                agree[v, u] += 1
            elif seen > ahead:
                against[v, u] += 1
            else:
                right, up, back = (
                    right / ahead * seen - place[0], up / ahead * seen - place[1],
                    -seen - place[2],
                )  # fmt: skip
                z = -(turn[0, 2] * right + turn[1, 2] * up + turn[2, 2] * back)
                if z < 0.1:
                    continue
                x = turn[0, 0] * right + turn[1, 0] * up + turn[2, 0] * back
                y = turn[0, 1] * right + turn[1, 1] * up + turn[2, 1] * back
                s = int(np.round(x / z * lens[0] + lens[2]))
                t = int(np.round(-y / z * lens[1] + lens[3]))
                if 0 <= s < depth.shape[1] and 0 <= t < depth.shape[0]:
                    against[v, u] += depth[t, s] > z + AGREE * z + STEP
