"""Training in pieces, by several processes, in half precision, compiled and logged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from piavas.errors import DataError, MissingDependencyError
from piavas.refine import TrainConfig, train
from piavas.refine.batches import draw, make_batch, split
from piavas.refine.run import Run
from test_refine import TINY, TINY_SPECTRAL, make_clips

FIVE = TrainConfig(
    max_steps=5,
    batch=4,
    spectral_weight=1.0,
    level_weight=1.0,
    at_start=0.3,
    own_path=0.5,
    sigma=0.1,
    average=0.9,
    clip_gradient=1.0,
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def furthest(one: Path, two: Path) -> float:
    first, second = weights(one), weights(two)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def test_parts_of_a_batch_make_the_whole():
    batch = make_batch(make_clips(5), 100, np.random.default_rng(0))
    draws = draw(batch, FIVE, 1)
    parts = [p for rank in (0, 1) for p in split(batch, draws, rank, 2, 2, "cpu")]
    assert [len(part) for part, _ in parts] == [2, 1, 1, 1]
    for name in ("x_sim", "x_rx", "x_tx", "place"):
        joined = torch.cat([getattr(part, name) for part, _ in parts])
        torch.testing.assert_close(joined, getattr(batch, name), atol=0, rtol=0)
    for name in ("t", "noise", "own"):
        joined = torch.cat([getattr(chance, name) for _, chance in parts])
        torch.testing.assert_close(joined, getattr(draws, name), atol=0, rtol=0)


@pytest.mark.parametrize("model", [TINY, TINY_SPECTRAL], ids=["wave", "spectral"])
@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_accumulated_pieces_give_the_step_of_the_whole_batch(tmp_path, model, pieces):
    clips = make_clips(8)
    train(clips, tmp_path / "whole", FIVE, model=model)
    train(clips, tmp_path / "pieces", replace(FIVE, accumulate=pieces), model=model)
    assert furthest(tmp_path / "whole", tmp_path / "pieces") < 1e-6


RUN = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_refine import TINY, make_clips
from test_refine_training import FIVE
from piavas.refine import train
train(make_clips(8), sys.argv[1], FIVE, model=TINY)
"""


def launch(folder: Path, processes: int, script: Path) -> subprocess.CompletedProcess[str]:
    script.write_text(RUN.format(tests=os.path.dirname(__file__)))
    way = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [sys.executable, *way, str(script), str(folder)],
        check=False, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes_give_the_weights_of_one(tmp_path):
    train(make_clips(8), tmp_path / "one", FIVE, model=TINY)
    done = launch(tmp_path / "two", 2, tmp_path / "run.py")
    assert done.returncode == 0, done.stderr
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-6
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    alone = [json.loads(line) for line in (tmp_path / "one" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4, 5]
    for ours, theirs in zip(log, alone, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    assert "processes: 2" in (tmp_path / "two" / "MODEL_CARD.md").read_text()


def test_fewer_clips_than_parts_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be shared"):
        train(make_clips(2), tmp_path, TrainConfig(accumulate=3), model=TINY)


def test_half_precision_learns_the_same_to_its_rounding(tmp_path):
    clips = make_clips(8)
    losses = {}
    for precision in ("fp32", "bf16"):
        folder = tmp_path / precision
        config = replace(FIVE, precision=precision, max_steps=30, learning_rate=3e-3)
        train(clips, folder, config, model=TINY)
        lines = (folder / "log.jsonl").read_text().splitlines()
        losses[precision] = [json.loads(line)["loss"] for line in lines]
    assert losses["bf16"] != losses["fp32"]
    np.testing.assert_allclose(losses["bf16"], losses["fp32"], rtol=0.05)


def test_no_compiler_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingDependencyError, match="C\\+\\+"):
        train(make_clips(), tmp_path, TrainConfig(compile=True, max_steps=1), model=TINY)


def test_steps_are_logged_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(make_clips(), tmp_path, TrainConfig(max_steps=4), model=TINY, tensorboard=True)
    train(make_clips(), tmp_path, TrainConfig(max_steps=6), model=TINY, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    shown = events.Scalars("loss")
    assert [event.step for event in shown] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([e.value for e in shown], [e["loss"] for e in log], rtol=1e-6)


def test_absent_tensorboard_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match="tensorboard"):
        train(make_clips(), tmp_path, TrainConfig(max_steps=1), model=TINY, tensorboard=True)
    assert not (tmp_path / "log.jsonl").exists()


def test_an_interrupt_within_a_step_takes_it_again(tmp_path, monkeypatch):
    config = TrainConfig(max_steps=6, checkpoint_every=2, average=0.9)
    train(make_clips(), tmp_path / "whole", config, model=TINY)
    average = Run._average

    def interrupted(run):
        if run.step == 4:  # the weights have moved, the step is not counted yet
            raise KeyboardInterrupt
        average(run)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "_average", interrupted)
        train(make_clips(), tmp_path / "cut", config, model=TINY)
    train(make_clips(), tmp_path / "cut", config, model=TINY)
    assert furthest(tmp_path / "whole", tmp_path / "cut") == 0


def test_a_run_goes_on_in_other_pieces(tmp_path):
    clips = make_clips(8)
    train(clips, tmp_path / "one", replace(FIVE, max_steps=6), model=TINY)
    train(clips, tmp_path / "two", replace(FIVE, max_steps=3), model=TINY)
    train(clips, tmp_path / "two", replace(FIVE, max_steps=6, accumulate=2), model=TINY)
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-6


def test_a_card_lies_beside_every_checkpoint(tmp_path):
    script = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_refine import TINY, make_clips
from piavas.refine import TrainConfig, train
from piavas.refine.run import Run
advance = Run.advance
def step(run, batch):
    if run.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(run, batch)
Run.advance = step
train(make_clips(), sys.argv[1], TrainConfig(checkpoint_every=2), model=TINY)
"""
    code = script.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "steps: 4" in card and "train.batch: 4" in card
