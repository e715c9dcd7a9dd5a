"""Bad input to the simulator: one typed error that says what, where and what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.acoustics.defects import find_holes, turned_over
from piavas.acoustics.hrtf import load_hrtf
from piavas.acoustics.simulator import Simulator
from piavas.errors import GeometryError, HrtfError, MaterialError, SimulationError
from piavas.rays import RayCaster
from piavas.scene import ImpulseResponses, Material, Scene

BOX = Scene.shoebox((6, 4, 3), absorption=0.3)
SOURCE, HEAD = (1.0, 1.0, 1.5), (4.0, 2.0, 1.2)
QUICK = Simulator(rays=200, duration=0.1, output="mono", specular_order=1)


def without(scene: Scene, faces: list[int]) -> Scene:
    keep = np.delete(np.arange(len(scene.faces)), faces)
    return replace(scene, faces=scene.faces[keep], face_material=scene.face_material[keep])


def test_a_leak_is_named_with_its_size_and_place():
    ceiling = without(BOX, [10])  # half of the ceiling, 12 m²
    (hole,) = find_holes(ceiling)
    assert hole.area == pytest.approx(12.0)
    assert hole.place[2] == pytest.approx(3.0)
    with pytest.raises(SimulationError, match=r"escape .* a hole of 12 m² at \[.*, 3.0\]"):
        QUICK(ceiling, SOURCE, HEAD)
    with pytest.warns(UserWarning, match=r"a hole of 12 m² at"):
        replace(QUICK, allow_leaks=True)(ceiling, SOURCE, HEAD)


def test_of_two_holes_the_one_that_leaks_most_is_named():
    assert [round(h.area, 3) for h in find_holes(without(BOX, [0, 11]))] == [12.0, 6.0]
    with pytest.raises(SimulationError, match="a hole of 12 m²"):
        QUICK(without(BOX, [0, 11]), (5.0, 2.0, 2.9), HEAD)


def test_a_closed_room_has_no_holes():
    assert find_holes(BOX) == []
    assert len(turned_over(BOX)) == 0


def test_faces_without_area_are_refused_by_number_and_place():
    flat = replace(
        BOX,
        faces=np.vstack([BOX.faces, [[0, 0, 1]]]),
        face_material=np.append(BOX.face_material, 0),
    )
    with pytest.raises(GeometryError, match="1 faces have no area, the first is face 12 at"):
        QUICK(flat, SOURCE, HEAD)


def test_a_material_on_no_area_is_refused_by_name():
    flat = replace(
        BOX,
        faces=np.vstack([BOX.faces, [[0, 0, 1]]]),
        face_material=np.append(BOX.face_material, 6),
        materials=(*BOX.materials, Material("velvet", 0.5)),
    )
    with pytest.raises(MaterialError, match="velvet"):
        QUICK(flat, SOURCE, HEAD)


def test_turned_over_faces_are_refused_by_number():
    faces = BOX.faces.copy()
    faces[3] = faces[3, ::-1]
    turned = replace(BOX, faces=faces)
    assert turned_over(turned).tolist() == [3]
    with pytest.raises(GeometryError, match="1 faces are turned over, the first is face 3 at"):
        QUICK(turned, SOURCE, HEAD)
    with pytest.warns(UserWarning, match="turned over"):
        allowed = replace(QUICK, allow_leaks=True)(turned, SOURCE, HEAD)
    np.testing.assert_array_equal(allowed.samples, QUICK(BOX, SOURCE, HEAD).samples)


def test_a_room_with_all_normals_outwards_is_the_same_room():
    outwards = replace(BOX, faces=BOX.faces[:, ::-1])
    one, two = (QUICK(scene, SOURCE, HEAD).samples for scene in (BOX, outwards))
    np.testing.assert_allclose(one, two, atol=1e-4 * np.abs(one).max())


@pytest.mark.parametrize(
    "options",
    [
        {"rays": 0},
        {"rays": -5},
        {"rays": "many"},
        {"rays": 3.5},
        {"t30_error": 0.0},
        {"level_error": -1.0},
        {"duration": -1.0},
        {"duration": 0.0},
        {"duration": float("nan")},
    ],
)
def test_options_out_of_range_are_refused_by_name(options):
    with pytest.raises(SimulationError, match=next(iter(options))):
        Simulator(**options)


def test_numbers_of_sources_and_listeners_must_fit():
    with pytest.raises(SimulationError, match="2 sources for 3 listeners"):
        QUICK(BOX, [SOURCE, HEAD], [SOURCE, HEAD, (2, 2, 2)])
    with pytest.raises(SimulationError, match="2 sources for 3 responses"):
        ImpulseResponses(np.zeros((3, 1, 5)), 48_000, "mono", np.zeros((2, 3)), np.ones((3, 3)))


def test_every_bad_place_is_named_among_many():
    heads = np.tile(HEAD, (100, 1))
    heads[73, 2] = 3.4
    with pytest.raises(SimulationError, match=r"listeners\[73\]: .* outside the room"):
        QUICK(BOX, SOURCE, heads)


def sofa(path, **changes):
    """A small SOFA head, damaged by `changes`."""
    sofar = pytest.importorskip("sofar")
    way = np.random.default_rng(0).normal(size=(changes.get("count", 60), 3))
    file = sofar.Sofa("SimpleFreeFieldHRIR")
    file.SourcePosition = way / np.linalg.norm(way, axis=1, keepdims=True)
    file.SourcePosition_Type, file.SourcePosition_Units = "cartesian", "metre"
    file.Data_IR = np.random.default_rng(1).normal(size=(len(way), 2, 32))
    file.Data_SamplingRate = changes.get("rate", 48_000)
    sofar.write_sofa(str(path), file)
    return path


@pytest.mark.parametrize(
    ("damage", "what"),
    [({"count": 12}, "12 distinct directions"), ({"rate": 20}, "Data.SamplingRate")],
)
def test_heads_with_few_directions_or_no_rate_are_refused(tmp_path, damage, what):
    with pytest.raises(HrtfError, match=what):
        load_hrtf(sofa(tmp_path / "head.sofa", **damage))


def test_one_ray_many_rays_and_none():
    caster = RayCaster(BOX.vertices, BOX.faces)
    way = np.array([[1.0, 0, 0]])
    one, face = caster.closest(np.array([SOURCE]), way)
    assert one == pytest.approx([5.0], rel=1e-5)
    assert face.shape == (1,)
    many, _ = caster.closest(np.tile(SOURCE, (40_000, 1)), np.tile(way, (40_000, 1)))
    np.testing.assert_allclose(many, 5.0, rtol=1e-5)
    assert caster.closest(np.empty((0, 3)), np.empty((0, 3)))[0].shape == (0,)
    assert caster.visible(np.array([SOURCE]), np.array([HEAD])).tolist() == [True]
