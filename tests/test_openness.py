"""Places without walls or sky above: said so, and simulated without sound that comes back."""

from __future__ import annotations

import numpy as np
import pytest
from manifold3d import Manifold

from piavas import Simulator
from piavas.capture import load_capture
from piavas.cli import main
from piavas.errors import GeometryError
from piavas.geometry import load_mesh, reconstruct
from piavas.materials import assign_materials, load_scene
from piavas.scene import INVENTED, OPEN, Pose, triangle_areas
from rooms import TwoRooms, photograph, two_rooms, walk

VOXEL = 0.1


def world(*boxes):
    """Solid boxes, `(low, high)`, their normals into the air about them."""
    solid = Manifold()
    for low, high in boxes:
        size = np.subtract(high, low).astype(float)
        solid += Manifold.cube(tuple(size)).translate(tuple(map(float, low)))
    mesh = solid.to_mesh()
    faces = np.asarray(mesh.tri_verts, np.int32)
    return TwoRooms(np.asarray(mesh.vert_properties, float)[:, :3], faces, 0.0)


GROUND = ((-15, -15, -0.3), (15, 15, 0))


def look_about(count=30, x=(-0.6, 0.6), y=(-0.6, 0.6), pitches=(-35, 0, 40)):
    """Poses at eye height that look all round."""
    chance = np.random.default_rng(0)
    return [
        Pose.at(
            (chance.uniform(*x), chance.uniform(*y), 1.5 + chance.uniform(-0.1, 0.1)),
            yaw=137.5 * i,
            pitch=pitches[i % len(pitches)],
        ).matrix
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def meadow(tmp_path_factory):
    """Ground, the face of one house 3 m away, and the sky."""
    house = world(GROUND, ((-6, 3, -0.3), (6, 3.5, 5)))
    return photograph(tmp_path_factory.mktemp("meadow"), house, look_about())


@pytest.fixture(scope="module")
def court(tmp_path_factory):
    """Four walls, 3 m high, under the sky."""
    walls = [
        ((-3, 2.5, 0), (3, 3, 3)), ((-3, -3, 0), (3, -2.5, 3)),
        ((2.5, -3, 0), (3, 3, 3)), ((-3, -3, 0), (-2.5, 3, 3)),
    ]  # fmt: skip
    yard = world(((-3, -3, -0.3), (3, 3, 0)), *walls)
    return photograph(tmp_path_factory.mktemp("court"), yard, look_about())


@pytest.fixture(scope="module")
def wall(tmp_path_factory):
    """Pictures of one wall of a room and of the floor before it, and of nothing else."""
    room = two_rooms()
    poses = [
        Pose.at((1.0 + 0.25 * i, 2.4, 1.5), yaw=90 + 3 * (i - 4), pitch=(-25, 0)[i % 2]).matrix
        for i in range(9)
    ]
    return photograph(tmp_path_factory.mktemp("wall"), room, poses)


def area(mesh):
    return mesh.report["area"]


def test_a_room_is_not_open(tmp_path):
    mesh = reconstruct(load_capture(photograph(tmp_path, two_rooms(), walk())), voxel=VOXEL)
    told = mesh.report["openness"]
    assert told["opened"] == [] and "warnings" not in mesh.report
    assert "open" not in area(mesh)
    assert told["sides_known"] > 0.9 and told["top_known"] > 0.9


def test_a_room_whose_ceiling_nobody_looked_at_keeps_one_and_says_so(tmp_path):
    poses = [pose for pose in walk(60) if pose[2, 2] > 0.2]  # they look down
    mesh = reconstruct(load_capture(photograph(tmp_path, two_rooms(), poses)), voxel=VOXEL)
    assert "top" not in mesh.report["openness"]["opened"]
    (told,) = mesh.report["warnings"]
    assert told["name"] == "ceiling-unseen" and "--open unseen" in told["mend"]


def test_outdoors_sides_and_sky_are_open(meadow):
    mesh = reconstruct(load_capture(meadow), voxel=VOXEL)
    assert mesh.report["openness"]["opened"] == ["sides", "top"]
    (told,) = mesh.report["warnings"]
    assert told["name"] == "open" and "no sound comes back" in told["what"]
    high = mesh.triangles[..., 2].min(axis=1) > 1.0
    # Nothing but the house stands there.
    house = (np.abs(mesh.triangles[..., 1] - 3) < 0.1).all(axis=1)
    size = triangle_areas(mesh.vertices, mesh.faces) * (high & ~house)
    assert size[mesh.origin == OPEN].sum() > 0.95 * size.sum()
    middle = mesh.triangles.mean(axis=1)
    front = house & (np.abs(middle[:, 0]) < 4) & (middle[:, 2] < 4)
    size = triangle_areas(mesh.vertices, mesh.faces) * front
    assert size[mesh.origin == OPEN].sum() < 0.02 * size.sum()


def test_a_court_is_open_to_the_sky_alone(court):
    mesh = reconstruct(load_capture(court), voxel=VOXEL)
    assert mesh.report["openness"]["opened"] == ["top"]
    assert mesh.report["openness"]["sides_known"] > 0.9
    top = mesh.triangles[mesh.origin == OPEN]
    assert area(mesh)["open"] == pytest.approx(25, rel=0.25) and (top[..., 2] > 2).all()


def test_one_wall_is_no_room_and_nothing_comes_back_from_the_rest(wall):
    mesh = reconstruct(load_capture(wall), voxel=VOXEL)
    told = mesh.report["openness"]
    assert told["sides_known"] < 0.5 and told["opened"] == ["sides", "top"]
    (said,) = mesh.report["warnings"]
    assert said["what"].startswith("no closed room can be known")


def test_a_corner_is_a_rooms_and_what_nobody_saw_of_it_is_closed(tmp_path):
    """The same camera turns from the far wall of the room to that at its side, and no farther."""
    poses = [
        Pose.at((1.2 + 0.1 * i, 1.2, 1.5), yaw=100 + 10 * i, pitch=(-25, 0)[i % 2]).matrix
        for i in range(9)
    ]
    mesh = reconstruct(load_capture(photograph(tmp_path, two_rooms(), poses)), voxel=VOXEL)
    told = mesh.report["openness"]
    assert told["sides_known"] < 0.5 and told["opened"] == []
    (said,) = mesh.report["warnings"]
    assert said["name"] == "sides-unseen" and "--open unseen" in said["mend"]


def test_the_way_can_be_chosen(wall):
    capture = load_capture(wall)
    never = reconstruct(capture, voxel=VOXEL, openings="never")
    assert not (never.origin == OPEN).any() and (never.origin == INVENTED).any()
    unseen = reconstruct(capture, voxel=VOXEL, openings="unseen")
    assert unseen.report["openness"]["opened"] == ["sides", "top"]
    with pytest.raises(GeometryError, match="is no way"):
        reconstruct(capture, voxel=VOXEL, openings="maybe")


def test_open_faces_do_not_reflect(meadow):
    """Ground and house answer at once; after that the closed shell rings on and the open not."""
    capture, late = load_capture(meadow), {}
    for way in ("auto", "never"):
        mesh = reconstruct(capture, voxel=VOXEL, openings=way)
        scene = assign_materials(mesh, capture, by="default")
        names = [material.name for material in scene.materials]
        assert ("open" in names) == (way == "auto")
        simulator = Simulator(output="mono", sample_rate=16_000, rays=2000, duration=0.25, seed=0)
        heard = simulator(scene, (0.5, 0.3, 1.4), [(-0.5, -0.4, 1.5)]).samples[0, 0]
        energy = np.cumsum(heard[::-1].astype(float) ** 2)[::-1]
        late[way] = 10 * np.log10(energy[int(0.06 * 16_000)] / energy[0])
    assert late["auto"] < -40 and late["auto"] < late["never"] - 20


def test_the_verbs_carry_openness_to_the_scene(court, tmp_path, capsys):
    out, room = tmp_path / "mesh.ply", tmp_path / "room"
    assert not main(["reconstruct", str(court), "--out", str(out), "--voxel", "0.1"])
    assert "warning: open: the place is open to the sky" in capsys.readouterr().err
    assert (load_mesh(out).origin == OPEN).any()
    words = ["materials", str(court), "--mesh", str(out), "--out", str(room), "--by", "default"]
    assert not main(words)
    scene = load_scene(room)
    (index,) = [k for k, m in enumerate(scene.materials) if m.name == "open"]
    np.testing.assert_array_equal(scene.face_material == index, scene.origin == OPEN)
    assert (scene.materials[index].absorption == 1).all()
