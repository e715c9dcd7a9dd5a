"""A walk over the free floor that plays by itself: to the far ends of the room, at a stroll."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter1d

from piavas.listen.page_floor import STEP, FloorMap
from piavas.scene import Pose, Trajectory

PACE = 0.8  # metres a second
EVERY = 0.1  # seconds between poses
SMOOTH = 0.35  # metres over which corners are rounded
TURN = 1.0  # seconds over which the head turns
BESIDE = 2.0  # metres from the source at which the walk begins
CALLS = 5


def stroll(floor: FloorMap, start: NDArray[np.floating], calls: int = CALLS) -> Trajectory:
    """A closed walk from beside `start` by the places farthest from each other, and back.

    The head looks where it goes. Nothing is random.
    """
    from skimage.graph import route_through_array

    cells = np.argwhere(floor.walkable)
    far = np.linalg.norm(floor.place(cells)[:, :2] - np.asarray(start)[:2], axis=1)
    stops = [cells[int(np.abs(far - BESIDE).argmin())]]
    while len(stops) < calls:
        gap = np.min([((cells - stop) ** 2).sum(axis=1) for stop in stops], axis=0)
        stops.append(cells[int(gap.argmax())])
    # Rather in the middle of the free floor than along things.
    room = distance_transform_edt(np.pad(floor.walkable, 1))[1:-1, 1:-1] * STEP
    cost = np.where(floor.walkable, 1 + 0.6 / (room + 0.1), 1e5)
    line = [stops[0]]
    for one, two in itertools.pairwise([*_in_order(stops), stops[0]]):
        route, _ = route_through_array(cost, tuple(one), tuple(two), fully_connected=True)
        line += [np.array(cell) for cell in route[1:]]
    return _walked(floor, np.array(line, float))


def _in_order(stops: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """The nearest next, from the first on."""
    left, way = list(stops[1:]), [stops[0]]
    while left:
        k = int(np.argmin([((stop - way[-1]) ** 2).sum() for stop in left]))
        way.append(left.pop(k))
    return way


def _walked(floor: FloorMap, cells: NDArray[np.float64]) -> Trajectory:
    flat = floor.low + STEP * cells
    gaps = np.maximum(np.linalg.norm(np.diff(flat, axis=0), axis=1), 1e-9)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    count: int = max(int(along[-1] / (PACE * EVERY)) + 1, 2)
    at = np.linspace(0, along[-1], count)
    even = np.stack([np.interp(at, along, flat[:, k]) for k in (0, 1)], axis=1)
    even = gaussian_filter1d(even, SMOOTH / (PACE * EVERY), axis=0, mode="nearest")
    way = np.gradient(even, axis=0)
    yaw = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))
    yaw = np.degrees(gaussian_filter1d(yaw, TURN / EVERY / 2, mode="nearest"))
    poses = [
        Pose.at((x, y, floor.ears), yaw=float(turn)).matrix
        for (x, y), turn in zip(even, yaw, strict=True)
    ]
    return Trajectory(EVERY * np.arange(count, dtype=np.float64), np.stack(poses))
