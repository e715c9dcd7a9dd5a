"""Where walls meet floors and ceilings: edges along the room's axes at heights of level planes.

Of a plain wall matching sees what hangs or stands before it, a curtain or a shelf, and takes that
for the wall. But the line in which the wall meets the ceiling is its own. Lines at the heights of
level planes are swept across the room (Collins 1996): where the images that look there have an edge
along the line, one is. Its offset and height are then those that bring it onto the edges in all
images, by robust least squares (Taylor & Kriegman 1995, structure from lines). A line that lies at
another height than the plane is an accident of few images, or moves away from it, and is dropped.
A line that few images see is believed where the lines of other walls end in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d

from piavas.geometry.depth.patchmatch import bilinear

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
ACROSS, ALONG = 0.01, 0.05  # metres between the lines tried, and between places on a line
BESIDE, BEYOND = 0.3, 2.0  # metres beyond what was matched where lines are tried, and end
SOFT = 2.0  # grey levels a pixel that make half an edge
OCCLUDED = 0.94  # of the depth of a place, under which a match stands before it
SWAY = 50.0  # pixels that a line moves when it moves by a metre, from which an image counts fully
LOOKS = 2.0  # images that must look at a place
EDGE, FAINT = 0.3, 0.14  # mean strength from which there is an edge, and one at joints' ends
RUN = 4  # places in a row that must have one
LEAST = 0.1  # metres of full strength
PEAKS, APART = 10, 0.05  # lines of one height, and metres between them
REACH = 4  # pixels from a line within which its edge is sought
WEAKEST = 1.0  # grey levels a pixel of an edge that counts
NOISE = 0.7  # pixels of noise of edges
RISE, SURE = 0.015, 0.003  # metres of doubt about a plane's height: matched, and of its joints
ROUNDS = 6  # of least squares
FEWEST, ONTO = 40, 0.5  # edges found, and the share that must lie within a pixel
FEWER = 25  # edges of only those images that mostly agree
FEW, FAR_ONTO = 0.1, 0.35  # likewise where the joints of two walls end, and that of one
MEET, ALONE = 0.09, 0.15  # metres from a line to the ends of two joints, of one
TOO_HIGH = 0.02  # metres that the height may move
DOUBT = 0.02  # metres, largest standard error of the offset
DRAWN = 1.5  # pixels within which an image has the edge


class Picture(Protocol):
    """What is needed of an image, see `piavas.geometry.depth.fill.Plate`."""

    @property
    def colour(self) -> NDArray[np.uint8]:
        """`[h, w, 3]` bytes."""
        ...

    @property
    def depth(self) -> F32:
        """`[h, w]` matched z-depth in metres, 0 where nothing is known."""
        ...

    @property
    def lens(self) -> F64:
        """`[4]` fx, fy, cx, cy in pixels."""
        ...

    @property
    def pose(self) -> F64:
        """`[4, 4]` camera-to-world, OpenGL axes."""
        ...


@dataclass(frozen=True)
class Joint:
    """A level line along one of the room's axes.

    Args:
        axis: 0 or 1, the axis across it.
        offset: metres along that axis.
        height: metres.
        along: `[n]` metres along the other axis where it was seen.
        doubt: standard error of the offset, metres.
    """

    axis: int
    offset: float
    height: float
    along: F64
    doubt: float


@dataclass(frozen=True)
class _Image:
    """Gradients of an image, and where it was taken, in the turned frame."""

    right: F32
    down: F32
    depth: F32
    lens: F64
    turn: F64
    place: F64

    @classmethod
    def of(cls, picture: Picture, axes: F64) -> _Image:
        grey = cv2.cvtColor(picture.colour.astype(np.float32), cv2.COLOR_RGB2GRAY)
        grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
        turn = picture.pose[:3, :3].T
        return cls(
            np.asarray(cv2.Scharr(grey, cv2.CV_32F, 1, 0) / 32),
            np.asarray(cv2.Scharr(grey, cv2.CV_32F, 0, 1) / 32),
            picture.depth,
            picture.lens,
            np.ascontiguousarray(turn @ axes),
            -turn @ picture.pose[:3, 3],
        )

    def sum_edges(
        self, axis: int, height: float, across: F64, along: F64, total: F64, count: F64
    ) -> None:
        _sum_edges(
            self.right, self.down, self.depth, self.lens, self.turn, self.place,
            axis, height, across, along, total, count,
        )  # fmt: skip

    def edges(self, axis: int, offset: float, height: float, along: F64) -> F64:
        """For each place: pixels to its edge, change of that by offset and by height, u, v, z."""
        out = np.full((len(along), 6), np.nan)
        _find_edges(
            self.right, self.down, self.depth, self.lens, self.turn, self.place,
            axis, offset, height, along, out,
        )  # fmt: skip
        return out


def room_axes(yaw: float) -> F64:
    """Columns `[3, 3]`: the room's axes, turned by `yaw` radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def find_joints(
    pictures: Sequence[Picture], levels: Sequence[float], points: F64, yaw: float
) -> list[Joint]:
    """Lines at the heights `levels` that several images have an edge along.

    Args:
        pictures: images with what was matched in them.
        levels: metres.
        points: `[n, 3]` world, all that was matched.
        yaw: radians by which the room's axes are turned.
    """
    axes = room_axes(yaw)
    images = [_Image.of(picture, axes) for picture in pictures]
    turned = points @ axes
    low, high = (np.quantile(turned, share, axis=0) for share in (0.002, 0.998))
    found = []
    for height in levels:
        rough = []
        for axis in (0, 1):
            across = np.arange(low[axis] - BESIDE, high[axis] + BESIDE, ACROSS)
            along = np.arange(low[1 - axis] - BEYOND, high[1 - axis] + BEYOND, ALONG)
            for offset, places in _peaks(images, axis, height, across, along):
                rough.append(_fit(images, axis, offset, height, places, RISE))
        good = [joint for joint in rough if joint is not None]
        if good:
            level = mean_height(good)
            again = [_fit(images, j.axis, j.offset, level, j.along, SURE) for j in good]
            sure = [_sharpened(images, joint) for joint in again if joint is not None]
            found += sure + _faint(images, sure, level, low, high)
    return found


