"""Ceilings from the joints of walls: over all, and over one room beside a higher one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.geometry.depth.joints import Joint
from piavas.geometry.depth.lids import find_lids, under

HIGH = [(0, 0.0, 6.1, 9), (0, 4.0, 6.1, 9), (1, 6.1, 0, 4), (1, 9.0, 0, 4)]
LOW = [(0, 0.0, 0.4, 5), (0, 4.0, 0.2, 5.9), (1, 0.0, 0.1, 3.9)]


def joints(height, lines):
    return [Joint(axis, at, height, np.arange(*ends, 0.05), 0.01) for axis, at, *ends in lines]


def cloud(*walls):
    """Points on upright walls: (x from, to, y from, to, z to)."""
    generator = np.random.default_rng(0)
    at = [
        np.array([x0, y0, 0]) + generator.random((1000, 3)) * [x1 - x0, y1 - y0, z]
        for x0, x1, y0, y1, z in walls
    ]
    return np.concatenate(at)


POINTS = cloud((0, 4, 0, 5.9, 2.3), (0, 4, 6.1, 9, 2.7))


def test_a_ceiling_is_a_level_that_walls_of_both_axes_end_at():
    high = joints(2.7, HIGH)
    (lid,) = find_lids([0.0, 2.7], high, POINTS, 1.5)
    assert lid.height == 2.7 and lid.over(np.array([-50.0, 50]))
    assert not find_lids([0.0, 2.7], high[:2], POINTS, 1.5)  # of one axis
    assert not find_lids([0.0, 2.7], high, POINTS, 2.8)
    assert not find_lids([0.0, 2.0], joints(2.0, HIGH), POINTS, 1.5)  # much was seen above it


def test_a_lower_ceiling_is_over_the_joints_that_meet():
    stray = joints(2.3, [(1, 8.5, 1.4, 3)])  # a window of the higher room
    both = [*joints(2.7, HIGH), *joints(2.3, LOW), *stray]
    high, low = find_lids([0.0, 2.3, 2.7], both, POINTS, 1.5)
    assert (high.height, low.height) == (2.7, 2.3)
    assert low.low == pytest.approx([0, 0], abs=0.05)
    assert low.high == pytest.approx([4, 5.9], abs=0.06)


def test_a_level_over_which_walls_go_on_is_no_ceiling():
    sill = joints(2.3, [(0, 0.0, 6.5, 8), (0, 4.0, 6.5, 8), (1, 9.0, 0.5, 3.5)])
    assert len(find_lids([2.3, 2.7], [*joints(2.7, HIGH), *sill], POINTS, 1.5)) == 1
    # No joint lies above it, but much that was matched does.
    more = np.concatenate([POINTS, cloud((0, 4, 0, 5.9, 2.7))])
    both = [*joints(2.7, HIGH), *joints(2.3, LOW)]
    assert len(find_lids([2.3, 2.7], both, more, 1.5)) == 1
    assert len(find_lids([2.3, 2.7], both, POINTS, 1.5)) == 2


def test_the_lowest_lid_above_a_camera_is_met_within_its_outline():
    lids = find_lids([2.3, 2.7], [*joints(2.7, HIGH), *joints(2.3, LOW)], POINTS, 1.5)
    up, down = np.array([0.0, 0, 1]), np.array([0.0, 0, -1])
    aslant = np.array([0.0, 5.0, 0.5])  # leaves the low room under its ceiling
    rays = np.array([[up, aslant, down]])
    assert under(lids, np.array([2.0, 2, 1.5]), rays, 0.0) == pytest.approx(
        np.array([[0.8, 2.4, np.inf]])
    )
    assert under(lids, np.array([2.0, 7, 1.5]), rays[:, :1], 0.0) == pytest.approx(1.2)
    higher = [replace(lid, height=lid.height + 1) for lid in lids]
    assert under(higher, np.array([2.0, 2, 3.5]), rays[:, :1], 0.0) == pytest.approx(0.2)
    assert np.isinf(under([], np.zeros(3), rays, 0.0)).all()
