"""Readers of exports from phones: a drawn room with ARKit's axes, files that are wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from piavas.capture import Intrinsics, load_capture, write_nerfstudio
from piavas.errors import CaptureError, MissingDependencyError
from piavas.scene import Pose
from test_capture_rgbd import draw, inside, points, project

COLOUR = Intrinsics(320, 240, 264.0, 260.0, 156.0, 119.0)
THIN = 4
DEPTH = Intrinsics(80, 60, 66.0, 65.0, 38.625, 29.375)
"""A quarter of it: corners stay, so (156 + 1/2) / 4 - 1/2."""
UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From +z up to ARKit's +y up."""
TIMES = (1_700_000_000, 1_700_250_000, 1_701_000_000, 1_702_000_000)


def poses() -> list[np.ndarray]:
    return [
        Pose.at((1.2 + 0.2 * i, 2.4 - 0.1 * i, 1.5), yaw=20.0 * i - 40, pitch=-20 + 3.0 * i).matrix
        for i in range(len(TIMES))
    ]


def images(pose) -> dict[str, np.ndarray]:
    """Colour (BGR), depth and confidence levels 0 to 2, low along the top."""
    confidence = np.full((DEPTH.height, DEPTH.width), 2, np.uint8)
    confidence[:5], confidence[5:10] = 0, 1
    depth = np.round(1000 * draw(DEPTH, pose)[0]).astype(np.uint16)
    return {"image": draw(COLOUR, pose)[1][..., ::-1], "depth": depth, "conf": confidence}


def write_polycam(folder: Path, kind="corrected_") -> Path:
    root = folder / "keyframes"
    for name in (f"{kind}cameras", f"{kind}images", "depth", "confidence"):
        (root / name).mkdir(parents=True)
    for time, pose in zip(TIMES, poses(), strict=True):
        drawn = images(pose)
        cv2.imwrite(str(root / f"{kind}images" / f"{time}.jpg"), drawn["image"])
        cv2.imwrite(str(root / "depth" / f"{time}.png"), drawn["depth"])
        levels = np.array([0, 127, 255], np.uint8)[drawn["conf"]]
        cv2.imwrite(str(root / "confidence" / f"{time}.png"), levels)
        entry = {"fx": 264.0, "fy": 260.0, "cx": 156.5, "cy": 119.5, "width": 320, "height": 240}
        entry |= {f"t_{i}{j}": float((UP @ pose)[i, j]) for i in range(3) for j in range(4)}
        (root / f"{kind}cameras" / f"{time}.json").write_text(json.dumps(entry))
    return folder