def _sharpened(images: list[_Image], joint: Joint) -> Joint:
    """`joint` on the edges of only those images that mostly agree with it."""
    better = _fit(images, joint.axis, joint.offset, joint.height, joint.along, SURE, FEW)
    return joint if better is None or abs(better.offset - joint.offset) > APART else better


def _faint(
    images: list[_Image], sure: list[Joint], height: float, low: F64, high: F64
) -> list[Joint]:
    """Lines that few images see, in which joints across them end.

    Where two walls end at one line there is a third wall, and where one does beyond all that was
    matched. Neither the line nor the ends would do alone: furniture has lines and hides ends.

    Args:
        images: all.
        sure: joints of this height.
        height: metres.
        low: `[3]` least coordinates of what was matched.
        high: greatest ones.
    """
    found = []
    for axis in (0, 1):
        ends = np.array([(j.along.min(), j.along.max()) for j in sure if j.axis != axis])
        if not len(ends):
            continue
        known = [j.offset for j in sure if j.axis == axis]
        along = np.arange(low[1 - axis] - BEYOND, high[1 - axis] + BEYOND, ALONG)
        for end in ends.ravel():
            across = np.arange(end - ALONE, end + ALONE, ACROSS)
            for offset, places in _peaks(images, axis, height, across, along, FAINT):
                near = np.abs(ends - offset).min(axis=1)
                outside = not low[axis] < offset < high[axis]
                if any(abs(offset - other) < ALONE for other in known) or not (
                    (near < MEET).sum() > 1 or (outside and near.min() < ALONE)
                ):
                    continue
                share = FAR_ONTO if outside else FEW
                joint = _fit(images, axis, offset, height, places, SURE, share)
                if joint is not None:
                    found.append(joint)
                    known.append(joint.offset)
    return found


def mean_height(joints: Sequence[Joint]) -> float:
    """Height in metres of the plane that joints lie on, the surest counting most."""
    return float(np.average([j.height for j in joints], weights=[1 / j.doubt**2 for j in joints]))


