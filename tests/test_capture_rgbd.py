"""Readers of RGB-D folders: a drawn room of known axes, a measured kitchen, malformed files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from conftest import shared
from piavas.capture import Intrinsics, load_capture
from piavas.capture.gravity import patch_normals, turn_to_z
from piavas.capture.registration import estimate_registration
from piavas.errors import CaptureError
from piavas.scene import Pose

DEPTH = Intrinsics(320, 240, 290.0, 290.0, 160.0, 120.0)
COLOUR = Intrinsics(320, 240, 264.0, 264.0, 156.0, 119.0)
ROOM = np.array([[0, 0, 0], [5.0, 4, 2.6]])
THINGS = np.array(
    [
        [[3.9, 0.1, 0], [4.9, 1.2, 1.0]],
        [[1.0, 3.0, 0], [2.4, 3.6, 0.75]],
        [[2.6, 1.6, 0], [3.0, 2.1, 1.3]],
        [[0.0, 1.0, 0.9], [0.3, 2.2, 1.9]],
        [[3.3, 3.7, 1.1], [4.4, 4.0, 2.0]],
    ]
)
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def draw(camera: Intrinsics, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z-depth `[h, w]` in metres and colour `[h, w, 3]` of boxes in a box, by the slab method."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(float)
    rays = np.stack([(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones_like(u)])
    way = np.einsum("ij,jhw->hwi", pose[:3, :3], rays) + 1e-12
    a, b = ((box - pose[:3, 3]) / way for box in ROOM)
    depth, kind = np.maximum(a, b).min(axis=-1), np.zeros(u.shape, int)
    wall = np.maximum(a, b).argmin(axis=-1)
    for number, thing in enumerate(THINGS, 1):
        a, b = ((corner - pose[:3, 3]) / way for corner in thing)
        near, far = np.minimum(a, b), np.maximum(a, b)
        hit = (near.max(-1) < far.min(-1)) & (near.max(-1) > 0) & (near.max(-1) < depth)
        depth = np.where(hit, near.max(-1), depth)
        kind, wall = np.where(hit, number, kind), np.where(hit, near.argmax(-1), wall)
    palette = np.random.default_rng(5).integers(60, 255, (len(THINGS) + 1, 3, 3))
    return depth, palette[kind, wall].astype(np.uint8)


def write_folder(folder: Path, colour: Intrinsics = DEPTH, count=14) -> list[np.ndarray]:
    """A walk in the box in the layout of 7-Scenes; the world is that of the first camera."""
    poses = [
        Pose.at((1.2 + 0.15 * i, 2.4 - 0.1 * i, 1.5), yaw=25.0 * i - 40, pitch=-25 + 3.0 * i).matrix
        for i in range(count)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    first = np.linalg.inv(poses[0] @ FLIP)
    np.savetxt(folder / "camera-intrinsics.txt", DEPTH.matrix)
    for i, pose in enumerate(poses):
        name = f"frame-{8 * i:06d}"
        depth = np.round(1000 * draw(DEPTH, pose)[0]).astype(np.uint16)
        depth[:3, :3], depth[-1] = 0, 65535
        cv2.imwrite(str(folder / f"{name}.depth.png"), depth)
        cv2.imwrite(str(folder / f"{name}.color.png"), draw(colour, pose)[1][..., ::-1])
        np.savetxt(folder / f"{name}.pose.txt", first @ pose @ FLIP)
    return poses


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A folder whose colour lies on its depth, and the true poses."""
    folder = tmp_path_factory.mktemp("rgbd")
    return folder, write_folder(folder)


def angle(a, b) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1))))


# --- a drawn room


def test_the_drawn_room_is_levelled_with_opengl_axes(walk):
    folder, truth = walk
    capture = load_capture(folder)
    assert (capture.layout, len(capture), capture.metric) == ("rgbd", len(truth), True)
    assert [f.image_path.name for f in capture.frames[:2]] == [
        "frame-000000.color.png",
        "frame-000008.color.png",
    ]
    # World and truth differ by a turn about +z and the place of the first camera.
    first = capture.frames[0].pose
    assert_allclose(first[:3, 3], 0, atol=1e-12)
    for frame, pose in zip(capture.frames, truth, strict=True):
        assert angle(frame.pose[2, :3] / np.linalg.norm(frame.pose[2, :3]), pose[2, :3]) < 0.2
        relative = np.linalg.inv(first) @ frame.pose
        assert_allclose(relative, np.linalg.inv(truth[0]) @ pose, atol=1e-9)
        assert frame.pose[2, 3] == pytest.approx(pose[2, 3] - truth[0][2, 3], abs=0.01)
    raw = np.loadtxt(folder / "frame-000008.pose.txt")
    assert_allclose(capture.frames[1].pose, capture.transform @ raw @ FLIP, atol=1e-12)


def test_depth_is_metres_and_both_marks_are_invalid(walk):
    folder, truth = walk
    frame = load_capture(folder).frames[2]
    depth = frame.depth()
    assert np.isnan(depth[:3, :3]).all() and np.isnan(depth[-1]).all()
    assert np.isnan(depth).sum() == 9 + 320
    assert_allclose(depth[5:-1], draw(DEPTH, truth[2])[0][5:-1], atol=6e-4)


