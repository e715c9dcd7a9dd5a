"""Sound through walls: levels by the table's transmission loss, delays of straight ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.acoustics.field import Room
from piavas.acoustics.paths import candidates, direct_paths, join, reflected_paths
from piavas.acoustics.simulator import Simulator
from piavas.errors import SimulationError
from piavas.scene import Material, Scene, Source

C = 343.0
LOSS = np.array([20.0, 24, 28, 32, 36, 40, 44, 48, 52])  # dB
BRICK = Material("brick", 0.3, 0.1, 10 ** (-LOSS / 10))
SOURCE = np.array([1.0, 1.0, 1.5])
MONO = Simulator(output="mono", air_absorption=False, speed_of_sound=C, duration=0.3, rays=2000)


def cells(count: int, materials: tuple[Material, ...] = (BRICK,)) -> Scene:
    """Closed rooms of 4 x 4 x 3 m in a row, walls of 0.2 m between; each of its own material."""
    box = Scene.shoebox((4, 4, 3))
    parts = [box.vertices + np.array([4.2 * i, 0, 0]) for i in range(count)]
    faces = np.concatenate([box.faces + 8 * i for i in range(count)])
    index = np.repeat(np.arange(count) % len(materials), len(box.faces)).astype(np.int32)
    return Scene(np.concatenate(parts), faces, index, materials)


def straight(scene: Scene, head, walls: int, order: int = 1):
    room, source = Room(scene), Source(SOURCE)
    through = room.walls(walls)
    heads = np.atleast_2d(np.asarray(head, dtype=float))
    chains = candidates(np.empty((0, order), np.int32), room.patches, order)
    direct = direct_paths(through, source, heads, order)
    mirrored = reflected_paths(through, source=source, heads=heads, sequences=chains)
    return join(direct, mirrored)


@pytest.mark.parametrize(("room", "walls"), [(0, 0), (1, 1), (2, 2)])
def test_each_wall_takes_its_transmission_loss_once(room, walls):
    head = np.array([2.0 + 4.2 * room, 2.5, 1.2])
    far = np.linalg.norm(head - SOURCE)
    paths = straight(cells(3), head, walls=2)
    assert paths.order[0] == 0
    assert paths.length[0] == pytest.approx(far, rel=1e-9)
    level = 20 * np.log10(paths.gain[0] * far)
    np.testing.assert_allclose(level, -walls * LOSS, atol=0.01)
    np.testing.assert_allclose(paths.arrival[0], (head - SOURCE) / far, atol=1e-9)


def test_more_walls_than_asked_for_are_not_passed():
    assert len(straight(cells(3), (10.0, 2.5, 1.2), walls=1)) == 0
    assert len(straight(cells(2), (6.0, 2.5, 1.2), walls=0)) == 0


def test_a_wall_of_two_materials_has_their_mean_loss():
    heavy = Material("heavy", 0.3, 0.1, 10 ** (-(LOSS + 12) / 10))
    paths = straight(cells(2, (BRICK, heavy)), (6.0, 2.5, 1.2), walls=1)
    level = 20 * np.log10(paths.gain[0] * paths.length[0])
    np.testing.assert_allclose(level, -(LOSS + 6), atol=0.01)


def with_sheet() -> Scene:
    """One room of 8 x 4 x 3 m and a sheet of the material across it."""
    box = Scene.shoebox((8, 4, 3))
    corners = np.array([[4, y, z] for y in (0.0, 4.0) for z in (0.0, 3.0)])
    sheet = np.array([[0, 2, 3], [0, 3, 1]]) + len(box.vertices)
    faces = np.concatenate([box.faces, sheet])
    return Scene(
        np.concatenate([box.vertices, corners]), faces, np.zeros(len(faces), np.int32), (BRICK,)
    )


@pytest.mark.parametrize("flip", [False, True])
def test_a_sheet_is_one_wall_from_either_side(flip):
    scene = with_sheet()
    if flip:
        faces = scene.faces.copy()
        faces[-2:] = faces[-2:, ::-1]
        scene = replace(scene, faces=faces)
    paths = straight(scene, (6.0, 2.5, 1.2), walls=1)
    level = 20 * np.log10(paths.gain[0] * paths.length[0])
    np.testing.assert_allclose(level, -LOSS, atol=0.01)


def test_reflections_pass_walls_too():
    # A wall plane of both rooms, such as the floor, mirrors before the wall or behind it.
    head = np.array([6.0, 2.5, 1.2])
    paths = straight(cells(2), head, walls=1)
    floor = SOURCE * [1, 1, -1]
    far = np.linalg.norm(head - floor)
    row = np.flatnonzero(np.abs(paths.length - far) < 1e-6)
    assert len(row) == 1
    expected = -LOSS + 10 * np.log10(0.7 * 0.9)
    np.testing.assert_allclose(20 * np.log10(paths.gain[row[0]] * far), expected, atol=0.01)


def test_no_more_comes_through_than_falls_on():
    clear = Material("clear", 1.0, 0.0, 1.0)
    paths = straight(cells(3, (clear,)), (10.0, 2.5, 1.2), walls=2)
    assert (paths.gain * paths.length[:, None] <= 1 + 1e-12).all()
    np.testing.assert_allclose(paths.gain[0] * paths.length[0], 1)


def test_response_behind_a_wall_is_on_time_at_its_level():
    light = Material("light", 1.0, 0.0, 10**-2.0)
    head = np.array([6.0, 2.5, 1.2])
    far = np.linalg.norm(head - SOURCE)
    response = replace(MONO, specular_order=0)(cells(2, (light,)), SOURCE, head).samples[0, 0]
    assert abs(np.abs(response).argmax() - far / C * 48_000) <= 1
    early = response[: int((far / C + 0.002) * 48_000)].astype(float)
    assert 10 * np.log10((early**2).sum() * far**2) == pytest.approx(-20, abs=0.1)
    silent = replace(MONO, specular_order=0, transmission=0)(cells(2, (light,)), SOURCE, head)
    assert not silent.samples.any()


@pytest.mark.parametrize("walls", [-1, 9, 0.5])
def test_bad_numbers_of_walls_are_refused(walls):
    with pytest.raises(SimulationError, match="transmission"):
        Simulator(transmission=walls)
