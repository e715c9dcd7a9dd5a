"""Clips are cut where the two published conventions put them, and keep the split of their pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from piavas.capture import Recording
from piavas.errors import DataError
from piavas.pairs import cut
from piavas.scene import Pose

RATE, SECONDS = 1000, 6
POSES = np.stack([Pose.at((i, 0, 1.6)).matrix for i in range(6)])
SPLITS = ("train", "val", "unused", "train", "test", "val")


def sounds():
    """Samples that say when they were: their own number, in each channel."""
    ramp = np.arange(1.0, RATE * SECONDS + 1, dtype=np.float32)[None] / 10_000
    return ramp, [np.repeat(0.5 * ramp, 2, axis=0)], np.repeat(ramp, 2, axis=0)


def recording(**changes) -> Recording:
    return Recording(
        "office-1", np.ones(3), Path(), Path(), np.arange(6.0), POSES, splits=SPLITS, **changes
    )


@pytest.mark.parametrize(
    ("window", "begin", "kept"),
    [("centred", -0.5, (1, 3, 4, 5)), ("past", -1.0, (1, 3, 4, 5))],
)
def test_windows_lie_about_or_before_the_pose(window, begin, kept):
    clips = list(cut(recording(), *sounds(), sample_rate=RATE, window=window))
    assert [clip.name for clip in clips] == [f"office-1-{i:04d}" for i in kept]
    for clip, i in zip(clips, kept, strict=True):
        first = round((i + begin) * RATE)
        wanted = sounds()[0][:, first : first + RATE]
        assert_array_equal(clip.x_tx, wanted)
        assert_array_equal(clip.x_rx[1], wanted[0])
        assert_array_equal(clip.x_sim[0], 0.5 * wanted[0])
        assert clip.split == SPLITS[i]
        assert_array_equal(clip.pose, POSES[i])


def test_a_window_of_another_length_and_none_that_fits():
    clips = list(cut(recording(), *sounds(), sample_rate=RATE, clip_seconds=0.5))
    assert clips[0].x_tx.shape == (1, 500)
    assert clips[0].x_tx[0, 0] == pytest.approx((0.75 * RATE + 1) / 10_000)
    with pytest.raises(DataError, match="no clip of 7 s fits"):
        list(cut(recording(), *sounds(), sample_rate=RATE, clip_seconds=7))


def test_several_draws_tell_the_level_difference_to_expect():
    dry, (one,), wet = sounds()
    other = one * np.array([[3.0], [1.0]], np.float32)
    (clip, *_) = cut(recording(), dry, [one, other], wet, sample_rate=RATE)
    assert_array_equal(clip.x_sim, one[:, 500:1500])  # the first draw is what is heard
    assert clip.balance == pytest.approx(10 * np.log10((1 + 9) / (1 + 1)), abs=1e-3)
    (alone, *_) = cut(recording(), dry, [one], wet, sample_rate=RATE)
    assert alone.balance is None