def test_colour_that_lies_on_depth_is_left_alone(walk):
    capture = load_capture(walk[0])
    assert all(frame.image_intrinsics is None for frame in capture.frames)
    found = estimate_registration(capture.frames)
    assert not found.needed
    assert found.scale == pytest.approx(1, abs=0.01)


def test_colour_of_another_camera_is_found_and_moved(tmp_path):
    write_folder(tmp_path, COLOUR)
    frame = load_capture(tmp_path).frames[3]
    camera = frame.image_intrinsics
    assert camera is not None
    assert camera.fx == pytest.approx(COLOUR.fx, rel=0.01)
    assert_allclose([camera.cx, camera.cy], [COLOUR.cx, COLOUR.cy], atol=1.0)


def test_given_colour_intrinsics_are_taken_as_they_are(tmp_path):
    truth = write_folder(tmp_path, COLOUR, count=4)
    np.savetxt(tmp_path / "color-intrinsics.txt", COLOUR.matrix)
    frame = load_capture(tmp_path).frames[1]
    assert frame.image_intrinsics == COLOUR
    drawn = draw(DEPTH, truth[1])[1].astype(float)
    inner = np.s_[8:-8, 8:-8]
    gap = np.abs(frame.image()[inner].astype(float) - drawn[inner]).max(axis=-1)
    assert (gap > 2).mean() < 0.03  # but for the smoothed outlines


