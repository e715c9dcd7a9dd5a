"""`piavas import`: copies of data sets are checked, and become what the next verbs read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from piavas.acoustics import Simulator
from piavas.audio import read_audio
from piavas.capture import load_capture
from piavas.cli import main
from piavas.datasets import Alignment, Response, load_rirs, write_raf, write_rirs, write_rwavs
from piavas.materials import save_scene
from piavas.refine import load_clips
from piavas.scene import Pose, Scene
from test_datasets_rirs import RESPONSES, signals
from test_datasets_rwavs import UNIT, VIDEOS


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return write_rwavs(tmp_path_factory.mktemp("set") / "release", VIDEOS, units={"office": UNIT})


@pytest.fixture
def copy(release, tmp_path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "release"))


def test_a_good_copy_passes_and_a_partial_one_is_told(copy, capsys):
    assert main(["import", "rwavs", str(copy.parent)]) == 0
    assert "0 are missing or wrong" in capsys.readouterr().out
    (copy / "2/binaural_syn_re.wav").unlink()
    assert main(["import", "rwavs", str(copy)]) == 2
    told = capsys.readouterr()
    assert "video 2, sound" in told.out
    assert str(copy / "2/binaural_syn_re.wav") in told.out
    assert str(copy) in told.err and "Traceback" not in told.err
    assert main(["import", "rwavs", str(copy), "--json"]) == 2
    facts = json.loads(capsys.readouterr().out)
    assert [i["item"] for i in facts["items"] if i["state"] == "missing"] == ["video 2, sound"]


def test_environments_become_captures_and_captures_clips(copy, tmp_path, capsys):
    Alignment({1: UNIT.inverse, 2: UNIT.inverse}, metric=True).save(tmp_path / "moves.json")
    args = ["import", "rwavs", str(copy), "--videos", "1", "2", "--protocol", "rwavs-gen", "--json"]
    args += ["--train", "2", "--alignment", str(tmp_path / "moves.json")]
    assert main([*args, "--out", str(tmp_path / "sets"), "--share", "0.3"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["protocol"], facts["train"], facts["test"]) == ("RWAVS-Gen, 30 %", 3, 10)
    assert facts["training_videos"] == {"office": "2"}
    assert "whether they align is unknown" in facts["alignment"][0]  # noise shows nothing
    record = json.loads((tmp_path / "sets" / "protocol.json").read_text())
    assert record["protocol_hash"] == facts["protocol_hash"]
    capture = load_capture(tmp_path / "sets" / "office")
    assert capture.metric
    for recording, truth in zip(capture.recordings, VIDEOS, strict=False):
        assert_allclose(recording.poses, truth.poses, atol=1e-9)
        assert_allclose(recording.source, truth.source, atol=1e-9)
    places = np.concatenate([v.poses[:, :3, 3] for v in VIDEOS[:2]])
    low, high = places.min(axis=0) - 3, places.max(axis=0) + 3
    box = Scene.shoebox(high - low, absorption=0.5)
    room = Scene(box.vertices + low, box.faces, box.face_material, box.materials)
    save_scene(room, tmp_path / "room")
    args = ["import", "capture", facts["captures"]["office"], "--scene", str(tmp_path / "room")]
    args += ["--out", str(tmp_path / "clips"), "--hrtf", "rigid-sphere", "--rays", "50"]
    args += ["--images", "panorama", "--acoustics"]
    assert main([*args, "--duration", "0.05", "--specular-order", "1"]) == 0
    clips = load_clips(tmp_path / "clips")
    counts = {split: len(clips.of(split)) for split in ("train", "test", "val")}
    # The last clip about second 11 of 12 fits too; seven of video 2 are left out.
    assert counts == {"train": 3, "test": 10, "val": 0}
    assert {clip.environment for clip in clips.of("train")} == {"office-2"}
    assert clips[0].images.shape == (2, 96) and clips[0].acoustics.shape == (14,)
    assert np.ptp([clip.images for clip in clips], axis=0).max() > 0.1


def test_broken_videos_are_skipped_only_when_asked(copy, tmp_path, capsys):
    (copy / "6/transforms_val.json").write_text("{")
    args = ["import", "rwavs", str(copy), "--out", str(tmp_path / "sets"), "--json"]
    assert main(args) == 2
    assert "6/transforms_val.json" in capsys.readouterr().err
    assert not (tmp_path / "sets").exists()
    assert main([*args, "--skip-broken"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts["left_out"]) == ["6"] and list(facts["captures"]) == ["office"]
    assert not load_capture(tmp_path / "sets" / "office").metric
    assert main([*args, "--videos", "6", "--skip-broken"]) == 2
    assert "every video is broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--videos", "3"], "no video 3"),
        (["--protocol", "rwavs-gen"], "house has one video"),
        (["--protocol", "rwavs-gen", "--train", "9"], "no video 9"),
        (["--share", "2"], "no share"),
        (["--alignment", "gone.json"], "gone.json"),
        (["--align"], "show the same things"),
    ],
)
def test_options_that_do_not_fit(release, tmp_path, capsys, more, told):
    args = ["import", "rwavs", str(release), "--out", str(tmp_path / "sets"), *more]
    assert main(args) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "sets").exists()


def test_raf_is_checked_and_becomes_a_table(tmp_path, capsys):
    room = write_raf(tmp_path / "room", RESPONSES, signals())
    assert main(["import", "raf", str(room)]) == 0
    assert "train 80 %" in capsys.readouterr().out
    assert main(["import", "raf", str(room), "--out", str(tmp_path / "table"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["responses"], facts["train"], facts["protocol"]) == (10, 8, "RAF")
    read = load_rirs(tmp_path / "table")
    assert_allclose(read.responses[4].source, RESPONSES[4].source, atol=1e-12)
    assert main(["import", "rirs", str(tmp_path / "table")]) == 0
    (room / "data/000003/rx_pos.txt").write_text("here")
    assert main(["import", "raf", str(room)]) == 2
    assert str(room / "data/000003/rx_pos.txt") in capsys.readouterr().out


def test_a_set_of_responses_is_checked(tmp_path, capsys):
    write_rirs(tmp_path, RESPONSES, signals(), 16_000)
    assert main(["import", "rirs", str(tmp_path)]) == 0
    (tmp_path / "r2.wav").unlink()
    assert main(["import", "rirs", str(tmp_path), "--json"]) == 2
    told = capsys.readouterr()
    assert "r2.wav" in told.err
    assert main(["import", "rirs", str(tmp_path / "gone")]) == 2


def test_what_was_measured_is_simulated_beside_it(tmp_path, capsys):
    """The measured set is the engine's own, so that predictions must equal it."""
    room = Scene.shoebox((5, 4, 3), absorption=0.4)
    simulator = Simulator(output="mono", rays=300, sample_rate=16_000, duration=0.4)
    save_scene(room, tmp_path / "room")
    places = [Pose.at((x, 1, 1.5)).matrix for x in (1, 2, 4)]
    responses, samples = [], []
    for k, source in enumerate(([1.0, 3, 1], [4.0, 3, 1])):
        heard = simulator(room, source, np.stack(places)).samples
        for i, pose in enumerate(places):
            split = "test" if i else "train"
            responses.append(Response(f"s{k}-{i}", Path(), np.array(source), pose, None, split))
            samples.append(heard[i])
    write_rirs(tmp_path / "set", responses, samples, 16_000)
    args = ["import", "rirs", str(tmp_path / "set"), "--scene", str(tmp_path / "room"), "--json"]
    args += ["--rays", "300", "--duration", "0.4", "--seconds", "0.32"]
    assert main([*args, "--out", str(tmp_path / "out")]) == 0
    folders = json.loads(capsys.readouterr().out)
    for name in ("s0-1", "s0-2", "s1-1", "s1-2"):
        ours, _ = read_audio(Path(folders["predicted"]) / f"{name}.wav")
        theirs, rate = read_audio(Path(folders["recorded"]) / f"{name}.wav")
        assert (rate, theirs.shape) == (16_000, (1, 5120))
        # Sources are traced with the same seed, and only the listeners of the split.
        assert np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()
    assert not (tmp_path / "out/predicted/s0-0.wav").exists()
    args = ["evaluate", folders["predicted"], "--recordings", folders["recorded"]]
    assert main([*args, "--family", "raf", "--out", str(tmp_path / "eval")]) == 0
    assert main(["import", "rirs", str(tmp_path / "set"), "--out", str(tmp_path / "out")]) == 2
    assert "go together" in capsys.readouterr().err
