"""Verbs end to end on tiny sounds: clips to a model, to refined sound, to a table and a report."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from piavas.acoustics import Simulator, load_hrtf
from piavas.audio import read_audio, write_audio
from piavas.cli import VERBS, main
from piavas.cli.training import SMALL_SECONDS, Training, make_configs
from piavas.evaluate import Comparison, Table
from piavas.pairs import provenance
from piavas.poses import write_trajectory
from piavas.refine import Clip, Refiner, RefinerConfig, TrainConfig, load_clips, save_clips
from piavas.scene import Pose, Scene, Trajectory

RATE = 8000
TINY = ["--blocks", "4", "--cycle", "4", "--channels", "8", "--embedding", "16"]


def make_clips(count=6, length=4000) -> list[Clip]:
    """Recordings are twice as loud as physics says, and a little later."""
    chance = np.random.default_rng(0)
    clips = []
    for i in range(count):
        dry = 0.1 * chance.standard_normal((1, length)).astype(np.float32)
        simulated = np.concatenate([dry, 0.6 * dry])
        pose = Pose.at((1 + 0.3 * i, 2, 1.5), yaw=30 * i).matrix
        kind = "train" if i < count // 2 else "test"
        clips.append(
            Clip(f"a/{kind}-{i}", dry, simulated, 2 * np.roll(simulated, 3, axis=1), RATE, pose,
                 np.array([2.0, 1, 1]), kind, "room/" + kind)
        )  # fmt: skip
    return clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips, and a model trained on them for three steps."""
    root = tmp_path_factory.mktemp("cli")
    save_clips(root / "clips", make_clips())
    code = main(
        ["train", str(root / "clips"), "--out", str(root / "model"), "--max-steps", "3", *TINY]
    )
    assert code == 0
    return root


def said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_train_writes_a_model_and_counts(folder, capsys):
    refiner = Refiner.load(folder / "model")
    assert refiner.config == RefinerConfig(RATE, blocks=4, cycle=4, channels=8, embedding=16)
    assert refiner.facts["train.batch"] == 4  # the paper's
    assert len((folder / "model" / "log.jsonl").read_text().splitlines()) == 3
    again = ["train", str(folder / "clips"), "--out", str(folder / "model"), "--json"]
    assert main([*again, "--max-steps", "5", *TINY]) == 0
    facts = said(capsys)
    assert (facts["steps"], facts["clips"], facts["left_out"]) == (5, 3, 0)
    number = sum(p.numel() for p in refiner.network.parameters())
    assert facts["parameters"] == number


def test_options_of_train_are_the_fields_of_its_configs():
    known = {part.name for part in fields(TrainConfig)} | {
        part.name for part in fields(RefinerConfig)
    }
    assert {part.name for part in fields(Training)} == known - {"sample_rate"}
    told = {part.name: part.default for part in fields(Training) if part.default is not None}
    assert told == {"images": False, "acoustics": False}


def test_presets():
    paper = make_configs("paper", Training(), RATE)
    assert paper == (TrainConfig(), RefinerConfig(sample_rate=RATE))
    small = make_configs("small", Training(batch=2), RATE)
    assert small[0] == TrainConfig.quick(batch=2, max_seconds=SMALL_SECONDS)
    assert small[1] == replace(RefinerConfig.small(), sample_rate=RATE)
    assert make_configs("small", Training(max_steps=7), RATE)[0].max_seconds is None
    bands = make_configs("spectral", Training(channels=8), RATE)[1]
    assert bands == replace(RefinerConfig.spectral(), sample_rate=RATE, channels=8)


def test_refine_writes_each_clip_as_the_model_hears_it(folder, tmp_path, capsys):
    args = ["refine", str(folder / "model"), "--out", str(tmp_path / "wav"), "--json"]
    args += ["--clips", str(folder / "clips"), "--solver", "heun", "--steps", "2"]
    assert main(args) == 0
    assert said(capsys) == {
        "out": str(tmp_path / "wav"),
        "solver": "heun",
        "steps": 2,
        "evaluations": 3,
        "clips": 6,
        "left_out": 0,
    }
    refiner = Refiner.load(folder / "model")
    for clip in load_clips(folder / "clips"):
        heard, rate = read_audio(tmp_path / "wav" / f"{clip.name}.wav")
        wanted = refiner(
            clip.x_sim, clip.x_tx, clip.pose, clip.source, solver="heun", steps=2
        )  # fmt: skip
        assert rate == RATE
        np.testing.assert_array_equal(heard, wanted)