def write_scanner_app(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, pose in enumerate(poses()):
        drawn = images(pose)
        cv2.imwrite(str(folder / f"frame_{i:05d}.jpg"), drawn["image"])
        cv2.imwrite(str(folder / f"depth_{i:05d}.png"), drawn["depth"])
        cv2.imwrite(str(folder / f"conf_{i:05d}.png"), drawn["conf"])
        entry = {
            "cameraPoseARFrame": (UP @ pose).ravel().tolist(),
            "intrinsics": [264.0, 0, 156.5, 0, 260.0, 119.5, 0, 0, 1],
            "time": TIMES[i] / 1e6,
        }
        (folder / f"frame_{i:05d}.json").write_text(json.dumps(entry))
    (folder / "info.json").write_text("{}")
    return folder


def write_record3d(folder: Path) -> Path:
    lzfse = pytest.importorskip("lzfse", reason="the extra record3d is absent")
    root = folder / "rgbd"
    root.mkdir(parents=True)
    for i, pose in enumerate(poses()):
        drawn = images(pose)
        cv2.imwrite(str(root / f"{i}.jpg"), drawn["image"])
        metres = draw(DEPTH, pose)[0].astype("<f4")
        metres[-1, -1] = np.nan
        (root / f"{i}.depth").write_bytes(lzfse.compress(metres.tobytes()))
        (root / f"{i}.conf").write_bytes(lzfse.compress(drawn["conf"].tobytes()))
    turned = [UP @ pose for pose in poses()]
    entry = {
        "w": 320, "h": 240, "dw": 80, "dh": 60, "fps": 4,
        "K": [264.0, 0, 0, 0, 260.0, 0, 156.5, 119.5, 1],
        "poses": [
            [*Rotation.from_matrix(pose[:3, :3]).as_quat(), *pose[:3, 3]] for pose in turned
        ],
        "frameTimestamps": [time / 1e6 for time in TIMES],
    }  # fmt: skip
    (folder / "metadata").write_text(json.dumps(entry))
    return folder


WRITERS = {"polycam": write_polycam, "3dscannerapp": write_scanner_app, "record3d": write_record3d}


@pytest.fixture(scope="module", params=list(WRITERS))
def export(request, tmp_path_factory) -> Path:
    return WRITERS[request.param](tmp_path_factory.mktemp("export") / request.param)


# --- a drawn room


def test_the_world_is_turned_upright_in_metres(export):
    capture = load_capture(export)
    assert (capture.layout, len(capture), capture.metric) == (export.name, len(TIMES), True)
    assert capture.has_depth
    for frame, pose, time in zip(capture.frames, poses(), TIMES, strict=True):
        assert_allclose(frame.pose, pose, atol=1e-12)
        assert_allclose(capture.transform @ UP @ pose, pose, atol=1e-12)
        assert frame.time == pytest.approx(time / 1e6)


def test_depth_has_the_lens_of_the_colour_made_smaller(export):
    for frame, pose in zip(load_capture(export).frames, poses(), strict=True):
        assert frame.image_intrinsics == COLOUR
        assert frame.intrinsics == DEPTH
        depth = frame.depth()
        assert np.isnan(depth[:5]).all()  # of low confidence
        truth = draw(DEPTH, pose)[0]
        assert_allclose(depth[5:-1], truth[5:-1], atol=6e-4)
        assert np.isnan(depth[-1, -1]) == (export.name == "record3d")


def test_colour_lies_on_depth(export):
    """Averaged over blocks, not sampled: within the noise of JPEG but at outlines."""
    frame, pose = load_capture(export).frames[1], poses()[1]
    gap = np.abs(frame.image().astype(float) - draw(DEPTH, pose)[1].astype(float)).max(axis=-1)
    assert np.median(gap) < 4
    assert (gap[2:-2, 2:-2] > 12).mean() < 0.12


def test_points_of_one_frame_lie_where_the_next_sees_them(export):
    a, b = load_capture(export).frames[:2]
    u, v, z = project(points(a, step=2), b)
    good = inside(u, v, z, b.intrinsics)
    there = b.depth()[v[good].round().astype(int), u[good].round().astype(int)]
    gap = np.abs(there - z[good])
    assert np.isfinite(gap).sum() > 300
    assert np.nanmedian(gap) < 0.03


def test_what_is_written_anew_says_the_same(export, tmp_path):
    capture = load_capture(export)
    write_nerfstudio(tmp_path, capture.frames)
    for ours, theirs in zip(load_capture(tmp_path).frames, capture.frames, strict=True):
        assert ours.confidence_least == theirs.confidence_least
        assert_array_equal(ours.depth(), theirs.depth())
        assert_array_equal(ours.image(), theirs.image())


def test_polycam_falls_back_to_what_was_not_optimised(tmp_path):
    assert len(load_capture(write_polycam(tmp_path, ""))) == len(TIMES)


def test_frames_of_the_app_without_image_are_left_out(tmp_path):
    folder = write_scanner_app(tmp_path)
    (folder / "frame_00001.jpg").unlink()
    capture = load_capture(folder)
    assert [f.image_path.stem for f in capture.frames] == [f"frame_0000{i}" for i in (0, 2, 3)]
    for path in folder.glob("*.jpg"):
        path.unlink()
    with pytest.raises(CaptureError, match="no frame has an image"):
        load_capture(folder)


def test_without_depth_colour_and_poses_are_left(tmp_path):
    folder = write_polycam(tmp_path)
    for name in ("depth", "confidence"):
        (folder / "keyframes" / name).rename(tmp_path / name)
    frame = load_capture(folder).frames[0]
    assert (frame.depth_path, frame.intrinsics, frame.image_intrinsics) == (None, COLOUR, None)


def test_lenses_of_each_frame_go_first(tmp_path):
    folder = write_record3d(tmp_path)
    edit(folder, perFrameIntrinsicCoeffs=[[200.0 + i, 190, 160, 120] for i in range(4)])
    frames = load_capture(folder).frames
    assert [f.image_intrinsics.fx for f in frames] == [200, 201, 202, 203]
    edit(folder, frameTimestamps=None)
    assert [f.time for f in load_capture(folder).frames] == [0, 0.25, 0.5, 0.75]


# --- files that are wrong


def edit(folder: Path, **change) -> None:
    """Change the metadata of a recording in place."""
    file = folder / "metadata"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"poses": [[0.0] * 7] * 4}, "poses[0]: is no rotation"),
        ({"poses": [[0.0, 0, 0, 1]] * 4}, "poses: holds no n x 7"),
        ({"poses": [[0.0, 0, 0, 1, 0, 0, 0]] * 5}, "frameTimestamps: holds no 5"),
        ({"K": [0.0] * 9}, "K: focal lengths"),
        ({"K": [1.0] * 8}, "K: holds no 9"),
        ({"dw": 81}, "of another shape"),
        ({"dw": 80.5}, "dw: 80.5 is no number of pixels"),
        ({"w": 322}, "colour image is 320 x 240"),
    ],
)
def test_wrong_metadata_is_named(tmp_path, change, told):
    folder = write_record3d(tmp_path)
    edit(folder, **change)
    with pytest.raises(CaptureError) as problem:
        load_capture(folder)
    assert told in str(problem.value) and problem.value.mend


