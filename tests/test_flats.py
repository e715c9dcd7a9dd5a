"""Plane pieces of rough surfaces, and the air behind what hangs before a wall: known solids."""

from __future__ import annotations

import numpy as np
import pytest

from piavas.geometry.flats import _neighbours as neighbours
from piavas.geometry.flats import find_flats, flatten, vertex_normals
from piavas.geometry.fusion import Box
from piavas.geometry.hangs import behind_sheets
from piavas.geometry.report import volume
from piavas.geometry.surface import extract

VOXEL = 0.03
HALF = np.array([0.43, 0.31, 0.26])


def rough_box(noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The air within a box that lies askew, as marching cubes draw it, and the box's axes."""
    axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    count = 44
    box = Box(np.full(3, -VOXEL * (count - 1) / 2), (count,) * 3, VOXEL, 0.0)
    places = np.stack(np.meshgrid(*(box.axis(k) for k in range(3)), indexing="ij"), axis=-1)
    field = (HALF - np.abs(places @ axes)).min(axis=-1)
    field += noise * np.random.default_rng(4).normal(size=field.shape)
    return (*extract(field.astype(np.float32), box), axes)


def test_a_rough_box_becomes_six_planes_with_sharp_edges():
    vertices, faces, axes = rough_box(0.002)
    start, beside = neighbours(faces, len(vertices))
    flats = find_flats(vertices, faces, vertex_normals(vertices, faces), start, beside, VOXEL)
    assert len(flats.normal) == 6
    turned = np.abs(flats.normal @ axes)
    assert (turned.max(axis=1) > np.cos(np.radians(0.5))).all()
    np.testing.assert_allclose(-flats.offset, HALF[turned.argmax(axis=1)], atol=1e-3)
    moved = flatten(vertices, faces, VOXEL)
    off = np.abs(np.abs(moved @ axes) - HALF).min(axis=1)
    before = np.abs(np.abs(vertices @ axes) - HALF).min(axis=1)
    assert np.quantile(off, 0.99) < 1e-3 < np.quantile(before, 0.9)
    # Marching cubes cut edges and corners off: they are whole again.
    corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, 8).T * HALF
    gap = np.linalg.norm((moved @ axes)[:, None] - corners, axis=2).min(axis=0)
    assert np.median(gap) < 1e-3
    assert gap.max() < VOXEL / 2
    assert volume(moved, faces) == pytest.approx(8 * HALF.prod(), rel=0.003)


def test_curved_surfaces_become_facets_near_them():
    count = 30
    box = Box(np.full(3, -VOXEL * (count - 1) / 2), (count,) * 3, VOXEL, 0.0)
    places = np.stack(np.meshgrid(*(box.axis(k) for k in range(3)), indexing="ij"), axis=-1)
    vertices, faces = extract((0.35 - np.linalg.norm(places, axis=-1)).astype(np.float32), box)
    moved = flatten(vertices, faces, VOXEL)
    off = np.abs(np.linalg.norm(moved, axis=1) - 0.35)
    assert np.median(off) < 4e-3
    assert off.max() < VOXEL


def before_a_wall(front: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Something `front` metres deep before a wall at x = 0, of which only the front was seen."""
    x = VOXEL * (np.arange(30) - 4.5)
    wall = np.broadcast_to(x[:, None, None], (30, 20, 20)).astype(np.float32)
    contents = np.full(wall.shape, 0.09, np.float32)
    contents[:, 5:15, 5:15] = np.clip(x - front, -0.09, 0.09)[:, None, None]
    weight = np.where(np.abs(contents) < 0.05, 1, 0).astype(np.float32)
    return contents, wall, weight


def test_behind_a_sheet_there_is_air():
    contents, wall, weight = before_a_wall(0.1)
    opened = behind_sheets(contents, wall, weight, VOXEL)
    column = opened[:, 10, 10] > 0
    inside = wall[:, 10, 10] > 0
    sheet = inside & ~column
    assert 1 <= sheet.sum() <= 2  # voxels of it are left, at its front
    assert column[inside][0]
    np.testing.assert_array_equal(opened[contents > 0], contents[contents > 0])


def test_a_cupboard_stays_solid():
    contents, wall, weight = before_a_wall(0.4)
    np.testing.assert_array_equal(behind_sheets(contents, wall, weight, VOXEL), contents)


def test_what_was_not_seen_is_no_sheet():
    contents, wall, weight = before_a_wall(0.1)
    np.testing.assert_array_equal(behind_sheets(contents, wall, 0 * weight, VOXEL), contents)
