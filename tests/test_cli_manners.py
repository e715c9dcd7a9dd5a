"""What scripts and shells may rely on: completion, JSON of errors, estimates that write nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from piavas.capture import load_capture
from piavas.cli import VERBS, main, run
from piavas.cli.mend import help_page, suggest
from piavas.geometry import reconstruct, save_mesh
from piavas.geometry.estimate import estimate
from piavas.refine import Clip, RefinerConfig, TrainConfig, save_clips
from piavas.refine.estimate import estimate_training
from piavas.scene import Pose
from rooms import photograph, two_rooms, walk


def completion(shell: str, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["--tyro-print-completion", shell])
    assert stop.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_every_verb(shell, capsys):
    script = completion(shell, capsys)
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", script), verb


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["piavas", "exp"], "export"),
        (["piavas", "export", "am"], "ambix"),
        (["piavas", "train", "--lea"], "--learning-rate"),
    ],
)
def test_bash_completes(typed, offered, capsys, tmp_path):
    script = tmp_path / "piavas.bash"
    script.write_text(completion("bash", capsys))
    function = re.search(r"complete .*-F (\S+)", script.read_text())
    assert function
    words = " ".join(typed)
    ask = (
        f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; "
        f"COMP_LINE='{words}'; COMP_POINT={len(words)}; "
        f"{function[1]} piavas {typed[-1]} {typed[-2]}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False)
    assert offered in [line.strip() for line in done.stdout.splitlines()], done.stderr


LEAVES = [
    [name, *inner]
    for name, verb in VERBS.items()
    for inner in ([[one] for one in getattr(verb, "verbs", ())] or [[]])
]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_verb_speaks_json(words):
    assert "--json" in help_page(words, run)


def test_errors_are_json_for_scripts(tmp_path, capsys):
    missing = tmp_path / "no.sofa"
    assert main(["export", "wav", str(missing), "--out", str(tmp_path / "w"), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert json.loads(said.err)["error"] == {
        "kind": "DataError",
        "what": "no such file",
        "file": str(missing),
        "field": None,
        "mend": "check the path",
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["exprt", "sofa"], "piavas has no 'exprt', did you mean 'export'?"),
        (["export", "sofaa"], "piavas export has no 'sofaa', did you mean 'sofa'?"),
        (["export", "sofa", "a", "--otu=b"], "no option --otu, did you mean --out?"),
        (["export", "table", "a", "--out", "b"], None),
        (["xyzzy"], None),
    ],
)
def test_what_is_mistyped_is_mended(words, line):
    assert suggest(words, VERBS, run) == ([] if line is None else [line])


def test_reconstruction_is_estimated_and_nothing_is_written(tmp_path, capsys):
    world = two_rooms()
    folder = photograph(tmp_path / "capture", world, walk(18))
    out = tmp_path / "mesh.ply"
    words = ["reconstruct", str(folder), "--out", str(out), "--voxel", "0.1", "--dry-run", "--json"]
    assert main(words) == 0
    cost = json.loads(capsys.readouterr().out)
    assert not out.exists()
    assert cost["frames"] == 18
    assert cost["seconds"] > 0
    mesh = save_mesh(reconstruct(load_capture(folder), voxel=0.1), out)
    assert mesh.stat().st_size < 1e6 * cost["disk_mb"] + 2000  # the header
    finer = estimate(load_capture(folder), voxel=0.05)
    assert finer.memory_mb > cost["memory_mb"]


def test_training_is_estimated_and_nothing_is_written(tmp_path, capsys):
    generator = np.random.default_rng(0)
    clips = [
        Clip(
            name=f"{i}",
            x_tx=generator.normal(size=(1, 2000)).astype(np.float32),
            x_sim=generator.normal(size=(2, 2000)).astype(np.float32),
            x_rx=generator.normal(size=(2, 2000)).astype(np.float32),
            sample_rate=16_000,
            pose=Pose.at((1, 1, 1)).matrix,
            source=np.zeros(3),
        )
        for i in range(6)
    ]
    shape = RefinerConfig(sample_rate=16_000, blocks=2, cycle=2, channels=4, embedding=8)
    cost = estimate_training(clips, TrainConfig(epochs=10, batch=2), model=shape)
    assert (cost.steps, cost.clips) == (30, 6)
    limited = estimate_training(clips, TrainConfig(epochs=10, batch=2, max_steps=7), model=shape)
    assert limited.steps == 7
    brief = estimate_training(clips, TrainConfig(epochs=10**6, max_seconds=3.0), model=shape)
    assert brief.seconds == 3.0

    save_clips(tmp_path / "clips", clips)
    out = tmp_path / "model"
    words = ["train", str(tmp_path / "clips"), "--out", str(out), "--dry-run", "--json"]
    tiny = ["--blocks", "2", "--cycle", "2", "--channels", "4", "--embedding", "8"]
    assert main([*words, *tiny]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["parameters"] == cost.parameters
    assert not out.exists()
