"""Learned baselines: they learn, they are what their seed says, they are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from piavas.baselines import LEARNED_BASELINES, LearnedBaseline, fit_energy, fit_learned
from piavas.baselines.nets import convolve
from piavas.baselines.places import Box, place_of
from piavas.errors import CheckpointError, DataError
from piavas.evaluate import evaluate
from piavas.refine import Clip
from piavas.scene import Pose, Scene

RATE, LENGTH = 8000, 4000
ROOM = Scene.shoebox((5, 4, 3), absorption=0.2, scattering=0.1)


def heard_clips(count=4, split="train", seed=0):
    """Noise, coloured and turned to one ear: what a head with its source to the left hears."""
    chance = np.random.default_rng(seed)
    clips = []
    for i in range(count):
        dry = chance.normal(0, 0.1, (1, LENGTH)).astype(np.float32)
        dull = np.stack([np.convolve(dry[0], np.ones(8) / 8)[:LENGTH]] * 2)
        pose = Pose.at((1 + 0.5 * i, 2, 1.5), yaw=0).matrix
        recorded = (np.array([[1.5], [0.5]]) * dull).astype(np.float32)
        source = np.array([1 + 0.5 * i, 3.0, 1.5])
        clips.append(
            Clip(f"{split}{i}", dry, np.repeat(dry, 2, 0), recorded, RATE, pose, source, split)
        )
    return clips


def spectral_error(predict, clips):
    found = {clip.name: predict(clip) for clip in clips}
    table = evaluate(found, {c.name: c.x_rx for c in clips}, "avcloud", sample_rate=RATE)
    return table.intervals["MAG"].mean, table.intervals["LRE"].mean


@pytest.mark.parametrize("kind", LEARNED_BASELINES)
def test_each_learns_what_a_level_cannot_say(kind):
    clips = heard_clips()
    fitted = fit_learned(kind, clips, scene=ROOM, steps=60, width=32)
    simple = fit_energy("Mono-Energy", [(c.x_tx, c.x_rx) for c in clips])
    ours, ears = spectral_error(fitted, clips)
    theirs, level = spectral_error(lambda c: simple(c.x_tx), clips)
    assert ours < 0.8 * theirs
    assert ears < 0.5 * level


@pytest.mark.parametrize("kind", LEARNED_BASELINES)
def test_seed_says_all_and_files_keep_all(tmp_path, kind):
    clips = heard_clips(2)
    one, two = (fit_learned(kind, clips, scene=ROOM, steps=2, width=16, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one(clips[0]), two(clips[0]))
    one.save(tmp_path)
    again = LearnedBaseline.load(tmp_path)
    assert again.shape == one.shape
    np.testing.assert_array_equal(again(clips[1]), one(clips[1]))


def test_simulated_sound_can_be_what_is_heard():
    clips = heard_clips(2)
    dry = fit_learned("AV-NeRF-style", clips, steps=1, width=16)
    told = fit_learned("AV-NeRF-style", clips, steps=1, width=16, inputs="simulated")
    np.testing.assert_allclose(dry(clips[0]), told(clips[0]), atol=1e-5)  # x_sim is the dry sound
    with pytest.raises(AssertionError):
        other = Clip(**{**vars(clips[0]), "x_sim": np.flip(clips[0].x_sim, 1).copy()})
        np.testing.assert_allclose(told(other), told(clips[0]), atol=1e-5)


def test_clips_of_other_splits_are_not_learnt_from():
    clips = heard_clips(2)
    strange = heard_clips(2, "test", seed=9)
    one = fit_learned("AV-NeRF-style", clips, steps=2, width=16)
    two = fit_learned("AV-NeRF-style", [*clips, *strange], steps=2, width=16)
    np.testing.assert_array_equal(one(clips[0]), two(clips[0]))


def test_responses_are_causal_and_keep_the_length():
    import torch

    sound = torch.zeros(1, 2, 50)
    sound[..., 10] = 1
    out = convolve(sound, torch.arange(1.0, 5)[None, None].expand(1, 2, 4))
    assert out.shape == sound.shape
    torch.testing.assert_close(out[0, 0, 10:14], torch.tensor([1.0, 2, 3, 4]))
    assert float(out[..., :10].abs().max()) < 1e-5


def test_places_are_seen_from_the_head():
    clip = heard_clips(1)[0]
    place = place_of(clip, Box.around([clip])).numpy()
    np.testing.assert_allclose(place[6:], [0, 1, 0], atol=1e-6)  # to the left
    assert np.abs(place).max() <= 1


def test_places_are_told_apart_in_all_of_the_scene():
    """A source in a corner that no training clip is near to is not laid on the border."""
    clips = heard_clips(1)
    far = Clip(**{**vars(clips[0]), "source": np.array([4.9, 0.1, 2.9])})
    fitted = fit_learned("INRAS-style", clips, scene=ROOM, steps=1, width=16)
    corners = fitted.shape.box.normal(np.array([[0.0, 0, 0], [5, 4, 3]]))
    np.testing.assert_allclose(np.abs(corners), 1)
    assert np.abs(place_of(far, fitted.shape.box).numpy()[3:6]).max() < 1
    low, high = np.array(fitted.shape.box.low), np.array(fitted.shape.box.high)
    spots = low + (fitted.network.points.numpy() + 1) / 2 * (high - low)
    to_wall = np.minimum(spots, np.array([5, 4, 3]) - spots).min(axis=1)
    np.testing.assert_allclose(to_wall, 0, atol=1e-5)


@pytest.mark.parametrize("kind", LEARNED_BASELINES)
def test_short_clips_are_padded(kind):
    parts = ("x_tx", "x_sim", "x_rx")
    short = [
        Clip(**{**vars(c), **{part: getattr(c, part)[:, :300] for part in parts}})
        for c in heard_clips(2)
    ]
    fitted = fit_learned(kind, short, scene=ROOM, steps=1, width=16)
    assert fitted.shape.steps == 1
    assert fitted(short[0]).shape == (2, 300)


@pytest.mark.parametrize(
    ("field", "value"), [("inputs", "wet"), ("width", 0), ("steps", 0), ("seconds", -1.0)]
)
def test_options_out_of_range_are_named(field, value):
    with pytest.raises(DataError, match=field):
        fit_learned("AV-NeRF-style", heard_clips(1), **{field: value})


def test_bad_input_is_named(tmp_path):
    clips = heard_clips(2)
    with pytest.raises(DataError, match="no learned baseline"):
        fit_learned("NeRF", clips)
    with pytest.raises(DataError, match="scene"):
        fit_learned("INRAS-style", clips, steps=1)
    with pytest.raises(DataError, match="train"):
        fit_learned("NAF-style", heard_clips(2, "test"))
    silent = Clip(**{**vars(clips[0]), "x_rx": None})
    with pytest.raises(DataError, match=r"train0.*no recording"):
        fit_learned("NAF-style", [silent])
    fitted = fit_learned("AV-NeRF-style", clips, steps=1, width=16)
    slow = Clip(**{**vars(clips[0]), "sample_rate": 16_000})
    with pytest.raises(DataError, match="16000 Hz"):
        fitted(slow)
    fitted.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        LearnedBaseline.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        LearnedBaseline.load(tmp_path)
