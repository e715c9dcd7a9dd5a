"""Models of COLMAP: both forms written from known poses, every lens, files that are wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from piavas.capture import Intrinsics, load_capture, rescale
from piavas.capture.colmap import NUMBERS, PARAMETERS
from piavas.errors import CaptureError
from piavas.scene import Pose

WIDTH, HEIGHT = 40, 30
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
WORLD = np.eye(4)
WORLD[:3, :3] = Rotation.from_euler("xyz", [100, 20, -30], degrees=True).as_matrix()
WORLD[:3, 3] = 3.0, -1.0, 7.0
CAMERAS = {1: ("PINHOLE", (35.1, 34.9, 19.7, 14.2)), 7: ("SIMPLE_RADIAL", (33.0, 20.0, 15.0, 0.1))}
POINTS = [(1.5, 2.5, -1), (3.0, 4.0, 12)]


def poses(count=8) -> list[np.ndarray]:
    return [
        Pose.at((0.3 * i, 1.0, 1.5), yaw=40.0 * i, pitch=-10.0 + 3 * (i % 4)).matrix
        for i in range(count)
    ]


def entries(truth) -> list[tuple[int, np.ndarray, np.ndarray, int, str]]:
    """World-to-camera as COLMAP keeps it, from camera-to-world with OpenGL axes."""
    found = []
    for i, pose in enumerate(truth):
        view = np.linalg.inv(WORLD @ pose @ FLIP)
        x, y, z, w = Rotation.from_matrix(view[:3, :3]).as_quat()
        # Later images get smaller numbers, as COLMAP registers in any order.
        found.append(
            (90 - i, np.array([w, x, y, z]), view[:3, 3], (1, 7)[i % 2], f"in/{i:02d}.png")
        )
    return found[::-1]


def write_binary(model: Path, cameras, images) -> None:
    data = struct.pack("<Q", len(cameras))
    for key, (name, values) in cameras.items():
        number = next(n for n, known in NUMBERS.items() if known == name)
        data += struct.pack("<iiQQ", key, number, WIDTH, HEIGHT)
        data += struct.pack(f"<{len(values)}d", *values)
    (model / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(images))
    for key, quaternion, shift, camera, name in images:
        data += struct.pack("<i7di", key, *quaternion, *shift, camera) + name.encode() + b"\0"
        data += struct.pack("<Q", len(POINTS))
        data += b"".join(struct.pack("<ddq", *point) for point in POINTS)
    (model / "images.bin").write_bytes(data)


def write_text(model: Path, cameras, images) -> None:
    lines = ["# Camera list", "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    for key, (name, values) in cameras.items():
        lines.append(f"{key} {name} {WIDTH} {HEIGHT} " + " ".join(map(repr, values)))
    (model / "cameras.txt").write_text("\n".join(lines) + "\n")
    lines = ["# Image list with two lines of data per image:"]
    for at, (key, quaternion, shift, camera, name) in enumerate(images):
        numbers = " ".join(repr(float(v)) for v in (*quaternion, *shift))
        lines.append(f"{key} {numbers} {camera} {name}")
        # An image without features has a blank line.
        lines.append(" ".join(f"{x} {y} {n}" for x, y, n in POINTS) if at % 2 else "")
    (model / "images.txt").write_text("\n".join(lines) + "\n")


WRITERS = {"bin": write_binary, "txt": write_text}


def write(folder: Path, form: str, at="sparse/0", cameras=None, truth=None) -> Path:
    """A model in `folder` with its pictures; the folder of the model."""
    model = folder / at
    model.mkdir(parents=True, exist_ok=True)
    images = entries(poses() if truth is None else truth)
    WRITERS[form](model, CAMERAS if cameras is None else cameras, images)
    (folder / "images" / "in").mkdir(parents=True, exist_ok=True)
    for *_, name in images:
        cv2.imwrite(str(folder / "images" / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return model


@pytest.fixture(params=["bin", "txt"])
def form(request) -> str:
    return request.param


def cloud(count=60) -> np.ndarray:
    """Points of the upright world, in front of some cameras."""
    return np.random.default_rng(0).uniform((-3, -3, 0), (5, 5, 3), (count, 3))


def write_points(model: Path, form: str, *, errors=None, shown=None) -> None:
    """`points3D` of `cloud()`: each is shown by all images, or those of `shown`."""
    places = cloud() @ WORLD[:3, :3].T + WORLD[:3, 3]
    errors = np.full(len(places), 0.5) if errors is None else errors
    numbers = [entry[0] for entry in entries(poses())]
    data, lines = struct.pack("<Q", len(places)), ["# 3D point list"]
    for at, (place, error) in enumerate(zip(places, errors, strict=True)):
        track = numbers if shown is None else shown[at]
        pairs = [n for number in track for n in (number, 0)]
        data += struct.pack("<Q3d3BdQ", at, *place, 1, 2, 3, error, len(track))
        data += struct.pack(f"<{len(pairs)}i", *pairs)
        words = " ".join(repr(float(v)) for v in place)
        lines.append(f"{at} {words} 1 2 3 {error} " + " ".join(map(str, pairs)))
    if form == "bin":
        (model / "points3D.bin").write_bytes(data)
    else:
        (model / "points3D.txt").write_text("\n".join(lines) + "\n")


# --- what is read


def test_poses_come_back_upright_and_up_to_a_turn(tmp_path, form):
    write(tmp_path, form)
    capture, truth = load_capture(tmp_path), poses()
    assert (capture.layout, len(capture), capture.metric) == ("colmap", len(truth), False)
    assert [frame.image_path.name for frame in capture.frames] == [f"{i:02d}.png" for i in range(8)]
    for frame, pose in zip(capture.frames, truth, strict=True):
        assert_allclose(frame.pose, capture.transform @ WORLD @ pose, atol=1e-12)
        # Up of the true world is up of the read one: no camera is rolled.
        assert_allclose(frame.pose[2, :3], pose[2, :3], atol=1e-6)
    first = capture.frames[0].pose
    assert_allclose(np.linalg.inv(first) @ capture.frames[5].pose,
                    np.linalg.inv(truth[0]) @ truth[5], atol=1e-12)  # fmt: skip


def test_both_forms_say_the_same(tmp_path):
    one, two = (load_capture(write(tmp_path / form, form).parents[1]) for form in WRITERS)
    for ours, theirs in zip(one.frames, two.frames, strict=True):
        assert_allclose(ours.pose, theirs.pose, atol=1e-14)
        assert ours.intrinsics == theirs.intrinsics


def test_a_point_falls_on_the_pixel_that_colmap_says(tmp_path, form):
    """Projected by COLMAP's formulae, with its half pixel, and by the frame that was read."""
    write(tmp_path, form)
    capture = load_capture(tmp_path)
    _, quaternion, shift, *_ = next(e for e in entries(poses()) if e[3] == 1)
    point = np.array([0.4, -0.2, 2.0])  # before that camera
    turn = Rotation.from_quat(np.roll(quaternion, -1)).as_matrix()
    world = turn.T @ (point - shift)
    fx, fy, cx, cy = CAMERAS[1][1]
    theirs = fx * 0.2 + cx - 0.5, fy * -0.1 + cy - 0.5
    name = next(e[4] for e in entries(poses()) if e[3] == 1)
    frame = next(f for f in capture.frames if f.image_path.as_posix().endswith(name))
    local = np.linalg.inv(frame.pose) @ capture.transform @ np.array([*world, 1.0])
    camera = frame.intrinsics
    ours = (
        camera.fx * local[0] / -local[2] + camera.cx,
        camera.fy * -local[1] / -local[2] + camera.cy,
    )
    assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("model", list(PARAMETERS))
