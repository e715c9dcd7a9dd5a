"""Readers of `transforms.json`: round trips, intrinsics of every kind, files that are wrong."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from piavas.audio import write_audio
from piavas.capture import (
    Capture,
    Frame,
    Intrinsics,
    Recording,
    load_capture,
    write_nerfstudio,
)
from piavas.errors import CaptureError
from piavas.scene import Pose

WIDTH, HEIGHT = 40, 30
CAMERA = Intrinsics(WIDTH, HEIGHT, 35.1, 34.9, 19.7, 14.2)
DEPTH = np.full((HEIGHT, WIDTH), 2345, np.uint16)
DEPTH[0, :2] = 0, 65535
LABELS = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3).astype(np.uint8)
LABELS[5, 5] = 255


def write_images(folder: Path, number: int) -> dict[str, Path]:
    """A colour, a depth and a label image."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(number)
    images = {
        "image": chance.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8),
        "depth": DEPTH,
        "label": LABELS,
    }
    paths = {kind: folder / f"{kind}-{number}.png" for kind in images}
    for kind, path in paths.items():
        assert cv2.imwrite(str(path), images[kind])
    return paths


def make_frames(folder: Path, count=3, camera=CAMERA, **options) -> list[Frame]:
    frames = []
    for i in range(count):
        paths = write_images(folder / "images", i)
        pose = Pose.at((0.1 * i, 1 / 3, 1.5), yaw=17.0 * i, pitch=-math.e).matrix
        frames.append(
            Frame(paths["image"], camera, pose, paths["depth"], label_path=paths["label"],
                  time=i / 7, **options)
        )  # fmt: skip
    return frames


def make_recordings(folder: Path) -> list[Recording]:
    chance = np.random.default_rng(9)
    write_audio(folder / "sound" / "dry.wav", 0.1 * chance.standard_normal((1, 800)), 8000)
    write_audio(folder / "sound" / "wet.wav", 0.1 * chance.standard_normal((2, 800)), 8000)
    poses = np.stack([Pose.at((1, i, 1.6), yaw=11 * i).matrix for i in range(4)])
    return [
        Recording(
            name,
            np.array([0.1, 0.2, 1 / 3]),
            folder / "sound" / "dry.wav",
            folder / "sound" / "wet.wav",
            np.array([0.0, 0.1, 0.25, 1 / 3]),
            poses,
            split,
            splits,
        )
        for name, split, splits in (
            ("first", "train", None),
            ("second", "test", ("train", "val", "test", "val")),
        )
    ]


def assert_same(a: Capture, b: Capture) -> None:
    """Bit by bit."""
    assert len(a) == len(b)
    for ours, theirs in zip(a.frames, b.frames, strict=True):
        for name, value in vars(ours).items():
            assert_array_equal(value, getattr(theirs, name), err_msg=name)
    assert_array_equal(a.transform, b.transform)
    assert (a.metric, a.labels) == (b.metric, b.labels)
    assert len(a.recordings) == len(b.recordings)
    for left, right in zip(a.recordings, b.recordings, strict=True):
        for name, value in vars(left).items():
            assert_array_equal(value, getattr(right, name))


def edit(folder: Path, change) -> None:
    """Change the JSON of a capture in place."""
    file = folder / "transforms.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


@pytest.fixture
def folder(tmp_path) -> Path:
    write_nerfstudio(tmp_path, make_frames(tmp_path), labels={0: "wall", 1: "floor", 2: "sofa"})
    return tmp_path


# --- round trips


@pytest.mark.parametrize("distortion", [(0.0,) * 5, (0.11, -0.03, 1e-3, -2e-3, 1 / 300)])
def test_what_is_written_is_read_back_exactly(tmp_path, distortion):
    camera = replace(CAMERA, distortion=distortion)
    frames = make_frames(tmp_path, camera=camera, depth_scale=1 / 3000, depth_invalid=(0, 9))
    turn = np.eye(4)
    turn[:3] = np.random.default_rng(3).normal(size=(3, 4))  # nerfstudio's may scale
    labels = {0: "wall", 7: "curtain", 254: "glass"}
    recordings = make_recordings(tmp_path)
    write_nerfstudio(
        tmp_path, frames, labels=labels, metric=False, recordings=recordings, transform=turn
    )
    read = load_capture(tmp_path)
    assert_same(
        read, Capture(tmp_path, "nerfstudio", tuple(frames), turn, False, labels, tuple(recordings))
    )
    assert read.layout == "nerfstudio" and read.root == tmp_path
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.json")}
    write_nerfstudio(
        tmp_path,
        read.frames,
        labels=read.labels,
        metric=read.metric,
        recordings=read.recordings,
        transform=read.transform,
    )
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.json")} == before


