"""Generated worlds: closed, furnished, never twice the same, and photographed as they are."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import trimesh

from piavas.acoustics.defects import check_faces
from piavas.capture import load_capture
from piavas.errors import CaptureError, DataError
from piavas.files import read_json, write_json
from piavas.rays import RayCaster
from piavas.scene import Mesh, triangle_areas
from piavas.twin import World, generate_capture, load_world, make_world
from piavas.twin.clean import without_slivers
from piavas.twin.finishes import MATERIALS, Finish
from piavas.twin.furnish import furnish, start_palette
from piavas.twin.generate import FARTHEST, lens
from piavas.twin.openings import GLASS, build_shell
from piavas.twin.path import BOUNCES, PathCamera
from piavas.twin.plan import WALL, Plan, make_plan
from piavas.twin.shade import BULB, Camera
from piavas.twin.sky import outside
from piavas.twin.smooth import smooth
from piavas.twin.solids import Kit, carve
from piavas.twin.textures import PATTERNS, SIZE, texture
from piavas.twin.walk import walk

SEEDS = range(6)
WIDTH, HEIGHT = 80, 60


@pytest.fixture(scope="module")
def worlds():
    return [make_world(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    world = generate_capture(folder, 3, frames=4, width=WIDTH, height=HEIGHT, depth_noise=0.0)
    return world, folder


def names(world):
    return {MATERIALS[k] for k in np.unique(world.face_material)}


def test_every_world_has_what_a_home_has(worlds):
    for world in worlds:
        assert 2 <= len(world.plan.rooms) <= 4
        assert len(world.plan.doorways) >= len(world.plan.rooms) - 1
        assert len(world.plan.windows) >= len(world.plan.rooms) - 1
        assert {"window glass", "wooden furniture"} <= names(world)
        assert names(world) & {"heavy curtain", "light curtain"}
        assert names(world) & {"upholstered sofa", "leather sofa"}
        assert world.lights
    everything = set.union(*(names(world) for world in worlds))
    assert {"carpet on foam", "bookshelf with books", "mattress", "plant"} <= everything
    assert len(everything) >= 18


def test_curtains_hang_from_ceiling_height_to_near_the_floor(worlds):
    """Faces of curtains beside windows, which a lamp's shade of the same material is not."""
    for world in worlds:
        kinds = [MATERIALS.index(m) for m in ("heavy curtain", "light curtain")]
        mine = np.isin(world.face_material, kinds)
        points = world.mesh.triangles[mine].reshape(-1, 3)
        beside = np.zeros(len(points), bool)
        for window in world.plan.windows:
            room = world.plan.rooms[window.room]
            edge = room.high[window.axis] if window.side > 0 else room.low[window.axis]
            beside |= np.abs(points[:, window.axis] - edge) < 0.13
        assert np.ptp(points[beside, 2]) > 1.2


def test_meshes_are_closed_and_their_normals_point_into_the_air(worlds):
    for world in worlds:
        mesh = trimesh.Trimesh(world.mesh.vertices, world.mesh.faces, process=False)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume < 0  # trimesh counts outward normals
        centre = world.free_points(1, 0)[0]
        caster = RayCaster(world.mesh.vertices, world.mesh.faces)
        way = np.random.default_rng(0).normal(size=(500, 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        _, face = caster.closest(np.broadcast_to(centre, way.shape), way)
        a, b, c = np.moveaxis(world.mesh.triangles[face], 1, 0)
        assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), way) < 0).all()


def test_air_is_the_plan_less_the_furniture():
    import manifold3d as m3

    for seed in (0, 2, 5):
        rng = np.random.default_rng([seed, 7])
        plan = make_plan(rng, None)
        palette, looks = start_palette(rng, plan)
        interior = furnish(plan, palette, looks)
        rooms = sum(room.area * room.height for room in plan.rooms)
        doors = sum(door.width * door.height * WALL for door in plan.doorways)
        panes = sum(w.width * w.height * w.depth for w in plan.windows)
        shell = carve(build_shell(plan, looks), Kit())
        empty = -trimesh.Trimesh(shell.vertices, shell.faces, process=False).volume
        assert empty == pytest.approx(rooms + doors + panes, rel=1e-5)
        pieces = [solid for solid, _ in interior.kit.pieces]
        things = m3.Manifold.batch_boolean(pieces, m3.OpType.Add)
        hull = m3.Manifold.batch_boolean(
            [solid for solid, _ in build_shell(plan, looks).pieces], m3.OpType.Add
        )
        world = make_world(seed)
        air = -trimesh.Trimesh(world.mesh.vertices, world.mesh.faces, process=False).volume
        assert air + _shut_in(hull - things) == pytest.approx(
            empty - (things ^ hull).volume(), abs=2e-4
        )
        assert 0.01 < (empty - air) / empty < 0.2


