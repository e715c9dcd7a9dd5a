"""Stage 2 against closed forms, a plain twin, an overfit, and a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch.nn import functional as F

from piavas.errors import AudioError, CheckpointError, DataError, PiavasError
from piavas.evaluate import evaluate
from piavas.refine import (
    SOLVERS,
    Clip,
    Refiner,
    RefinerConfig,
    TrainConfig,
    get_solver,
    load_clips,
    save_clips,
    train,
)
from piavas.refine import model as model_module
from piavas.refine.conditioning import FEATURES, place_features
from piavas.refine.network import Network
from piavas.refine.path import sample_path
from piavas.refine.spectral import band_matrix
from piavas.scene import Pose

TINY = RefinerConfig(sample_rate=8000, blocks=4, cycle=4, channels=8, embedding=16)
TINY_SPECTRAL = RefinerConfig(
    sample_rate=8000, core="spectral", blocks=2, cycle=2, channels=8, embedding=16, bands=12
)
CORES = pytest.mark.parametrize("config", [TINY, TINY_SPECTRAL], ids=["wave", "spectral"])


def make_clips(count=4, length=2000, seed=0, split="train"):
    generator = np.random.default_rng(seed)
    clips = []
    for i in range(count):
        dry = generator.normal(size=(1, length)).astype(np.float32)
        simulated = np.concatenate([dry, 0.5 * dry]) * 0.3
        recorded = simulated + 0.5 * np.roll(simulated, 3, axis=1)
        pose = Pose.at(generator.uniform(0, 3, 3), yaw=generator.uniform(0, 360)).matrix
        clips.append(
            Clip(
                f"c{i}", dry, simulated, recorded, 8000, pose, np.array([1.0, 1, 1]), split, "room"
            )
        )
    return clips


def excited(config=TINY, seed=0) -> Refiner:
    """A refiner whose last layer is not zero."""
    torch.manual_seed(seed)
    refiner = Refiner(config)
    torch.nn.init.normal_(refiner.network.out.weight, std=0.3)
    return refiner


# --- path and solvers


def test_path_runs_from_simulated_to_recorded():
    x_sim, x_rx = torch.randn(3, 2, 500), torch.randn(3, 2, 500)
    t = torch.tensor([0.0, 0.25, 1.0])
    point = sample_path(x_sim, x_rx, t, torch.zeros_like(x_sim))
    torch.testing.assert_close(point.x_t[0], x_sim[0])
    torch.testing.assert_close(point.x_t[1], 0.25 * x_rx[1] + 0.75 * x_sim[1])
    torch.testing.assert_close(point.x_t[2], x_rx[2])
    torch.testing.assert_close(point.target, x_rx - x_sim)
    noise = 0.5 * torch.randn_like(x_sim)
    torch.testing.assert_close(sample_path(x_sim, x_rx, t, noise).x_t, point.x_t + noise)


@pytest.mark.parametrize("name", SOLVERS)
def test_evaluations_are_counted_right(name):
    solver = get_solver(name)
    for steps in (2, 4, 6, 10):
        calls = []
        solver(lambda x, t, calls=calls: calls.append(t) or 1.0, 0.0, steps)
        assert len(calls) == solver.evaluations(steps)
        assert all(0 <= t <= 1 for t in calls)


@pytest.mark.parametrize("steps", [1, 3, 6, 7, 10])
def test_every_solver_is_exact_on_a_constant_velocity(steps):
    for solver in SOLVERS.values():
        if not (solver.even and steps % 2):
            assert solver(lambda x, t: 2.5, 1.0, steps) == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("name", "order"),
    [("euler", 1), ("midpoint", 2), ("heun-full", 2), ("midpoint-paper", 2), ("heun", 2)],
)
def test_order_of_convergence(name, order):
    # dx/dt = x + t from 0: x(1) = e - 2. Heun's Euler end costs half a step squared: order 2 stays.
    steps = np.array([8, 16, 32, 64])
    error = [abs(SOLVERS[name](lambda x, t: x + t, 0.0, int(n)) - (math.e - 2)) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(error), 1)[0]
    assert slope == pytest.approx(order, abs=0.15)


def test_solvers_say_which_counts_they_can_have():
    possible = {n: [k for k in range(1, 11) if s.steps_for(k)] for n, s in SOLVERS.items()}
    assert possible["euler"] == list(range(1, 11))
    assert possible["midpoint-paper"] == possible["midpoint"] == possible["heun-full"]
    assert possible["midpoint"] == [2, 4, 6, 8, 10]
    assert possible["heun"] == [1, 3, 5, 7, 9]
    with pytest.raises(PiavasError, match="even"):
        SOLVERS["midpoint-paper"](lambda x, t: 1.0, 0.0, 3)
    with pytest.raises(PiavasError, match="euler"):
        get_solver("eular")


# --- network


def plain_forward(network: Network, x_t, t, x_tx, place):
    """The same network written out, one block after the other, with convolutions as sums."""

    def conv(layer, x):
        taps, gap = layer.kernel_size[0], layer.dilation[0]
        half = taps // 2 * gap
        padded = F.pad(x, (half, half))
        out = sum(
            torch.einsum(
                "oi,bit->bot", layer.weight[:, :, k], padded[..., k * gap : k * gap + x.shape[-1]]
            )
            for k in range(taps)
        )
        return out + layer.bias[None, :, None]

    angle = t[:, None] * torch.tensor([10 ** (3 * k / 63) for k in range(64)])
    waves = torch.cat([torch.sin(angle), torch.cos(angle)], 1)
    embedding = network.time.layers(waves) + network.place(place)
    embedding = embedding * torch.sigmoid(embedding)
    shift = embedding @ network.shift.weight.T + network.shift.bias
    channels = network.config.channels
    x, skips = conv(network.enter, torch.cat([x_t, x_tx], 1)), []
    for i, block in enumerate(network.blocks):
        inner = conv(block.spread, x) + shift[:, 2 * channels * i : 2 * channels * (i + 1), None]
        gated = torch.tanh(inner[:, :channels]) / (1 + torch.exp(-inner[:, channels:]))
        left = conv(block.leave, gated)
        x, skip = (x + left[:, :channels]) / math.sqrt(2), left[:, channels:]
        skips.append(skip)
    total = sum(skips) / math.sqrt(len(skips))
    return conv(network.out, conv(network.mix, total.clamp_min(0)).clamp_min(0))


def test_network_equals_its_plain_twin():
    network = excited().network
    inputs = (
        torch.randn(2, 2, 300),
        torch.rand(2),
        torch.randn(2, 1, 300),
        torch.randn(2, FEATURES),
    )
    torch.testing.assert_close(
        network(*inputs), plain_forward(network, *inputs), atol=2e-5, rtol=1e-4
    )


def test_default_shape_is_the_papers():
    config = RefinerConfig()
    assert config.blocks == 30
    assert config.dilations == tuple(2**k for k in range(10)) * 3
    assert config.receptive_field == 6139


def test_receptive_field_is_what_it_is_said_to_be():
    network = excited().network
    x = torch.zeros(1, 2, 401, requires_grad=True)
    network(x, torch.rand(1), torch.zeros(1, 1, 401), torch.zeros(1, FEATURES))[
        0, 0, 200
    ].backward()
    reached = torch.nonzero(x.grad.abs().sum((0, 1))).ravel()
    assert int(reached.max() - reached.min() + 1) == TINY.receptive_field


def test_gradients_are_right():
    network = excited(RefinerConfig(blocks=2, cycle=2, channels=2, embedding=4)).network.double()
    t, dry, place = (
        torch.rand(1).double(),
        torch.randn(1, 1, 9).double(),
        torch.randn(1, FEATURES).double(),
    )
    x = torch.randn(1, 2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: network(v, t, dry, place), (x,), atol=1e-6)


@CORES
def test_untrained_refiner_returns_the_simulation(config):
    clip = make_clips(1)[0]
    out = Refiner(config)(clip.x_sim, clip.x_tx, pose=clip.pose, source=clip.source)
    np.testing.assert_allclose(out, clip.x_sim, rtol=1e-6)


@CORES
def test_refiner_does_not_depend_on_the_gain(config):
    clip, refiner = make_clips(1)[0], excited(config)
    one = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source)
    two = refiner(0.01 * clip.x_sim, 7 * clip.x_tx, clip.pose, clip.source)
    np.testing.assert_allclose(0.01 * one, two, rtol=1e-4, atol=1e-7)


@CORES
@pytest.mark.parametrize("solver", SOLVERS)
def test_chunks_equal_the_whole(monkeypatch, config, solver):
    clip, refiner = make_clips(1, length=6000)[0], excited(config)
    how = {"solver": solver, "steps": 2 if solver != "euler" else 4}
    whole = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source, **how)
    monkeypatch.setattr(model_module, "WHOLE", 1000)
    pieces = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source, **how)
    assert len(refiner._stretches(6000, 4)) > 5
    np.testing.assert_allclose(pieces, whole, atol=1e-4 * np.abs(whole).max())


@CORES
def test_short_and_silent_sound_passes(config):
    refiner = excited(config)
    pose, source = np.eye(4), [1, 0, 0]
    assert np.isfinite(refiner(np.ones((2, 3)), np.ones(3), pose, source)).all()
    assert np.isfinite(refiner(np.zeros((2, 50)), np.zeros(50), pose, source)).all()


def test_spectral_network_hears_a_mirrored_world_with_swapped_ears():
    clip, refiner = make_clips(1)[0], excited(TINY_SPECTRAL)
    straight = refiner(clip.x_sim, clip.x_tx, np.eye(4), [0.4, 0.2, -1.0])
    mirrored = refiner(clip.x_sim[::-1], clip.x_tx, np.eye(4), [-0.4, 0.2, -1.0])
    np.testing.assert_allclose(mirrored[::-1], straight, atol=1e-5 * np.abs(straight).max())
    assert np.abs(straight - clip.x_sim).max() > 0.01 * np.abs(straight).max()


def test_bands_are_shared_without_gap():
    rows = band_matrix(48, 257)
    np.testing.assert_allclose(rows.sum(0), 1, atol=1e-6)
    assert (rows.sum(1) > 0).all()


def test_spectral_network_learns_a_colour_it_was_not_trained_on(tmp_path):
    """A filter of one pole is learnt from some noises and undone on others, at every step count."""
    generator = np.random.default_rng(4)
    clips = []
    for i in range(12):
        dry = generator.normal(size=(1, 8000)).astype(np.float32)
        simulated = dry * np.array([[0.5], [0.4]], np.float32)
        recorded = lfilter([0.6], [1, -0.7], simulated).astype(np.float32)
        split = "train" if i < 8 else "test"
        place = np.array([1.0, 1, 1])
        clips.append(Clip(f"c{i}", dry, simulated, recorded, 8000, np.eye(4), place, split, "room"))
    config = TrainConfig.quick(max_steps=200, learning_rate=5e-3)
    refiner = train(clips, tmp_path, config, model=TINY_SPECTRAL)
    names = [clip for clip in clips if clip.split == "test"]
    for steps in (1, 2, 4):
        out = {c.name: refiner(c.x_sim, c.x_tx, c.pose, c.source, steps=steps) for c in names}
        before, after = (
            evaluate({c.name: x for c, x in zip(names, signals, strict=True)},
                     {c.name: c.x_rx for c in names}, sample_rate=8000).means["MAG"]
            for signals in ([c.x_sim for c in names], out.values())
        )  # fmt: skip
        assert after < 0.35 * before, steps


def test_place_turns_with_head_and_source():
    pose, source = Pose.at((1, 2, 1.5), yaw=20).matrix, np.array([3.0, 1.0, 1.0])
    turn = np.eye(4)
    turn[:2, :2] = [[0, -1], [1, 0]]
    turn[:3, 3] = [5, -2, 0.3]
    moved = place_features(turn @ pose, turn[:3, :3] @ source + turn[:3, 3])
    np.testing.assert_allclose(place_features(pose, source), moved, atol=1e-5)
    left = place_features(Pose.at((0, 0, 0)).matrix, [0, 2, 0])
    np.testing.assert_allclose(left[:3], [0, 1, 0], atol=1e-6)


# --- training


def test_training_overfits_one_clip(tmp_path):
    clips = make_clips(1)
    config = TrainConfig(epochs=300, batch=1, learning_rate=3e-3)
    refiner = train(clips, tmp_path, config, model=TINY)
    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert np.mean(losses[-20:]) < 0.2 * np.mean(losses[:5])
    clip = clips[0]
    out = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source)
    before, after = (np.square(x - clip.x_rx).mean() for x in (clip.x_sim, out))
    assert after < 0.3 * before
    assert "steps: 300" in (tmp_path / "MODEL_CARD.md").read_text()


@CORES
def test_saved_model_reads_back_bit_equal(tmp_path, config):
    clip, refiner = make_clips(1)[0], excited(config)
    refiner.save(tmp_path)
    again = Refiner.load(tmp_path)
    one, two = (r(clip.x_sim, clip.x_tx, clip.pose, clip.source) for r in (refiner, again))
    np.testing.assert_array_equal(one, two)


KILLED = """
import sys, os, signal
import numpy as np, torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_refine import TINY, make_clips
from piavas.refine import TrainConfig, train
import piavas.refine.run
module = sys.modules["piavas.refine.run"]
advance, die = module.Run.advance, int(sys.argv[2])
def step(run, batch):
    if run.step == die:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(run, batch)