def draw_joints(picture: Picture, joints: Sequence[Joint], yaw: float) -> F32:
    """Matched depth of a picture, and that of the joints where it has their edges."""
    image, out = _Image.of(picture, room_axes(yaw)), picture.depth.copy()
    for joint in joints:
        fine = (joint.along[:, None] + ALONG * np.arange(-2, 3) / 5).ravel()
        u, v, z = _close(image.edges(joint.axis, joint.offset, joint.height, fine), DRAWN)[:, 3:].T
        for du, dv in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            out[np.round(v).astype(int) + dv, np.round(u).astype(int) + du] = z
    return out


def _close(edges: F64, reach: float) -> F64:
    """Rows of edges that lie within `reach` pixels of the line."""
    return np.asarray(edges[np.abs(np.nan_to_num(edges[:, 0], nan=np.inf)) < reach])


def _peaks(
    images: list[_Image],
    axis: int,
    height: float,
    across: F64,
    along: F64,
    edge: float = EDGE,
) -> list[tuple[float, F64]]:
    """Offsets with edges, strongest first, and the places along them that have some."""
    total, count = np.zeros((2, len(across), len(along)))
    for image in images:
        image.sum_edges(axis, height, across, along, total, count)
    looks = LOOKS * (edge / EDGE) ** 2
    strength = np.where(count > looks, total / np.maximum(count, looks), 0)
    score = gaussian_filter1d(np.clip(strength - 0.8 * edge, 0, 1).sum(axis=1) * ALONG, 1.0)
    wide = 2 * round(APART / ACROSS) - 1
    tops = np.flatnonzero((score == maximum_filter1d(score, wide)) & (score > LEAST * edge / EDGE))
    found = []
    for top in tops[np.argsort(-score[tops])][:PEAKS]:
        on = strength[max(top - 1, 0) : top + 2].max(axis=0) > edge
        # Opening by runs of places.
        core = uniform_filter1d(on.astype(float), RUN, mode="constant") > 1 - 1e-9
        on &= maximum_filter1d(core, 2 * RUN - 1, mode="constant") > 0
        if on.any():
            found.append((float(across[top]), along[on]))
    return found


def _fit(
    images: list[_Image],
    axis: int,
    offset: float,
    height: float,
    along: F64,
    rise: float,
    agreed: float | None = None,
) -> Joint | None:
    """The joint near a line, on the edges of all images; None where they do not agree on one.

    Images of which less than half the edges lie on the line see something else before it: where
    `agreed` is given they are left out, and the others' edges on it must be that share of all.
    """
    start = height
    for turn in range(ROUNDS):
        every = [image.edges(axis, offset, height, along) for image in images]
        every = [found[np.isfinite(found[:, 0])] for found in every]
        count = sum(len(found) for found in every)
        if agreed is not None and turn >= 2:
            every = [e for e in every if len(e) and (np.abs(e[:, 0]) < 1).mean() >= ONTO]
        edges = np.concatenate([np.zeros((0, 6)), *every])
        if len(edges) < (FEWEST if agreed is None else FEWER):
            return None
        gap, slope, move = edges[:, 0], edges[:, 1:3], np.zeros(2)
        for _ in range(5):
            weight = 1 / (1 + ((gap - slope @ move) / NOISE) ** 2) ** 2
            normal = (slope * weight[:, None]).T @ slope
            right = (slope * weight[:, None]).T @ gap
            # The plane's height is known to `rise`; a little keeps what is not seen in place.
            normal += np.diag([1.0, (NOISE / rise) ** 2])
            right[1] += (NOISE / rise) ** 2 * (start - height)
            move = np.linalg.solve(normal, right)
        offset += float(np.clip(move[0], -0.03, 0.03))
        height += float(np.clip(move[1], -0.03, 0.03))
    doubt = NOISE * float(np.sqrt(np.linalg.inv(normal)[0, 0]))
    share = float((np.abs(gap - slope @ move) < 1).sum() / count)
    least = ONTO if agreed is None else agreed
    if share < least or doubt > DOUBT or abs(height - start) > TOO_HIGH:
        return None
    return Joint(axis, offset, height, along, doubt)