def _shut_in(air):
    """Air inside closed things, which is no part of the room."""
    volumes = sorted(part.volume() for part in air.decompose())
    return sum(volume for volume in volumes[:-1] if volume > 0)


def test_faces_without_area_are_turned_or_drawn_together():
    box = trimesh.creation.box((1, 1, 1)).subdivide()
    vertices, faces = np.array(box.vertices), np.array(box.faces, np.int32)
    finish = np.arange(len(faces), dtype=np.int32)
    # Cut a side of one face in its middle: a face of no area fills the gap.
    a, b, c = faces[0]
    new = len(vertices)
    vertices = np.vstack([vertices, (vertices[a] + vertices[b]) / 2])
    faces = np.vstack([faces, [[a, b, new], [new, b, c]]]).astype(np.int32)
    faces[0] = (a, new, c)
    finish = np.append(finish, [0, 0]).astype(np.int32)
    split = trimesh.Trimesh(vertices, faces, process=False)
    assert split.is_watertight
    assert triangle_areas(vertices, faces).min() == 0
    v, f, kept = without_slivers(vertices, faces, finish)
    mended = trimesh.Trimesh(v, f, process=False)
    assert mended.is_watertight
    assert mended.volume == pytest.approx(1)
    assert triangle_areas(v, f).min() > 0.01
    assert set(kept) == set(range(48))


def test_worlds_carry_sound_on_every_face(worlds):
    for world in worlds:
        check_faces(world.scene())


def test_finish_follows_the_solid_a_face_came_from():
    kit, table = Kit(), Kit()
    kit.box((0, 0, 0), (4, 3, 2.5), (1, 2, 3, 4, 5, 6))
    table.box((1, 1, -0.02), (2, 2, 0.7), 9)
    air = carve(kit, table)
    a, b, c = np.moveaxis(air.vertices[air.faces], 1, 0)
    normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
    area = 0.5 * np.linalg.norm(normal, axis=1)
    sizes = {k: area[air.finish == k].sum() for k in np.unique(air.finish)}
    assert sizes[9] == pytest.approx(4 * 0.7 + 1)
    # Sides are named by where they face in the air: the wall at x = 0 faces +x.
    truth = {1: (0, 4.0), 2: (0, 0.0), 3: (1, 3.0), 4: (1, 0.0), 5: (2, 2.5), 6: (2, 0.0)}
    for finish, (axis, at) in truth.items():
        np.testing.assert_allclose(middle[air.finish == finish, axis], at)


def test_same_seed_same_world_and_no_two_seeds_alike(worlds):
    for one, seed in zip(worlds[:2], SEEDS, strict=False):
        again = make_world(seed)
        np.testing.assert_array_equal(one.mesh.vertices, again.mesh.vertices)
        np.testing.assert_array_equal(one.mesh.faces, again.mesh.faces)
        assert one.finishes == again.finishes
    for one, two in itertools.combinations(worlds, 2):
        assert one.plan != two.plan
        assert one.finishes != two.finishes
        assert one.mesh.vertices.shape != two.mesh.vertices.shape


def test_rooms_do_not_overlap_and_doorways_lead_through_walls():
    for seed in range(40):
        plan = make_plan(np.random.default_rng(seed))
        for a, b in itertools.combinations(plan.rooms, 2):
            apart = [max(a.low[k] - b.high[k], b.low[k] - a.high[k]) for k in (0, 1)]
            assert max(apart) > WALL - 2e-3
        for door in plan.doorways:
            one, two = (plan.rooms[i] for i in door.rooms)
            k = door.axis
            assert two.low[k] - one.high[k] == pytest.approx(WALL, abs=2e-4)
            assert one.high[k] < door.centre[k] < two.low[k]
        for window in plan.windows:
            assert window.sill + window.height < plan.rooms[window.room].height