module.Run.advance = step
config = TrainConfig(max_steps=12, checkpoint_every=4, spectral_weight=1.0, average=0.9)
train(make_clips(6), sys.argv[1], config, model=TINY)
"""


def test_killed_training_goes_on_bit_equal(tmp_path):
    script = KILLED.format(tests=os.path.dirname(__file__))

    def run(folder, die):
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / folder), str(die)],
            check=False,
            timeout=120,
        ).returncode

    assert run("whole", -1) == 0
    assert run("cut", 6) == -signal.SIGKILL
    assert not (tmp_path / "cut" / "config.json").exists()
    assert run("cut", -1) == 0
    whole, cut = ((tmp_path / f / "model.safetensors").read_bytes() for f in ("whole", "cut"))
    assert whole == cut
    logs = [(tmp_path / f / "log.jsonl").read_text().splitlines() for f in ("whole", "cut")]
    steps = [[(e["step"], e["loss"]) for e in map(json.loads, log)] for log in logs]
    assert steps[0] == steps[1]


def test_time_limit_is_kept(tmp_path):
    started = time.monotonic()
    train(make_clips(), tmp_path, TrainConfig(max_seconds=1.0), model=TINY)
    assert time.monotonic() - started < 20


def test_loss_that_is_not_finite_is_skipped_then_stops(tmp_path, monkeypatch):
    from piavas.refine.run import Run

    bad = {3}
    import sys as system

    module = system.modules["piavas.refine.run"]
    objective = module.objective
    count = iter(range(10_000))

    def spoiled(*args):
        loss = objective(*args)
        return loss * float("nan") if next(count) in bad or len(bad) > 5 else loss

    monkeypatch.setattr(module, "objective", spoiled)
    train(make_clips(), tmp_path / "a", TrainConfig(max_steps=6), model=TINY)
    log = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert [entry["skipped"] for entry in log] == [False] * 3 + [True] + [False] * 2
    bad.update(range(10))
    with pytest.raises(CheckpointError, match="not finite 10 times"):
        train(make_clips(), tmp_path / "b", TrainConfig(max_steps=50), model=TINY)
    assert Run is module.Run


# --- files and bad input


def test_clips_read_back_bit_equal(tmp_path):
    clips = make_clips(3)
    save_clips(tmp_path, clips)
    again = load_clips(tmp_path)
    assert len(again) == 3
    assert again.sample_rate == 8000
    for one, two in zip(clips, again, strict=True):
        for part in ("x_tx", "x_sim", "x_rx", "pose", "source"):
            np.testing.assert_array_equal(getattr(one, part), getattr(two, part))


def test_broken_clips_are_named_or_skipped(tmp_path):
    save_clips(tmp_path, make_clips(3))
    broken = tmp_path / "c1" / "x_sim.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"c1.*x_sim\.wav"):
        list(load_clips(tmp_path))
    kept = load_clips(tmp_path, skip_broken=True)
    assert [clip.name for clip in kept] == ["c0", "c2"]
    assert "x_sim.wav" in kept.broken["c1"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "shape", "json", "nan"])
def test_corrupt_checkpoints_are_named(tmp_path, damage):
    refiner = excited()
    if damage == "nan":
        torch.nn.init.constant_(refiner.network.out.bias, float("nan"))
    refiner.save(tmp_path)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "remove":
        weights.unlink()
    elif damage == "shape":
        config.write_text(config.read_text().replace('"channels": 8', '"channels": 16'))
    elif damage == "json":
        config.write_text("{")
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        Refiner.load(tmp_path)


def test_a_run_of_other_options_is_not_continued(tmp_path):
    train(make_clips(), tmp_path, TrainConfig(max_steps=2), model=TINY)
    with pytest.raises(CheckpointError, match="other options"):
        train(make_clips(), tmp_path, TrainConfig(max_steps=4, learning_rate=1e-3), model=TINY)


def test_bad_sound_and_options_are_refused():
    refiner, pose = Refiner(TINY), np.eye(4)
    good, dry = np.ones((2, 100)), np.ones(100)
    with pytest.raises(AudioError, match="x_sim"):
        refiner(np.ones((1, 100)), dry, pose, [1, 0, 0])
    with pytest.raises(AudioError, match="x_tx"):
        refiner(good, np.ones(50), pose, [1, 0, 0])
    with pytest.raises(AudioError, match="sample_rate"):
        refiner(good, dry, pose, [1, 0, 0], sample_rate=44_100)
    with pytest.raises(AudioError):
        refiner(good * np.nan, dry, pose, [1, 0, 0])
    with pytest.raises(PiavasError, match="rotation"):
        refiner(good, dry, np.diag([2, 1, 1, 1]), [1, 0, 0])
    with pytest.raises(CheckpointError, match="blocks"):
        RefinerConfig(blocks=0)
    with pytest.raises(CheckpointError, match="channels"):
        RefinerConfig.from_json({"chanels": 3})
    with pytest.raises(CheckpointError, match="sigma"):
        TrainConfig(sigma=-1)
    with pytest.raises(DataError, match="train"):
        train(make_clips(split="test"), "nowhere", model=TINY)


def test_defaults_of_training_are_the_papers():
    config = TrainConfig()
    assert (config.epochs, config.batch, config.learning_rate) == (200, 4, 5e-4)
    assert (config.beta1, config.beta2, config.weight_decay, config.sigma) == (
        0.9,
        0.999,
        1e-4,
        1e-4,
    )
