"""Rough surfaces mirror as what they are rough about; clean ones as before."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from piavas.acoustics.patches import find_patches
from piavas.acoustics.relief import HEIGHT, over_relief
from piavas.acoustics.room import Room
from piavas.acoustics.trace import trace
from piavas.scene import Material, Scene, Source
from piavas.twin import make_world

SIZE = np.array([6.0, 4.0, 3.0])


def rough_box(height: float, step: float = 0.1, seed: int = 0) -> Scene:
    """A shoebox whose walls at the ends of x are a relief of up to `height` to either side."""
    chance = np.random.default_rng(seed)
    vertices, faces = [], []
    for axis in range(3):
        one, two = [k for k in range(3) if k != axis]
        a, b = (np.linspace(0, SIZE[k], round(SIZE[k] / step) + 1) for k in (one, two))
        for side in (0.0, SIZE[axis]):
            grid = np.zeros((len(a), len(b), 3))
            grid[..., one], grid[..., two], grid[..., axis] = a[:, None], b[None], side
            if axis == 0:
                inner = grid[1:-1, 1:-1, 0]
                inner += chance.uniform(-height, height, inner.shape)
            number = sum(map(len, vertices)) + np.arange(grid[..., 0].size).reshape(len(a), -1)
            c = [number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]]
            turned = (side == 0) == (axis != 1)
            for corners in ((0, 1, 2), (0, 2, 3)):
                three = np.stack([c[k].ravel() for k in corners], axis=1)
                faces.append(three if turned else three[:, ::-1])
            vertices.append(grid.reshape(-1, 3))
    vertices, faces = np.concatenate(vertices), np.concatenate(faces)
    ends = (vertices[faces].mean(axis=1)[:, 0] < 0.1) | (vertices[faces].mean(axis=1)[:, 0] > 5.9)
    materials = Material("ends", 0.05, 0.0), Material("rest", 0.9, 0.0)
    return Scene(vertices, faces, np.where(ends, 0, 1), materials)


@pytest.fixture(scope="module")
def rough() -> Scene:
    return rough_box(0.015)


def test_a_rough_wall_mirrors_as_a_flat_one(rough):
    room = Room(rough)
    small = ~room.patches.mirror & (room.patches.area > 0)
    own, sent = room.patches.normal[small], room.patches.reflecting[small]
    assert small.sum() > 1000
    off = np.degrees(np.arccos(np.clip(np.abs(own[:, 0]), -1, 1)))
    left = np.degrees(np.arccos(np.clip(np.abs(sent[:, 0]), -1, 1)))
    assert np.median(off) > 8  # degrees
    assert np.median(left) < 1 and np.quantile(left, 0.75) < 2
    assert (np.einsum("ij,ij->i", own, sent) > 0).all()


def left_after(scene: Scene, patches, caster, metres: float) -> float:
    """Decibels of the sound that has travelled so far, re what the source sent."""
    found = trace(
        scene,
        patches,
        caster,
        Source((2.0, 1.7, 1.4)),
        rays=20_000,
        reach=metres + 20,
        order=0,
        seed=0,
    )
    late = found.travelled > metres
    energy = found.energy[late, 4] * found.weight[late] * found.length[late]
    return float(10 * np.log10(max(energy.sum() / found.rays, 1e-12)))


def test_sound_runs_on_between_rough_walls_as_between_flat_ones(rough):
    room, flat = Room(rough), Room(rough_box(0.0))
    true = left_after(flat.scene, flat.patches, flat.caster, 60.0)
    facets = left_after(rough, find_patches(rough), room.caster, 60.0)
    assert facets < true - 30
    assert left_after(rough, room.patches, room.caster, 60.0) == pytest.approx(true, abs=3)


def test_what_is_no_relief_stays():
    box = Scene.shoebox(SIZE)
    patches = find_patches(box)
    assert over_relief(box, patches) is patches
    high = rough_box(3 * HEIGHT)
    before = find_patches(high)
    after = over_relief(high, before)
    assert np.abs(np.einsum("ij,ij->i", after.reflecting, before.normal)).min() > 0.04


@pytest.mark.parametrize("seed", [1, 2])
def test_clean_rooms_hardly_change(seed):
    scene = make_world(seed).scene()
    patches = find_patches(scene)
    after = over_relief(scene, patches)
    np.testing.assert_array_equal(after.reflecting[patches.mirror], patches.normal[patches.mirror])
    turned = np.einsum("ij,ij->i", after.reflecting, patches.normal) < np.cos(np.radians(5))
    assert patches.area[turned].sum() < 0.05 * patches.area.sum()


def test_a_rough_box_in_a_wide_field_takes_bounded_memory(rough):
    ground = np.array([[-400.0, -400, 0], [400, -400, 0], [400, 400, 0], [-400, 400, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]]) + len(rough.vertices)
    scene = Scene(
        np.concatenate([rough.vertices + np.array([0, 0, 0.5]), ground]),
        np.concatenate([rough.faces, faces]),
        np.concatenate([rough.face_material, [1, 1]]),
        rough.materials,
    )
    patches = find_patches(scene)
    tracemalloc.start()
    after = over_relief(scene, patches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5e9  # bytes
    sent = after.reflecting[~patches.mirror & (patches.area > 0)]
    assert np.isfinite(sent).all() and len(sent) > 1000
