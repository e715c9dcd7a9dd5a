"""Metres a unit, from sound alone: a walk of known size through reflections and noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import map_coordinates, spline_filter1d
from scipy.signal import fftconvolve

from piavas.capture import Intrinsics, load_capture
from piavas.cli import main
from piavas.datasets import NewVideo, Similarity, Video, write_rwavs
from piavas.datasets.environments import to_metres
from piavas.datasets.metric import fit_metric, line
from piavas.errors import DataError
from piavas.scene import Pose

RATE, SPEED, SECONDS = 22_050, 343.2, 30
ROOM, SOURCE = np.array([6.0, 5.0, 2.7]), np.array([4.5, 3.0, 1.2])
OFFSET = 0.004
EARS = np.array([[0, 0.09, 0], [0, -0.09, 0]])
IMAGES = [(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]


def position(t):
    """A walk `[n, 3]` in metres, at most 0.4 m/s."""
    x = 2.6 + 1.5 * np.sin(0.17 * t) * np.cos(0.05 * t)
    return np.stack([x, 2.3 + 1.6 * np.sin(0.23 * t + 1), 1.6 + 0.04 * np.sin(0.9 * t)], axis=1)


def play(seed: int):
    """Bursts of noise that falls towards high frequencies, as speech does."""
    chance = np.random.default_rng(seed)
    count = SECONDS * RATE
    spectrum = np.fft.rfft(chance.standard_normal(count))
    spectrum /= 1j + np.fft.rfftfreq(count, 1 / RATE) / 500
    loud = chance.uniform(0.1, 1, 5 * SECONDS)
    rise = np.interp(np.arange(count) / RATE, np.arange(len(loud)) / 5, loud)
    return np.fft.irfft(spectrum, count) * rise


@pytest.fixture(scope="module")
def recording():
    """Dry and recorded sound, the poses' times and distances in metres, and the true gain in dB.

    Every path is resampled along its own length at every instant: six walls that reflect, a
    diffuse tail, noise at 30 dB below the sound, clocks 4 ms apart, and a gain that fills the file.
    """
    chance = np.random.default_rng(1)
    dry, t = play(0), np.arange(SECONDS * RATE) / RATE
    bent, walk = spline_filter1d(dry, order=3), position(t)
    wet = np.zeros((2, len(t)))
    for image in IMAGES:
        odd = np.array(image) != 0
        place = np.where(odd, np.where(np.array(image) > 0, 2 * ROOM - SOURCE, -SOURCE), SOURCE)
        for ear, beside in enumerate(EARS):
            far = np.linalg.norm(walk + beside - place, axis=1)
            heard = map_coordinates(bent, [(t - far / SPEED - OFFSET) * RATE], prefilter=False)
            wet[ear] += (0.8 if odd.any() else 1.0) * heard / far
    tail = chance.standard_normal((2, 8000)) * 10 ** (-3 * np.arange(8000) / 10_000) * 0.01
    tail[:, :400] = 0
    wet += np.stack([fftconvolve(dry, late)[: len(t)] for late in tail])
    wet += 0.03 * wet.std() * chance.standard_normal(wet.shape)
    gain = 0.999 / np.abs(wet).max() * np.abs(dry).max()
    times = np.arange(1.0, SECONDS)
    distances = np.linalg.norm(position(times) - SOURCE, axis=1)
    sounds = (dry[None] / np.abs(dry).max(), wet * 0.999 / np.abs(wet).max())
    return (*(s.astype(np.float32) for s in sounds), times, distances, 20 * np.log10(gain))


def test_the_unit_the_clocks_and_the_gain_are_found(recording):
    dry, wet, times, distances, gain = recording
    fit = fit_metric(dry, wet, RATE, times, distances / 0.37)
    assert fit.trusted
    assert fit.scale == pytest.approx(0.37, rel=0.005)
    low, high = fit.scale_interval
    assert low < fit.scale < high < 1.02 * low
    assert fit.offset == pytest.approx(OFFSET, abs=5e-5)
    assert fit.gain_db == pytest.approx(gain, abs=1.5)
    assert fit.fall == pytest.approx(1, abs=0.15)
    assert fit.used > 0.9 and fit.residual < 5e-5
    assert_allclose(fit.delays, 0.37 * fit.distances / SPEED + OFFSET, atol=1e-4)
    facts = json.loads(json.dumps(fit.to_json()))
    assert facts["trusted"] and facts["poses"] == len(fit.distances)
    assert "m a unit" in str(fit) and "NOT" not in str(fit)


def test_another_unit_gives_the_same_room(recording):
    dry, wet, times, distances, _ = recording
    fit = fit_metric(dry, wet, RATE, times, distances / 4.2, speed=SPEED)
    assert fit.scale == pytest.approx(4.2, rel=0.005)
    # Sound that is faster by 1 % makes the room larger by 1 %.
    fast = fit_metric(dry, wet, RATE, times, distances / 4.2, speed=1.01 * SPEED)
    assert fast.scale == pytest.approx(1.01 * fit.scale, rel=1e-3)


def test_distances_that_are_not_those_of_the_sound_are_not_trusted(recording):
    dry, wet, times, distances, _ = recording
    wrong = np.random.default_rng(0).permutation(distances)
    fit = fit_metric(dry, wet, RATE, times, wrong)
    assert not fit.trusted
    assert "NOT TO BE TRUSTED" in str(fit)
    noise = np.random.default_rng(1).normal(0, 0.1, wet.shape).astype(np.float32)
    assert not fit_metric(dry, noise, RATE, times, distances).trusted


def test_what_cannot_be_fitted_is_refused(recording):
    dry, wet, times, distances, _ = recording
    for these, far in ((times[:5], distances[:5]), (times, np.full(len(times), 2.0))):
        with pytest.raises(DataError, match="distances"):
            fit_metric(dry, wet, RATE, these, far)
    with pytest.raises(DataError, match="0 poses with sound"):
        fit_metric(np.zeros_like(dry), wet, RATE, times, distances)


def test_a_line_bears_outliers():
    chance = np.random.default_rng(0)
    x = chance.uniform(0, 0.01, 60)
    y = 1.7 * x + 0.002 + chance.normal(0, 1e-5, 60)
    y[:15] += chance.uniform(5e-4, 3e-3, 15)
    assert_allclose(line(x, y), (1.7, 0.002), rtol=0.02)


def test_a_copy_of_unknown_unit_becomes_a_capture_in_metres(recording, tmp_path, capsys):
    """The synthetic copy has lost its metres twice, to structure from motion and to the cube."""
    dry, wet, times, distances, _ = recording
    poses = np.stack([Pose.at(p, yaw=12 * i).matrix for i, p in enumerate(position(times))])
    lens = Intrinsics(8, 6, 7.0, 7.0, 3.5, 2.5)
    pictures = [np.zeros((6, 8, 3), np.uint8)] * len(times)
    video = NewVideo(
        1, "office", SOURCE, poses, times.astype(int).tolist(), pictures, lens, dry, wet
    )
    write_rwavs(tmp_path / "release", [video], units={"office": Similarity(0.137)})
    args = ["import", "rwavs", str(tmp_path), "--videos", "1", "--metric", "--json"]
    assert main([*args, "--out", str(tmp_path / "sets")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "m a unit from 1 video" in told["metres"]["office"]
    fit = json.loads((tmp_path / "sets" / "metric.json").read_text())["1"]
    assert fit["scale"] == pytest.approx(1 / 0.137, rel=0.005)
    drawn = (tmp_path / "sets" / "metric-1.svg").read_text()
    assert "delay of the direct sound, ms" in drawn and "m a unit" in drawn
    capture = load_capture(tmp_path / "sets" / "office")
    assert capture.metric
    (heard,) = capture.recordings
    found = np.linalg.norm(heard.poses[:, :3, 3] - heard.source, axis=1)
    assert_allclose(found, distances, rtol=0.005)


def test_videos_of_unlike_units_are_told(recording):
    dry, wet, times, distances, _ = recording
    fit = fit_metric(dry, wet, RATE, times, distances)
    still = np.tile(np.eye(4), (2, 1, 1))
    videos = [
        Video(n, "office", Path(), np.ones(3), still, np.arange(2.0), ("train", "val"), (), None,
              np.eye(4)[:3]) for n in (1, 2)
    ]  # fmt: skip
    other = replace(fit, scale=2 * fit.scale)
    alignment, told = to_metres(videos, {1: fit, 2: other})
    assert alignment.metric and "DO NOT SHARE ONE SCALE" in told["office"]
    alignment, told = to_metres(videos, {1: fit, 2: fit})
    assert "NOT" not in told["office"]
    assert alignment.moves[2].scale == pytest.approx(fit.scale)
    poor = replace(fit, used=0.1)
    alignment, told = to_metres(videos, {1: poor, 2: poor})
    assert not alignment.metric and "not in metres" in told["office"]