def test_shared_values_stand_once_and_others_in_their_frames(tmp_path):
    frames = make_frames(tmp_path)
    other = replace(CAMERA, fx=50.0)
    frames[1] = replace(frames[1], intrinsics=other, image_intrinsics=replace(CAMERA, cx=3.25))
    data = json.loads(write_nerfstudio(tmp_path, frames).read_text())
    assert data["w"] == WIDTH and data["cx"] == CAMERA.cx + 0.5
    assert "fl_x" not in data
    assert [entry["fl_x"] for entry in data["frames"]] == [35.1, 50.0, 35.1]
    assert not Path(data["frames"][0]["file_path"]).is_absolute()
    read = load_capture(tmp_path)
    assert read.frames[1].intrinsics == other
    assert read.frames[1].image_intrinsics == replace(CAMERA, cx=3.25)
    assert read.frames[0].image_intrinsics is None


def test_pixels_come_back(folder):
    frame = load_capture(folder).frames[0]
    stored = cv2.imread(str(frame.image_path))
    assert_array_equal(frame.image(), stored[..., ::-1])
    depth = frame.depth()
    assert np.isnan(depth[0, :2]).all()
    assert np.isnan(depth).sum() == 2
    assert_array_equal(depth[1:], np.float32(2.345))
    labels = frame.labels()
    assert labels[5, 5] == -1
    assert (labels == LABELS).sum() == LABELS.size - 1


def test_depth_scale_and_invalid_values_are_those_of_the_file(folder):
    edit(folder, lambda d: d.update(depth_unit_scale_factor=0.002, depth_invalid=[2345]))
    assert np.isnan(load_capture(folder).frames[0].depth()[1:]).all()
    edit(folder, lambda d: d.update(depth_invalid=[0]))
    depth = load_capture(folder).frames[0].depth()
    assert depth[5, 5] == np.float32(4.69)
    assert depth[0, 1] == np.float32(131.07)


def test_optional_parts_may_be_absent(tmp_path):
    frames = [replace(f, depth_path=None, label_path=None) for f in make_frames(tmp_path)]
    write_nerfstudio(tmp_path, frames)
    edit(tmp_path, lambda d: d.pop("metric"))
    capture = load_capture(tmp_path)
    assert not capture.has_depth
    assert not capture.metric  # without depth and word of it, the scale is unknown
    assert_array_equal(capture.transform, np.eye(4))
    for ask in (capture.frames[0].depth, capture.frames[0].labels):
        with pytest.raises(CaptureError, match=r"image-0\.png: has no"):
            ask()


# --- intrinsics and lenses


def test_focal_length_from_the_angle_of_view(folder):
    def change(data):
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "p1", "p2", "k3"):
            data.pop(key)
        data["camera_angle_x"] = math.radians(90)

    edit(folder, change)
    camera = load_capture(folder).frames[0].intrinsics
    # Half of 40 pixels over tan 45 degrees; the middle between the outer edges of the pixels.
    assert (camera.width, camera.height) == (WIDTH, HEIGHT)
    assert_allclose([camera.fx, camera.fy, camera.cx, camera.cy], [20, 20, 19.5, 14.5])
    edit(folder, lambda d: d.update(camera_angle_y=math.radians(60)))
    assert load_capture(folder).frames[0].intrinsics.fy == pytest.approx(15 * math.sqrt(3))


