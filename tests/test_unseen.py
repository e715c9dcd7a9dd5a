"""What nobody saw: gaps under furniture go on, cupboards are solid; grids fit the room."""

from __future__ import annotations

import numpy as np
import pytest

from piavas.geometry.frame import AMPLE, fitting
from piavas.geometry.unseen import fill_unseen

FULL = 0.1


def sofa(depth):
    """A sofa 4 voxels up on legs: only what is in front of it, its front and its gap were seen."""
    distance = np.full((depth + 6, 9, 12), FULL, np.float32)
    seen = np.zeros(distance.shape, bool)
    seen[:4] = True  # the room before it
    seen[4:6, :, 4:] = True  # its front
    distance[4:6, :, 4:] = -0.02
    seen[4:6, :, :4] = True  # the mouth of the gap
    inside = np.ones(distance.shape, bool)
    return distance, seen, inside


def test_the_gap_under_a_sofa_goes_on_to_the_wall():
    distance, seen, inside = sofa(40)
    low = np.arange(12) < 6
    filled, guessed = fill_unseen(distance, seen, inside, FULL, low)
    assert (filled[6:-1, 1:-1, 1:3] == np.float32(FULL)).all()  # air below
    assert (filled[6:-1, 1:-1, 5:-1] == np.float32(-FULL)).all()  # the seat lies above
    assert (guessed == ~seen).all()
    assert (filled[seen] == distance[seen]).all()


def test_elsewhere_the_nearest_counts():
    distance = np.full((9, 9, 21), FULL, np.float32)
    seen = np.zeros(distance.shape, bool)
    seen[:, :, :3] = seen[:, :, -3:] = True
    distance[:, :, -3:] = -0.02
    filled, _ = fill_unseen(distance, seen, np.ones(seen.shape, bool), FULL, np.zeros(21, bool))
    assert (filled[1:-1, 1:-1, 3:10] == np.float32(FULL)).all()
    assert (filled[1:-1, 1:-1, 11:18] == np.float32(-FULL)).all()


def test_outside_all_is_solid():
    distance, seen, inside = sofa(10)
    inside[10:] = False
    filled, guessed = fill_unseen(distance, seen, inside, FULL, np.zeros(12, bool))
    assert not guessed[10:].any()
    assert (filled[10:] == np.float32(-FULL)).all()


def test_voxels_are_as_fine_as_the_room_allows():
    assert fitting(100.0, (0.02, 0.03)) == 0.02
    assert fitting(5000.0, (0.02, 0.03)) == 0.03
    between = fitting(500.0, (0.02, 0.03))
    assert 0.02 < between < 0.03
    assert 500 / between**3 <= AMPLE
    assert fitting(500.0, (0.05, 0.05)) == pytest.approx(0.05)
