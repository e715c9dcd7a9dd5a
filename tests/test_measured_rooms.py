"""The engine against rooms that were measured: dEchorate's echoes, the decay of BRAS CR2."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import shared
from piavas.acoustics import Simulator
from piavas.acoustics.field import Room
from piavas.errors import DataError, GeometryError
from piavas.geometry.ac3d import load_ac3d
from piavas.measured import load_bras, load_dechorate
from piavas.measured.compare import deviations, echo_times, simulated_parameters
from piavas.measured.rooms import octave_means
from piavas.scene import OCTAVE_BANDS, triangle_areas

SIMULATOR = Simulator(rays=4000, duration=2.2, sample_rate=24_000)
FROM_250_TO_4000 = slice(OCTAVE_BANDS.index(250.0), OCTAVE_BANDS.index(4000.0) + 1)


def test_echoes_of_a_measured_room_come_when_they_were_heard():
    room = load_dechorate(shared("data/dechorate"))
    late = np.abs(echo_times(room) - room.arrivals)
    assert (late < 0.5e-3).mean() >= 0.95  # NaN, an echo that is not found, counts as none
    assert np.nanmedian(late) <= 0.05e-3
    assert (np.nanmedian(late, axis=(1, 2)) <= 0.08e-3).all()


def test_the_mesh_of_the_measured_room_is_many_triangles_of_one_box():
    room = load_dechorate(shared("data/dechorate"))
    assert len(room.scene.faces) > 1000
    area = triangle_areas(room.scene.vertices, room.scene.faces).sum()
    assert area == pytest.approx(2 * (5.705 * 5.965 + 5.705 * 2.355 + 5.965 * 2.355))
    # The responses are those of the first loudspeaker: the direct sound is where it should be.
    direct = room.arrivals[0, room.heard_at, 0] * room.sample_rate
    assert np.abs(np.abs(room.responses).argmax(axis=1) - direct).max() < 12  # .25 ms, off axis


@pytest.fixture(scope="module")
def bras():
    return load_bras(shared("data/bras_cr2"))


def test_a_seminar_room_decays_as_it_was_measured(bras):
    """Its own materials, nothing tuned: absorption was fitted to T by Eyring, the rest was not."""
    found = simulated_parameters(bras, SIMULATOR)
    off = {
        k: np.abs(v[FROM_250_TO_4000]).mean() for k, v in deviations(found, bras.measured).items()
    }
    assert off["T20"] <= 0.10
    assert off["EDT"] <= 0.10
    assert off["C80"] <= 1.0
    assert off["D50"] <= 0.05


def test_the_model_of_the_seminar_room_is_closed_and_of_the_stated_size(bras):
    """Areas and volume as the notes of the data set give them."""
    scene = bras.scene
    areas = np.bincount(scene.face_material, triangle_areas(scene.vertices, scene.faces))
    stated = {
        "plaster": 34.93,
        "concrete": 56.94,
        "windows": 9.75,
        "floor": 49.29,
        "ceiling": 51.62,
    }
    found = {m.name: a for m, a in zip(scene.materials, areas, strict=True)}
    assert found == pytest.approx(stated, abs=0.006)
    a, b, c = np.moveaxis(scene.mesh.triangles, 1, 0)
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert -volume == pytest.approx(146.1, abs=0.05)  # normals point into the air
    away, behind = Room(scene).surroundings(np.vstack([bras.sources, bras.listeners]))
    assert not away.any()
    assert not behind.any()


def test_octaves_are_plain_means_of_their_thirds():
    thirds = 1000 * 2.0 ** (np.arange(-7, 8) / 3)  # 198 Hz to 5 kHz
    means = octave_means(thirds, np.arange(15.0))
    assert np.isnan(means[[0, 1, 7, 8]]).all()
    assert means[2:7] == pytest.approx([1, 4, 7, 10, 13])


AC3D = """AC3Db
MATERIAL "wall of brick" rgb 1 1 1 amb 0 0 0 emis 0 0 0 spec 0 0 0 shi 0 trans 0
MATERIAL "lid" rgb 1 1 1 amb 0 0 0 emis 0 0 0 spec 0 0 0 shi 0 trans 0
OBJECT world
kids 1
OBJECT poly
name "an L"
loc 0 2 0
numvert 6
0 0 0
2 0 0
2 0 1
1 0 1
1 0 2
0 0 2
numsurf 2
SURF 0x20
mat 1
refs 6
0 0 0
1 0 0
2 0 0
3 0 0
4 0 0
5 0 0
SURF 0x2
mat 0
refs 2
0 0 0
1 0 0
kids 0
"""


def test_ac3d_polygons_become_triangles_with_z_up(tmp_path):
    path = tmp_path / "l.ac"
    path.write_text(AC3D)
    mesh, names, material = load_ac3d(path)
    assert names == ("wall of brick", "lid")
    assert (material == 1).all()  # the line is no surface
    assert triangle_areas(mesh.vertices, mesh.faces).sum() == pytest.approx(3)
    assert mesh.vertices[:, 2] == pytest.approx(2)
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    assert (np.cross(b - a, c - a)[:, 2] < 0).all()  # wound as in the file: y up, seen from below


@pytest.mark.parametrize(
    "text", ["", "ply\n", AC3D[:150], AC3D[: AC3D.index("1 0 2")], AC3D.replace("5 0 0", "9 0 0")]
)
def test_broken_ac3d_files_are_named(tmp_path, text):
    path = tmp_path / "broken.ac"
    path.write_text(text)
    with pytest.raises(GeometryError, match=r"broken\.ac"):
        load_ac3d(path)


def test_absent_data_is_named(tmp_path):
    for load in (load_bras, load_dechorate):
        with pytest.raises(DataError, match="no such file"):
            load(tmp_path)
