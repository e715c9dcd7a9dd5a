"""Ablations: only ways that exist, the figures of an evaluation of its own, kept and resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from piavas.ablate import ablate, ways
from piavas.cli import main
from piavas.errors import DataError
from piavas.refine import Clip, Refiner, RefinerConfig, load_clips, save_clips
from piavas.refine.solvers import SOLVERS
from piavas.scene import Pose
from piavas.trials import try_clips


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablate")
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            f"{i}",
            *(rng.normal(size=(n, 3000)).astype(np.float32) for n in (1, 2, 2)),
            sample_rate=16_000,
            pose=Pose.at((1, 1, i)).matrix,
            source=np.zeros(3),
            split="test",
        )
        for i in range(3)
    ]
    save_clips(folder / "clips", clips)
    torch.manual_seed(0)
    refiner = Refiner(RefinerConfig(sample_rate=16_000, blocks=2, cycle=2, channels=4, embedding=8))
    with torch.no_grad():
        for value in refiner.network.parameters():
            value.add_(0.1 * torch.randn_like(value))
    refiner.save(folder / "model")
    return folder


def test_only_evaluations_that_a_solver_can_have():
    found = ways(SOLVERS)
    counts = {name: [n for s, _, n in found if s == name] for name in SOLVERS}
    assert counts["euler"] == list(range(1, 11))
    assert counts["heun"] == [1, 3, 5, 7, 9]
    assert counts["midpoint"] == counts["heun-full"] == counts["midpoint-paper"] == [2, 4, 6, 8, 10]
    with pytest.raises(DataError, match="most"):
        ways(SOLVERS, 0)


def test_a_dry_run_counts_and_writes_nothing(made, tmp_path, capsys):
    words = ["ablate", str(made / "clips"), str(made / "model"), "--out", str(tmp_path / "no")]
    assert main([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["points"], told["clips"]) == (30, 3)
    assert told["evaluations"] == 3 * sum(n for _, _, n in ways(SOLVERS))
    assert told["seconds"] > 0
    assert not (tmp_path / "no").exists()
    assert main([*words, "--dry-run", "--split", "val"]) == 2
    assert "val" in capsys.readouterr().err


def test_a_broken_clip_stops_it_unless_it_may_be_left_out(made, tmp_path, capsys):
    copy = Path(shutil.copytree(made / "clips", tmp_path / "clips"))
    (copy / "1" / "x_sim.wav").write_bytes(b"no sound")
    words = ["ablate", str(copy), str(made / "model"), "--out", str(tmp_path / "out"), "--json"]
    words += ["--evaluations", "1"]
    assert main(words) == 2
    assert "x_sim.wav" in capsys.readouterr().err
    assert main([*words, "--skip-broken"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == 1
    table = json.loads((tmp_path / "out" / "points" / "euler-1.json").read_text())["second"]
    assert len(table["rows"]) == 2
    assert list(table["meta"]["left_out"]) == ["1"]


def test_points_are_those_of_an_evaluation_and_are_kept(made, tmp_path, capsys):
    words = ["ablate", str(made / "clips"), str(made / "model"), "--out", str(tmp_path), "--json"]
    words += ["--evaluations", "3"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["points"] == 8
    data = json.loads((tmp_path / "ablation.json").read_text())
    row = next(p for p in data["points"] if (p["solver"], p["evaluations"]) == ("heun", 3))
    refiner, clips = Refiner.load(made / "model"), load_clips(made / "clips")
    alone = try_clips(clips, refiner, solver="heun", steps=2, baselines=False).result.second
    assert row["metrics"]["MAG"]["mean"] == pytest.approx(alone.means["MAG"])
    assert row["metrics"]["MAG"]["mean"] != pytest.approx(data["physics"]["MAG"]["mean"])
    assert all((tmp_path / f"fig2-{theme}.png").stat().st_size for theme in ("light", "dark"))
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "points").iterdir()}
    ablate(clips, refiner, tmp_path, most=3)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    ablate(clips, refiner, tmp_path, most=1, solvers=["euler"], seed=5)
    assert (tmp_path / "points" / "euler-1.json").stat().st_mtime_ns != stamps[
        tmp_path / "points" / "euler-1.json"
    ]