def test_every_lens(tmp_path, form, model):
    given = {"f": 33.0, "fx": 34.0, "fy": 35.0, "cx": 20.5, "cy": 15.25}
    given |= {"k1": 0.1, "k2": -0.02, "p1": 1e-3, "p2": -2e-3, "k3": 1e-4}
    values = tuple(given.get(key, 0.0) for key in PARAMETERS[model])
    write(tmp_path, form, cameras={1: (model, values), 7: CAMERAS[7]})
    camera = load_capture(tmp_path).frames[0].intrinsics
    keys = PARAMETERS[model]
    f = (34.0, 35.0) if "fx" in keys else (33.0, 33.0)
    bent = tuple(given[k] if k in keys else 0.0 for k in ("k1", "k2", "p1", "p2", "k3"))
    assert camera == Intrinsics(WIDTH, HEIGHT, *f, 20.0, 14.75, bent)


@pytest.mark.parametrize("at", [".", "sparse", "sparse/0"])
def test_the_model_is_found_with_its_pictures(tmp_path, form, at):
    model = write(tmp_path, form, at)
    assert len(load_capture(tmp_path)) == 8
    assert len(load_capture(model)) == 8


def test_binary_goes_before_text(tmp_path):
    write(tmp_path, "txt")
    write(tmp_path, "bin", truth=poses(5))
    assert len(load_capture(tmp_path)) == 5


