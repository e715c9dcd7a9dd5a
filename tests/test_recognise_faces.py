"""What pictures said of each face, on disk; and names of parts beside pictures."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import trimesh
from safetensors.numpy import load_file, save_file

from piavas.capture import load_capture
from piavas.cli import main
from piavas.errors import MaterialError
from piavas.materials import (
    FaceMaterials,
    assign,
    load_face_materials,
    load_parts,
    load_scene,
    load_table,
    save_scene,
)
from piavas.materials.faces import FACES, in_parts, save_face_materials
from piavas.materials.recognise import Guess
from piavas.scene import Mesh, Pose, Scene, triangle_areas
from rooms import photograph


class Halves:
    """Brick in the left half of every picture, carpet in the right one, neither for sure."""

    name = "halves"
    rows = ("brick", "carpet on foam", "marble")

    def recognise(self, view):
        segment = np.zeros(view.shape, np.int32)
        segment[:, view.shape[1] // 2 :] = 1
        return Guess(segment, np.array([[0.7, 0.2, 0.1], [0.15, 0.8, 0.05]]))


@pytest.fixture(scope="module")
def halves(visit):
    return assign(*visit, by=Halves())


def test_faces_of_the_scene_hold_the_means_of_their_parts(halves):
    found, faces = halves.recognition, halves.faces
    area = found.room.area
    total = triangle_areas(halves.scene.vertices, halves.scene.faces)
    assert len(total) == len(faces.probability) < len(area)
    # The room's mean distribution, views and doubt are those of the small faces.
    for small, whole in (
        (found.probability, faces.probability),
        (found.entropy[:, None], faces.entropy[:, None]),
        (found.votes.views[:, None], faces.views[:, None]),
    ):
        np.testing.assert_allclose(total @ whole, area @ small, rtol=1e-9)
    np.testing.assert_allclose(faces.probability.sum(axis=1), 1)
    # A face lies where its parts lie: so do the votes.
    k = int(np.argmax(total))
    a, b, c = halves.scene.vertices[halves.scene.faces[k]]
    normal = np.cross(b - a, c - a) / (2 * total[k])
    inside = np.ones(len(area), bool)
    for p, q in ((a, b), (b, c), (c, a)):
        inside &= (found.room.centre - p) @ np.cross(normal, q - p) > 0
    inside &= (np.abs((found.room.centre - a) @ normal) < 1e-6) & (found.room.normal @ normal > 0.9)
    weight = area[inside] / area[inside].sum()
    assert area[inside].sum() == pytest.approx(total[k])
    np.testing.assert_allclose(faces.probability[k], weight @ found.probability[inside])
    assert faces.views[k] == pytest.approx(weight @ found.votes.views[inside])


def test_they_come_back_from_disk(halves, tmp_path):
    save_scene(halves.scene, tmp_path, halves.faces)
    again, faces = load_face_materials(tmp_path), halves.faces
    assert again.rows == faces.rows
    assert len(again.probability) == len(load_scene(tmp_path).faces)
    assert np.abs(again.probability - faces.probability).max() <= 1 / 255
    np.testing.assert_allclose(again.probability.sum(axis=1), 1)
    np.testing.assert_allclose(again.entropy, faces.entropy, rtol=1e-3)
    np.testing.assert_allclose(again.views, faces.views, rtol=1e-3)
    save_face_materials(again, tmp_path / "again.safetensors")
    np.testing.assert_array_equal(
        load_face_materials(tmp_path / "again.safetensors").probability, again.probability
    )
    save_scene(halves.scene, tmp_path)
    assert not (tmp_path / FACES).exists()
    with pytest.raises(MaterialError, match="piavas materials"):
        load_face_materials(tmp_path)


def test_faces_without_area_have_distributions_too(visit, tmp_path):
    """Slivers, more of them in one place than neighbours are asked."""
    mesh, capture = visit
    a, b = mesh.vertices[mesh.faces[0, :2]]
    ends = mesh.faces[0, :2]
    vertices = np.concatenate([mesh.vertices, [(a + b) / 2]])
    sliver = np.tile([*ends, len(mesh.vertices)], (40, 1))
    found = assign(Mesh(vertices, np.concatenate([mesh.faces, sliver])), capture, by=Halves())
    np.testing.assert_allclose(found.recognition.probability.sum(axis=1), 1)
    save_scene(found.scene, tmp_path, found.faces)
    np.testing.assert_allclose(load_face_materials(tmp_path).probability.sum(axis=1), 1)


def test_parts_of_a_whole_sum_to_it():
    share = np.random.default_rng(5).dirichlet(np.full(27, 0.2), 500)
    parts = in_parts(share)
    np.testing.assert_array_equal(parts.sum(axis=1, dtype=int), 255)
    assert np.abs(parts / 255 - share).max() < 1 / 255
    np.testing.assert_array_equal(in_parts(parts / 255), parts)
    np.testing.assert_array_equal(in_parts(np.array([[1 / 3, 1 / 3, 1 / 3, 0]])), [[85, 85, 85, 0]])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("probability", lambda v: v[:, :1], "rows"),
        ("probability", lambda v: v.astype(np.float32), "float32"),
        ("probability", lambda v: np.minimum(v, 9), "255"),
        ("entropy", lambda v: v[1:], "entropy"),
        ("entropy", lambda v: v * np.float16(np.nan), "entropy"),
        ("views", lambda v: -v - 1, "views"),
        ("views", lambda v: None, "views"),
    ],
)
def test_spoiled_files_of_faces_are_named(tmp_path, name, change, message):
    file, share = tmp_path / FACES, np.array([[0.5, 0.5], [0.1, 0.9]])
    save_face_materials(FaceMaterials(("brick", "marble"), share, np.ones(2), np.ones(2)), file)
    tensors = load_file(file)
    tensors[name] = change(tensors[name])
    if tensors[name] is None:
        del tensors[name]
    about = {"format": "piavas-face-materials-1", "rows": '["brick", "marble"]'}
    for k, (metadata, told) in enumerate(((about, message), ({"format": "other"}, "format"))):
        spoiled = tmp_path / f"{k}.safetensors"
        save_file({n: np.ascontiguousarray(v) for n, v in tensors.items()}, spoiled, metadata)
        with pytest.raises(MaterialError, match=told) as caught:
            load_face_materials(spoiled)
        assert caught.value.file == str(spoiled)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MaterialError, match=str(file)):
        load_face_materials(file)


def test_faces_of_another_scene_are_refused(halves, tmp_path):
    with pytest.raises(MaterialError, match="the scene has 12"):
        save_scene(Scene.shoebox((3, 3, 3)), tmp_path, halves.faces)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A photographed box, and a writer of glTF files of it with given names of floor and rest."""
    folder = tmp_path_factory.mktemp("room")
    box = Scene.shoebox((4, 3, 2.5))
    poses = [
        Pose.at((2, 1.5, 1.5), yaw=a, pitch=p).matrix for a, p in ((0, -30), (120, 0), (240, 30))
    ]
    photograph(folder / "capture", box, poses)
    floor = np.abs(box.vertices[box.faces][:, :, 2]).max(axis=1) < 1e-9

    def write(ground: str, other: str):
        world = trimesh.Scene()
        for name, faces in ((ground, box.faces[floor]), (other, box.faces[~floor])):
            part = trimesh.Trimesh(box.vertices @ TO_Y_UP, faces, process=False)
            material = trimesh.visual.material.PBRMaterial(name=name)
            part.visual = trimesh.visual.TextureVisuals(material=material)
            world.add_geometry(part, node_name=name, geom_name=name)
        world.export(folder / "room.glb")
        return folder / "room.glb"

    return folder / "capture", write


TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def area_of(scene):
    names = [m.name for m in scene.materials]
    area = triangle_areas(scene.vertices, scene.faces)
    return dict(zip(names, np.bincount(scene.face_material, area, len(names)), strict=True))


def test_auto_takes_names_that_are_known(room, tmp_path, capsys):
    capture, write = room
    argv = ["materials", str(capture), "--mesh", str(write("Floor_01", "Brick.002"))]
    argv += ["--out", str(tmp_path), "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == "names in the mesh"
    assert told["mapped"] == {"Floor_01": "wood floor", "Brick.002": "brick"}
    assert area_of(load_scene(tmp_path)) == pytest.approx({"wood floor": 12, "brick": 47})
    assert not (tmp_path / FACES).exists()
    assert not (tmp_path / "materials.png").exists()


def test_auto_asks_pictures_where_names_say_nothing(room, tmp_path, capsys):
    capture, write = room
    argv = ["materials", str(capture), "--mesh", str(write("Carpet", "Object_7"))]
    argv += ["--out", str(tmp_path), "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == "names in the mesh, classifier where they say nothing"
    assert told["parts_unknown"] == ["Object_7"]
    row = told["parts"]["Carpet"]
    scene = load_scene(tmp_path)
    assert area_of(scene)[f"{row} (floor)"] == pytest.approx(12, rel=0.05)
    floor = np.abs(scene.vertices[scene.faces][:, :, 2]).max(axis=1) < 1e-6
    faces = load_face_materials(tmp_path)
    np.testing.assert_array_equal(faces.probability[floor, faces.rows.index(row)], 1)
    assert faces.entropy[floor].max() == 0
    assert faces.entropy[~floor].min() > 0
    assert cv2.imread(str(tmp_path / "materials.png")).std() > 10
    # Where no name says anything, pictures decide all; a mapping of one's own makes it known.
    mesh, parts = load_parts(write("Material.001", "Object_7"))
    table = load_table()
    assert dict(parts.known(table).rows) == {}
    assert dict(parts.known(table, {"Object_7": "brick"}).rows) == {"Object_7": "brick"}
    with pytest.raises(MaterialError, match="brik"):
        parts.known(table, {"Object_7": "brik"})
    found = assign(mesh, load_capture(capture), parts=parts)
    assert found.scene.report["materials"]["path"] == "classifier"
    assert found.scene.report["materials"]["parts_unknown"] == ["Material.001", "Object_7"]
    with pytest.raises(MaterialError, match="named parts"):
        assign(mesh, load_capture(capture), by="names")
