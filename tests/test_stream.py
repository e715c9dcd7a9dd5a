"""Responses on disk: equal to those in memory, resumed after any end, damage found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from piavas.acoustics import hearing
from piavas.acoustics.simulator import Simulator
from piavas.acoustics.stream import load_responses
from piavas.errors import DataError
from piavas.scene import Scene

SCENE = Scene.shoebox((6, 4, 3), absorption=0.3)
SOURCE = (1.0, 1.0, 1.5)
SIMULATOR = Simulator(rays=64, duration=0.05, output="mono", sample_rate=16_000, specular_order=1)
HEADS = np.random.default_rng(0).uniform((0.5, 0.5, 0.5), (5.5, 3.5, 2.5), (300, 3))


@pytest.fixture(scope="module")
def truth():
    return SIMULATOR(SCENE, SOURCE, HEADS)


def test_a_stream_reads_back_as_what_a_call_gives(tmp_path, truth):
    streamed = SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path / "out")
    back = load_responses(tmp_path / "out", verify=True)
    for found in (streamed, back):
        np.testing.assert_array_equal(found.samples, truth.samples)
        np.testing.assert_array_equal(found.listeners, truth.listeners)
        assert found.sample_rate == 16_000
        assert found.output == "mono"
        same = ("rays", "segments", "traces", "escaped")
        assert all(found.report[k] == truth.report[k] for k in same)
        one, two = (np.array(r.report["standard_error"]["level_db"]) for r in (found, truth))
        np.testing.assert_allclose(one, two, rtol=1e-3)
    assert isinstance(back.samples.base, np.memmap)


def test_moving_sources_are_streamed_too(tmp_path):
    found = SIMULATOR.stream(SCENE, HEADS[:70], HEADS[80], tmp_path / "out")
    np.testing.assert_array_equal(found.samples, SIMULATOR(SCENE, HEADS[:70], HEADS[80]).samples)
    np.testing.assert_array_equal(found.source, HEADS[:70])


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, truth, monkeypatch):
    made = []
    real = hearing.Hearing.hear

    def hear(self, field, piece):
        made.append(piece.rows[0])
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(self, field, piece)

    monkeypatch.setattr(hearing.Hearing, "hear", hear)
    with pytest.raises(KeyboardInterrupt):
        SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path)
    with pytest.raises(DataError, match="not finished: 2 bundles"):
        load_responses(tmp_path)
    found = SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path)
    assert made == [0, 64, 128, 128, 192, 256]
    np.testing.assert_array_equal(found.samples, truth.samples)


def test_a_killed_run_goes_on_without_loss(tmp_path, truth):
    np.save(tmp_path / "heads.npy", HEADS)
    code = (
        "import numpy as np, time; from piavas.acoustics import hearing, Simulator;"
        "from piavas.scene import Scene; real = hearing.Hearing.hear\n"
        "def hear(*a):\n    time.sleep(.5)\n    return real(*a)\n"
        "hearing.Hearing.hear = hear\n"
        f"Simulator(rays=64, duration=.05, output='mono', sample_rate=16_000, specular_order=1)"
        f".stream(Scene.shoebox((6, 4, 3), absorption=.3), {SOURCE},"
        f" np.load(r'{tmp_path / 'heads.npy'}'), r'{tmp_path / 'out'}')"
    )
    run = subprocess.Popen([sys.executable, "-c", code])
    journal = tmp_path / "out" / "done.jsonl"
    end = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < end:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    done = journal.read_bytes().count(b"\n")
    assert 2 <= done < 5
    with journal.open("ab") as file:  # and the line that was being written is cut off
        file.write(b'{"piece": 4, "cr')
    found = SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path / "out")
    np.testing.assert_array_equal(found.samples, truth.samples)
    assert len(journal.read_text().splitlines()) == 5


def test_damage_is_found_and_mended(tmp_path, truth):
    SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path)
    samples = np.load(tmp_path / "samples.npy", mmap_mode="r+")
    samples[70, 0, 100] += 1
    samples.flush()
    with pytest.raises(DataError, match="bundle 1 is damaged"):
        load_responses(tmp_path, verify=True)
    mended = SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path)
    np.testing.assert_array_equal(mended.samples, truth.samples)


@pytest.mark.parametrize("name", ["samples.npy", "listeners.npy", "index.json", "report.json"])
def test_a_file_that_was_cut_off_is_found(tmp_path, name):
    SIMULATOR.stream(SCENE, SOURCE, HEADS[:3], tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=str(tmp_path)):
        load_responses(tmp_path)


def test_other_options_or_strange_folders_are_refused(tmp_path, monkeypatch):
    SIMULATOR.stream(SCENE, SOURCE, HEADS[:3], tmp_path / "one")
    for other in (replace(SIMULATOR, seed=1), replace(SIMULATOR, sample_rate=8000)):
        with pytest.raises(DataError, match="other options"):
            other.stream(SCENE, SOURCE, HEADS[:3], tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match="diary"):
        SIMULATOR.stream(SCENE, SOURCE, HEADS[:3], tmp_path / "two")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match="the disk has"):
        SIMULATOR.stream(SCENE, SOURCE, HEADS, tmp_path / "three")
    assert json.loads((tmp_path / "one" / "index.json").read_text())["shape"] == [3, 1, 800]