def test_packed_depth_that_is_broken_is_named(tmp_path):
    lzfse = pytest.importorskip("lzfse", reason="the extra record3d is absent")
    folder = write_record3d(tmp_path)
    file = folder / "rgbd" / "1.depth"
    frame = load_capture(folder).frames[1]
    for data, told in (
        (file.read_bytes()[:100], "cannot be decoded"),
        (lzfse.compress(b"0000" * 99), "holds 99 numbers, not 80 x 60"),
    ):
        file.write_bytes(data)
        with pytest.raises(CaptureError, match=told) as problem:
            frame.depth()
        assert problem.value.file == str(file)


def test_without_the_decoder_colour_and_poses_are_left(tmp_path, monkeypatch):
    folder = write_record3d(tmp_path)
    monkeypatch.setitem(sys.modules, "lzfse", None)
    frame = load_capture(folder).frames[0]
    assert frame.image().shape == (60, 80, 3)
    with pytest.raises(MissingDependencyError, match=r"piavas\[record3d\]"):
        frame.depth()


def test_a_recording_that_is_still_zipped_is_told_so(tmp_path):
    (tmp_path / "room.r3d").write_bytes(b"PK")
    with pytest.raises(CaptureError, match="unzip it"):
        load_capture(tmp_path / "room.r3d")


def some(folder: Path, pattern: str) -> Path:
    return sorted(folder.rglob(pattern))[1]


@pytest.mark.parametrize(
    ("layout", "change", "told"),
    [
        ("polycam", {"t_12": None}, "t_12: None is no finite number"),
        ("polycam", {"t_12": 3.0}, "t_00 to t_23: its 3x3 part is no rotation"),
        ("polycam", {"fx": -1.0}, "fx, fy: focal lengths"),
        ("polycam", {"width": 322}, "colour image is 320 x 240"),
        ("3dscannerapp", {"intrinsics": [1, 2]}, "intrinsics: holds no 9"),
        ("3dscannerapp", {"intrinsics": [-1.0] * 9}, "intrinsics: focal lengths"),
        ("3dscannerapp", {"cameraPoseARFrame": [1.0] * 16}, "cameraPoseARFrame: "),
        ("3dscannerapp", {"time": "now"}, "time: 'now' is no finite number"),
    ],
)
def test_wrong_fields_are_named(tmp_path, layout, change, told):
    folder = WRITERS[layout](tmp_path)
    file = some(folder, "corrected_cameras/*.json" if layout == "polycam" else "frame_*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CaptureError) as problem:
        load_capture(folder)
    assert told in str(problem.value) and problem.value.mend
    assert file.stem in str(problem.value)


def test_missing_and_broken_files_are_named(tmp_path):
    folder = write_polycam(tmp_path)
    for pattern in ("corrected_images/*.jpg", "depth/*.png"):
        path = some(folder, pattern)
        kept = path.read_bytes()
        path.unlink()
        with pytest.raises(CaptureError, match="no such file") as problem:
            load_capture(folder)
        assert problem.value.file == str(path)
        path.write_bytes(kept)
    file = some(folder, "corrected_cameras/*.json")
    file.write_text(file.read_text()[:40])
    with pytest.raises(CaptureError, match=rf"{file.name}: is not JSON"):
        load_capture(folder)


def test_images_that_do_not_fit_are_named(tmp_path):
    folder = write_scanner_app(tmp_path)
    for name, pixels, told in (
        ("depth_00001.png", np.zeros((60, 90), np.uint16), "of another shape"),
        ("depth_00001.png", np.zeros((60, 80), np.uint8), "pixels of kind L"),
        ("conf_00001.png", np.zeros((60, 82), np.uint8), "confidence image is 82 x 60"),
        ("conf_00001.png", np.zeros((60, 80), np.uint16), "confidence image has pixels of kind"),
    ):
        kept = (folder / name).read_bytes()
        cv2.imwrite(str(folder / name), pixels)
        with pytest.raises(CaptureError, match=told) as problem:
            load_capture(folder)
        assert problem.value.file == str(folder / name)
        (folder / name).write_bytes(kept)