def test_distorted_images_are_straightened(tmp_path):
    """A spot where the lens model of OpenCV puts a ray lands where the pinhole puts it."""
    camera = Intrinsics(320, 240, 200.0, 210.0, 161.0, 118.0, (-0.2, 0.05, 0.002, -0.001, 0.01))
    ray = np.array([0.45, -0.3])
    x, y = ray
    k1, k2, p1, p2, k3 = camera.distortion
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent = (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )
    v, u = np.mgrid[:240, :320]
    seen = np.hypot(u - (200 * bent[0] + 161), v - (210 * bent[1] + 118))
    spot = (255 * np.exp(-((seen / 4) ** 2))).astype(np.uint8)
    image, depth = tmp_path / "image.png", tmp_path / "depth.png"
    cv2.imwrite(str(image), np.repeat(spot[..., None], 3, axis=2))
    cv2.imwrite(str(depth), np.where(seen < 6, 1000, 3000).astype(np.uint16))
    write_nerfstudio(tmp_path, [Frame(image, camera, np.eye(4), depth)])
    frame = load_capture(tmp_path).frames[0]
    weights = frame.image()[..., 0].astype(float)
    found = np.array([(u * weights).sum(), (v * weights).sum()]) / weights.sum()
    assert_allclose(found, [200 * x + 161, 210 * y + 118], atol=0.1)
    straight = frame.depth()
    assert set(np.unique(straight[np.isfinite(straight)])) == {np.float32(1), np.float32(3)}
    near = straight == 1
    assert_allclose([u[near].mean(), v[near].mean()], found, atol=0.3)


def test_another_colour_camera_is_drawn_onto_the_depth_camera(tmp_path):
    colour = Intrinsics(WIDTH, HEIGHT, 35.0, 35.0, 22.0, 17.0)
    camera = Intrinsics(WIDTH, HEIGHT, 35.0, 35.0, 19.0, 15.0)
    frames = [replace(make_frames(tmp_path, 1, camera)[0], image_intrinsics=colour)]
    write_nerfstudio(tmp_path, frames)
    frame = load_capture(tmp_path).frames[0]
    stored = cv2.imread(str(frame.image_path))[..., ::-1]
    assert_array_equal(frame.image()[:-2, :-3], stored[2:, 3:])


# --- recordings


def test_recordings_are_checked(tmp_path):
    frames = make_frames(tmp_path, 1)
    recordings = make_recordings(tmp_path)
    write_nerfstudio(tmp_path, frames, recordings=recordings)
    file = tmp_path / "recordings.json"
    good = json.loads(file.read_text())
    bent = np.array(good[0]["poses"])
    bent[2, :3, 0] *= 2
    for field, value, told in (
        ("times", [0, 2, 1, 3], "do not rise"),
        ("times", [0, 1], "finite numbers"),
        ("poses", [], "empty"),
        ("poses", bent.tolist(), r"poses\[2\]"),
        ("split", "tests", "no split"),
        ("splits", ["train"], "1 splits for 4 poses"),
        ("splits", ["train", "val", "test", "tests"], r"splits\[3\]: 'tests' is no split"),
        ("source", [1, 2], "3 finite numbers"),
        ("dry", "sound/wet.wav", "channel"),
        ("wet", "sound/gone.wav", r"gone\.wav: no such file"),
        ("name", "second", "twice"),
        ("name", "", "no text"),
    ):
        file.write_text(json.dumps([{**good[0], field: value}, good[1]]))
        with pytest.raises(CaptureError, match=told) as problem:
            load_capture(tmp_path)
        assert str(tmp_path) in str(problem.value)
    file.write_text(json.dumps(good))
    (tmp_path / "sound" / "wet.wav").write_bytes(b"RIFF0000WAVE")
    with pytest.raises(CaptureError, match=r"wet\.wav: cannot be read"):
        load_capture(tmp_path)


# --- files that are wrong


def pose_of(change):
    """A change of the first pose."""

    def edited(data):
        matrix = np.array(data["frames"][0]["transform_matrix"])
        data["frames"][0]["transform_matrix"] = change(matrix).tolist()

    return edited


def scaled(matrix):
    matrix[:3, :3] *= 1.01
    return matrix


def mirrored(matrix):
    matrix[:3, 0] *= -1
    return matrix


