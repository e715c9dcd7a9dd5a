"""Rendering against plain convolution, closed forms, and a slow twin of the moving listener."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, resample_poly, sosfiltfilt

from piavas.errors import AudioError, SimulationError
from piavas.render import convolve, render, sample_trajectory, to_full_scale
from piavas.scene import ImpulseResponses, Pose, Trajectory

RATE = 8_000
Audio = NDArray[np.float32]


def responses(samples: NDArray[np.floating], poses: NDArray[np.float64] | None = None):
    if poses is None:
        poses = np.stack([Pose.at((i, 0, 1.5)).matrix for i in range(len(samples))])
    return ImpulseResponses(samples, RATE, "binaural", np.zeros(3), poses)


def walk(times: NDArray[np.floating]) -> Trajectory:
    return Trajectory(times, np.stack([Pose.at((i, 0, 1.5)).matrix for i in range(len(times))]))


def noise(*shape: int, seed: int = 0) -> Audio:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tails(count: int, taps: int, seed: int = 1) -> Audio:
    return noise(count, 2, taps, seed=seed) * np.exp(-np.arange(taps) / (0.2 * taps)) / 8


def slow_twin(dry: Audio, irs: ImpulseResponses, times: NDArray[np.floating]) -> Audio:
    """Every response over the whole clip, then the weights, sample by sample of the formula."""
    whole = np.stack(
        [[fftconvolve(dry.astype(float), h.astype(float)) for h in ir] for ir in irs.samples]
    )
    seconds = np.arange(whole.shape[-1]) / irs.sample_rate
    weights = [np.interp(seconds, times, np.eye(len(times))[i]) for i in range(len(times))]
    return np.einsum("it,ict->ct", np.array(weights), whole).astype(np.float32)


def test_still_listener_is_plain_convolution():
    dry, irs = noise(3000), responses(tails(1, 700))
    heard = render(dry, irs)
    assert heard.dtype == np.float32
    assert heard.shape == (2, 3000 + 700 - 1)
    for channel in range(2):
        truth = np.convolve(dry.astype(float), irs.samples[0, channel].astype(float))
        np.testing.assert_allclose(heard[channel], truth, atol=2e-6)


@pytest.mark.parametrize("delay", [0, 1, 17, 699])
def test_single_sample_response_delays_and_scales(delay):
    dry, taps = noise(500), np.zeros((1, 2, 700), np.float32)
    taps[0, :, delay] = (1.0, -0.5)
    heard = render(dry[None], responses(taps))
    np.testing.assert_allclose(heard[0, delay : delay + 500], dry, atol=1e-6)
    np.testing.assert_allclose(heard[1, delay : delay + 500], -0.5 * dry, atol=1e-6)
    assert np.abs(heard[:, :delay]).max(initial=0) < 1e-6
    assert np.abs(heard[:, delay + 500 :]).max(initial=0) < 1e-6


@pytest.mark.parametrize(
    "times",
    [
        np.linspace(0, 0.5, 7),
        np.array([0.0, 0.011, 0.2, 0.2001, 0.5]),  # closer than a sample
        np.array([-0.3, -0.1, 0.05, 0.31, 2.0, 3.0]),  # beyond both ends of the clip
        np.array([0.1 + 1 / 3, 0.45]),  # late, not on samples
        np.array([0.2]),
    ],
    ids=["even", "dense", "beyond", "late", "one"],
)
def test_moving_listener_matches_slow_twin(times):
    dry, irs = noise(4000), responses(tails(len(times), 900))
    heard = render(dry, irs, walk(times))
    truth = slow_twin(dry, irs, times)
    assert heard.shape == truth.shape
    np.testing.assert_allclose(heard, truth, atol=1e-5)


def test_chunks_do_not_show(monkeypatch):
    dry, irs, times = noise(4000), responses(tails(3, 300)), np.array([0.0, 0.2, 0.5])
    whole = render(dry, irs, walk(times))
    monkeypatch.setattr(convolve, "CHUNK", 257)
    np.testing.assert_allclose(render(dry, irs, walk(times)), whole, atol=1e-6)


def test_equal_responses_hide_the_movement():
    dry, one = noise(4000), tails(1, 500)
    still = render(dry, responses(one))
    moving = render(dry, responses(np.repeat(one, 9, axis=0)), walk(np.linspace(0, 0.5, 9)))
    np.testing.assert_allclose(moving, still, atol=2e-6)


def test_only_needed_output_is_computed(monkeypatch):
    """The work is the clip twice (two windows overlap everywhere), not once for each pose."""
    spans: list[int] = []
    real = convolve._convolved

    def counted(x, response, start, stop):
        spans.append(stop - start)
        return real(x, response, start, stop)

    monkeypatch.setattr(convolve, "_convolved", counted)
    dry, irs = noise(8000), responses(tails(50, 100))
    heard = render(dry, irs, walk(np.linspace(0, 1, 50)))
    assert sum(spans) <= 2 * heard.shape[1] + 100


def test_head_pose_acts_on_the_output():
    """After the sound has been sent, a head that moves on still changes what arrives."""
    click = np.zeros(100, np.float32)
    click[0] = 1
    echo = np.zeros((2, 2, 4001), np.float32)
    echo[0, 0, 4000] = echo[1, 1, 4000] = 1  # left ear at the first pose, right at the second
    heard = render(click, responses(echo), walk(np.array([0.1, 0.2])))
    assert abs(heard[0, 4000]) < 1e-6
    assert heard[1, 4000] == pytest.approx(1, abs=1e-6)


def test_moving_listener_does_not_click():
    """A tone through sliding delays: no jump and no high band that the still ones lack."""
    seconds = np.arange(2 * RATE) / RATE
    dry = np.sin(2 * np.pi * 200 * seconds).astype(np.float32)
    taps = np.zeros((21, 2, 64), np.float32)
    for i in range(21):
        taps[i, :, i // 2 + 5] = 1.0 + 0.02 * i
    irs, times = responses(taps), np.linspace(0, 2, 21)
    middle = slice(200, -200)
    heard = render(dry, irs, walk(times))[0, middle]
    loudest = render(dry, responses(taps[-1:]))[0, middle]
    assert np.abs(np.diff(heard)).max() <= 1.02 * np.abs(np.diff(loudest)).max()
    high = butter(6, 1500, "highpass", fs=RATE, output="sos")

    def band(x: Audio) -> float:
        return float(np.sqrt((sosfiltfilt(high, x.astype(float))[500:-500] ** 2).mean()))

    # Switching hard at the same times, for scale: far louder up there.
    whole = np.stack([np.convolve(dry, ir[0]) for ir in taps])
    chosen = np.minimum(np.arange(whole.shape[1]) * 21 // whole.shape[1], 20)
    switched = whole[chosen, np.arange(whole.shape[1])][middle]
    assert band(heard) < 1e-3
    assert band(heard) < 0.2 * band(switched)


def test_level_of_noise_between_uncorrelated_and_equal():
    """With unit-energy responses the energy is that of w^2 + (1 - w)^2, two thirds on average."""
    times = np.linspace(0, 4, 41)
    taps = noise(41, 2, 256, seed=3)
    taps /= np.sqrt((taps**2).sum(axis=-1, keepdims=True))
    dry = noise(4 * RATE, seed=4)
    heard = render(dry, responses(taps), walk(times))[:, 256 : 4 * RATE]
    assert np.isfinite(heard).all()
    assert 10 * np.log10((heard**2).mean() / (dry**2).mean()) == pytest.approx(
        10 * np.log10(2 / 3), abs=0.3
    )


def test_dry_of_another_rate_is_resampled():
    dry, irs = noise(2000), responses(tails(1, 100))
    up = resample_poly(dry, 2, 1).astype(np.float32)
    np.testing.assert_allclose(render(dry, irs, sample_rate=RATE // 2), render(up, irs), atol=1e-6)


@pytest.mark.parametrize(
    "dry",
    [
        np.zeros(0),
        np.zeros(100),
        np.full(100, np.nan),
        np.ones((2, 100)),
        np.ones((1, 1, 100)),
    ],
    ids=["empty", "silent", "nan", "stereo", "3d"],
)
def test_bad_dry_is_refused(dry):
    with pytest.raises(AudioError, match="dry"):
        render(dry, responses(tails(1, 10)))


def test_bad_rate_is_refused():
    with pytest.raises(AudioError, match="sample_rate"):
        render(noise(10), responses(tails(1, 10)), sample_rate=0)


def test_responses_that_do_not_fit_are_refused():
    irs = responses(tails(3, 10))
    with pytest.raises(SimulationError, match="3 responses for 1 pose"):
        render(noise(10), irs)
    with pytest.raises(SimulationError, match="3 responses for 2 pose"):
        render(noise(10), irs, walk(np.array([0.0, 1.0])))
    shifted = irs.listeners.copy()
    shifted[1, 0, 3] += 0.1
    with pytest.raises(SimulationError, match="pose 1 differs"):
        render(noise(10), irs, Trajectory(np.arange(3.0), shifted))
    with pytest.raises(SimulationError, match="not finite"):
        render(noise(10), responses(np.full((1, 2, 5), np.nan)))
    with pytest.raises(SimulationError, match="empty"):
        render(noise(10), responses(np.zeros((1, 2, 0))))


def test_full_scale_turns_down_only_what_is_too_loud():
    loud = 3 * noise(2, 1000)
    quiet, gain = to_full_scale(loud, headroom_db=2.0)
    assert np.abs(quiet).max() == pytest.approx(10 ** (-0.1), rel=1e-6)
    assert np.abs(quiet).max() <= np.float32(10 ** (-0.1))
    np.testing.assert_allclose(quiet, loud * 10 ** (gain / 20), rtol=1e-6)
    same, nothing = to_full_scale(0.1 * np.clip(loud, -1, 1))
    assert nothing == 0
    np.testing.assert_array_equal(same, 0.1 * np.clip(loud, -1, 1))
    assert to_full_scale(np.zeros((2, 5)))[1] == 0
    with pytest.raises(AudioError):
        to_full_scale(np.array([np.inf, 0]))
    with pytest.raises(AudioError, match="headroom"):
        to_full_scale(loud, headroom_db=-1)


def test_trajectory_between_its_poses():
    way = Trajectory([0, 2], [Pose.at((0, 0, 1), yaw=0).matrix, Pose.at((4, 2, 1), yaw=90).matrix])
    found = sample_trajectory(way, [-1, 0, 0.5, 2, 3])
    expected = [
        Pose.at(p, yaw=yaw).matrix
        for p, yaw in [
            ((0, 0, 1), 0),
            ((0, 0, 1), 0),
            ((1, 0.5, 1), 22.5),
            ((4, 2, 1), 90),
            ((4, 2, 1), 90),
        ]
    ]
    np.testing.assert_allclose(found.poses, expected, atol=1e-12)
    np.testing.assert_array_equal(found.times, [-1, 0, 0.5, 2, 3])


def test_trajectory_of_one_pose_rests_and_bad_times_are_refused():
    one = Trajectory([1.0], [Pose.at((1, 2, 3), yaw=30).matrix])
    found = sample_trajectory(one, [0, 5])
    np.testing.assert_allclose(found.poses, np.repeat(one.poses, 2, axis=0), atol=1e-12)
    for times in ([1, 0], [0, np.nan]):
        with pytest.raises(SimulationError, match="rise"):
            sample_trajectory(one, times)