def test_metres_make_it_metric(tmp_path, form):
    write(tmp_path, form)
    capture = load_capture(tmp_path)
    assert rescale(capture, 2.0).metric
    assert_array_equal(rescale(capture, 2.0).positions, 2 * capture.positions)


# --- files that are wrong


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_a_model_cut_anywhere_is_refused(tmp_path, name):
    file = write(tmp_path, "bin") / name
    data = file.read_bytes()
    for end in (0, 4, 8, 20, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:end])
        with pytest.raises(CaptureError, match="truncated") as problem:
            load_capture(tmp_path)
        assert problem.value.file == str(file) and problem.value.field
    file.write_bytes(data + b"\0")
    with pytest.raises(CaptureError, match="goes on after byte"):
        load_capture(tmp_path)


def test_a_count_that_lies_is_refused(tmp_path):
    file = write(tmp_path, "bin") / "images.bin"
    file.write_bytes(struct.pack("<Q", 2**62) + file.read_bytes()[8:])
    with pytest.raises(CaptureError, match="truncated"):
        load_capture(tmp_path)


def test_unknown_lenses_are_named(tmp_path):
    model = write(tmp_path, "txt")
    text = (model / "cameras.txt").read_text()
    (model / "cameras.txt").write_text(text.replace("PINHOLE", "OPENCV_FISHEYE"))
    with pytest.raises(CaptureError, match=r"cameras\.txt: line 3 MODEL: .*'OPENCV_FISHEYE'"):
        load_capture(tmp_path)
    file = write(tmp_path, "bin") / "cameras.bin"
    data = bytearray(file.read_bytes())
    data[12:16] = struct.pack("<i", 5)
    file.write_bytes(data)
    with pytest.raises(CaptureError, match=r"cameras\.bin: cameras\[0\] MODEL: camera model 5"):
        load_capture(tmp_path)


@pytest.mark.parametrize(
    ("cameras", "told"),
    [
        ({1: ("PINHOLE", (-35.0, 34.9, 19.7, 14.2)), 7: CAMERAS[7]}, "not positive"),
        ({1: ("PINHOLE", (np.nan, 34.9, 19.7, 14.2)), 7: CAMERAS[7]}, "finite parameters"),
        ({1: ("FULL_OPENCV", (35.0, 35.0, *[0.0] * 9, 1.0)), 7: CAMERAS[7]}, "k4, k5 and k6"),
        ({7: CAMERAS[7]}, "names camera 1"),
    ],
)
def test_cameras_that_are_none_are_named(tmp_path, form, cameras, told):
    write(tmp_path, form, cameras=cameras)
    with pytest.raises(CaptureError, match=told) as problem:
        load_capture(tmp_path)
    assert problem.value.file and problem.value.field and problem.value.mend


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1 PINHOLE 40", "one PINHOLE 40", r"line 3: is no CAMERA_ID"),
        ("1 PINHOLE 40 30 35.1", "1 PINHOLE 40 30", r"line 3 PARAMS: PINHOLE takes 4"),
    ],
)
def test_broken_lines_of_cameras_are_named(tmp_path, old, new, told):
    file = write(tmp_path, "txt") / "cameras.txt"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(CaptureError, match=told):
        load_capture(tmp_path)


def test_broken_lines_of_images_are_named(tmp_path):
    file = write(tmp_path, "txt") / "images.txt"
    lines = file.read_text().splitlines()
    for at, line, told in (
        (1, lines[1].rsplit(" ", 1)[0], "line 2: is no IMAGE_ID"),
        (4, "1 2", r"line 5: is no POINTS2D"),
        (1, "83 2 0 0 0 1 1 1 1 in/00.png", "QW QX QY QZ TX TY TZ: is no rotation"),
        (1, "83 1 0 0 0 1 nan 1 1 in/00.png", "is no rotation"),
    ):
        file.write_text("\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n")
        with pytest.raises(CaptureError, match=told):
            load_capture(tmp_path)
    file.write_text("\n".join(lines[:2]))
    with pytest.raises(CaptureError, match="POINTS2D"):
        load_capture(tmp_path)
    file.write_text("# nothing\n")
    with pytest.raises(CaptureError, match="holds no images"):
        load_capture(tmp_path)


