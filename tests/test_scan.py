"""Scans made closed: a true world broken as devices break it, scans that are none, real ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose

from conftest import shared
from piavas.cli import main
from piavas.errors import GeometryError
from piavas.geometry import clean_scan, load_mesh
from piavas.geometry.compare import sample_surface
from piavas.geometry.files import TURN_UP
from piavas.geometry.places import face_normals
from piavas.geometry.report import volume
from piavas.geometry.scan import drop_floating, look_round
from piavas.materials import Parts, carry, load_parts, load_scene, load_table
from piavas.materials.parts import parts_of
from piavas.rays import RayCaster
from piavas.scene import INFERRED, INVENTED, OBSERVED, Mesh, Scene, triangle_areas
from rooms import distance_to, two_rooms

VOXEL = 0.1
WORLD = two_rooms()


def broken(*, holes=12, flip=0.0, seed=3) -> Mesh:
    """The two rooms in triangles that share no vertices, with holes and floating pieces."""
    generator = np.random.default_rng(seed)
    vertices, faces = trimesh.remesh.subdivide_to_size(WORLD.vertices, WORLD.faces, 0.3)
    centre = vertices[faces].mean(axis=1)
    keep = np.ones(len(faces), bool)
    for at in centre[generator.integers(len(centre), size=holes)]:
        keep &= np.linalg.norm(centre - at, axis=1) > generator.uniform(0.25, 0.45)
    faces = faces[keep]
    turned = generator.random(len(faces)) < flip
    faces[turned] = faces[turned, ::-1]
    corners = vertices[faces].reshape(-1, 3)
    corners += 1e-4 * generator.uniform(-1, 1, corners.shape)
    floating = trimesh.creation.icosphere(1, 0.1)
    spots = np.array([(1.0, 3.0, 1.4), (6.0, 2.0, 1.7), (3.2, 1.0, 2.2), (2.0, -3.0, 1.0)])
    pieces = [floating.vertices + spot for spot in spots]
    extra = [floating.faces + len(corners) + i * len(floating.vertices) for i in range(len(spots))]
    return Mesh(
        np.concatenate([corners, *pieces]),
        np.concatenate([np.arange(len(corners)).reshape(-1, 3), *extra]).astype(np.int32),
    )


@pytest.fixture(scope="module")
def scan() -> Mesh:
    return broken()


@pytest.fixture(scope="module")
def cleaned(scan) -> Mesh:
    return clean_scan(scan, voxel=VOXEL)


# --- a world of known truth


def test_the_broken_world_is_closed_and_true(cleaned):
    assert cleaned.report["leak"] == 0
    assert trimesh.Trimesh(cleaned.vertices, cleaned.faces, process=False).is_watertight
    assert cleaned.report["volume"] == pytest.approx(WORLD.volume, rel=0.03)
    wall = cleaned.vertices[np.abs(cleaned.vertices[:, 0] - 8.2) < 0.05, 0]
    assert len(wall) and np.abs(np.median(wall) - 8.2) < 0.02
    assert_allclose(cleaned.report["floor"], 0, atol=0.02)
    # The doorway, 2 m high, may be a part of the plan of its own, or a hole in a wall.
    found = [height for height in cleaned.report["ceilings"] if abs(height - 2.0) > 0.02]
    assert_allclose(found, [2.4, 2.7], atol=0.02)


def test_the_doorway_stays_and_the_table_too(cleaned):
    caster = RayCaster(cleaned.vertices, cleaned.faces)
    assert caster.visible([[3.5, 3.1, 1.2]], [[5.0, 3.1, 1.2]])[0]
    assert not caster.visible([[3.5, 1.0, 1.2]], [[5.0, 1.0, 1.2]])[0]
    distance, face = caster.closest([[2.0, 1.5, 1.5]], [[0.0, 0.0, -1.0]])
    assert distance[0] == pytest.approx(0.75, abs=0.03)
    a, b, c = cleaned.triangles[face[0]]
    assert np.cross(b - a, c - a)[2] > 0  # into the air


def test_what_was_observed_lies_where_the_world_is(cleaned):
    seen, _ = sample_surface(cleaned, 1500, faces=cleaned.origin == 0)
    gap = distance_to(seen, WORLD.vertices, WORLD.faces)
    assert np.median(gap) < 0.001
    assert np.quantile(gap, 0.9) < 0.015


def test_the_report_says_what_was_done(scan, cleaned):
    told = cleaned.report["scan"]
    assert told["faces"] == len(scan.faces)
    assert told["floating"]["pieces"] == 4
    assert told["floating"]["faces"] == 4 * 80
    assert told["floating"]["area"] == pytest.approx(4 * 4 * np.pi * 0.1**2, rel=0.1)
    # Each inner vertex stood there once for each of its faces.
    assert told["welded"] > 0.6 * len(scan.vertices)
    assert told["places_by"] == "sides"
    assert told["turned"] < 0.01  # backs are met through the holes alone
    area = cleaned.report["area"]
    assert area["observed"] > 0.8 * sum(area.values())


def test_sides_that_are_wrong_are_found_out(scan):
    back = Mesh(scan.vertices, scan.faces[:, ::-1])
    looks = look_round(back)
    assert looks.report["turned"] > 0.99 and looks.rays.sided
    mixed = look_round(broken(flip=0.5))
    assert mixed.report["turned"] == pytest.approx(0.5, abs=0.1)
    assert mixed.report["places_by"] == "enclosed" and not mixed.rays.sided


def test_mixed_sides_do_no_harm():
    mesh = clean_scan(broken(flip=0.5), voxel=VOXEL)
    assert mesh.report["leak"] == 0
    assert mesh.report["volume"] == pytest.approx(WORLD.volume, rel=0.03)


def test_places_are_in_the_air_of_both_rooms(scan):
    at = look_round(scan).capture.positions
    assert ((at > 0) & (at < (8.2, 4, 2.7))).all()
    assert {bool(x > 4.1) for x in at[:, 0]} == {False, True}
    gap = distance_to(np.unique(at, axis=0), WORLD.vertices, WORLD.faces)
    assert gap.min() > 0.2


def test_given_places_are_taken():
    places = [(1.0, 3.0, 1.4), (3.3, 3.1, 1.5), (5.2, 1.0, 1.5)]
    looks = look_round(broken(), places)
    assert looks.report["places_by"] == "given"
    assert_allclose(np.unique(looks.capture.positions, axis=0), places)


def test_pieces_that_nearly_touch_stay(scan):
    mesh, pieces = drop_floating(scan)
    assert pieces == 4
    again, none = drop_floating(mesh)
    assert none == 0 and len(again.faces) == len(mesh.faces)


# --- names of parts

NAMES = np.array(["Floor_01", "carpet", "Table", "Brick.002"])
CROSS = 0.12 * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])


def part_of(place, normal):
    """Index into `NAMES`: a rug of 1 x 2 m on the floor, the table, all else is wall."""
    x, y, z = np.moveaxis(place, -1, 0)
    low = (z < 0.1) & (normal[..., 2] > 0.7)
    rug = low & (x > 5) & (x < 6) & (y > 1) & (y < 3)
    near = (place > np.array(WORLD.table[0]) - 0.06) & (place < np.array(WORLD.table[1]) + 0.06)
    return np.select([rug, low, near.all(axis=-1)], [1, 0, 2], 3)


def called(upside: bool) -> trimesh.Scene:
    """The broken rooms as glTF with names; with backs to the air, if `upside`."""
    whole = broken(holes=6)
    a, b, c = np.moveaxis(whole.triangles, 1, 0)
    normal = np.cross(b - a, c - a)
    part = part_of((a + b + c) / 3, normal / np.linalg.norm(normal, axis=1, keepdims=True))
    world, to_y = trimesh.Scene(), TURN_UP.T
    for k, name in enumerate(NAMES):
        faces = whole.faces[part == k]
        faces = faces[:, ::-1] if upside else faces
        piece = trimesh.Trimesh(whole.vertices @ to_y.T, faces, process=False)
        material = trimesh.visual.material.PBRMaterial(name=name)
        piece.visual = trimesh.visual.TextureVisuals(material=material)
        world.add_geometry(piece, node_name=name, geom_name=name)
    return world


@pytest.mark.parametrize("upside", [False, True])
def test_closed_scans_keep_the_names_of_their_parts(tmp_path, upside, capsys):
    called(upside).export(tmp_path / "scan.glb")
    out = tmp_path / "mesh.ply"
    argv = ["reconstruct", str(tmp_path / "scan.glb"), "--out", str(out), "--voxel", str(VOXEL)]
    assert not main([*argv, "--json"])
    told = json.loads(capsys.readouterr().out)
    mesh, parts = load_parts(out)
    assert "parts" not in mesh.report
    assert [run["name"] for run in told["parts"]] == list(parts.names)
    assert sum(run["faces"] for run in told["parts"]) == told["triangles"] == len(mesh.faces)
    # Cut, nothing has moved.
    assert volume(mesh.vertices, mesh.faces) == pytest.approx(mesh.report["volume"], abs=1e-3)
    # Away from borders each piece is called what the world is called there, rugs keep their size.
    points, face = sample_surface(mesh, 4000)
    normal = face_normals(mesh)[face]
    true = part_of(points[:, None] + CROSS, normal[:, None] + 0 * CROSS)
    deep = (true == true[:, :1]).all(axis=1)
    names = np.array(parts.names)[parts.index[face]]
    assert deep.mean() > 0.7
    assert (names == NAMES[true[:, 0]])[deep].mean() > 0.98
    rug = triangle_areas(mesh.vertices, mesh.faces)[parts.index == parts.names.index("carpet")]
    assert rug.sum() == pytest.approx(2, rel=0.2)
    scene = load_scene(out)  # names alone make a scene of it
    assert scene.report["materials"]["path"] == "names in the mesh"
    assert {m.name for m in scene.materials} >= {"wood floor", "brick", "wooden furniture"}


def test_what_was_not_scanned_has_no_name():
    """A box of which the floor alone was scanned, its walls inferred, its ceiling invented."""
    box = Scene.shoebox((4, 3, 2.5))
    height = box.vertices[box.faces][..., 2]
    floor, ceiling = (height < 1e-6).all(axis=1), (height > 2.4).all(axis=1)
    scan = Mesh(box.vertices, box.faces[floor])
    parts = Parts(("Floor", "Floor"), np.array([0, 1], np.int32), (True, True))
    origin = np.select([floor, ceiling], [OBSERVED, INVENTED], INFERRED)
    mesh, found = carry(parts, scan, Mesh(box.vertices, box.faces, origin))
    area = np.bincount(found.index, triangle_areas(mesh.vertices, mesh.faces))
    assert found.names == ("Floor", "not scanned") and found.given == (True, False)
    assert_allclose(area, [12 + 35, 12])
    assert len(mesh.faces) == 12  # where parts of one name meet, nothing is cut
    assert np.bincount(mesh.origin).tolist() == [2, 8, 2]
    assert found.match(load_table()).rows["not scanned"] == "default"
    _, same = parts_of(mesh)
    assert same.names == found.names and (same.index == found.index).all()
    with pytest.raises(GeometryError, match="12 faces of 11"):
        parts_of(Mesh(mesh.vertices, mesh.faces[1:], report=mesh.report))


# --- scans that are none


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_another_unit_is_said(scan, unit):
    with pytest.raises(GeometryError, match="m across"):
        clean_scan(Mesh(scan.vertices * unit, scan.faces))


def test_an_open_ground_encloses_nothing():
    ground = trimesh.creation.box((20, 20, 0.1))
    with pytest.raises(GeometryError, match="encloses no place"):
        clean_scan(Mesh(ground.vertices, ground.faces))


# --- real ones


@pytest.mark.parametrize("name", ["LAS0", "WACRO3"])
def test_scans_of_an_office_do_not_leak(name):
    mesh = clean_scan(load_mesh(shared(f"data/riken/{name}.obj"), up="y"), voxel=VOXEL)
    assert mesh.report["leak"] == 0
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    assert mesh.report["scan"]["floating"]["pieces"] > 0
    assert abs(mesh.report["floor"]) < 0.1
    assert 15 < mesh.report["volume"] < 90


# --- from the command line


def test_the_verb_takes_a_scan_with_y_up(scan, tmp_path, capsys):
    y_up = trimesh.Trimesh(scan.vertices[:, [0, 2, 1]] * (1, 1, -1), scan.faces, process=False)
    y_up.apply_scale(100)
    y_up.export(tmp_path / "scan.obj")
    out = tmp_path / "mesh.ply"
    options = ["--voxel", str(VOXEL), "--up", "y", "--metres", "0.01", "--json"]
    assert not main(["reconstruct", str(tmp_path / "scan.obj"), "--out", str(out), *options])
    told = json.loads(capsys.readouterr().out)
    assert told["scan"]["floating"]["pieces"] == 4 and told["leak"] == 0
    mesh = load_mesh(out)
    assert mesh.report["volume"] == pytest.approx(WORLD.volume, rel=0.03)
    assert mesh.report["scan"] == told["scan"]


def test_the_verb_names_what_is_wrong(scan, tmp_path, capsys):
    trimesh.Trimesh(scan.vertices * 1000, scan.faces).export(tmp_path / "scan.ply")
    out = str(tmp_path / "mesh.ply")
    for path, extra, told in (
        ("scan.ply", [], "m across"),
        ("gone.obj", [], "no such file"),
        (".", ["--up", "y"], "is no scan"),
    ):
        assert main(["reconstruct", str(tmp_path / path), "--out", out, *extra]) == 2
        assert told in " ".join(capsys.readouterr().err.split())


def test_the_verb_says_what_a_scan_will_cost(scan, tmp_path, capsys):
    trimesh.Trimesh(scan.vertices, scan.faces).export(tmp_path / "scan.ply")
    out = tmp_path / "mesh.ply"
    words = ["reconstruct", str(tmp_path / "scan.ply"), "--out", str(out), "--dry-run", "--json"]
    assert not main([*words, "--voxel", "0.15"])
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"] > 0 and told["frames"] == 144
    assert not out.exists()
