"""Cells of drawn plans: a room ends at a wall that faces it, not at one seen from its back."""

from __future__ import annotations

import numpy as np
import pytest

from piavas.geometry.bounds import find_edges
from piavas.geometry.cells import label_cells
from piavas.geometry.fusion import Box
from piavas.geometry.planes import Crossings, Plane
from piavas.geometry.prisms import Plan
from piavas.geometry.shell import _behind

VOXEL, HEIGHT = 0.05, 2.5
FRONT = ((0.0, 1), (4.0, -1))  # walls across x, and the side on which their air lies


def wall(at: float, facing: int, high: float = HEIGHT) -> tuple[np.ndarray, np.ndarray]:
    """A wall across x, seen 3 m long."""
    y, z = np.meshgrid(np.arange(0.02, 3, VOXEL), np.arange(0.02, high, VOXEL))
    return np.stack([np.full(y.size, at), y.ravel(), z.ravel()], 1), np.full(y.size, facing)


@pytest.mark.parametrize("back", [3.97, 4.05, 4.03])
@pytest.mark.parametrize("turned", [False, True])
def test_a_room_ends_at_the_wall_that_faces_it(back, turned):
    """Two planes within 5 cm: the room's wall, and the back of something low beyond or before."""
    box = Box(np.array([-0.5, -0.5, -0.3]), (110, 84, 66), VOXEL, 0.0)
    walls = [*FRONT, (back, 1)]
    at, facing = (
        np.concatenate(part)
        for part in zip(*(wall(*w) for w in FRONT), wall(back, 1, 1.0), strict=True)
    )
    if turned:  # mirrored in x, each wall faces the other way
        at[:, 0], facing = 4 - at[:, 0], -facing
        walls = [(4 - x, -way) for x, way in walls]
    plan, inside = labelled(box, at, facing, walls)
    middle = (plan.x[:-1] + plan.x[1:]) / 2
    np.testing.assert_array_equal(inside[:, 1], (middle > 0) & (middle < 4))
    assert not inside[:, [0, 2]].any()


def labelled(box, at, facing, walls, sure=True):
    """The plan of walls across x, and which of its cells are the room that was looked into.

    Where not `sure`, depth that was measured looked through nothing.
    """
    none = Crossings(np.zeros((0, 3)), np.zeros(0, np.int8), np.zeros(0))
    across = [Crossings(at, facing.astype(np.int8), np.full(len(at), VOXEL**2)), none, none]
    planes = [[Plane(0, x, way, 5.0) for x, way in walls], []]
    sides = [box.axis(0)[0], box.axis(0)[-1]]
    plan = Plan(np.unique([*sides, *(x for x, _ in walls)]), np.array([-0.5, 0.0, 3.0, 3.6]))
    free = np.zeros(box.shape, bool)
    # Free space is not told apart close to a surface.
    free[13:87, 12:68, 8:54] = True
    under = np.full(box.shape[:2], HEIGHT)
    edges = find_edges(plan, planes, across, box, 0.0, under)
    eyes = np.array([[1.9, 1.5, 1.5]])
    return plan, label_cells(plan, edges, free, free & sure, box, eyes, 0.0, HEIGHT, under)


def assert_the_room_ends_at_its_walls(box, parts, walls, turned):
    """The room goes from x = 0 to 4, also seen the other way round."""
    at, facing = (np.concatenate(part) for part in zip(*parts, strict=True))
    if turned:
        at[:, 0], facing = 4 - at[:, 0], -facing
        walls = [(4 - x, -way) for x, way in walls]
    plan, inside = labelled(box, at, facing, walls)
    middle = (plan.x[:-1] + plan.x[1:]) / 2
    np.testing.assert_array_equal(inside[:, 1], (middle > 0) & (middle < 4))


@pytest.mark.parametrize("turned", [False, True])
def test_a_room_goes_on_behind_a_curtain_and_not_into_a_window(turned):
    """Over a curtain that hides nearly all of it the wall shows; a pane ends under the wall."""
    box = Box(np.array([-0.5, -0.5, -0.3]), (110, 84, 66), VOXEL, 0.0)
    curtain, pane = 3.88, 4.16
    parts = [wall(0.0, 1), wall(4.0, -1), wall(curtain, -1, 2.3), wall(pane, -1, 2.2)]
    strip = parts[1][0][:, 2] > 2.3
    parts[1] = parts[1][0][strip], parts[1][1][strip]
    assert_the_room_ends_at_its_walls(box, parts, [*FRONT, (curtain, -1), (pane, -1)], turned)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("before", "behind"),
    [((3.88, 0.75, HEIGHT), (4.0, 0.0, 0.7)), ((4.0, 2.1, HEIGHT), (4.16, 0.0, 2.1))],
    ids=["a curtain up to the ceiling", "a lintel over a glass door"],
)
def test_a_wall_that_shows_under_what_hangs_is_the_wall(before, behind, turned):
    box = Box(np.array([-0.5, -0.5, -0.3]), (110, 84, 66), VOXEL, 0.0)
    parts = [wall(0.0, 1)]
    for x, low, high in (before, behind):
        at, facing = wall(x, -1, high)
        parts.append((at[at[:, 2] > low], facing[at[:, 2] > low]))
    walls = [(0.0, 1), (before[0], -1), (behind[0], -1)]
    assert_the_room_ends_at_its_walls(box, parts, walls, turned)


def test_a_wall_between_rooms_is_no_air_though_concluded_depth_looks_through_it():
    box = Box(np.array([-0.5, -0.5, -0.3]), (110, 84, 66), VOXEL, 0.0)
    walls = [*FRONT, (2.0, -1), (2.12, 1)]
    at, facing = (np.concatenate(part) for part in zip(*(wall(*w) for w in walls), strict=True))
    for sure in (True, False):  # through a wide doorway many look for sure
        plan, inside = labelled(box, at, facing, walls, sure)
        middle = (plan.x[:-1] + plan.x[1:]) / 2
        wall_there = (middle > 2.0) & (middle < 2.12)
        room = (middle > 0) & (middle < 4) & (sure | ~wall_there)
        np.testing.assert_array_equal(inside[:, 1], room)


def test_little_that_is_seen_counts_only_close_behind_a_wall():
    walls = [Plane(0, 3.9, -1, 5.0), Plane(0, 0.0, 1, 5.0)]
    faint = [Plane(0, at, way, 0.3) for at, way in ((4.0, -1), (4.7, -1), (3.8, -1), (4.0, 1))]
    assert _behind(walls, [*faint, walls[0]]) == faint[:1]
