"""The level difference of the ears: expected, trusted in part, and set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.errors import DataError
from piavas.refine import Refiner, TrainConfig, load_clips, save_clips, train
from piavas.refine.balance import fit_share, level_difference, set_balance
from test_refine import TINY, excited, make_clips


def expecting(share, count=12, seed=0):
    """Clips whose recordings bear out a share of what physics expects, and chance beside it."""
    chance = np.random.default_rng(seed)
    clips = []
    for clip in make_clips(count):
        expected = chance.normal(0, 4)
        heard = set_balance(clip.x_rx, share * expected + chance.normal(0, 0.05))
        clips.append(replace(clip, x_rx=heard, balance=float(expected)))
    return clips


@pytest.mark.parametrize("difference", [-12.0, 0.0, 3.5])
def test_difference_is_set_and_energy_stays(difference):
    sound = np.random.default_rng(0).normal(size=(2, 4000)).astype(np.float32)
    moved = set_balance(sound, difference)
    assert level_difference(moved) == pytest.approx(difference, abs=1e-3)
    assert np.square(moved).sum() == pytest.approx(np.square(sound).sum(), rel=1e-5)


def test_silent_ears_stay_silent():
    sound = np.stack([np.zeros(50), np.ones(50)]).astype(np.float32)
    np.testing.assert_array_equal(set_balance(sound, 6.0), sound)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_share_that_recordings_bear_out_is_found(share):
    assert fit_share(expecting(share)) == pytest.approx(share, abs=0.051)


def test_clips_that_know_no_expectation_are_named():
    with pytest.raises(DataError, match=r"c0.*several draws"):
        fit_share(make_clips())


def test_a_trained_model_keeps_and_applies_its_share(tmp_path):
    clips = expecting(0.6)
    refiner = train(clips, tmp_path, TrainConfig(max_steps=2, balance=True), model=TINY)
    assert refiner.balance == pytest.approx(0.6, abs=0.051)
    again = Refiner.load(tmp_path)
    assert again.balance == refiner.balance
    clip = clips[0]
    sound = again(clip.x_sim, clip.x_tx, clip.pose, clip.source, balance=5.0)
    assert level_difference(sound) == pytest.approx(5.0 * refiner.balance, abs=1e-3)
    free = again(clip.x_sim, clip.x_tx, clip.pose, clip.source)
    assert level_difference(free) != pytest.approx(5.0 * refiner.balance, abs=0.1)


def test_models_without_a_share_leave_the_ears_alone():
    clip, refiner = make_clips(1)[0], excited()
    one = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source)
    two = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source, balance=9.0)
    np.testing.assert_array_equal(one, two)


def test_expectations_lie_in_the_index_of_clips(tmp_path):
    clips = [*expecting(1.0, 2), *make_clips(3)[2:]]
    save_clips(tmp_path, clips)
    found = [clip.balance for clip in load_clips(tmp_path)]
    assert found == [clips[0].balance, clips[1].balance, None]