@pytest.mark.parametrize("up", [[0, 0, 1], [0, 0, -1], [1, 0, 0], [0.36, -0.48, -0.8]])
def test_turns_to_z(up):
    turn = turn_to_z(np.array(up, dtype=float))
    assert_allclose(turn[:3, :3] @ up, [0, 0, 1], atol=1e-12)
    assert_allclose(turn[:3, :3] @ turn[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_patch_normals_are_those_of_the_walls():
    pose = Pose.at((2.5, 2, 1.3), yaw=30, pitch=-30).matrix
    normals = patch_normals(draw(DEPTH, pose)[0].astype(np.float32), DEPTH) @ pose[:3, :3].T
    # All faces are axis-parallel; only patches across a far, blunt corner may tilt.
    assert len(normals) > 100
    assert np.quantile(np.sort(np.abs(normals), axis=1)[:, 1], 0.95) < 1e-6
    assert (normals @ pose[:3, 2] > -0.05).all()


# --- the kitchen


@pytest.fixture(scope="module")
def kitchen():
    return load_capture(shared("data/sevenscenes"))


def points(frame, step=6):
    """World points `[n, 3]` of a depth image."""
    depth, camera = frame.depth()[::step, ::step], frame.intrinsics
    v, u = np.mgrid[: camera.height : step, : camera.width : step]
    seen = np.stack([(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones_like(u)])
    local = (seen * depth).reshape(3, -1)[:, np.isfinite(depth).ravel()]
    return local.T @ frame.pose[:3, :3].T + frame.pose[:3, 3]


def project(places, frame):
    """Pixel columns and rows, and z-depth, of world points."""
    local = (places - frame.pose[:3, 3]) @ frame.pose[:3, :3]
    camera, z = frame.intrinsics, -local[:, 2]
    return camera.fx * local[:, 0] / z + camera.cx, -camera.fy * local[:, 1] / z + camera.cy, z


def inside(u, v, z, camera):
    return (z > 0.1) & (u > 1) & (v > 1) & (u < camera.width - 2) & (v < camera.height - 2)


def test_the_kitchen_has_its_frames(kitchen):
    assert (len(kitchen), kitchen.layout, kitchen.metric) == (125, "rgbd", True)
    assert kitchen.has_depth
    assert kitchen.frames[0].intrinsics == Intrinsics(640, 480, 585.0, 585.0, 320.0, 240.0)
    folder = kitchen.root
    raw = np.loadtxt(folder / "frame-000008.pose.txt")
    assert_allclose(kitchen.frames[1].pose, kitchen.transform @ raw @ FLIP, atol=1e-9)


def test_depth_of_the_kitchen_agrees_from_frame_to_frame(kitchen):
    """Wrong axes, scale or invalid values would put the points of one frame elsewhere."""
    for i in (10, 60, 100):
        a, b = kitchen.frames[i], kitchen.frames[i + 1]
        depth, stored = a.depth(), cv2.imread(str(a.depth_path), cv2.IMREAD_UNCHANGED)
        assert_array_equal(np.isnan(depth), (stored == 0) | (stored == 65535))
        u, v, z = project(points(a), b)
        good = inside(u, v, z, b.intrinsics)
        there = b.depth()[v[good].round().astype(int), u[good].round().astype(int)]
        gap = np.abs(there - z[good])
        assert np.isfinite(gap).sum() > 2000
        assert np.nanmedian(gap) < 0.03


def test_the_kitchen_stands_upright(kitchen):
    """Walls, which levelling does not look at, are vertical; floor and worktops are level."""
    normals = np.concatenate(
        [patch_normals(f.depth(), f.intrinsics) @ f.pose[:3, :3].T for f in kitchen.frames[::6]]
    )
    tilt = np.degrees(np.arcsin(normals[:, 2]))
    walls = tilt[np.abs(tilt) < 10]
    assert len(walls) > 1000
    assert abs(np.median(walls)) < 1.0
    level = normals[np.abs(normals[:, 2]) > np.cos(np.radians(5))]
    mean = (level * np.sign(level[:, 2:])).mean(axis=0)
    assert angle(mean / np.linalg.norm(mean), [0, 0, 1]) < 0.5
    assert np.mean([frame.pose[2, 1] for frame in kitchen.frames]) > 0.8


def test_registration_makes_the_colours_of_the_kitchen_agree(kitchen):
    """A point has one colour from everywhere: depth carries colours from frame to frame."""
    colour = kitchen.frames[0].image_intrinsics
    assert colour is not None
    assert colour.fx == pytest.approx(525, rel=0.02)  # the makers' value for this camera
    stored = [replace(frame, image_intrinsics=None) for frame in kitchen.frames]
    found = estimate_registration(stored)
    assert found.correlation > 3 * found.correlation_without
    gaps = {"registered": [], "as stored": []}
    for i in (5, 40, 80, 110):
        a, b = kitchen.frames[i], kitchen.frames[i + 3]
        for kind, of in (
            ("registered", lambda f: f.image()),
            ("as stored", lambda f: cv2.imread(str(f.image_path))[..., ::-1]),
        ):
            depth = a.depth()[::6, ::6]
            known = np.isfinite(depth).ravel()
            u, v, z = project(points(a), b)
            good = inside(u, v, z, b.intrinsics)
            x, y = u[good].round().astype(int), v[good].round().astype(int)
            visible = np.abs(b.depth()[y, x] - z[good]) < 0.03
            ours = of(a)[::6, ::6].reshape(-1, 3)[known][good][visible].astype(float)
            theirs = of(b)[y, x][visible].astype(float)
            kept = ours.any(axis=1) & theirs.any(axis=1)
            gaps[kind].append(np.abs(ours - theirs)[kept].mean())
    assert np.mean(gaps["registered"]) < 0.9 * np.mean(gaps["as stored"])


# --- files that are wrong


@pytest.fixture
def small(walk, tmp_path):
    for path in (*walk[0].glob("frame-00000[08].*"), *walk[0].glob("frame-000016.*")):
        shutil.copy(path, tmp_path)
    return Path(shutil.copy(walk[0] / "camera-intrinsics.txt", tmp_path)).parent


def test_missing_parts_are_named(small):
    for name in ("frame-000008.depth.png", "frame-000016.pose.txt", "camera-intrinsics.txt"):
        kept = (small / name).read_bytes()
        (small / name).unlink()
        with pytest.raises(CaptureError, match="no such file") as problem:
            load_capture(small)
        assert str(small / name) in str(problem.value)
        (small / name).write_bytes(kept)
    load_capture(small)


@pytest.mark.parametrize("kind", ["color", "depth"])
def test_another_size_is_named(small, kind):
    path = small / f"frame-000008.{kind}.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, 2:])
    with pytest.raises(CaptureError, match="image is 318 x 240") as problem:
        load_capture(small)
    assert str(path) in str(problem.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no 4 x 4 numbers"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n", "holds no 4 x 4 numbers"),
        ("1 0 0 0\n0 1 0 0\n0 0 one 0\n0 0 0 1\n", "holds no 4 x 4 numbers"),
        ("1 0 0 0\n0 1 0 nan\n0 0 1 0\n0 0 0 1\n", "finite"),
        ("1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1\n", "no rotation"),
        ("1 0 0 0\n0 1 1 0\n0 0 1 0\n0 0 0 1\n", "no rotation"),
    ],
)
def test_a_pose_that_is_none_is_named(small, text, told):
    path = small / "frame-000008.pose.txt"
    path.write_text(text)
    with pytest.raises(CaptureError, match=told) as problem:
        load_capture(small)
    assert str(path) in str(problem.value)


@pytest.mark.parametrize(
    ("matrix", "told"),
    [(-np.eye(3), "focal lengths"), (np.full((3, 3), np.nan), "focal"), (np.eye(4), "3 x 3")],
)
def test_intrinsics_that_are_none_are_named(small, matrix, told):
    np.savetxt(small / "camera-intrinsics.txt", matrix)
    with pytest.raises(CaptureError, match=rf"camera-intrinsics\.txt: .*{told}"):
        load_capture(small)


def test_truncated_images_are_refused(small):
    path = small / "frame-000008.depth.png"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CaptureError, match=r"frame-000008\.depth\.png: cannot be"):
        load_capture(small)
    path.write_bytes(b"no image")
    with pytest.raises(CaptureError, match=r"frame-000008\.depth\.png: cannot be"):
        load_capture(small)