def test_doorways_are_open_to_a_ray_and_to_a_walker(worlds):
    for world in worlds:
        caster = RayCaster(world.mesh.vertices, world.mesh.faces)
        free, low = world.floor_map(0.2)
        for door in world.plan.doorways:
            step = np.eye(2)[door.axis] * 0.35
            here, there = (np.array(door.centre) + s * step for s in (-1, 1))
            for z in (0.4, 1.0, 1.7):
                assert caster.visible([[*here, z]], [[*there, z]])[0]
            cell = np.round((np.array(door.centre) - low) / 0.05).astype(int)
            assert free[tuple(cell)]


def test_cameras_stand_in_the_air_of_every_room(worlds):
    for world in worlds:
        poses = walk(world, 40)
        places = poses[:, :3, 3]
        for room in world.plan.rooms:
            assert any(room.holds(x, y) for x, y, _ in places)
        caster = RayCaster(world.mesh.vertices, world.mesh.faces)
        down = np.broadcast_to([0.0, 0.0, -1.0], places.shape)
        distance, face = caster.closest(places, down)
        a, b, c = np.moveaxis(world.mesh.triangles[face], 1, 0)
        assert (np.cross(b - a, c - a)[:, 2] > 0).all()
        assert (distance > 1.0).all()
        np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1, atol=1e-9)


def test_capture_reads_back_with_its_poses(captured):
    world, folder = captured
    capture = load_capture(folder)
    poses = walk(world, 4)
    assert capture.metric
    assert capture.has_depth
    assert dict(capture.labels) == dict(enumerate(MATERIALS))
    np.testing.assert_allclose([f.pose for f in capture.frames], poses, atol=1e-12)
    assert capture.frames[0].intrinsics == lens(WIDTH, HEIGHT)
    assert capture.frames[0].image().shape == (HEIGHT, WIDTH, 3)


def test_depth_and_labels_are_those_of_exact_rays(captured):
    world, folder = captured
    caster = RayCaster(world.mesh.vertices, world.mesh.faces)
    for frame in load_capture(folder).frames:
        k = frame.intrinsics
        v, u = np.mgrid[0 : k.height, 0 : k.width]
        ahead = np.stack([(u - k.cx) / k.fx, -(v - k.cy) / k.fy, -np.ones(u.shape)], -1)
        way = ahead.reshape(-1, 3) @ frame.pose[:3, :3].T
        length = np.linalg.norm(way, axis=1)
        start = np.broadcast_to(frame.pose[:3, 3], way.shape)
        distance, face = caster.closest(start, way / length[:, None])
        depth, label = frame.depth().ravel(), frame.labels().ravel()
        measured = np.isfinite(depth)
        assert 0.98 < measured.mean() < 1
        np.testing.assert_allclose(depth[measured], (distance / length)[measured], atol=6e-4)
        assert np.nanmax(depth) <= FARTHEST
        np.testing.assert_array_equal(label, world.face_material[face])


def test_depth_noise_grows_as_the_square_of_distance(captured, tmp_path):
    _, clean = captured
    generate_capture(tmp_path, 3, frames=4, width=WIDTH, height=HEIGHT, depth_noise=0.004)
    pairs = zip(load_capture(clean).frames, load_capture(tmp_path).frames, strict=True)
    truth, noisy = (
        np.concatenate(x)
        for x in zip(*((a.depth().ravel(), b.depth().ravel()) for a, b in pairs), strict=True)
    )
    for low, high in ((0.5, 1.5), (2.0, 3.0)):
        row = (truth > low) & (truth < high) & np.isfinite(noisy)
        spread = ((noisy - truth)[row] / truth[row] ** 2).std()
        assert spread == pytest.approx(0.004, rel=0.1)


def test_same_seed_same_files_and_interrupted_ones_go_on(captured, tmp_path):
    _, folder = captured
    how = {"frames": 4, "width": WIDTH, "height": HEIGHT, "depth_noise": 0.0}
    generate_capture(tmp_path, 3, **how)
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
    kept, lost = tmp_path / "images" / "00000.jpg", tmp_path / "depth" / "00002.png"
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    generate_capture(tmp_path, 3, **how)
    assert kept.stat().st_mtime_ns == stamp
    assert lost.read_bytes() == (folder / "depth" / "00002.png").read_bytes()
    generate_capture(tmp_path, 3, **{**how, "depth_noise": 0.01})
    assert kept.stat().st_mtime_ns != stamp