def test_refine_one_file_by_either_kind_of_pose(folder, tmp_path):
    clip = load_clips(folder / "clips")[1]
    for part in ("x_sim", "x_tx"):
        write_audio(tmp_path / f"{part}.wav", getattr(clip, part), RATE, subtype="FLOAT")
    write_trajectory(tmp_path / "pose.json", Trajectory([0.0], clip.pose[None]))
    args = ["refine", str(folder / "model"), "--source", "2", "1", "1"]
    args += ["--x-sim", str(tmp_path / "x_sim.wav"), "--dry", str(tmp_path / "x_tx.wav")]
    where = ["--listener", "1.3", "2", "1.5", "--yaw", "30"]
    assert main([*args, "--out", str(tmp_path / "a.wav"), *where]) == 0
    assert main([*args, "--out", str(tmp_path / "b.wav"), "--pose", f"{tmp_path}/pose.json"]) == 0
    wanted = Refiner.load(folder / "model")(clip.x_sim, clip.x_tx, clip.pose, clip.source)
    for name in "ab":
        np.testing.assert_array_equal(read_audio(tmp_path / f"{name}.wav")[0], wanted)


def test_evaluate_clips_with_a_model(folder, tmp_path, capsys):
    from piavas.materials import save_scene

    save_scene(Scene.shoebox((5, 4, 3)), tmp_path / "scene")
    args = ["evaluate", str(folder / "clips"), "--model", str(folder / "model"), "--json"]
    args += ["--scene", str(tmp_path / "scene"), "--steps", "2", "--protocol", "mine"]
    assert main([*args, "--out", str(tmp_path / "eval")]) == 0
    facts = said(capsys)
    comparison = Comparison.load(tmp_path / "eval" / "table.json")
    assert [row["name"] for row in comparison.first.rows] == [f"a/test-{i}" for i in (3, 4, 5)]
    assert facts["differences"]["MAG"]["mean"] == comparison.differences["MAG"].mean
    assert "rows" not in facts["first"]
    meta = comparison.second.meta
    assert (meta["protocol"], meta["evaluations"], meta["sample_rate"]) == ("mine", 2, RATE)
    page = (tmp_path / "eval" / "report.html").read_text()
    for text in ("a/test-3", "Stereo-Energy", "Refined", "Map of the room", "data:audio"):
        assert text in page


def test_evaluate_records_a_protocol_file(folder, tmp_path):
    facts = {"protocol": "RWAVS-Gen", "protocol_hash": "0123", "train": 3}
    (tmp_path / "protocol.json").write_text(json.dumps(facts))
    args = ["evaluate", str(folder / "clips"), "--out", str(tmp_path / "e"), "--no-baselines"]
    assert main([*args, "--protocol", str(tmp_path / "protocol.json")]) == 0
    meta = Table.load(tmp_path / "e" / "table.json").meta
    assert meta["protocol"] == "RWAVS-Gen"
    assert meta["protocol_facts"] == {"protocol_hash": "0123", "train": 3}
    (tmp_path / "protocol.json").write_text("[]")
    assert main([*args, "--protocol", str(tmp_path / "protocol.json")]) == 2


def test_evaluate_clips_without_a_model_judges_physics_alone(folder, tmp_path):
    args = ["evaluate", str(folder / "clips"), "--out", str(tmp_path), "--family", "avnerf"]
    assert main([*args, "--split", "all", "--no-baselines"]) == 0
    table = Table.load(tmp_path / "table.json")
    assert len(table.rows) == 6
    assert table.family == "avnerf"
    assert "Mono-Energy" not in (tmp_path / "report.html").read_text()


