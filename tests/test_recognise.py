"""Votes against hand-computed ones, expectations against sums, a classifier on a small capture."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from scipy.special import logit

from piavas.capture import load_capture
from piavas.capture.types import Capture, Frame, Intrinsics
from piavas.cli import main
from piavas.errors import CheckpointError, MaterialError
from piavas.geometry import save_mesh
from piavas.materials import (
    assign,
    assign_materials,
    load_scene,
    load_table,
    load_vocabulary,
    save_scene,
)
from piavas.materials.fusion import cast_votes, fill_unseen
from piavas.materials.names import load_names, match_names
from piavas.materials.recognise import Classifier, Guess, Recogniser, Room, View
from piavas.materials.recognise.classifier import card_of
from piavas.materials.recognise.samples import Samples, sample
from piavas.materials.recognise.surroundings import PLACES
from piavas.materials.recognise.train import train
from piavas.materials.recognition import (
    OWN_SPREAD,
    gathered,
    likeliest,
    material_of,
    recognise_faces,
)
from piavas.scene import Mesh, Pose, Scene, triangle_areas
from rooms import photograph, two_rooms, walk

BANDS = 9


class Told:
    """Says of each frame what it is told to."""

    name = "told"
    rows = ("brick", "carpet on foam")

    def __init__(self, probabilities):
        self.probabilities = dict(probabilities)

    def recognise(self, view):
        p = self.probabilities.get(view.frame.image_path.name)
        segment = np.zeros(view.shape, np.int32)
        return None if p is None else Guess(segment, np.array([p], float))


def triangle(x):
    """One at `x`, its normal towards -x."""
    return [[x, -0.1, 0], [x, 0, 0.2], [x, 0.1, 0]]


def capture_of(tmp_path, poses):
    lens = Intrinsics(64, 48, 40.0, 40.0, 31.5, 23.5)
    frames = []
    for k, pose in enumerate(poses):
        path = tmp_path / f"{k}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
        frames.append(Frame(path, lens, pose.matrix))
    return Capture(tmp_path, "made", tuple(frames), np.eye(4))


def test_votes_weigh_angle_and_distance_as_by_hand(tmp_path):
    """One face, seen head-on from 1 m and at an angle from farther off."""
    vertices = np.array(triangle(2.0))
    room = Room.of(vertices, np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(room.normal[0], [-1, 0, 0], atol=1e-12)
    centre = room.centre[0]
    eyes = [centre - np.array([1, 0, 0]), centre + np.array([-2, 2, 0])]
    capture = capture_of(tmp_path, [Pose.looking_at(eye, centre) for eye in eyes])
    votes = cast_votes(room, capture, Told({"0.png": (0.9, 0.1), "1.png": (0.2, 0.8)}))
    one = 1.0 / (1 + (1 / 2) ** 2)
    two = np.sqrt(0.5) / (1 + (np.sqrt(8) / 2) ** 2)
    hand = one * np.array([0.9, 0.1]) + two * np.array([0.2, 0.8])
    np.testing.assert_allclose(votes.mass[0], hand, rtol=5e-3)  # faces are seen 2 mm off
    assert votes.views[0] == 2
    assert votes.best[0] == 0
    np.testing.assert_allclose(votes.spot[0], [31.5, 23.5], atol=1)


def test_what_is_hidden_or_turned_away_hears_no_votes(tmp_path):
    """A face behind another, and one that looks the other way."""
    near, far = triangle(1.0), triangle(2.0)
    away = [far[0], far[2], far[1]]
    vertices = np.array(
        [*(3 * np.array(near) - [2, 0, 0]), *far, *(np.array(away) + np.array([0, 3, 0]))]
    )
    room = Room.of(vertices, np.arange(9, dtype=np.int32).reshape(3, 3))
    poses = [Pose.at((0, 0, 0.07)), Pose.looking_at((0, 3, 0.07), (2, 3, 0.07))]
    votes = cast_votes(room, capture_of(tmp_path, poses), Told({"0.png": (1, 0), "1.png": (1, 0)}))
    assert list(votes.views) == [1, 0, 0]


def test_a_recogniser_may_have_nothing_to_say(tmp_path):
    room = Room.of(np.array(triangle(2.0)), np.array([[0, 1, 2]], np.int32))
    votes = cast_votes(room, capture_of(tmp_path, [Pose.at((0, 0, 0.07))]), Told({}))
    assert votes.views[0] == 0
    assert votes.best[0] == -1
    assert isinstance(Told({}), Recogniser)


def test_unseen_faces_follow_neighbours_in_place_and_normal():
    """Between a floor and a wall, a piece of floor follows the floor though the wall is nearer."""
    up, side = np.array([0.0, 0, 1]), np.array([1.0, 0, 0])
    floor = np.array([[x, 0.0, 0.0] for x in np.linspace(0.3, 1, 20)])
    wall = np.array([[0.0, 0.0, z] for z in np.linspace(0.05, 1, 20)])
    centre = np.concatenate([floor, wall, [[0.1, 0, 0]]])
    normal = np.concatenate([np.tile(up, (20, 1)), np.tile(side, (20, 1)), [up]])
    mass = np.concatenate([np.tile([2.0, 0], (20, 1)), np.tile([0, 3.0], (20, 1)), [[0, 0]]])
    share = fill_unseen(mass, centre, normal)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert share[-1, 0] > 0.9
    np.testing.assert_array_equal(share[0], [1, 0])


def test_expected_absorption_and_spread_are_sums_over_rows():
    table = load_table()
    rows = [table["brick"], table["carpet on foam"]]
    found = material_of("wall", (p := np.array([0.75, 0.25])), p @ absorption_of(rows), rows)
    mean = 0.75 * rows[0].absorption + 0.25 * rows[1].absorption
    np.testing.assert_allclose(found.absorption, mean)
    between = 0.75 * (logit(rows[0].absorption) - logit(mean)) ** 2
    between += 0.25 * (logit(rows[1].absorption) - logit(mean)) ** 2
    np.testing.assert_allclose(found.spread, np.sqrt(OWN_SPREAD**2 + between))
    sure = material_of("wall", np.array([1.0, 0]), rows[0].absorption, rows)
    np.testing.assert_allclose(sure.spread, OWN_SPREAD)
    np.testing.assert_allclose(sure.absorption, rows[0].absorption)


def absorption_of(rows):
    return np.stack([m.absorption for m in rows])


def test_absorption_is_gathered_where_it_likely_is():
    """Plaster that may be a curtain, a curtain that may be plaster, and brick that is known."""
    table = load_table()
    rows = [table[name] for name in ("painted plaster", "heavy curtain", "brick")]
    values = absorption_of(rows)
    mixture = np.array([[0.8, 0.2, 0], [0.3, 0.7, 0], [0, 0, 1]])
    area = np.array([60.0, 10, 30])
    found = gathered(mixture, likeliest(mixture), area, rows)
    even = mixture @ values
    np.testing.assert_allclose(area @ found, area @ even, rtol=1e-9)  # the room's mean stays
    np.testing.assert_allclose(found[2], rows[2].absorption)
    soft = values[1] > 2 * values[0]
    assert soft.sum() >= 5
    assert (found[0] < even[0])[soft].all() and (found[1] > even[1])[soft].all()
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(likeliest(mixture), np.eye(3))
    # Most of what lacks is given to the curtain, as far as it can take it.
    assert (found[1] - values[1] > found[0] - values[0])[soft].all()
    # Doubt alike everywhere leaves nothing to gather: each absorbs what is to be expected.
    alike = np.tile([0.6, 0.4, 0], (3, 1))
    np.testing.assert_allclose(gathered(alike, likeliest(alike), area, rows), alike @ values)


def test_the_mean_absorption_of_a_scene_is_that_of_its_distributions(visit):
    mesh, capture = visit
    names = {
        f.image_path.name: ((0.6, 0.4), (0.1, 0.9))[k % 2] for k, f in enumerate(capture.frames)
    }
    found = assign(mesh, capture, by=Told(names))
    scene, recognition = found.scene, found.recognition
    table = load_table()
    rows = np.stack([table[name].absorption for name in recognition.rows])
    area = recognition.room.area
    exact = area @ recognition.probability @ rows / area.sum()
    faces = triangle_areas(scene.vertices, scene.faces)
    values = np.stack([m.absorption for m in scene.materials])[scene.face_material]
    np.testing.assert_allclose(faces @ values / faces.sum(), exact, rtol=1e-9)
    p = recognition.probability
    np.testing.assert_allclose(recognition.entropy, -(p * np.log(p)).sum(axis=1))
    assert set(np.unique(recognition.votes.views)) <= set(range(len(capture) + 1))


def test_a_ceiling_is_no_carpet(visit):
    """All pictures say carpet a little louder than plaster: floors believe it, ceilings do not."""
    mesh, capture = visit
    teller = Told({f.image_path.name: (0.4, 0.6) for f in capture.frames})
    teller.rows = ("painted plaster", "carpet on foam")
    prior = load_vocabulary(load_table()).prior(teller.rows)
    found = recognise_faces(mesh, capture, teller, prior)
    ceiling, floor = (found.place == PLACES.index(name) for name in ("ceiling", "floor"))
    # By hand: 0.4 to 0.6 with the odds of the place, 20 to 1 against what is not at home there.
    assert found.probability[ceiling, 0].max() == pytest.approx(0.4 / (0.4 + 0.05 * 0.6), abs=0.01)
    assert np.median(found.probability[ceiling, 0]) > 0.9  # at edges walls smooth into it
    assert found.probability[floor, 1].max() == pytest.approx(0.6 / (0.6 + 0.05 * 0.4), abs=0.01)
    assert np.median(found.probability[floor, 1]) > 0.9


def test_places_in_a_box_of_known_sides():
    box = Scene.shoebox((4, 3, 2.5))
    place = Room.of(box.vertices, box.faces).surroundings.place
    assert [PLACES[k] for k in place[::2]] == ["wall"] * 4 + ["floor", "ceiling"]


def test_corrections_are_heard_and_kept(visit, tmp_path, capsys):
    mesh, capture = visit
    save_mesh(mesh, tmp_path / "mesh.ply")
    out = tmp_path / "scene"
    argv = ["materials", str(capture.root), "--mesh", str(tmp_path / "mesh.ply"), "--out", str(out)]
    assert main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == "classifier"
    picture = cv2.imread(str(out / "materials.png"))
    assert picture.std() > 10
    file = out / "materials.json"
    data = json.loads(file.read_text())
    name = data["materials"][0]["name"]
    data["corrections"] = {name: "acoustic ceiling tile", "sauna (wall)": "wood panelling"}
    file.write_text(json.dumps(data))
    tile = load_table()["acoustic ceiling tile"].absorption
    np.testing.assert_array_equal(load_scene(out).materials[0].absorption, tile)
    assert main(argv) == 0
    again = load_scene(out)
    index = [m.name for m in again.materials].index(name)
    np.testing.assert_array_equal(again.materials[index].absorption, tile)
    assert again.materials[index].spread is None
    assert json.loads(file.read_text())["corrections"] == data["corrections"]
    assert again.report["materials"]["corrections_unused"] == ["sauna (wall)"]
    for spoiled, message in (
        ({name: "acustic ceiling tile"}, "did you mean"),
        ([1], "corrections"),
    ):
        file.write_text(json.dumps({**data, "corrections": spoiled}))
        with pytest.raises(MaterialError, match=message) as caught:
            load_scene(out)
        assert caught.value.file == str(file)
        assert main(argv) == 2
        assert str(file) in capsys.readouterr().err


def test_spreads_survive_the_disk(visit, tmp_path):
    mesh, capture = visit
    teller = Told({f.image_path.name: (0.4, 0.6) for f in capture.frames})
    scene = assign_materials(mesh, capture, by=teller)
    save_scene(scene, tmp_path)
    for one, two in zip(scene.materials, load_scene(tmp_path).materials, strict=True):
        np.testing.assert_array_equal(one.spread, two.spread)
    file = tmp_path / "materials.json"
    data = json.loads(file.read_text())
    data["materials"][0]["spread"] = [1.0, -1.0]
    file.write_text(json.dumps(data))
    with pytest.raises(MaterialError, match="spread"):
        load_scene(tmp_path)


def test_ways_that_are_none_are_refused(visit):
    mesh, capture = visit
    with pytest.raises(MaterialError, match="open-vocabulary"):
        assign_materials(mesh, capture, by="magic")
    with pytest.raises(MaterialError, match="label images"):
        assign_materials(mesh, capture, by="labels")


def test_the_shipped_classifier_is_small_and_states_its_measure():
    found, card = Classifier.load(), card_of()
    assert set(found.rows) <= set(load_table())
    confusion = np.array(card["held_out"]["confusion"])
    assert confusion.shape == (len(found.rows),) * 2
    some = confusion.sum(axis=1) > 0
    np.testing.assert_allclose(confusion[some].sum(axis=1), 1, atol=0.02)
    assert card["held_out"]["accuracy"] > 0.4
    value = found.probabilities(np.zeros((3, len(found.mean)), np.float32))
    np.testing.assert_allclose(value.sum(axis=1), 1, rtol=1e-6)


NAMES = {0: "wood floor", 1: "painted plaster"}
COLOURS = {0: (40, 90, 150), 1: (225, 230, 232)}  # BGR


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """The two rooms with a brown floor, all else white; labelled."""
    world = two_rooms()
    corners = world.vertices[world.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    floor = (normal[:, 2] > 0) & (corners[:, :, 2].max(axis=1) < 0.01)
    folder = tmp_path_factory.mktemp("coloured")
    label = np.where(floor, 0, 1)
    photograph(folder, world, walk(18), face_label=label, names=NAMES)
    rng = np.random.default_rng(0)
    for path in folder.glob("*.label.png"):
        which = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image = np.array([COLOURS[k] for k in range(2)])[which] + rng.normal(
            0, 4, (*which.shape, 3)
        )
        name = path.name.replace(".label", "")
        cv2.imwrite(str(folder / name), np.clip(image, 0, 255).astype(np.uint8))
    return world, floor, load_capture(folder)


def test_a_classifier_learns_two_materials_and_comes_back_from_disk(coloured, tmp_path):
    world, floor, capture = coloured
    mesh = Mesh(world.vertices, world.faces)
    rows = tuple(NAMES.values())
    samples = sample(capture, mesh, rows)
    half = len(samples.area) // 2
    parts = [
        Samples(samples.features[cut], samples.share[cut], samples.area[cut], rows)
        for cut in (slice(half), slice(half, None))
    ]
    made = train(parts[:1], parts[1:], tmp_path, members=2, epochs=4, command="a test")
    assert card_of(tmp_path)["held_out"]["accuracy"] > 0.95
    found = Classifier.load(tmp_path)
    x = samples.features[:50]
    np.testing.assert_array_equal(found.probabilities(x), made.probabilities(x))
    scene = assign_materials(mesh, capture, by=found)
    area = triangle_areas(scene.vertices, scene.faces)
    named = np.array([m.name.startswith("wood floor") for m in scene.materials])
    true = triangle_areas(world.vertices, world.faces)[floor].sum()
    assert area[named[scene.face_material]].sum() == pytest.approx(true, rel=0.1)


def test_probabilities_are_those_of_the_layers_by_hand():
    w1, b1 = np.array([[1.0, -1], [0.5, 2]], np.float32), np.array([0.1, -0.2], np.float32)
    w2, b2 = np.array([[1.0, 0], [0, 1], [1, 1]], np.float32), np.zeros(3, np.float32)
    found = Classifier(
        ("a", "b", "c"), np.array([1.0, 2], np.float32), np.array([2.0, 4], np.float32),
        (((w1, b1), (w2, b2)),), temperature=2.0,
    )  # fmt: skip
    x = np.array([[3.0, 2.0]], np.float32)
    hidden = np.maximum(w1 @ [1.0, 0.0] + b1, 0)
    e = np.exp(w2 @ hidden / 2)
    np.testing.assert_allclose(found.probabilities(x)[0], e / e.sum(), rtol=1e-6)


def test_spoiled_classifiers_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        Classifier.load(tmp_path)
    (tmp_path / "classifier.json").write_text(json.dumps(card_of()))
    (tmp_path / "classifier.safetensors").write_bytes(b"1234")
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        Classifier.load(tmp_path)
    (tmp_path / "classifier.json").write_text('{"format": "x"}')
    with pytest.raises(CheckpointError, match="format"):
        Classifier.load(tmp_path)


def test_names_of_datasets_and_modellers_are_known():
    table = load_table()
    assert set(load_names().values()) <= set(table)
    found = match_names(
        ["brick", "Kitchen_Cabinet", "OakTable.003", "thing"], table, {"thing": "marble"}
    )
    assert dict(found.rows) == {
        "brick": "brick",
        "Kitchen_Cabinet": "wooden furniture",
        "OakTable.003": "wooden furniture",
        "thing": "marble",
    }
    assert (found.mapped, found.guessed) == (("Kitchen_Cabinet",), ("OakTable.003",))
    with pytest.raises(MaterialError, match="did you mean 'curtain'"):
        match_names(["curtian"], table)


def test_named_parts_of_a_mesh_need_no_mapping(tmp_path):
    import trimesh

    world = trimesh.Scene()
    for name, sides in (("Floor_01", (3, 3, 0.1)), ("Sofa", (1, 1, 1))):
        part = trimesh.creation.box(sides)
        part.visual = trimesh.visual.TextureVisuals(
            material=trimesh.visual.material.PBRMaterial(name=name)
        )
        world.add_geometry(part, node_name=name, geom_name=name)
    world.export(tmp_path / "room.glb")
    scene = load_scene(tmp_path / "room.glb")
    assert sorted(m.name for m in scene.materials) == ["upholstered sofa", "wood floor"]
    assert scene.report["materials"]["path"] == "names in the mesh"
    assert scene.report["materials"]["mapped"] == {
        "Floor_01": "wood floor",
        "Sofa": "upholstered sofa",
    }


def test_views_ask_rays_what_they_show(visit):
    mesh, capture = visit
    room = Room.of(mesh.vertices, mesh.faces)
    face, distance = View(capture.frames[0], room).rays
    depth = capture.frames[0].depth()
    assert face.shape == depth.shape
    eye = capture.frames[0].pose[:3, 3]
    v, u = 60, 80
    way = np.array([(u - 79.5) / 90, -(v - 59.5) / 90, -1])
    far = depth[v, u] * np.linalg.norm(way)
    assert distance[v, u] == pytest.approx(far, rel=0.05)
    assert np.isfinite(eye).all()