def test_truth_loads_back_and_a_foreign_one_is_refused(captured, tmp_path):
    world, folder = captured
    again = load_world(folder / "truth")
    np.testing.assert_allclose(again.mesh.vertices, world.mesh.vertices)
    data = read_json(folder / "truth" / "world.json")
    (tmp_path / "mesh.ply").write_bytes((folder / "truth" / "mesh.ply").read_bytes())
    write_json(tmp_path / "world.json", {**data, "seed": 4})
    with pytest.raises(DataError, match="another world"):
        load_world(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        load_world(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "bad",
    [{"frames": 2}, {"width": 8}, {"depth_noise": -1.0}, {"rooms": 9}, {"quality": "oil"}],
    ids=lambda bad: next(iter(bad)),
)
def test_bad_options_are_named(bad, tmp_path):
    with pytest.raises(CaptureError, match=r"options|quality"):
        generate_capture(tmp_path, 0, **{"frames": 3, "width": 32, "height": 24, **bad})
    assert not list(tmp_path.iterdir())


def test_a_scene_of_the_world_has_its_materials(worlds):
    world = worlds[0]
    scene = world.scene()
    for k in np.unique(scene.face_material):
        here = world.face_material[scene.face_material == k]
        assert {MATERIALS[i] for i in here} == {scene.materials[k].name}


def test_pictures_are_neither_flat_nor_burnt(captured):
    _, folder = captured
    shots = np.stack([f.image() for f in load_capture(folder).frames]) / 255
    assert 0.25 < shots.mean() < 0.8
    assert shots.std() > 0.08
    assert (shots.min(axis=-1) > 0.99).mean() < 0.25
    assert np.ptp(shots, axis=-1).mean() > 0.03  # colour


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_textures_are_seeded_seamless_and_about_one(pattern):
    tile = texture(pattern, 5)
    assert tile.shape == (SIZE, SIZE)
    assert tile.mean() == pytest.approx(1, abs=0.3)
    np.testing.assert_array_equal(tile, PATTERNS[pattern][0](5).astype(np.float32).clip(0.15, 1.9))
    # Across the seam values change no more than they do inside.
    inside = np.abs(np.diff(tile, axis=1)).mean(axis=0)
    assert np.abs(tile[:, 0] - tile[:, -1]).mean() <= 1.5 * inside.max() + 0.02


def test_smoothing_keeps_edges_between_planes_and_the_mean():
    rng = np.random.default_rng(0)
    h, w = 24, 40
    place = np.zeros((h, w, 3))
    place[..., :2] = np.moveaxis(np.mgrid[0:h, 0:w], 0, -1) * 0.01
    normal = np.zeros((h, w, 3))
    normal[:, :20, 2], normal[:, 20:, 0] = 1, 1
    truth = np.where(np.arange(w) < 20, 1.0, 3.0)[None, :, None] * np.ones((h, 1, 1))
    out = smooth(truth + 0.3 * rng.standard_normal(truth.shape), place, normal)
    assert (out - truth).std() < 0.06
    np.testing.assert_allclose(smooth(truth, place, normal), truth, atol=1e-12)


def test_outside_is_brighter_above_than_below():
    way = np.array([[1, 0, z] for z in np.linspace(-0.6, 0.9, 61)])
    light = outside(way / np.linalg.norm(way, axis=1, keepdims=True), 0)
    assert (light > 0).all()
    assert light[-10:].mean() > light[:10].mean()


def box_world(*, glow=0.0, albedo=0.5, lights=()):
    """A closed box of 4 x 3 x 2.5 m, all of one finish."""
    kit = Kit()
    kit.box((0, 0, 0), (4, 3, 2.5), 1)
    air = carve(kit, Kit())
    look = Finish("painted plaster", "paint", (albedo,) * 3, glow=glow)
    pane = Finish("window glass", "paint", (0.5,) * 3)
    mesh = Mesh(air.vertices, air.faces)
    return World(0, mesh, air.finish, (pane, look), Plan((), (), ()), (), tuple(lights))


def test_traced_light_in_a_furnace_is_its_geometric_series():
    """In a closed box of reflectance a whose walls all glow, radiance is glow (1 + a + a² ...)."""
    a, glow = 0.6, 0.7
    camera = PathCamera(box_world(glow=glow, albedo=a), lens(16, 16))
    rng = np.random.default_rng(1)
    place = np.column_stack([rng.uniform(0.2, 3.8, 50), rng.uniform(0.2, 2.8, 50), np.zeros(50)])
    light, sun = camera.light(place, np.tile([0.0, 0.0, 1.0], (50, 1)), 0, samples=2)
    truth = glow * a * sum(a**k for k in range(BOUNCES))  # a face emits its colour times its glow
    np.testing.assert_allclose(light, truth, rtol=1e-4)
    assert not sun.any()


def test_traced_light_of_a_lamp_falls_off_as_it_must():
    """Straight light alone (black walls): power cos / r², softened near the bulb."""
    lamp = (1.5, 1.2, 2.0, 1.3)
    camera = PathCamera(box_world(albedo=0.0, lights=[lamp]), lens(16, 16))
    place = np.array([[1.5, 1.2, 0.0], [3.0, 2.0, 0.0], [0.5, 0.4, 0.0]])
    light, _ = camera.light(place, np.tile([0.0, 0.0, 1.0], (3, 1)), 0, samples=400)
    to = np.array(lamp[:3]) - place
    square = (to**2).sum(axis=1)
    truth = lamp[3] * to[:, 2] / np.sqrt(square) / (square + BULB**2)
    np.testing.assert_allclose(light.mean(axis=1) / light[0].mean(), truth / truth[0], rtol=0.02)


def test_traced_pictures_agree_with_fast_ones_on_what_is_there(tmp_path):
    world = generate_capture(tmp_path, 2, frames=3, width=48, height=36, quality="path")
    fast = Camera(world, lens(48, 36))
    for i, frame in enumerate(load_capture(tmp_path).frames):
        shot = fast.shoot(frame.pose, i)
        np.testing.assert_array_equal(frame.labels(), shot.label)
        traced = frame.image().astype(float)
        assert 40 < traced.mean() < 230
        grey = [
            cv2.blur(x.astype(float).mean(axis=2), (3, 3)).ravel() for x in (traced, shot.image)
        ]
        assert np.corrcoef(grey)[0, 1] > 0.6
    again = PathCamera(world, lens(48, 36)).shoot(load_capture(tmp_path).frames[0].pose, 0)
    other = PathCamera(world, lens(48, 36)).shoot(load_capture(tmp_path).frames[0].pose, 0)
    np.testing.assert_array_equal(again.image, other.image)


def test_panes_are_glass_and_face_the_room(worlds):
    for world in worlds:
        pane = world.finish == GLASS
        a, b, c = np.moveaxis(world.mesh.triangles[pane], 1, 0)
        normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
        found = np.zeros(len(middle), bool)
        for w in world.plan.windows:
            room = world.plan.rooms[w.room]
            edge = room.high[w.axis] if w.side > 0 else room.low[w.axis]
            mine = np.abs(middle[:, w.axis] - edge - w.side * w.depth) < 1e-4
            mine &= np.abs(middle[:, 1 - w.axis] - w.centre) < w.width / 2
            assert (w.side * normal[mine, w.axis] < 0).all()
            # The bars before it take less than half of a pane.
            area = 0.5 * np.linalg.norm(normal[mine], axis=1).sum()
            assert 0.5 < area / (w.width * w.height) < 1
            found |= mine
        assert found.all()


def test_no_free_floor_is_an_error(worlds):
    with pytest.raises(DataError, match="clearance"):
        worlds[0].free_points(1, 0, clearance=50.0)
    taken = tuple(replace(worlds[0].taken[0], low=(-99.0, -99.0), high=(99.0, 99.0)) for _ in "x")
    with pytest.raises(DataError, match="floor"):
        walk(replace(worlds[0], taken=taken), 3)


def test_a_ray_that_slips_between_triangles_is_asked_beside():
    world = make_world(2)
    camera = Camera(world, lens(32, 24))
    pose = walk(world, 3)[1]
    whole, closest = camera.see(pose), camera.caster.closest

    def leaky(origins, directions):
        distance, face = closest(origins, directions)
        if len(face) > 40:  # lose some of the first bundle
            distance[[3, 40]], face[[3, 40]] = np.inf, -1
        return distance, face

    camera.caster.closest = leaky
    seen = camera.see(pose)
    assert (seen.face >= 0).all()
    np.testing.assert_allclose(seen.depth, whole.depth, rtol=5e-3)