def test_evaluate_folders_of_predictions(tmp_path, capsys):
    chance = np.random.default_rng(1)
    for i in range(3):
        truth = 0.1 * chance.standard_normal((2, 4000))
        for name, gain in (("recorded", 1.0), ("poor", 0.5), ("good", 0.9)):
            write_audio(tmp_path / name / f"{i}.wav", gain * truth, RATE)
    args = ["evaluate", str(tmp_path / "good"), "--recordings", str(tmp_path / "recorded")]
    assert main([*args, "--out", str(tmp_path / "one")]) == 0
    shown = capsys.readouterr().out
    assert "MAG" in shown and "report.html" in shown
    table = Table.load(tmp_path / "one" / "table.json")
    assert table.means["ENV"] > 0
    against = ["--against", str(tmp_path / "poor")]
    assert main([*args, "--out", str(tmp_path / "two"), *against]) == 0
    both = Comparison.load(tmp_path / "two" / "table.json")
    assert both.labels == ("poor", "good")
    # Gains of .5 and .9 err by .5 and .1 of the recording, up to the rounding of 24 bits.
    assert both.second.means["ENV"] == pytest.approx(both.first.means["ENV"] / 5, rel=1e-3)
    assert both.second.means["ENV"] == table.means["ENV"]
    assert "good" in (tmp_path / "two" / "report.html").read_text()


def test_evaluate_impulse_responses_in_the_raf_family(tmp_path):
    chance = np.random.default_rng(2)
    decay = np.exp(-np.arange(4000) / 600)
    for i in range(2):
        for name in ("recorded", "predicted"):
            response = 0.3 * chance.standard_normal((1, 4000)) * decay
            write_audio(tmp_path / name / f"{i}.wav", response, 16_000)
    args = ["evaluate", str(tmp_path / "predicted"), "--recordings", str(tmp_path / "recorded")]
    assert main([*args, "--out", str(tmp_path / "out"), "--family", "raf"]) == 0
    assert Table.load(tmp_path / "out" / "table.json").means["C50"] < 3


def test_results_say_how_what_they_judge_was_simulated(tmp_path):
    simulator = Simulator(rays=500, seed=3, hrtf="rigid-sphere")
    facts = provenance(simulator)
    assert facts["hrtf_hash"] == load_hrtf("rigid-sphere", sample_rate=simulator.sample_rate).digest
    save_clips(tmp_path / "clips", make_clips(), facts)
    args = ["evaluate", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]
    assert main(args) == 0
    meta = Table.load(tmp_path / "out" / "table.json").meta
    assert meta["hrtf_hash"] == facts["hrtf_hash"]
    assert (meta["simulator"]["rays"], meta["simulator"]["seed"]) == (500, 3)


def test_broken_clips_are_left_out_only_when_asked_and_counted(tmp_path, capsys):
    save_clips(tmp_path / "clips", make_clips())
    (tmp_path / "clips" / "a/train-0" / "x_rx.wav").write_bytes(b"RIFF")
    args = ["train", str(tmp_path / "clips"), "--out", str(tmp_path / "model"), "--json"]
    args += ["--max-steps", "1", *TINY]
    assert main(args) == 2
    assert "x_rx.wav" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert main([*args, "--skip-broken"]) == 0
    assert said(capsys)["left_out"] == 1


@pytest.mark.parametrize(
    ("verb", "wrong", "right"),
    [
        ("train", "--lerning-rate", "--learning-rate"),
        ("train", "--max-step", "--max-steps"),
        ("refine", "--solvr", "--solver"),
        ("evaluate", "--recordngs", "--recordings"),
        ("simulate", "--sorce", "--source"),
        ("reconstruct", "--voxl", "--voxel"),
    ],
)
def test_a_mistyped_option_suggests_the_right_one(verb, wrong, right, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "x", "--out", "y", wrong, "3"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert wrong in told and right in told


def test_a_mistyped_verb_suggests_the_right_one(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evalute", "x"])
    assert stop.value.code == 2
    assert "evaluate" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"piavas {verb}" in capsys.readouterr().out


def test_help_needs_no_heavy_library():
    heavy = "{'torch', 'mitsuba', 'drjit', 'scipy', 'numba', 'cv2', 'trimesh', 'matplotlib'}"
    code = f"import sys, piavas.cli; sys.exit(str(sorted({heavy} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
