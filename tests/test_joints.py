"""Lines where walls meet floors and ceilings, in a plain box whose walls are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.geometry.depth.fill import fill_flat
from piavas.geometry.depth.joints import draw_joints, find_joints, mean_height
from piavas.scene import Pose, Scene
from test_stereo import plain_plates

SIZE = (5.0, 4.0, 2.7)
HANG = 0.1  # metres from the wall at y = 0 to what hangs before it


@pytest.fixture(scope="module")
def box():
    """Plates and true depths of a box of plain faces, seen from all over."""
    generator, poses = np.random.default_rng(0), []
    for i in range(40):
        place = generator.uniform((0.8, 0.8, 1.3), (4.2, 3.2, 1.7))
        poses.append(Pose.at(tuple(place), yaw=47 * i, pitch=(-25, 5, 30)[i % 3]).matrix)
    return plain_plates(Scene.shoebox(SIZE), poses)


def joints_of(plates):
    points = np.concatenate([plate.points() for plate in plates])
    return find_joints(plates, [0.006, 2.692], points, 0.0)


def test_joints_are_where_walls_end_and_mend_the_heights(box):
    found = joints_of(box[0])
    for axis in (0, 1):
        high = [j for j in found if j.axis == axis and j.height > 2]
        assert {round(j.offset) for j in high} == {0, round(SIZE[axis])}
        off = np.array([min(abs(j.offset), abs(j.offset - SIZE[axis])) for j in high])
        assert off.max() < 0.02 and np.median(off) < 0.006
    high = [j for j in found if j.height > 2]
    assert mean_height(high) == pytest.approx(SIZE[2], abs=0.004)
    assert mean_height([j for j in found if j not in high]) == pytest.approx(0, abs=0.004)


def test_joints_are_drawn_where_they_are_seen_alone(box):
    plates, truths = box
    found, gaps, count = joints_of(plates), [], 0
    for plate, truth in zip(plates[:12], truths, strict=False):
        bare = replace(plate, depth=np.zeros_like(plate.depth))
        drawn = draw_joints(bare, found, 0.0)
        gaps.append((np.abs(drawn - truth) / truth)[drawn > 0])
        count += (drawn > 0).sum()
    gaps = np.concatenate(gaps)
    assert count > 2000
    assert np.median(gaps) < 0.01 and np.mean(gaps > 0.05) < 0.02


def test_a_level_where_nothing_ends_has_no_joints(box):
    points = np.concatenate([plate.points() for plate in box[0]])
    assert not find_joints(box[0], [1.0, 2.0], points, 0.0)


def test_a_wall_is_found_behind_the_curtain_that_was_matched(box, monkeypatch):
    plates, truths = box
    seen, wall = [], []
    for plate, truth in zip(plates, truths, strict=True):
        rays = plate.rays()
        at = plate.pose[:3, 3] + truth[..., None] * rays
        on = np.abs(at[..., 1]) < 1e-3
        with np.errstate(divide="ignore"):
            before = (HANG - plate.pose[1, 3]) / rays[..., 1]
        # Of the wall's ends none is matched, but what hangs before its sides.
        hung = np.where((at[..., 2] > 0.3) & (at[..., 2] < 2.4), before, 0)
        near = np.abs(at[..., 1]) < 0.05
        hung = np.where(near & (plate.depth > 0), hung, plate.depth).astype(np.float32)
        seen.append(replace(plate, depth=hung))
        wall.append(on & (plate.depth == 0))

    def off() -> float:
        gaps = []
        for plate, depth, on in zip(seen, fill_flat(seen, 0.0), wall, strict=True):
            at = plate.pose[1, 3] + depth * plate.rays()[..., 1]
            gaps.append(at[on & (depth > 0)])
        gaps = np.concatenate(gaps)
        assert len(gaps) > 10_000
        return float(np.median(np.abs(gaps)))

    assert off() < 0.01
    monkeypatch.setattr("piavas.geometry.depth.fill.find_joints", lambda *_: [])
    assert off() > 0.5 * HANG


def test_a_wall_beyond_all_that_was_matched_ends_a_wall_across_it(box):
    """Nothing was matched in the two metres before the wall at x = 5, nor of that."""
    plates = []
    for plate in box[0]:
        at = plate.pose[0, 3] + plate.depth * plate.rays()[..., 0]
        plates.append(replace(plate, depth=np.where(at > 3, 0, plate.depth).astype(np.float32)))
    far = [j for j in joints_of(plates) if j.axis == 0 and j.offset > 3.4]
    assert far and max(abs(j.offset - SIZE[0]) for j in far) < 0.02