@njit(cache=True)
def _project(shape, depth, lens, turn, place, axis, offset, height, along, margin, out):  # type: ignore[no-untyped-def]
    """Pixel u, v, z-depth, and what a metre across, up and along moves it; False if not seen."""
    x = turn[0, axis] * offset + turn[0, 1 - axis] * along + turn[0, 2] * height + place[0]
    y = turn[1, axis] * offset + turn[1, 1 - axis] * along + turn[1, 2] * height + place[1]
    z = -(turn[2, axis] * offset + turn[2, 1 - axis] * along + turn[2, 2] * height + place[2])
    if z < 0.3 or z > 8:
        return False
    u, v = lens[2] + lens[0] * x / z, lens[3] - lens[1] * y / z
    if not (margin <= u < shape[1] - 1 - margin and margin <= v < shape[0] - 1 - margin):
        return False
    met = depth[int(v + 0.5), int(u + 0.5)]
    if met > 0 and met < OCCLUDED * z:
        return False
    out[0], out[1], out[2] = u, v, z
    for k in range(3):
        way = axis if k == 0 else 2 if k == 1 else 1 - axis
        out[3 + 2 * k] = lens[0] * (turn[0, way] * z + x * turn[2, way]) / (z * z)
        out[4 + 2 * k] = -lens[1] * (turn[1, way] * z + y * turn[2, way]) / (z * z)
    return True


@njit(cache=True, parallel=True)
def _sum_edges(  # type: ignore[no-untyped-def]
    right, down, depth, lens, turn, place, axis, height, across, along, total, count
):
    """Add how much of an edge along it an image has at each line `across`, place `along`."""
    for i in prange(len(across)):
        at = np.empty(9)
        for j in range(len(along)):
            if not _project(
                right.shape, depth, lens, turn, place, axis, across[i], height, along[j], 1, at
            ):
                continue
            length = np.sqrt(at[7] ** 2 + at[8] ** 2)
            if length < 1e-6:
                continue
            tu, tv = at[7] / length, at[8] / length
            g, h = bilinear(right, at[0], at[1]), bilinear(down, at[0], at[1])
            over, with_ = abs(h * tu - g * tv), abs(g * tu + h * tv)
            weight = min(abs(at[4] * tu - at[3] * tv) / SWAY, 1.0)
            total[i, j] += weight * max(0.0, over - with_) / (over + with_ + SOFT)
            count[i, j] += weight


@njit(cache=True)
def _find_edges(  # type: ignore[no-untyped-def]
    right, down, depth, lens, turn, place, axis, offset, height, along, out
):
    """See `_Image.edges`; rows of places without an edge are left alone."""
    at, value = np.empty(9), np.empty(4 * REACH + 1)
    for j in range(len(along)):
        if not _project(
            right.shape, depth, lens, turn, place, axis, offset, height, along[j], REACH + 2, at
        ):
            continue
        length = np.sqrt(at[7] ** 2 + at[8] ** 2)
        if length < 1e-6:
            continue
        tu, tv = at[7] / length, at[8] / length
        nu, nv = -tv, tu
        top = 0
        for k in range(4 * REACH + 1):  # half pixels
            step = 0.5 * (k - 2 * REACH)
            g = bilinear(right, at[0] + step * nu, at[1] + step * nv)
            h = bilinear(down, at[0] + step * nu, at[1] + step * nv)
            value[k] = abs(g * nu + h * nv) - abs(g * tu + h * tv)
            if value[k] > value[top]:
                top = k
        if value[top] < WEAKEST or top == 0 or top == 4 * REACH:
            continue
        bend = value[top - 1] - 2 * value[top] + value[top + 1]
        part = 0.5 * (value[top - 1] - value[top + 1]) / bend if bend < 0 else 0.0
        out[j, 0] = 0.5 * (top + part - 2 * REACH)
        out[j, 1], out[j, 2] = at[3] * nu + at[4] * nv, at[5] * nu + at[6] * nv
        out[j, 3], out[j, 4], out[j, 5] = at[0], at[1], at[2]
