"""Edges that rough surfaces break up, put together: they bend sound as the clean edge does."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from piavas.acoustics import edges as finder
from piavas.acoustics.diffraction import lit_by
from piavas.acoustics.field import Room
from piavas.geometry.surface import simplify
from piavas.scene import Scene, Source
from rooms import two_rooms
from test_diffraction import HARD, as_scene, paths_of, pressure

SIZE = np.array([1.5, 1.5, 2.0])
SOURCE = np.array([1.3, -0.3, 0.2])
HEADS = np.array([[x, y, z] for x in (-0.4, -0.2, -0.1) for y in (1.2, 1.5) for z in (-0.3, 0.1)])
BAND = np.linspace(400, 1200, 60)


def clean() -> Scene:
    box = trimesh.creation.box(SIZE)
    return Scene(np.array(box.vertices), box.faces, np.zeros(len(box.faces), np.int32), HARD)


def rough(sigma: float, voxel: float = 0.02, yaw: float = 0.2) -> Scene:
    """The same box from voxels turned by `yaw`, its surface off by `sigma` metres."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    reach = np.array([1.3, 1.3, 1.1])
    grid = np.stack(np.meshgrid(*(np.arange(-r, r, voxel) for r in reach), indexing="ij"), -1)
    beyond = np.abs(grid @ turn) - SIZE / 2
    off = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(off.shape), 2.5)
    found, faces, *_ = marching_cubes(
        off + sigma * noise / noise.std(), 0.0, gradient_direction="ascent"
    )
    vertices, faces = simplify(voxel * found - reach, faces[:, ::-1], 6000)
    material = np.zeros(len(faces), np.int32)
    return Scene(vertices @ turn, faces[:, ::-1], material, HARD)


def levels(scene: Scene) -> np.ndarray:
    """Round the corner, dB."""
    paths = paths_of(scene, SOURCE, HEADS, order=0)
    power = (np.abs(pressure(paths, len(HEADS), BAND)) ** 2).mean(axis=1)
    return np.asarray(10 * np.log10(power + 1e-12))


@pytest.mark.parametrize("sigma", [0.004, 0.008])
def test_a_rough_corner_bends_as_much_as_a_clean_one(sigma, monkeypatch):
    corner, scene = levels(clean()), rough(sigma)
    assert np.abs(levels(scene) - corner).max() < 1.2
    longest = Room(scene).corners.edges.take(np.arange(4))
    assert (longest.length > 1.75).all()
    np.testing.assert_allclose(np.degrees(longest.angle), 270, atol=20)
    monkeypatch.setattr(finder, "join", lambda edges: edges)
    assert (levels(scene) - corner).mean() < -8  # each piece alone


def test_clean_edges_stay_as_they_are(monkeypatch):
    scene = as_scene(two_rooms(), HARD[0])
    joined = Room(scene).corners.edges
    monkeypatch.setattr(finder, "join", lambda edges: edges)
    alone = Room(scene).corners.edges
    for name in ("start", "along", "length", "angle", "lift"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(alone, name))


def test_a_room_without_edges_has_nothing_to_bend_round():
    dome = trimesh.creation.icosphere(4, 2.0)
    dome.invert()
    scene = Scene(np.array(dome.vertices), dome.faces, np.zeros(len(dome.faces), np.int32), HARD)
    room = Room(scene)
    assert len(room.corners.edges) == 0
    lit = lit_by(room.corners, Source(np.zeros(3)), reflected=True, double=True)
    assert len(lit.pair) == len(lit.double) == 0
    head = np.array([1.0, 0.2, 0.1])
    assert (paths_of(scene, (0, 0, 0), head, double=True, order=0).bend < 0).all()
