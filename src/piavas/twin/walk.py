"""A camera carried at eye height through every room, looking all around."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from piavas.scene import Pose
from piavas.twin.world import STEP, World

CLEARANCE = 0.25
STOPS = 4  # places visited in each room
TURN = 67.0  # degrees of yaw from one picture to the next
PITCHES = (-28.0, 2.0, 24.0, -6.0)


def walk(world: World, frames: int, seed: int = 0) -> NDArray[np.float64]:
    """Poses `[frames, 4, 4]`, evenly along a way over the free floor; a seed gives one way."""
    from skimage.graph import route_through_array

    free, low = world.floor_map(CLEARANCE)
    stops = _stops(world, free, low, seed)
    # Rather in the middle of the free floor than along things.
    cost = np.where(free, 1.0, 1e4)
    way = [stops[0]]
    for one, two in itertools.pairwise(stops):
        route, _ = route_through_array(cost, tuple(one), tuple(two), fully_connected=True)
        way += [np.array(cell) for cell in route[1:]]
    places = low + STEP * np.array(way, float)
    smooth = _evenly(places, frames)
    generator = np.random.default_rng([world.seed, seed, 8])
    yaw = float(generator.uniform(0, 360))
    poses = []
    for i, (x, y) in enumerate(smooth):
        height = 1.55 + 0.06 * np.sin(1.7 * i) + float(generator.uniform(-0.03, 0.03))
        pitch = PITCHES[i % len(PITCHES)] + float(generator.uniform(-5, 5))
        poses.append(Pose.at((x, y, height), yaw=yaw + TURN * i, pitch=pitch).matrix)
    return np.stack(poses)


def _stops(
    world: World, free: NDArray[np.bool_], low: NDArray[np.float64], seed: int
) -> list[NDArray[np.int64]]:
    """Cells to visit: some in each room, rooms in the order one comes through the doorways."""
    generator = np.random.default_rng([world.seed, seed, 9])
    found: list[NDArray[np.int64]] = []
    for index in _order(world):
        room = world.plan.rooms[index]
        cells = np.argwhere(free)
        x, y = (low[k] + STEP * cells[:, k] for k in (0, 1))
        inside = (x > room.low[0]) & (x < room.high[0]) & (y > room.low[1]) & (y < room.high[1])
        cells = cells[inside]
        if not len(cells):
            continue
        chosen = [cells[generator.integers(len(cells))]]
        while len(chosen) < STOPS:
            gap = np.min(((cells[:, None] - np.array(chosen)[None]) ** 2).sum(-1), axis=1)
            chosen.append(cells[int(gap.argmax())])
        found += chosen
    return found


def _order(world: World) -> list[int]:
    """Rooms by depth first through the doorways."""
    order, stack = [], [0]
    while stack:
        room = stack.pop()
        if room in order:
            continue
        order.append(room)
        for door in world.plan.doorways:
            if room in door.rooms:
                stack.append(door.rooms[1] if door.rooms[0] == room else door.rooms[0])
    return order


def _evenly(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """`count` places at equal steps along a line `[n, 2]`."""
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, places[:, k]) for k in (0, 1)], axis=1)
