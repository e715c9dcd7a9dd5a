"""The delay and gain of a set against known ones, and their way through a model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from piavas.errors import CheckpointError
from piavas.refine import Clip, Refiner, TrainConfig, train
from piavas.refine.align import Alignment, align_clips, fit_alignment
from test_refine import TINY_SPECTRAL, make_clips


def late_clips(delay: float, gain: float, count: int = 6, rate: int = 8000) -> list[Clip]:
    """Band-limited noise, recorded late by `delay` samples, louder, and in other noise."""
    rng = np.random.default_rng(7)
    clips = []
    for i, clip in enumerate(make_clips(count, length=4000)):
        spectrum = np.fft.rfft(rng.normal(size=(2, 4000)))
        spectrum[:, 1600:] = 0
        turn = np.exp(-2j * np.pi * np.fft.rfftfreq(4000) * delay)
        sim = np.fft.irfft(spectrum)
        recorded = gain * (
            np.fft.irfft(spectrum * turn) + 0.1 * sim.std() * rng.normal(size=sim.shape)
        )
        clips.append(
            Clip(f"l{i}", clip.x_tx, sim, recorded, rate, clip.pose, clip.source, "train", "room")
        )
    return clips


@pytest.mark.parametrize(("delay", "gain"), [(0.0, 1.0), (3.4, 0.5), (-12.7, 2.0)])
def test_a_fraction_of_a_sample_is_found_in_noise(delay, gain):
    found = fit_alignment(late_clips(delay, gain))
    assert found.delay * 8000 == pytest.approx(delay, abs=0.1)
    assert found.gain == pytest.approx(gain * np.sqrt(1.01), rel=0.02)


def test_chance_is_no_delay():
    """Recordings of the same energy that share no waveform with their simulation: late sound."""
    rng = np.random.default_rng(3)
    clips = [
        Clip(c.name, c.x_tx, rng.normal(size=(2, 4000)), rng.normal(size=(2, 4000)), 8000, c.pose,
             c.source, "train", "room")
        for c in make_clips(12, length=4000)
    ]  # fmt: skip
    found = fit_alignment(clips)
    assert found.delay == 0
    assert found.gain == pytest.approx(1, abs=0.02)


def test_delay_is_exact_on_a_sine_and_lets_silence_in():
    time = np.arange(4000) / 8000
    hush = np.hanning(4000) ** 2
    sine = np.stack([hush * np.sin(2 * np.pi * 440 * time)] * 2)
    late = Alignment(2.0, 2.5 / 8000)(sine, 8000)
    true = 2 * hush * np.sin(2 * np.pi * 440 * (time - 2.5 / 8000))
    assert np.abs(late - true).max() < 0.01
    click = np.zeros((2, 4000))
    click[:, -1] = 1
    assert np.abs(Alignment(1.0, 10 / 8000)(click, 8000)).max() < 1e-6


@pytest.mark.parametrize("delay", [0.0, 7.25, -90.5, 160.0])
def test_long_sound_is_delayed_in_blocks_as_a_whole(delay, monkeypatch):
    """Against the phase of a whole period of noise, up to 95 % of half the rate."""
    rng, size = np.random.default_rng(2), 9000
    spectrum = np.fft.rfft(rng.normal(size=(2, size)))
    spectrum[:, round(0.95 * size / 2) :] = 0
    x = np.tile(np.fft.irfft(spectrum, size), 3)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * delay)
    wanted = np.fft.irfft(spectrum * turn, size)
    whole = Alignment(1.0, delay / 8000)(x, 8000)
    assert np.abs(whole[:, size:-size] - wanted).max() < 2e-4
    monkeypatch.setattr("piavas.refine.align.BLOCK", 1000)
    blocks = Alignment(1.0, delay / 8000)(x, 8000)
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


def test_training_fits_it_and_the_model_keeps_it(tmp_path):
    clips = late_clips(4.3, 0.5)
    config = TrainConfig(max_steps=2, align=True, learning_rate=1e-12)
    trained = train(clips, tmp_path, config, model=TINY_SPECTRAL)
    assert trained.alignment == fit_alignment(clips)
    again = Refiner.load(tmp_path)
    assert again.alignment == trained.alignment
    clip = clips[0]
    out = again(clip.x_sim, clip.x_tx, clip.pose, clip.source)
    aligned = align_clips([clip], fit_alignment(clips))[0].x_sim
    np.testing.assert_allclose(out, aligned, atol=1e-4 * np.abs(aligned).max())
    before, after = (np.square(x - clip.x_rx)[:, 50:-50].mean() for x in (clip.x_sim, out))
    assert after < 0.05 * before


def test_without_it_nothing_moves(tmp_path):
    clips = late_clips(4.3, 0.5)
    trained = train(
        clips, tmp_path, TrainConfig(max_steps=1, learning_rate=1e-12), model=TINY_SPECTRAL
    )
    assert trained.alignment is None
    out = trained(clips[0].x_sim, clips[0].x_tx, clips[0].pose, clips[0].source)
    np.testing.assert_allclose(out, clips[0].x_sim, atol=1e-5)


def test_a_spoilt_alignment_is_named(tmp_path):
    train(late_clips(1.0, 1.0), tmp_path, TrainConfig(max_steps=1, align=True), model=TINY_SPECTRAL)
    path = tmp_path / "config.json"
    for value in ({"gain": -1, "delay": 0.0}, {"gain": 1.0, "delay": 9.0}, {"gain": 1.0}, [1, 2]):
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "alignment": value}))
        with pytest.raises(CheckpointError, match="alignment"):
            Refiner.load(tmp_path)
