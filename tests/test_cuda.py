"""Both stages on a GPU are what they are on the CPU; skipped by name where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from piavas.cli import main
from piavas.llvm import mitsuba, traces_on_gpu
from piavas.refine import Refiner, RefinerConfig, TrainConfig, save_clips, train
from piavas.refine import model as model_module
from test_refine import CORES, excited, make_clips
from test_refine_training import FIVE, furthest

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
POSE, SOURCE = np.eye(4), (2.0, 1.0, 0.5)


@pytest.fixture
def exact(monkeypatch):
    """Products in full single precision, as on the CPU, not in TensorFloat-32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # that of products is off


def moved(refiner: Refiner) -> Refiner:
    there = Refiner(refiner.config, device="cuda")
    there.network.load_state_dict(refiner.network.state_dict())
    return there


def sounds(length: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.1, (channels, length)).astype(np.float32)


def off(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


@needs_gpu
@CORES
def test_the_refiner_hears_there_what_it_hears_here(config, exact):
    here = excited(config)
    x_sim, x_tx = sounds(6000), sounds(6000, 1)
    assert off(moved(here)(x_sim, x_tx, POSE, SOURCE), here(x_sim, x_tx, POSE, SOURCE)) < 1e-4


@needs_gpu
def test_the_papers_network_hears_the_same(exact):
    here = excited(RefinerConfig())
    x_sim, x_tx = sounds(22_050), sounds(22_050, 1)
    assert off(moved(here)(x_sim, x_tx, POSE, SOURCE), here(x_sim, x_tx, POSE, SOURCE)) < 1e-4


@needs_gpu
@CORES
def test_pieces_equal_the_whole(config, monkeypatch, exact):
    there = moved(excited(config))
    x_sim, x_tx = sounds(20_000), sounds(20_000, 1)
    whole = there(x_sim, x_tx, POSE, SOURCE)
    monkeypatch.setattr(model_module, "WHOLE", 4096)
    assert off(there(x_sim, x_tx, POSE, SOURCE), whole) < 1e-4


@needs_gpu
@CORES
def test_five_steps_leave_the_same_weights(config, tmp_path, exact):
    for device in ("cpu", "cuda"):
        train(make_clips(8), tmp_path / device, FIVE, model=config, device=device)
    # Adam's first steps are as long where the gradient is nearly nothing as where it is clear.
    assert furthest(tmp_path / "cpu", tmp_path / "cuda") < 0.5 * FIVE.learning_rate


@needs_gpu
@CORES
def test_a_stopped_run_goes_on(config, tmp_path, exact):
    clips = make_clips(8)
    train(clips, tmp_path / "whole", FIVE, model=config, device="cuda")
    train(clips, tmp_path / "parts", replace(FIVE, max_steps=2), model=config, device="cuda")
    train(clips, tmp_path / "parts", FIVE, model=config, device="cuda")
    assert furthest(tmp_path / "whole", tmp_path / "parts") < 1e-5


@needs_gpu
@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"compile": True}], ids=str)
@CORES
def test_half_precision_and_compiled_code_learn_what_single_precision_does(
    config, options, tmp_path
):
    clips, steps = make_clips(4), TrainConfig(max_steps=60, batch=4, learning_rate=2e-3)
    plain = train(clips, tmp_path / "plain", steps, model=config, device="cuda")
    other = train(clips, tmp_path / "other", replace(steps, **options), model=config, device="cuda")
    clip = clips[0]

    def left(refiner: Refiner) -> float:
        heard = refiner(clip.x_sim, clip.x_tx, clip.pose, clip.source)
        return float(np.square(heard - clip.x_rx).mean() / np.square(clip.x_sim - clip.x_rx).mean())

    assert left(plain) < 0.8
    assert left(other) == pytest.approx(left(plain), abs=0.05)


@needs_gpu
def test_a_process_of_torchrun_takes_the_card(tmp_path):
    save_clips(tmp_path / "clips", make_clips(4))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "-m"]
    command += ["piavas.cli", "train", str(tmp_path / "clips"), "--out", str(tmp_path / "model")]
    command += ["--device", "cuda", "--preset", "spectral", "--max-steps", "2"]
    subprocess.run(command, check=True)
    assert Refiner.load(tmp_path / "model").facts["processes"] == 1


@needs_gpu
def test_commands_train_there_and_what_they_wrote_is_read_here(tmp_path):
    save_clips(tmp_path / "clips", make_clips(4))
    words = ["train", str(tmp_path / "clips"), "--out", str(tmp_path / "model")]
    words += ["--device", "cuda", "--preset", "spectral", "--max-steps", "3"]
    assert main(words) == 0
    x_sim, x_tx = sounds(6000), sounds(6000, 1)
    here, there = (Refiner.load(tmp_path / "model", device=d) for d in ("cpu", "cuda"))
    assert off(there(x_sim, x_tx, POSE, SOURCE), here(x_sim, x_tx, POSE, SOURCE)) < 1e-3


def on_both(code: str, folder: Path) -> list[np.ndarray]:
    """What `code` saves at its first argument, by each of Mitsuba's variants."""
    if not traces_on_gpu(mitsuba()):
        pytest.skip("no CUDA device")
    found = []
    for variant in ("llvm_ad_mono", "cuda_ad_mono"):
        env, out = {**os.environ, "PIAVAS_VARIANT": variant}, folder / f"{variant}.npy"
        subprocess.run([sys.executable, "-c", code, str(out)], env=env, check=True)
        found.append(np.load(out))
    return found


TRACE = """
import sys
import numpy as np
from piavas.rays import RayCaster
from piavas.scene import Scene
scene = Scene.shoebox((6, 4, 3))
way = np.random.default_rng(0).normal(size=(500, 3))
way /= np.linalg.norm(way, axis=1, keepdims=True)
caster = RayCaster(scene.vertices, scene.faces)
np.save(sys.argv[1], caster.closest(np.tile([1, 1, 1.5], (500, 1)), way)[0])
"""
SIMULATE = """
import sys
import numpy as np
from piavas.acoustics import Simulator
from piavas.scene import Scene, Source
scene = Scene.shoebox((6, 4, 3))
simulator = Simulator(output="mono", rays=4000, seed=0, duration=0.5)
heard = simulator(scene, Source((1, 1, 1.5)), [(4, 3, 1.6), (2, 3, 1.2)])
np.save(sys.argv[1], heard.samples)
"""


def test_rays_end_where_they_do_here(tmp_path):
    here, there = on_both(TRACE, tmp_path)
    np.testing.assert_allclose(there, here, rtol=1e-5)


def test_simulations_are_as_loud_as_here(tmp_path):
    here, there = on_both(SIMULATE, tmp_path)
    level = [10 * np.log10(np.square(heard).sum(axis=-1)) for heard in (here, there)]
    np.testing.assert_allclose(*level, atol=0.05)
