"""Training that loses a process or changes their number, and memory of refining long sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from piavas.errors import PiavasError
from piavas.refine import model as model_module
from piavas.refine import train
from piavas.refine.balance import energies
from piavas.refine.run import STATE
from piavas.refine.world import join_world
from test_refine import TINY, TINY_SPECTRAL, excited, make_clips
from test_refine_training import FIVE, furthest

TEN = replace(FIVE, max_steps=10, checkpoint_every=4)
RUN = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_refine import TINY, make_clips
from test_refine_robust import TEN
from piavas.errors import PiavasError
from piavas.refine import train
from piavas.refine.run import Run
advance = Run.advance
def step(run, batch):
    if run.step == 6 and run.world.rank == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(run, batch)
Run.advance = step
train(make_clips(8), sys.argv[1], TEN, model=TINY)
"""
needs_processes = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without distributed"
)


def launch(tmp_path, folder, dies):
    """Two processes, of which number `dies` is killed before its seventh step; -1 for none."""
    script = tmp_path / "run.py"
    script.write_text(RUN.format(tests=os.path.dirname(__file__)))
    way = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [sys.executable, *way, str(script), str(folder), str(dies)],
        check=False, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of one process that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    train(make_clips(8), folder, TEN, model=TINY)
    return folder


@needs_processes
@pytest.mark.parametrize("dies", [0, 1])
def test_one_process_goes_on_where_two_lost_one(tmp_path, whole, dies):
    done = launch(tmp_path, tmp_path / "cut", dies)
    assert done.returncode == 1
    assert "exitcode  : -9" in done.stderr and f"rank      : {dies}" in done.stderr
    assert not (tmp_path / "cut" / "config.json").exists()
    assert (tmp_path / "cut" / STATE).exists()
    train(make_clips(8), tmp_path / "cut", TEN, model=TINY)
    assert furthest(whole, tmp_path / "cut") < 1e-6
    log = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [*range(1, 11)]


@needs_processes
def test_two_processes_go_on_where_one_stopped(tmp_path, whole):
    train(make_clips(8), tmp_path / "cut", replace(TEN, max_steps=5), model=TINY)
    done = launch(tmp_path, tmp_path / "cut", -1)
    assert done.returncode == 0, done.stderr
    assert furthest(whole, tmp_path / "cut") < 1e-6


def test_who_loses_another_process_is_told_what_to_do(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    left = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda kind: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: left.append(1))
    lost = "[gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer."
    told = r"process 1 lost another.*last checkpoint"
    with pytest.raises(PiavasError, match=told), join_world("cpu"):
        raise RuntimeError(lost)
    with pytest.raises(RuntimeError, match="shapes"), join_world("cpu"):
        raise RuntimeError("shapes do not fit")
    assert len(left) == 2


@pytest.mark.parametrize("config", [TINY, TINY_SPECTRAL], ids=["wave", "spectral"])
def test_memory_of_long_sound_is_what_comes_in_and_goes_out(monkeypatch, config):
    """NumPy's part beyond input and output is a few pieces, however long the sound is."""
    monkeypatch.setattr(model_module, "WHOLE", 1 << 12)
    refiner, extra = excited(config), {}
    for length in (1 << 16, 1 << 18):
        x_sim = np.random.default_rng(0).normal(size=(2, length)).astype(np.float32)
        x_tx = x_sim[:1].copy()
        tracemalloc.start()
        out = refiner(x_sim, x_tx, np.eye(4), [1, 0, 0], steps=1)
        extra[length] = tracemalloc.get_traced_memory()[1] - out.nbytes
        tracemalloc.stop()
    # Checking that all is finite takes a byte a sample; nothing else may grow.
    grown = (extra[1 << 18] - extra[1 << 16]) / ((1 << 18) - (1 << 16))
    assert grown < 2.5


def test_long_and_short_sound_have_the_same_power():
    sound = np.random.default_rng(0).normal(size=(2, 600_001)).astype(np.float32)
    np.testing.assert_allclose(energies(sound), np.square(sound.astype(float)).sum(1), rtol=1e-12)
    assert model_module.power(sound) == pytest.approx(
        np.sqrt(np.square(sound.astype(float)).mean())
    )