def not_a_number(matrix):
    matrix[0, 3] = math.nan
    return matrix


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.pop("frames"), "frames: is missing"),
        (lambda d: d.update(frames=[]), "frames: is empty"),
        (lambda d: d.update(frames={}), "frames: is no JSON list"),
        (lambda d: d["frames"].append(3), r"frames\[3\]: is no JSON object"),
        (lambda d: d["frames"][1].pop("file_path"), r"frames\[1\].file_path: is missing"),
        (lambda d: d["frames"][1].pop("transform_matrix"), r"transform_matrix: is missing"),
        (pose_of(scaled), r"frames\[0\].transform_matrix: its 3x3 part is no rotation"),
        (pose_of(mirrored), "no rotation"),
        (pose_of(not_a_number), "transform_matrix"),
        (pose_of(lambda m: m[:3]), "transform_matrix"),
        (lambda d: d["frames"][0].update(transform_matrix="eye"), "no matrix of numbers"),
        (lambda d: d["frames"][0].update(transform_matrix=[[1, 2], [3]]), "transform_matrix"),
        (lambda d: d.update(fl_x=-1), "fl_x: -1 is not positive"),
        (lambda d: d.update(fl_x=math.nan), "fl_x: nan is no finite number"),
        (lambda d: d.update(fl_x="35"), "fl_x: '35' is no finite number"),
        (lambda d: d.pop("fl_x"), "fl_x: is missing"),
        (lambda d: d.update(w=40.5), "whole number"),
        (lambda d: d.update(k4=0.1), "k4: is not supported"),
        (lambda d: d.update(camera_model="OPENCV_FISHEYE"), "OPENCV_FISHEYE"),
        (lambda d: d.update(camera_model="PINHOLE", k1=0.1), "PINHOLE"),
        (lambda d: d.update(metric="yes"), "metric: is no truth value"),
        (lambda d: d.update(labels={"one": "wall"}), "no label index"),
        (lambda d: d.update(labels=["wall"]), "labels: is no JSON object"),
        (lambda d: d.update(applied_transform=[[1, 0], [0, 1]]), "applied_transform"),
        (lambda d: d.update(depth_unit_scale_factor=0), "depth_unit_scale_factor"),
        (lambda d: d["frames"][0].update(time="soon"), "time"),
        (lambda d: d.update(recordings="gone.json"), r"gone\.json: no such file"),
    ],
)
def test_a_wrong_field_is_named(folder, change, told):
    edit(folder, change)
    with pytest.raises(CaptureError, match=told) as problem:
        load_capture(folder)
    assert str(folder) in str(problem.value)


@pytest.mark.parametrize("kind", ["image", "depth", "label"])
def test_a_missing_image_is_named(folder, kind):
    (folder / "images" / f"{kind}-1.png").unlink()
    with pytest.raises(CaptureError, match=rf"{kind}-1\.png: no such file"):
        load_capture(folder)


@pytest.mark.parametrize("kind", ["image", "depth", "label"])
def test_an_image_of_another_size_is_named(folder, kind):
    path = folder / "images" / f"{kind}-2.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:-1])
    with pytest.raises(CaptureError, match=rf"{kind}-2\.png: \w+ image is 40 x 29"):
        load_capture(folder)


def test_depth_must_have_one_channel_of_16_bit(folder):
    cv2.imwrite(str(folder / "images" / "depth-0.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(CaptureError, match=r"depth-0\.png: depth image has pixels of kind L"):
        load_capture(folder)


@pytest.mark.parametrize("kind", ["image", "depth", "label"])
def test_a_truncated_image_is_refused_not_half_read(folder, kind):
    path = folder / "images" / f"{kind}-0.png"
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    frame = load_capture(folder).frames[0]
    ask = {"image": frame.image, "depth": frame.depth, "label": frame.labels}[kind]
    with pytest.raises(CaptureError, match=rf"{kind}-0\.png: cannot be"):
        ask()


def test_a_truncated_json_is_refused(folder):
    file = folder / "transforms.json"
    file.write_text(file.read_text()[:-40])
    with pytest.raises(CaptureError, match=r"transforms\.json: is not JSON"):
        load_capture(folder)
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(CaptureError, match=r"transforms\.json: is not JSON"):
        load_capture(folder)


def test_folders_that_are_no_capture(tmp_path, folder):
    with pytest.raises(CaptureError, match="no such folder"):
        load_capture(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match=r"known layout.*transforms\.json.*rgbd"):
        load_capture(tmp_path / "empty")
    (folder / "frame-000000.color.jpg").write_bytes(b"")
    with pytest.raises(CaptureError, match="2 layouts: nerfstudio, rgbd"):
        load_capture(folder)


def test_nothing_to_write_is_refused(tmp_path):
    with pytest.raises(CaptureError, match="no frames to write"):
        write_nerfstudio(tmp_path, [])
    assert not (tmp_path / "transforms.json").exists()
