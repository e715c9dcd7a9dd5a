"""Ceilings that nothing goes on above, over the whole apartment or over one room.

The line in which a wall meets its ceiling lies on both, and so do the edges of a plain patch that
ends there: of the ceiling itself they also say that it is the wall, going on up. But a wall ends
where its joint with a ceiling is. Joints of both axes that meet make the outline of a ceiling, and
within it whatever is seen of a place above it is the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from piavas.geometry.depth.joints import TOO_HIGH, Joint, room_axes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
JOINTS, STRAY = 3, 0.03  # joints that make a level a lid, and share of the points above it
ABOVE = 0.1  # metres from which points lie above it
SHORT = 0.5  # metres that joints may end short of each other: furniture hides their ends
ABOUT = 0.05  # metres about a lid within which joints above it are its own walls'


@dataclass(frozen=True)
class Lid:
    """A level rectangle that is the ceiling.

    Args:
        height: metres.
        low: `[2]` least coordinates along the room's axes, metres.
        high: `[2]` greatest ones.
    """

    height: float
    low: F64
    high: F64

    def over(self, places: F64, about: float = 0.0) -> NDArray[np.bool_]:
        """Which of `places` `[..., 2 or 3]` along the room's axes lie in the rectangle."""
        at = places[..., :2]
        return np.asarray(((at > self.low - about) & (at < self.high + about)).all(axis=-1))


def find_lids(
    levels: Sequence[float], joints: Sequence[Joint], cloud: F64, eye: float
) -> list[Lid]:
    """Levels above `eye` that walls end at on both axes, highest first.

    The highest is one everywhere. A lower one is over the rectangle of joints that meet, where no
    wall goes on above it. A place with much of `cloud` above it is no lid: a slanted ceiling, a
    higher room.

    Args:
        levels: metres.
        joints: lines on them.
        cloud: `[n, 3]` points along the room's axes.
        eye: height of the cameras, metres.
    """
    found: list[Lid] = []
    seen_above: list[Joint] = []
    for height in sorted((level for level in levels if level > eye), reverse=True):
        on = [j for j in joints if abs(j.height - height) < TOO_HIGH]
        if not seen_above and _both(on):  # the highest
            everywhere = Lid(float(height), np.full(2, -np.inf), np.full(2, np.inf))
            found += [everywhere] if _closed(everywhere, cloud) else []
        elif seen_above:
            parts = [_rectangle(height, part) for part in _meeting(on) if _both(part)]
            walls = np.concatenate([_places(joint) for joint in seen_above])
            found += [p for p in parts if not p.over(walls, ABOUT).any() and _closed(p, cloud)]
        if seen_above or _both(on):
            seen_above += on
    return found


def under(lids: Sequence[Lid], eye: F64, rays: F64, yaw: float) -> F32:
    """z-depth `[h, w]` of the lids above a camera at `eye` on `rays` `[h, w, 3]`, inf for none."""
    axes = room_axes(yaw)
    at, ways = eye @ axes, rays @ axes
    out = np.full(rays.shape[:-1], np.inf)
    for lid in lids:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(ways[..., 2] > 0, (lid.height - at[2]) / ways[..., 2], np.inf)
        if lid.height > at[2]:
            met = np.where(np.isfinite(z), z, 0)
            out = np.where(lid.over(at + met[..., None] * ways), np.minimum(out, z), out)
    return out.astype(np.float32)


def _both(joints: Sequence[Joint]) -> bool:
    """Whether there are enough, of both axes."""
    return len(joints) >= JOINTS and len({joint.axis for joint in joints}) == 2


def _closed(lid: Lid, cloud: F64) -> bool:
    """Whether hardly any points lie above a lid."""
    within = cloud[lid.over(cloud)]
    return not len(within) or bool((within[:, 2] > lid.height + ABOVE).mean() < STRAY)


def _places(joint: Joint) -> F64:
    """Places `[n, 2]` of a joint along the room's axes."""
    out = np.empty((len(joint.along), 2))
    out[:, joint.axis], out[:, 1 - joint.axis] = joint.offset, joint.along
    return out


def _rectangle(height: float, joints: Sequence[Joint]) -> Lid:
    at = np.concatenate([_places(joint) for joint in joints])
    return Lid(float(height), at.min(axis=0), at.max(axis=0))


def _meeting(joints: Sequence[Joint]) -> list[list[Joint]]:
    """Groups of joints that meet at corners."""

    def reaches(one: Joint, two: Joint) -> bool:
        return bool(one.along.min() - SHORT < two.offset < one.along.max() + SHORT)

    meet = np.array(
        [[a.axis != b.axis and reaches(a, b) and reaches(b, a) for b in joints] for a in joints]
    )
    if not len(joints):
        return []
    _, group = connected_components(meet, directed=False)
    return [[j for j, of in zip(joints, group, strict=True) if of == n] for n in np.unique(group)]
