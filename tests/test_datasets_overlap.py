"""Whether videos share a world, asked of pictures of a papered room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import map_coordinates

from piavas.capture import Intrinsics
from piavas.datasets import Alignment, Similarity, Video
from piavas.datasets.overlap import align, estimate_move, find_ties, judge, sampson
from piavas.errors import DataError
from piavas.scene import Pose

LENS = Intrinsics(320, 240, 220.0, 220.0, 159.5, 119.5)
ROOM = np.array([[0, 0, 0], [5.0, 4, 2.6]])
TURN = Pose.at((0, 0, 0), yaw=63).matrix[:3, :3] @ Pose.at((0, 0, 0)).matrix[:3, :3].T
MOVE = Similarity(0.43, TURN, np.array([1.5, -2.0, 0.7]))


def paper():
    """A wallpaper of blobs of all sizes for each of six walls, `[6, 600, 600]` at 1 cm."""
    chance = np.random.default_rng(0)
    layers = [
        cv2.resize(chance.uniform(-1, 1, (6, n, n)).transpose(1, 2, 0), (600, 600),
                   interpolation=cv2.INTER_CUBIC)
        for n in (10, 30, 75, 150)
    ]  # fmt: skip
    return np.clip(128 + 45 * sum(layers), 0, 255).transpose(2, 0, 1)


WALLS = paper()


def draw(pose):
    """What a camera sees of the room, `[240, 320]`."""
    v, u = np.mgrid[:240, :320].astype(float)
    rays = np.stack([(u - LENS.cx) / LENS.fx, -(v - LENS.cy) / LENS.fy, -np.ones_like(u)])
    way = np.einsum("ij,jhw->hwi", pose[:3, :3], rays) + 1e-12
    a, b = ((box - pose[:3, 3]) / way for box in ROOM)
    far = np.maximum(a, b)
    axis = far.argmin(axis=-1)
    hit = pose[:3, 3] + way * far.min(axis=-1)[..., None]
    wall = 2 * axis + (np.take_along_axis(way, axis[..., None], -1)[..., 0] > 0)
    across, up = (100 * np.take_along_axis(hit, ((axis + k) % 3)[..., None], -1)[..., 0]
                  for k in (1, 2))  # fmt: skip
    return map_coordinates(WALLS, [wall, across, up], order=1).astype(np.uint8)


def film(folder: Path, number: int, seed: int, world: Similarity, count=6) -> Video:
    """A walk in the room, told in a world of its own."""
    chance = np.random.default_rng(seed)
    folder = folder / str(number)
    folder.mkdir()
    poses = [
        Pose.at(
            chance.uniform([1.5, 1.2, 1.4], [3.5, 2.8, 1.7]),
            yaw=60 * i + chance.uniform(-12, 12),
            pitch=chance.uniform(-8, 8),
        ).matrix
        for i in range(count)
    ]
    images = tuple(folder / f"{i + 1:05d}.png" for i in range(count))
    for pose, image in zip(poses, images, strict=True):
        cv2.imwrite(str(image), draw(pose))
    return Video(
        number, "office", folder, world.points([1, 1, 1]), world.poses(np.stack(poses)),
        np.arange(float(count)), ("train",) * count, images, (LENS,) * count, np.eye(4)[:3],
    )  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    return film(root, 1, 1, Similarity()), film(root, 2, 2, Similarity()), film(root, 3, 3, MOVE)


def test_videos_of_one_world_align_and_others_are_told(films):
    verdicts = {v.videos: v for v in judge(films)}
    assert {pair: v.verdict for pair, v in verdicts.items()} == {
        (1, 2): "agree",
        (1, 3): "disagree",
        (2, 3): "disagree",
    }
    assert verdicts[1, 2].share > 0.9
    assert "DO NOT ALIGN" in str(verdicts[1, 3]) and "1 and 2 align" in str(verdicts[1, 2])
    (moved,) = judge(films[::2], Alignment({3: MOVE.inverse}))
    assert moved.verdict == "agree"


def test_the_move_between_worlds_is_found(films):
    found = align(films[::2])
    assert_allclose(found.moves[1].points(np.eye(3)), np.eye(3))
    move = found.moves[3]
    back = MOVE.inverse
    assert move.scale == pytest.approx(back.scale, rel=0.01)
    turn = move.rotation @ back.rotation.T
    assert np.degrees(np.arccos(0.5 * (np.trace(turn) - 1))) < 0.3
    gaps = move.points(films[2].poses[:, :3, 3]) - back.points(films[2].poses[:, :3, 3])
    assert np.linalg.norm(gaps, axis=1).max() < 0.03  # metres


def test_points_lie_on_the_lines_of_true_poses(films):
    ties = find_ties(films[0], films[1])
    gaps = np.concatenate([sampson(tie, Similarity()) for tie in ties])
    assert np.median(np.abs(gaps)) < 0.5


def test_views_that_share_nothing_prove_nothing(films, tmp_path):
    blank = film(tmp_path, 4, 4, Similarity(), count=3)
    for i, image in enumerate(blank.images):
        noise = np.random.default_rng(i).integers(0, 255, (240, 320), np.uint8)
        cv2.imwrite(str(image), noise)
    (verdict,) = judge([films[0], blank])
    assert verdict.verdict == "unknown"
    assert "unknown" in str(verdict)
    with pytest.raises(DataError, match="show the same things"):
        estimate_move(blank, films[0])


def test_ties_that_contradict_each_other_are_no_evidence(films, monkeypatch):
    """As of things that a room holds twice: each pair of frames tells of another move."""
    true = find_ties(films[0], films[1])[:3]
    turns = (Pose.at((0, 0, 0), yaw=yaw, pitch=yaw / 3).matrix for yaw in (50, 120, 200))
    shifts = ([1.0, 0, 0.4], [-2.0, 1, 0], [0.0, 3, -1])
    false = []
    for tie, turn, shift in zip(true, turns, shifts, strict=True):
        moved = turn.copy()
        moved[:3, 3] = shift
        false.append(replace(tie, poses=np.stack([moved @ tie.poses[0], tie.poses[1]])))
    monkeypatch.setattr("piavas.datasets.overlap._ties", lambda *_: false)
    (verdict,) = judge(films[:2])
    assert verdict.verdict == "unknown" and verdict.ties == 3 and verdict.share < 0.6
    assert "no one move explains" in str(verdict)
