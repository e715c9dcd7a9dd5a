"""Metres of captures up to scale: from the cameras' height, from sound; and what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from piavas.capture import (
    Capture,
    Frame,
    Intrinsics,
    Recording,
    load_capture,
    metres_from_camera_height,
    rescale,
    rescale_as,
    write_nerfstudio,
)
from piavas.cli import main
from piavas.datasets.heard import metres_from_sound
from piavas.errors import CaptureError
from piavas.geometry import load_mesh
from piavas.scene import Pose
from rooms import photograph, two_rooms, walk
from test_datasets_metric import RATE, SOURCE, position, recording  # noqa: F401 # a fixture

UNIT = 0.37  # metres that a unit of these captures is
HEIGHT = float(np.median([pose[2, 3] for pose in walk(24)]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The two rooms with depth, their lengths in a unit of their own."""
    folder = photograph(tmp_path_factory.mktemp("visit"), two_rooms(), walk(24))
    small = rescale(load_capture(folder), 1 / UNIT)
    write_nerfstudio(folder, small.frames, metric=False)
    return folder


def seen_points(places, poses):
    """Frames of a capture that know single points."""
    camera = Intrinsics(320, 240, 200.0, 200.0, 159.5, 119.5)
    frames = []
    for pose in poses:
        local = (places - pose[:3, 3]) @ pose[:3, :3]
        local = local[local[:, 2] < -0.1]
        at = np.column_stack([local[:, 0], -local[:, 1]]) / -local[:, 2:] * 200 + (159.5, 119.5)
        good = ((at >= 0) & (at <= (319, 239))).all(axis=1)
        frames.append(
            Frame(Path("x"), camera, pose, points=np.column_stack([at, -local[:, 2]])[good])
        )
    return Capture(Path("points"), "colmap", tuple(frames), np.eye(4), metric=False)


def surfaces(seed=0, bed=0.0):
    """Points of a room of 5 x 4 x 2.5 m, sparse on walls and floor, with strays and a bed."""
    chance = np.random.default_rng(seed)
    box = np.array([5.0, 4.0, 2.5])
    places = chance.uniform(0, box, (1500, 3))
    side = chance.integers(5, size=1500)  # no ceiling
    for k, (axis, at) in enumerate(((0, 0), (0, 5.0), (1, 0), (1, 4.0), (2, 0))):
        places[side == k, axis] = at
    places += 0.004 * chance.normal(size=places.shape)
    strays = chance.uniform(-0.5, 3.0, (60, 3)) * (1.5, 1.5, 1.0)
    top = chance.uniform((1, 1, 0.5), (3, 3, 0.5), (int(bed), 3))
    return np.concatenate([places, strays, top])


def test_the_height_of_the_cameras_over_a_seen_floor_tells_metres(folder):
    capture = load_capture(folder)
    assert not capture.metric and capture.scale_by == ""
    assert metres_from_camera_height(capture, HEIGHT) == pytest.approx(UNIT, rel=0.01)


@pytest.mark.parametrize("bed", [0, 500])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sparse_points_tell_the_floor(seed, bed):
    poses = [Pose.at((2.5, 2.0, 1.6), yaw=30.0 * i, pitch=-20).matrix for i in range(12)]
    capture = seen_points(surfaces(seed, bed) / UNIT, [_smaller(p) for p in poses])
    assert metres_from_camera_height(capture, 1.6) == pytest.approx(UNIT, rel=0.015)


def _smaller(pose):
    out = pose.copy()
    out[:3, 3] /= UNIT
    return out


