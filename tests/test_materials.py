"""The table against physics, votes against known labels, scene files against damage."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from piavas.capture import load_capture
from piavas.errors import GeometryError, MaterialError
from piavas.materials import assign_materials, load_scene, load_table, save_scene
from piavas.materials.subdivide import subdivide
from piavas.materials.table import find_material, mass_law
from piavas.scene import Material, Mesh, Scene, triangle_areas
from rooms import photograph, two_rooms, walk

NAMES = {0: "wood floor", 1: "painted plaster", 2: "wooden furniture", 3: "acoustic ceiling tile"}


def test_every_row_is_physical_and_sourced():
    table = load_table()
    assert len(table) >= 45
    for name, row in table.items():
        assert row.name == name
        assert len(row.source) > 10
        for values in (row.absorption, row.scattering, row.transmission):
            assert values.shape == (9,)
            assert ((values >= 0) & (values <= 1)).all()
        assert (row.transmission <= row.absorption).all()


@pytest.mark.parametrize(
    ("name", "at_1k"),
    [("concrete", 0.02), ("carpet on foam", 0.54), ("window glass", 0.03), ("heavy curtain", 0.56)],
)
def test_rows_hold_the_published_values(name, at_1k):
    assert load_table()[name].absorption[4] == at_1k


def test_mass_law_gains_six_decibels_an_octave_and_a_doubling():
    one, two = mass_law(50), mass_law(100)
    index = -10 * np.log10(one)
    np.testing.assert_allclose(np.diff(index), 6.02, atol=0.1)
    np.testing.assert_allclose(10 * np.log10(one / two), 6.02, atol=0.01)
    assert index[4] == pytest.approx(20 * np.log10(50 * 1000) - 47)
    assert not mass_law(None).any()


def labelled_world():
    """The two rooms, floor of wood, ceiling of tiles, furniture of wood, walls of plaster."""
    world = two_rooms()
    corners = world.vertices[world.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    centre = corners.mean(axis=1)
    label = np.full(len(world.faces), 1)
    label[(normal[:, 2] > 0.9) & (centre[:, 2] < 0.01)] = 0
    label[normal[:, 2] < -0.9] = 3
    for low, high in (world.table, world.cupboard):
        inside = ((corners >= np.array(low) - 1e-6) & (corners <= np.array(high) + 1e-6)).all(
            (1, 2)
        )
        label[inside & ~(centre[:, 2] < 0.01)] = 2
    return world, label


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    world, label = labelled_world()
    folder = photograph(
        tmp_path_factory.mktemp("labels"), world, walk(), face_label=label, names=NAMES
    )
    return world, label, load_capture(folder)


def test_votes_find_the_materials(labelled):
    world, label, capture = labelled
    scene = assign_materials(Mesh(world.vertices, world.faces), capture)
    names = np.array([m.name for m in scene.materials])[scene.face_material]
    truth = np.array([NAMES[k] for k in label])
    area = triangle_areas(scene.vertices, scene.faces)
    centre = scene.vertices[scene.faces].mean(axis=1)
    caster_face = nearest_face(world, centre)
    assert area[names == truth[caster_face]].sum() / area.sum() > 0.97
    report = scene.report["materials"]
    assert report["path"] == "label images"
    assert report["area_filled"] > 0
    assert report["area_voted"] + report["area_filled"] == pytest.approx(area.sum(), rel=1e-3)


def nearest_face(world, points):
    """The face of `world` that each point lies on."""
    corners = world.vertices[world.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    off = np.abs(np.einsum("fpk,fk->pf", points[None] - corners[:, [0]], normal))
    for k in range(3):
        side = corners[:, (k + 1) % 3] - corners[:, k]
        inward = np.cross(normal, side)
        out = np.einsum("fpk,fk->pf", points[None] - corners[:, [k]], inward) < -1e-6
        off[out] = np.inf
    return off.argmin(axis=1)


def test_a_window_in_one_wall_is_cut_out_of_its_triangles(tmp_path):
    box = Scene.shoebox((4, 3, 2.5))
    cut = subdivide(box.vertices, box.faces, 0.1)
    vertices, small = cut.vertices, cut.faces
    centre = vertices[small].mean(axis=1)
    window = (
        (centre[:, 0] < 1e-6)
        & (np.abs(centre[:, 1] - 1.5) < 0.5)
        & (np.abs(centre[:, 2] - 1.2) < 0.4)
    )
    merged = cut.merge(window.astype(int))
    faces, label = merged.faces, merged.label
    # Ten whole faces, and no more than a few along the window's edges for each 10 cm of them.
    assert 10 < len(faces) < 250 < 0.05 * len(small)
    area = triangle_areas(vertices, faces)
    assert (np.diff(label) >= 0).all()
    np.testing.assert_array_equal(label[merged.into], window)
    np.testing.assert_array_equal(merged.parent[merged.into], cut.parent)
    np.testing.assert_allclose(np.bincount(merged.into, triangle_areas(vertices, small)), area)
    assert area.sum() == pytest.approx(triangle_areas(box.vertices, box.faces).sum())
    assert area[label == 1].sum() == pytest.approx(0.8, rel=0.1)
    assert set(merged.parent) == set(range(len(box.faces)))
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    assert abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6 == pytest.approx(30)


def test_subdivision_is_closed():
    box = Scene.shoebox((4, 3, 2.5))
    cut = subdivide(box.vertices, box.faces, 0.5)
    vertices, faces = cut.vertices, cut.faces
    assert np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, 1)], axis=2).max() <= 0.5
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_the_default_is_named_as_such(tmp_path):
    capture = load_capture(photograph(tmp_path, two_rooms(), walk(3)))
    world = two_rooms()
    scene = assign_materials(Mesh(world.vertices, world.faces), capture, by="default")
    assert [m.name for m in scene.materials] == ["default"]
    assert "default" in scene.report["materials"]["path"]


def test_unknown_labels_are_refused_with_near_names(labelled):
    world, _, capture = labelled
    mesh = Mesh(world.vertices, world.faces)
    with pytest.raises(MaterialError, match="painted plaster"):
        find_material("painted plastr", load_table())
    scene = assign_materials(mesh, capture, mapping={"wood floor": "carpet on foam"})
    assert "carpet on foam" in [m.name for m in scene.materials]
    scene = assign_materials(mesh, capture, mapping={"*": "brick", "wood floor": "marble"})
    assert {m.name for m in scene.materials} == {"brick", "marble"}
    with pytest.raises(MaterialError, match="marmalade"):
        assign_materials(mesh, capture, mapping={"wood floor": "marmalade"})


def test_scene_round_trip(labelled, tmp_path):
    world, _, capture = labelled
    scene = assign_materials(Mesh(world.vertices, world.faces), capture)
    save_scene(scene, tmp_path)
    again = load_scene(tmp_path)
    for part in ("vertices", "faces", "face_material"):
        np.testing.assert_array_equal(getattr(again, part), getattr(scene, part))
    for one, two in zip(scene.materials, again.materials, strict=True):
        assert (one.name, one.source) == (two.name, two.source)
        np.testing.assert_array_equal(one.absorption, two.absorption)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("absorption", [1.5] * 9, "absorption"),
        ("absorption", [0.1, 0.2], "octave values"),
        ("scattering", [-0.1] * 9, "scattering"),
        ("transmission", [0.9] * 9, "transmission"),
        ("name", None, ""),
    ],
)
def test_spoiled_materials_are_named(tmp_path, key, value, message):
    save_scene(Scene.shoebox((3, 3, 3)), tmp_path)
    file = tmp_path / "materials.json"
    data = json.loads(file.read_text())
    if value is None:
        del data["materials"][0][key]
    else:
        data["materials"][0][key] = value
    file.write_text(json.dumps(data))
    with pytest.raises(MaterialError, match=str(file)) as caught:
        load_scene(tmp_path)
    assert message in str(caught.value)


def test_scene_files_that_do_not_fit_are_refused(tmp_path):
    save_scene(Scene.shoebox((3, 3, 3)), tmp_path)
    data = json.loads((tmp_path / "materials.json").read_text())
    data["faces"] = data["faces"][:-1]
    (tmp_path / "materials.json").write_text(json.dumps(data))
    with pytest.raises(MaterialError, match=r"materials\.json"):
        load_scene(tmp_path)
    everything = tmp_path / "map.json"
    everything.write_text('{"*": "brick"}')
    with pytest.raises(GeometryError, match="nowhere"):
        load_scene(tmp_path / "nowhere", materials=everything)
    with pytest.raises(MaterialError, match="materials"):
        load_scene(tmp_path / "mesh.ply")


def test_named_parts_of_a_mesh_get_their_materials(tmp_path):
    floor = trimesh.creation.box((3, 3, 0.1))
    wall = trimesh.creation.box((0.1, 3, 3))
    world = trimesh.Scene()
    for name, part in (("ground", floor), ("side", wall)):
        part.visual = trimesh.visual.TextureVisuals(
            material=trimesh.visual.material.PBRMaterial(name=name)
        )
        world.add_geometry(part, node_name=name, geom_name=name)
    world.export(tmp_path / "room.glb")
    (tmp_path / "map.json").write_text('{"ground": "carpet on foam", "*": "brick"}')
    scene = load_scene(tmp_path / "room.glb", tmp_path / "map.json")
    names = np.array([m.name for m in scene.materials])[scene.face_material]
    assert sorted(names) == ["brick"] * 12 + ["carpet on foam"] * 12
    (tmp_path / "map.json").write_text('{"ground": "carpet on foam"}')
    with pytest.raises(MaterialError, match="side"):
        load_scene(tmp_path / "room.glb", tmp_path / "map.json")


def test_tables_of_users_are_checked(tmp_path):
    path = tmp_path / "mine.json"
    row = {"name": "mine", "absorption": [0.1] * 6, "scattering": 0.2, "source": "measured"}
    path.write_text(json.dumps({"format": "piavas-materials-1", "materials": [row]}))
    mine = load_table(path)["mine"]
    assert isinstance(mine, Material)
    assert mine.scattering[3] == pytest.approx(0.2 * np.sqrt(500 / 707))
    row["absorption"] = [2] * 6
    path.write_text(json.dumps({"format": "piavas-materials-1", "materials": [row]}))
    with pytest.raises(MaterialError, match=str(path)):
        load_table(path)
    path.write_text("{}")
    with pytest.raises(MaterialError, match="format"):
        load_table(path)
