"""Ceilings over the cells of drawn plans: steps, lintels, rooms of which nothing was seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from piavas.geometry.ceilings import _peaks, find_ceilings, find_rooms
from piavas.geometry.planes import Crossings

X, Y = np.array([0.0, 2, 4, 4.1, 8]), np.array([0.0, 3])
Z = np.arange(0, 3.2, 0.05)
ROOMS = np.array([[0], [0], [-1], [1]])


def seen(patches):
    """Surfaces that face down: (x from, to, y from, to, height), a sample each 5 cm."""
    found = [np.zeros((0, 3))]
    for x0, x1, y0, y1, height in patches:
        x, y = np.meshgrid(np.arange(x0, x1, 0.05), np.arange(y0, y1, 0.05))
        found.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], axis=1))
    at = np.concatenate(found)
    return Crossings(at, np.full(len(at), -1, np.int8), np.full(len(at), 0.05**2))


def heights(patches, *, free_to=(0.0, 0.0, 0.0, 0.0), walls=None, usual=2.5):
    columns = np.zeros((4, 1, len(Z) + 1), np.int64)
    columns[..., -1] = 100
    for cell, top in enumerate(free_to):
        columns[cell, 0, :-1][top > Z] = 100
    walls = np.zeros((0, 3)) if walls is None else walls
    found = find_ceilings(X, Y, ROOMS, seen(patches), walls, (Z, columns), 0.0, usual)
    return found[[0, 1, 3], 0]


def test_each_part_of_a_room_has_its_own_height():
    assert_allclose(
        heights([(0, 2, 0, 3, 2.7), (2, 4, 0, 3, 2.2), (4.1, 8, 0, 3, 2.4)]), [2.7, 2.2, 2.4]
    )


def test_an_unseen_part_is_as_the_next_of_its_room():
    assert_allclose(heights([(0, 2, 0, 3, 2.7), (4.1, 8, 0, 3, 2.4)]), [2.7, 2.7, 2.4])


def test_a_lintel_is_no_ceiling():
    # A tenth of a cell; and a large shelf over which views looked.
    assert_allclose(heights([(0, 2, 0, 3, 2.7), (2, 2.5, 0, 1, 2.0)])[:2], [2.7, 2.7])
    shelf = [(0, 2, 0, 3, 2.7), (2, 4, 0, 2, 2.0)]
    assert_allclose(heights(shelf, free_to=(2.6, 2.6, 0, 0))[:2], [2.7, 2.7])
    assert_allclose(heights(shelf)[:2], [2.7, 2.0])


def test_the_noise_of_a_ceiling_is_no_second_one():
    generator = np.random.default_rng(0)
    tail = 2.5 + generator.exponential(0.06, 2000)
    assert _peaks(tail, np.full(2000, 0.0009), 0.0) == pytest.approx([2.52], abs=0.02)
    step = np.concatenate([2.5 + 0.01 * generator.standard_normal(4000), np.full(1000, 2.62)])
    assert _peaks(step, np.full(5000, 0.0009), 0.0) == pytest.approx([2.5, 2.62], abs=0.005)


def test_where_no_ceiling_was_seen_the_walls_tell_it():
    z, y = np.meshgrid(np.arange(0, 2.8, 0.05), np.arange(0, 3, 0.05))
    walls = np.stack([np.full(z.size, 8.0), y.ravel(), z.ravel()], axis=1)
    assert_allclose(heights([(0, 4, 0, 3, 2.4)], walls=walls), [2.4, 2.4, 2.7], atol=0.06)
    # Walls of which the foot alone was seen tell nothing.
    low = walls[walls[:, 2] < 1.6]
    assert_allclose(heights([(0, 4, 0, 3, 2.4)], walls=low), [2.4, 2.4, 2.4])
    assert_allclose(heights([], walls=low, usual=2.6), [2.6, 2.6, 2.6])


def test_walls_part_rooms():
    inside = np.ones((3, 1), bool)
    assert find_rooms(inside, [(0, 1, 0.1), (1, 2, 0.9)]).ravel().tolist() == [0, 0, 1]
    inside[1] = False
    assert find_rooms(inside, [(0, 1, 0.1), (1, 2, 0.1)]).ravel().tolist() == [0, -1, 2]


def test_a_doorway_in_a_wall_is_no_higher_than_the_rooms_it_joins():
    rooms = np.array([[0], [1], [2]])
    columns = np.zeros((3, 1, len(Z) + 1), np.int64)
    down = seen([(0, 2, 0, 3, 2.3), (2.1, 4, 0, 3, 2.7)])
    for strip in ([0.0, 2, 2.1, 4], [0.0, 1.9, 2, 4]):  # next to the one, to the other
        x = np.array(strip)
        found = find_ceilings(x, Y, rooms, down, np.zeros((0, 3)), (Z, columns), 0.0, 2.5)
        assert_allclose(found[:, 0], [2.3, 2.3, 2.7])