def test_what_shows_no_floor_tells_no_metres(folder):
    poses = [Pose.at((2.5, 2.0, 1.6), yaw=30.0 * i).matrix for i in range(12)]
    cloud = np.random.default_rng(0).uniform((-5, -5, 0), (5, 5, 3), (3000, 3))
    with pytest.raises(CaptureError, match="no floor stands out"):
        metres_from_camera_height(seen_points(cloud, poses), 1.6)
    blind = load_capture(folder)
    blind = replace(blind, frames=tuple(replace(f, depth_path=None) for f in blind.frames))
    with pytest.raises(CaptureError, match="nothing is known of what lies below"):
        metres_from_camera_height(blind, 1.6)
    for height in (0.0, 30.0, float("nan")):
        with pytest.raises(CaptureError, match="no height of a camera"):
            metres_from_camera_height(blind, height)


def test_the_verb_takes_the_height_and_the_report_tells_it(folder, tmp_path, capsys):
    out = tmp_path / "mesh.ply"
    words = ["reconstruct", str(folder), "--out", str(out), "--voxel", "0.1", "--json"]
    assert not main([*words, "--camera-height", str(HEIGHT)])
    told = json.loads(capsys.readouterr().out)["scale"]
    assert told["by"].startswith("cameras held 1.5") and "over the floor" in told["by"]
    assert told["metres"] == pytest.approx(UNIT, rel=0.01)
    mesh = load_mesh(out)
    assert mesh.report["scale"] == told
    assert mesh.report["volume"] == pytest.approx(two_rooms().volume, rel=0.06)
    # The verbs that take capture and mesh bring the one to the other.
    again = rescale_as(load_capture(folder), mesh.report)
    assert again.metric and again.unit == told["metres"]
    np.testing.assert_allclose(again.positions, np.stack(walk(24))[:, :3, 3], rtol=0.01)
    assert rescale_as(again, mesh.report) is again


def test_the_verb_refuses_none_and_two(folder, tmp_path, capsys):
    words = ["reconstruct", str(folder), "--out", str(tmp_path / "mesh.ply")]
    for more, said in (
        ([], "give --metres, --camera-height or --by-sound"),
        (["--metres", "1", "--camera-height", "1.5"], "more than one tells the scale"),
        (["--by-sound"], "has no recordings"),
        (["--camera-height", "40"], "no height of a camera"),
    ):
        assert main([*words, *more]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "mesh.ply").exists()


def test_sound_tells_the_metres_of_any_capture(recording, tmp_path):  # noqa: F811
    dry, wet, times, _, _ = recording
    soundfile.write(tmp_path / "dry.wav", dry[0], RATE)
    soundfile.write(tmp_path / "wet.wav", wet.T, RATE)
    poses = np.stack([Pose.at(p / UNIT, yaw=12 * i).matrix for i, p in enumerate(position(times))])
    heard = Recording(
        "walk", SOURCE / UNIT, tmp_path / "dry.wav", tmp_path / "wet.wav", times, poses
    )
    capture = Capture(tmp_path, "any", (), np.eye(4), metric=False, recordings=(heard,))
    metres, told = metres_from_sound(capture)
    assert metres == pytest.approx(UNIT, rel=0.005)
    assert "from 1 recording" in told
    lost = replace(heard, source=heard.source + np.array([3, -8, 0]))
    with pytest.raises(CaptureError, match="no recording tells its scale"):
        metres_from_sound(replace(capture, recordings=(lost,)))


def test_what_metres_come_from_is_told(folder, tmp_path):
    small = load_capture(folder)
    assert rescale(small, 0.5).scale_by == "given: 0.5 m a unit"
    assert rescale(rescale(small, 0.5), 3.0).unit == 1.5
    file = write_nerfstudio(tmp_path, small.frames)
    assert load_capture(tmp_path).scale_by.startswith("stated")
    bare = {k: v for k, v in json.loads(file.read_text()).items() if k != "metric"}
    file.write_text(json.dumps(bare))
    assert load_capture(tmp_path).scale_by.startswith("taken for metres, as every frame has depth")
    write_nerfstudio(tmp_path, small.frames, scale_by="a tape")
    assert load_capture(tmp_path).scale_by == "a tape"
    data = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps({**data, "scale_by": 3}))
    with pytest.raises(CaptureError, match="scale_by"):
        load_capture(tmp_path)
