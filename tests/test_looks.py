"""Looks of generated apartments for benchmarks: what is trained on is not what is measured on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from piavas.twin.textures import PATTERNS, SIZE
from piavas.twin.world import make_world

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import looks
from wild import KINDS, wild


@pytest.mark.parametrize("kind", KINDS)
def test_wild_patterns_are_of_their_own(kind):
    """About 1 everywhere, each seed another, and none the one that benchmarks measure on."""
    name = wild(kind, 1.4)
    make, metres = PATTERNS[name]
    assert metres == pytest.approx(1.4 * PATTERNS[kind][1])
    tiles = [make(seed) for seed in (1, 2)]
    np.testing.assert_array_equal(tiles[0], make(1))
    for tile in tiles:
        assert tile.shape == (SIZE, SIZE)
        assert np.isfinite(tile).all()
        assert 0.6 < tile.mean() < 1.4
    other = looks.OTHER[kind][0](1)
    for a, b in ((tiles[0], tiles[1]), (tiles[0], other), (tiles[1], other)):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.7


def test_apartments_to_train_on_have_no_pattern_that_is_measured_on():
    world = make_world(1000)
    trained, measured = looks.jitter(world, 1000), looks.redress(world, 1000)
    names = [f.pattern for f in trained.finishes]
    assert 0.4 < np.mean(["~" in name for name in names]) < 0.9  # two of three are wild
    assert not any(name.endswith("#") for name in names)
    assert any(f.pattern.endswith("#") for f in measured.finishes)
    for world_ in (trained, measured):
        assert [f.material for f in world_.finishes] == [f.material for f in world.finishes]
