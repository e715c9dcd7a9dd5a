"""Captures that are partly bad: what spoils them is named and left out, and the rest goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from piavas.capture import Capture, Frame, like_mesh, load_capture, vet, write_nerfstudio
from piavas.capture.vet import check_depth_unit
from piavas.cli import main
from piavas.errors import CaptureError
from piavas.geometry import load_mesh
from rooms import photograph, two_rooms, walk
from test_capture_photos import walk as ring
from test_datasets_overlap import LENS, draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return photograph(tmp_path_factory.mktemp("visit"), two_rooms(), walk())


@pytest.fixture(scope="module")
def papered(tmp_path_factory):
    """Pictures of a papered room with true poses, without depth."""
    folder = tmp_path_factory.mktemp("papered")
    frames = []
    for i, pose in enumerate(ring(16)):
        path = folder / f"{i:02d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(draw(pose), cv2.COLOR_GRAY2BGR))
        frames.append(Frame(path, LENS, pose))
    return Capture(folder, "any", tuple(frames), np.eye(4))


def moved(capture, moves):
    frames = list(capture.frames)
    for i, by in moves.items():
        pose = frames[i].pose.copy()
        pose[:3, 3] += by
        frames[i] = replace(frames[i], pose=pose)
    return replace(capture, frames=tuple(frames))


def in_units(capture, metres):
    return replace(capture, frames=tuple(replace(f, depth_scale=metres) for f in capture.frames))


# --- poses


def test_a_good_capture_is_left_alone(folder, papered):
    for capture, depth in ((load_capture(folder), "sensor"), (papered, "stereo")):
        found, doubts = vet(capture, depth=depth)
        assert found is capture and doubts == ()


@pytest.mark.parametrize("moves", [{7: (0.4, 0, 0)}, {7: (1, 0, 0.2), 20: (0, -1, 0)}])
def test_jumps_are_named_and_left_out_by_depth(folder, moves):
    capture = moved(load_capture(folder), moves)
    found, (doubt,) = vet(capture)
    assert doubt.name == "pose-jumps"
    assert set(doubt.files) == {f"{i:03d}.png" for i in moves}
    assert all("contradict its pose" in why for why in doubt.files.values())
    names = [f.image_path.name for f in found.frames]
    assert names == [f"{i:03d}.png" for i in range(40) if i not in moves]


def test_jumps_are_named_and_left_out_by_features(papered):
    found, (doubt,) = vet(moved(papered, {5: (0.5, 0.4, 0)}), depth="stereo")
    assert set(doubt.files) == {"05.png"} and "the images of" in doubt.files["05.png"]
    assert len(found) == 15


def test_where_nothing_else_speaks_a_spike_in_the_way_does(tmp_path):
    frames = []
    for i in range(12):
        path = tmp_path / f"{i:02d}.png"
        cv2.imwrite(str(path), np.full((240, 320, 3), 120, np.uint8))  # a wall without texture
        frames.append(Frame(path, LENS, np.eye(4)))
    still = Capture(tmp_path, "any", tuple(frames), np.eye(4))
    straight = moved(still, {i: (0.1 * i, 0, 0) for i in range(12)})
    assert vet(straight, depth="stereo")[1] == ()
    _, (doubt,) = vet(moved(straight, {6: (0, 3.0, 0)}), depth="stereo")
    assert set(doubt.files) == {"06.png"} and "times the usual step" in doubt.files["06.png"]


def test_poses_that_are_wrong_as_a_whole_are_told_and_nobody_is_blamed(folder):
    chance = np.random.default_rng(0)
    capture = load_capture(folder)
    capture = moved(capture, {i: chance.uniform(-0.8, 0.8, 3) for i in range(40)})
    found, (doubt,) = vet(capture)
    assert doubt.name == "poses-contradict" and len(found) == 40


# --- depth in another unit


@pytest.mark.parametrize("scale", [1e-2, 1e-4, 1.0, 0.3048e-3])
def test_depth_in_another_unit_is_told_with_the_mend(folder, scale):
    capture = load_capture(folder)
    check_depth_unit(capture)
    with pytest.raises(CaptureError) as told:
        vet(in_units(capture, scale))
    assert told.value.file.endswith("000.depth.png")
    assert told.value.field == "depth_unit_scale_factor"
    assert "it seems to hold millimetres: give --depth-unit 0.001" in str(told.value)
    assert ("too large" if scale > 1e-3 else "too small") in told.value.what


def test_depth_and_poses_of_one_wrong_unit_are_no_room(folder):
    capture = load_capture(folder)
    giant = moved(capture, {i: 999 * f.pose[:3, 3] for i, f in enumerate(capture.frames)})
    with pytest.raises(CaptureError, match="is no room"):
        vet(in_units(giant, 1.0))


def test_the_verb_names_the_unit_and_takes_it(folder, tmp_path, capsys):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    write_nerfstudio(wrong, in_units(load_capture(folder), 1e-2).frames)
    words = ["reconstruct", str(wrong), "--out", str(tmp_path / "mesh.ply"), "--voxel", "0.1"]
    assert main(words) == 2
    assert "--depth-unit 0.001" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "mesh.ply").exists()
    assert main([*words, "--depth-unit", "0"]) == 2
    assert not main([*words, "--depth-unit", "0.001"])
    volume = load_mesh(tmp_path / "mesh.ply").report["volume"]
    assert volume == pytest.approx(two_rooms().volume, rel=0.03)


# --- images


@pytest.fixture
def spoilt(papered, tmp_path):
    """A black and a blurred picture among the good ones."""
    frames = []
    for i, frame in enumerate(papered.frames):
        image = cv2.imread(str(frame.image_path))
        image = {3: np.full_like(image, 4), 9: cv2.GaussianBlur(image, (0, 0), 9)}.get(i, image)
        cv2.imwrite(str(tmp_path / frame.image_path.name), image)
        frames.append(replace(frame, image_path=tmp_path / frame.image_path.name))
    return replace(papered, root=tmp_path, frames=tuple(frames))


def test_poor_images_are_named_and_left_out(spoilt):
    found, (doubt,) = vet(spoilt, depth="stereo")
    assert doubt.name == "poor-images" and "left out" in doubt.what and len(found) == 14
    assert doubt.files["03.png"].startswith("dark") and doubt.files["09.png"].startswith("blurred")
    bad = replace(spoilt, frames=(spoilt.frames[3], spoilt.frames[9]))
    with pytest.raises(CaptureError, match="none of its 2 images is of use; 03"):
        vet(bad, depth="stereo")


def test_the_verb_goes_on_and_says_what_it_left_out(folder, tmp_path, capsys):
    bad = photograph(tmp_path / "bad", two_rooms(), walk())
    cv2.imwrite(str(bad / "004.png"), np.full((120, 160, 3), 2, np.uint8))
    write_nerfstudio(bad, moved(load_capture(bad), {7: (1, 0, 0)}).frames)
    out = tmp_path / "mesh.ply"
    words = ["reconstruct", str(bad), "--out", str(out), "--voxel", "0.1", "--json"]
    assert not main(words)
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert {w["name"]: set(w["files"]) for w in report["warnings"]} == {
        "poor-images": {"004.png"},
        "pose-jumps": {"007.png"},
    }
    assert report["frames"] == 39  # a dark image may have good depth
    assert report["volume"] == pytest.approx(two_rooms().volume, rel=0.03)
    assert "warning: pose-jumps: 1 of 40 frames" in said.err
    assert "  004.png: dark: mean grey level 2 of 255" in said.err
    mesh = load_mesh(out)
    assert mesh.report["warnings"] == report["warnings"]
    # What votes on materials sees neither.
    names = {f.image_path.name for f in like_mesh(load_capture(bad), mesh.report).frames}
    assert len(names) == 38 and not names & {"004.png", "007.png"}
