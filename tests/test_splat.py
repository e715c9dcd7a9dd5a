"""Depth of flat Gaussians on walls of known place; files that are no such model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from piavas.capture import Capture, rescale
from piavas.capture.types import Frame, Intrinsics
from piavas.cli import main
from piavas.errors import GeometryError
from piavas.geometry import reconstruct
from piavas.geometry.depth import make_depth_source
from piavas.geometry.depth.splat import FIELDS, Splat
from piavas.scene import Pose

SIZE = np.array([4.0, 3.0, 2.5])
STEP = 0.08  # metres between Gaussians
CAMERA = Intrinsics(160, 120, 100.0, 100.0, 79.5, 59.5)
PLACES = ((1.0, 1.0, 1.3), (3.0, 1.9, 1.5), (1.8, 2.1, 1.4))
LOGIT = np.log(0.95 / 0.05)


def room():
    """Columns of a PLY: Gaussians of 6 cm by 6 cm by 1 mm on the six sides of a box."""
    rows = []
    for axis in range(3):
        one, two = [k for k in range(3) if k != axis]
        a, b = np.meshgrid(*(np.arange(STEP / 2, SIZE[k], STEP) for k in (one, two)))
        for side in (0.0, SIZE[axis]):
            place = np.empty((a.size, 3))
            place[:, one], place[:, two], place[:, axis] = a.ravel(), b.ravel(), side
            scale = np.full((a.size, 3), np.log(0.06))
            scale[:, 0] = np.log(0.001)
            # The thin axis is x; a half or a quarter turn takes it to y or z. Length is free.
            turn = {0: (1, 0, 0, 0), 1: (1, 0, 0, 1), 2: (1, 0, 1, 0)}[axis]
            rest = np.full((a.size, 1), LOGIT), scale, np.tile(np.array(turn) * 1.7, (a.size, 1))
            rows.append(np.concatenate([place, *rest], axis=1))
    return np.concatenate(rows)


def write(path, rows, *, names=FIELDS, kind="binary_little_endian", count=None):
    """As trainers do, with colours between that nobody reads."""
    names = ["f_dc_0", *names]
    rows = np.concatenate([np.zeros((len(rows), 1)), rows], axis=1)
    head = ["ply", f"format {kind} 1.0", f"element vertex {len(rows) if count is None else count}"]
    head += [f"property float {name}" for name in names] + ["end_header", ""]
    path.write_bytes("\n".join(head).encode() + rows.astype("<f4").tobytes())
    return path


def frames():
    poses = [
        Pose.at(place, yaw=yaw + 20, pitch=pitch).matrix
        for place in PLACES
        for yaw in range(0, 360, 60)
        for pitch in (-35, 0, 35)
    ]
    return tuple(Frame(Path("none"), CAMERA, pose) for pose in poses)


def true_depth(frame):
    """Of the box, by the slabs of its sides."""
    v, u = np.mgrid[: CAMERA.height, : CAMERA.width]
    ray = np.stack(
        [(u - CAMERA.cx) / CAMERA.fx, -(v - CAMERA.cy) / CAMERA.fy, -np.ones(u.shape)], -1
    )
    way = ray @ frame.pose[:3, :3].T
    return ((np.where(way > 0, SIZE, 0) - frame.pose[:3, 3]) / way).min(axis=-1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("splat") / "point_cloud.ply", room())


@pytest.fixture(scope="module")
def capture():
    return Capture(Path("none"), "rgbd", frames(), np.eye(4))


def test_depth_is_that_of_the_walls(path, capture):
    maps = list(Splat.load(path).depths(replace(capture, frames=capture.frames[:9])))
    depth = np.stack([found.depth for found in maps])
    off = np.abs(depth - np.stack([true_depth(found.frame) for found in maps]))[depth > 0]
    assert (depth > 0).mean() > 0.97
    assert np.median(off) < 0.002
    assert np.quantile(off, 0.95) < 0.02


def test_the_room_is_as_large_as_it_is(path, capture):
    mesh = reconstruct(capture, depth=Splat.load(path), voxel=0.1)
    assert mesh.report["leak"] == 0 and mesh.report["depth"] == "splat"
    assert mesh.report["volume"] == pytest.approx(SIZE.prod(), rel=0.02)


def test_gaussians_move_with_the_capture(path, capture):
    one = Splat.load(path)
    few = replace(capture, frames=capture.frames[:2])
    first = [found.depth for found in one.depths(few)]
    # A reader turned the files' world, and somebody told that its unit is half a metre.
    around = Pose.at((1.0, -2.0, 0.5), yaw=50).matrix @ np.linalg.inv(Pose.at((0, 0, 0)).matrix)
    turned = replace(
        few, transform=around, frames=tuple(replace(f, pose=around @ f.pose) for f in few.frames)
    )
    for moved, factor in ((turned, 1.0), (rescale(turned, 0.5), 0.5), (rescale(few, 0.5), 0.5)):
        for depth, found in zip(first, one.depths(moved), strict=True):
            np.testing.assert_allclose(found.depth, factor * depth, atol=2e-3 + 0.02 * factor)
    stated = replace(few, layout="nerfstudio", transform=around)
    np.testing.assert_array_equal(next(iter(one.depths(stated))).depth, first[0])


def test_half_transparent_things_are_seen_through(path, capture):
    one = Splat.load(path)
    thin = replace(one, opacity=np.full(len(one.opacity), 0.002))
    assert not next(iter(thin.depths(capture))).depth.any()
    # A veil before the wall, through which most of the light passes.
    veil = replace(one, mean=one.mean * 0.5 + 0.25 * SIZE, opacity=0.02 * one.opacity)
    both = Splat(*(np.concatenate(p) for p in zip(
        *((s.mean, s.turn, s.scale, s.opacity) for s in (veil, one)), strict=True
    )))  # fmt: skip
    frame = capture.frames[0]
    off = np.abs(both.draw(frame) - true_depth(frame))
    assert np.median(off) < 0.005


@pytest.mark.parametrize("damage", ["none", "text", "ascii", "field", "short", "nan", "empty"])
def test_files_that_are_no_such_model_are_named(tmp_path, damage):
    path, rows = tmp_path / "model.ply", room()[:50]
    if damage == "text":
        path.write_text("no model")
    elif damage == "ascii":
        write(path, rows, kind="ascii")
    elif damage == "field":
        write(path, rows[:, :-1], names=FIELDS[:-1])
    elif damage == "short":
        write(path, rows, count=60)
    elif damage == "nan":
        write(path, np.where(np.arange(len(rows))[:, None] == 3, np.nan, rows))
    elif damage == "empty":
        write(path, rows[:0])
    with pytest.raises(GeometryError, match=str(path)):
        Splat.load(path)


def test_the_command_line_asks_for_the_file(tmp_path, capsys):
    out = ["--out", str(tmp_path / "mesh.ply")]
    for extra, told in (
        (["--depth", "splat"], "--splat"),
        (["--splat", "model.ply"], "--depth splat"),
        (["--depth", "splat", "--splat", "gone.ply"], "gone.ply"),
    ):
        assert main(["reconstruct", str(tmp_path), *out, *extra]) == 2
        assert told in " ".join(capsys.readouterr().err.split())
    with pytest.raises(GeometryError, match=r"Splat\.load"):
        make_depth_source("splat")