def test_pictures_that_are_missing_or_of_another_size_are_named(tmp_path, form):
    write(tmp_path, form)
    path = tmp_path / "images" / "in" / "03.png"
    cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8))
    with pytest.raises(CaptureError, match=r"03\.png: colour image is 42 x 30"):
        load_capture(tmp_path)
    path.unlink()
    with pytest.raises(CaptureError, match=r"03\.png: no such file, named by .*images\."):
        load_capture(tmp_path)
    (tmp_path / "images").rename(tmp_path / "pictures")
    with pytest.raises(CaptureError, match=r"images: no such folder"):
        load_capture(tmp_path)


def test_several_models_are_not_mixed(tmp_path, form):
    write(tmp_path, form)
    second = write(tmp_path, form, "sparse/1", truth=poses(4))
    with pytest.raises(CaptureError, match="2 models, which share neither scale nor axes"):
        load_capture(tmp_path)
    assert len(load_capture(second)) == 4


# --- sparse points


def test_points_are_known_depth_of_the_images_that_show_them(tmp_path, form):
    write_points(write(tmp_path, form), form)
    capture = load_capture(tmp_path)
    turn = capture.transform @ WORLD
    places = cloud() @ turn[:3, :3].T + turn[:3, 3]
    total = 0
    for frame in capture.frames:
        camera, known = frame.intrinsics, frame.points
        rays = (known[:, :2] - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
        local = np.column_stack([rays[:, 0], -rays[:, 1], -np.ones(len(rays))]) * known[:, 2:]
        found = local @ frame.pose[:3, :3].T + frame.pose[:3, 3]
        gap = np.linalg.norm(found[:, None] - places[None], axis=2).min(axis=1)
        assert gap.max(initial=0) < 1e-9
        total += len(known)
    # As many as there are before the cameras and inside the pictures.
    eyes = [np.column_stack([places, np.ones(60)]) @ np.linalg.inv(f.pose).T @ FLIP
            for f in capture.frames]  # fmt: skip
    wanted = 0
    for frame, eye in zip(capture.frames, eyes, strict=True):
        ahead = eye[eye[:, 2] > 0]
        at = ahead[:, :2] / ahead[:, 2:3] * (frame.intrinsics.fx, frame.intrinsics.fy)
        at += frame.intrinsics.cx, frame.intrinsics.cy
        wanted += int(((at > -0.5) & (at < (WIDTH - 0.5, HEIGHT - 0.5))).all(axis=1).sum())
    assert total == wanted > 40


def test_points_that_few_images_show_or_that_fit_badly_are_left_out(tmp_path, form):
    numbers = [entry[0] for entry in entries(poses())]
    errors = np.where(np.arange(60) % 2, 0.5, 5.0)
    shown = [numbers if i % 4 == 1 else numbers[:2] for i in range(60)]
    write_points(write(tmp_path / "few", form), form, errors=errors, shown=shown)
    write_points(write(tmp_path / "all", form), form)
    few, every = (load_capture(tmp_path / name) for name in ("few", "all"))
    for a, b in zip(few.frames, every.frames, strict=True):
        assert {tuple(row) for row in a.points} <= {tuple(row) for row in b.points}
    assert (
        0 < sum(len(f.points) for f in few.frames) < 0.5 * sum(len(f.points) for f in every.frames)
    )


def test_points_are_scaled_with_the_capture(tmp_path, form):
    write_points(write(tmp_path, form), form)
    capture = load_capture(tmp_path)
    for one, two in zip(capture.frames, rescale(capture, 0.25).frames, strict=True):
        assert_allclose(two.points, one.points * (1, 1, 0.25))


def test_a_model_without_points_knows_none(tmp_path, form):
    write(tmp_path, form)
    assert all(frame.points is None for frame in load_capture(tmp_path).frames)


def test_broken_points_are_named(tmp_path, form):
    model = write(tmp_path, form)
    write_points(model, form)
    file = model / f"points3D.{form}"
    file.write_bytes(file.read_bytes()[:-20] if form == "bin" else b"1 2 3\n")
    with pytest.raises(CaptureError, match="points3D"):
        load_capture(tmp_path)
