"""Ways over the free floor: of a camera through every room, and of a head that listens."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d, label

from piavas.errors import DataError
from piavas.scene import Pose, Trajectory
from piavas.twin.world import STEP, World

Array = NDArray[np.float64]
CLEARANCE = 0.25
STOPS = 4  # places visited in each room
TURN = 67.0  # degrees of yaw from one picture to the next
PITCHES = (-28.0, 2.0, 24.0, -6.0)
FILM_TURN = 15.0  # degrees of yaw from one picture of a film to the next
FILM_NOD = (2.0, 20.0, 19)  # degrees of mean pitch and of its swing, pictures of one nod
EARS = 1.6  # metres above the floor
PACE = 0.45  # m/s of a head
APART = 0.6  # metres that a head keeps from what it listens to
GLANCE = 40.0  # degrees, standard deviation of the gaze about the way ahead


def walk(world: World, frames: int, seed: int = 0, film: bool = False) -> Array:
    """Poses `[frames, 4, 4]`, evenly along a way over the free floor; a seed gives one way.

    Pictures look about to see most with few; a film turns slowly, so that neighbours overlap.
    """
    smooth = _evenly(route(world, seed), frames)
    generator = np.random.default_rng([world.seed, seed, 8])
    yaw = float(generator.uniform(0, 360))
    poses = []
    for i, (x, y) in enumerate(smooth):
        height = 1.55 + 0.06 * np.sin(1.7 * i) + float(generator.uniform(-0.03, 0.03))
        pitch = PITCHES[i % len(PITCHES)]
        if film:
            mean, swing, pictures = FILM_NOD
            pitch = mean + swing * np.sin(2 * np.pi * i / pictures)
        pitch += float(generator.uniform(-5, 5))
        turn = yaw + (FILM_TURN if film else TURN) * i
        poses.append(Pose.at((x, y, height), yaw=turn, pitch=pitch).matrix)
    return np.stack(poses)


def stroll(world: World, source: ArrayLike, seconds: float, rate: float, seed: int) -> Trajectory:
    """A head that walks about, first in the room of `source`, and looks around on its way.

    Args:
        world: where.
        source: `[3]` what it listens to and does not walk through.
        seconds: the last pose's time; the first is at 0.
        rate: poses a second.
        seed: of way and gaze.
    """
    source = np.asarray(source, float)
    way = route(world, seed, source[:2])
    gaps = np.linalg.norm(np.diff(way, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    times = np.arange(round(seconds * rate) + 1) / rate
    # At its end a head turns round and comes back.
    gone = along[-1] - np.abs((PACE * times) % (2 * along[-1]) - along[-1])
    places = np.stack([np.interp(gone, along, way[:, k]) for k in (0, 1)], axis=1)
    generator = np.random.default_rng([world.seed, seed, 10])
    yaw, pitch = _gaze(places, rate, generator)
    heights = EARS + 0.02 * np.sin(2 * np.pi * 0.9 * times)
    poses = [
        Pose.at((x, y, z), yaw=turn, pitch=tilt).matrix
        for (x, y), z, turn, tilt in zip(places, heights, yaw, pitch, strict=True)
    ]
    return Trajectory(times, np.stack(poses))


def _gaze(places: Array, rate: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Yaw and pitch in degrees: ahead, with slow glances to the sides."""

    def slow(seconds: float) -> Array:
        spread = seconds * rate
        noise = gaussian_filter1d(generator.standard_normal(len(places)), spread, mode="reflect")
        return np.asarray(noise * np.sqrt(2 * spread * np.sqrt(np.pi)))

    step = np.gradient(places, axis=0)
    ahead = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    yaw = np.degrees(gaussian_filter1d(ahead, 0.6 * rate, mode="nearest"))
    return yaw + GLANCE * slow(1.5), 6 * slow(2.0)


def route(world: World, seed: int, around: Array | None = None) -> Array:
    """Places `[n, 2]` one map cell apart, through all rooms.

    Args:
        world: where.
        seed: of the places visited.
        around: `(x, y)` of something to keep away from; the way begins in its room.

    Raises:
        DataError: no free floor to walk on.
    """
    from skimage.graph import route_through_array

    free, low = _floor(world, around)
    stops = _stops(world, free, low, seed, _room_of(world, around))
    cost = np.where(free, 1.0, -1.0)  # below zero: impassable
    way = [stops[0]]
    for one, two in itertools.pairwise(stops):
        path, _ = route_through_array(cost, tuple(one), tuple(two), fully_connected=True)
        way += [np.array(cell) for cell in path[1:]]
    return np.asarray(low + STEP * np.array(way, float))


def _floor(world: World, around: Array | None) -> tuple[NDArray[np.bool_], Array]:
    """The largest connected part of the free floor, less what is near `around`."""
    free, low = world.floor_map(CLEARANCE)
    if around is not None:
        x, y = (low[k] + STEP * np.arange(free.shape[k]) for k in (0, 1))
        free &= np.hypot(x[:, None] - around[0], y[None] - around[1]) > APART
    parts, count = label(free, np.ones((3, 3)))
    if not count:
        raise DataError("has no floor to walk on", field="world", mend="take another seed")
    return parts == 1 + int(np.bincount(parts.ravel())[1:].argmax()), low


def _stops(
    world: World, free: NDArray[np.bool_], low: Array, seed: int, first: int
) -> list[NDArray[np.int64]]:
    """Cells to visit: some in each room, rooms in the order one comes through the doorways."""
    generator = np.random.default_rng([world.seed, seed, 9])
    found: list[NDArray[np.int64]] = []
    for index in _order(world, first):
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


def _room_of(world: World, place: Array | None) -> int:
    if place is None:
        return 0
    inside = [i for i, room in enumerate(world.plan.rooms) if room.holds(*place)]
    return inside[0] if inside else 0


def _order(world: World, first: int) -> list[int]:
    """Rooms by depth first through the doorways."""
    order: list[int] = []
    stack = [first]
    while stack:
        room = stack.pop()
        if room in order:
            continue
        order.append(room)
        for door in world.plan.doorways:
            if room in door.rooms:
                stack.append(door.rooms[1] if door.rooms[0] == room else door.rooms[0])
    return order


def _evenly(places: Array, count: int) -> Array:
    """`count` places at equal steps along a line `[n, 2]`."""
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, places[:, k]) for k in (0, 1)], axis=1)
