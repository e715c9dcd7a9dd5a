"""Depth from colour against drawn planes of known place; scale; distances to meshes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from piavas.capture import Capture, load_capture, metres_from_length, rescale, write_nerfstudio
from piavas.capture.types import Frame, Intrinsics
from piavas.errors import CaptureError, GeometryError
from piavas.geometry import reconstruct
from piavas.geometry.compare import agreement, point_to_mesh, sample_surface
from piavas.geometry.depth.fill import _fill, _kept, _Planes, fill_flat
from piavas.geometry.depth.lids import Lid, under
from piavas.geometry.depth.neighbours import neighbours
from piavas.geometry.depth.plate import Plate
from piavas.geometry.depth.stereo import Stereo
from piavas.geometry.depth.stereo import _Planes as StereoPlanes
from piavas.geometry.depth.texture import own_contrast
from piavas.rays import RayCaster
from piavas.scene import Mesh, Pose, Scene
from rooms import two_rooms, walk

WIDTH, HEIGHT, FOCAL = 160, 120, 110.0
WALL, FLOOR = 3.0, -1.2  # metres: y of a wall ahead, z of a floor
BARE = np.zeros((0, 3))  # no points
BLANK = 1.0  # metres of x beyond which wall and floor are one even grey


def paint(x, y, seed):
    """Grey values of a pattern with detail from decimetres to centimetres."""
    generator = np.random.default_rng(seed)
    value = np.zeros_like(x)
    for size in (0.6, 0.25, 0.1, 0.05):
        kx, ky, phase = generator.normal(size=(3, 6))
        for a, b, c in zip(kx, ky, phase, strict=True):
            value += np.sin((a * x + b * y) * 2 / size + 6 * c) * size**0.5
    return 120 + 45 * value


def draw(pose, camera):
    """Image and z-depth of a wall and a floor."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    ray = np.stack(
        [(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones(u.shape)], -1
    )
    way, eye = ray @ pose[:3, :3].T, pose[:3, 3]
    with np.errstate(divide="ignore"):
        wall, floor = (WALL - eye[1]) / way[..., 1], (FLOOR - eye[2]) / way[..., 2]
    wall, floor = (np.where(d > 0, d, np.inf) for d in (wall, floor))
    depth = np.minimum(wall, floor)
    at = eye + depth[..., None] * way
    grey = np.where(
        wall < floor, paint(at[..., 0], at[..., 2], 1), paint(at[..., 0], at[..., 1], 2)
    )
    return np.where(at[..., 0] > BLANK, 150, grey), depth


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    camera = Intrinsics(WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5)
    frames, truth = [], {}
    for i in range(5):
        pose = Pose.at((-0.5 + 0.25 * i, 0.05 * i, 0.02 * i), yaw=94 - 2 * i, pitch=-12).matrix
        grey, depth = draw(pose, camera)
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), np.repeat(np.clip(grey, 0, 255)[..., None], 3, 2).astype(np.uint8))
        frames.append(Frame(path, camera, pose))
        truth[path.name] = depth
    write_nerfstudio(folder, frames)
    return load_capture(folder), truth


def test_stereo_finds_planes_and_leaves_the_blank_empty(drawn):
    capture, truth = drawn
    errors, blank, cover = [], [], []
    for found in Stereo(width=WIDTH, fill=False).depths(capture):
        depth = truth[found.frame.image_path.name]
        # Distances along x of what the pixels see.
        u = np.arange(WIDTH)[None] - found.frame.intrinsics.cx
        side = (np.stack([u / FOCAL * depth, -depth], -1) @ found.frame.pose[:1, [0, 2]].T)[..., 0]
        side = side + found.frame.pose[0, 3]
        known = found.depth > 0
        errors.append((np.abs(found.depth - depth) / depth)[known])
        blank.append(known[side > BLANK + 0.3])
        cover.append(known[side < BLANK - 0.3])
    errors = np.concatenate(errors)
    assert np.median(errors) < 0.006
    assert np.mean(errors > 0.05) < 0.02
    assert np.concatenate(cover).mean() > 0.6
    assert np.concatenate(blank).mean() < 0.005


def test_stereo_is_the_same_for_the_same_seed(drawn):
    capture = replace(drawn[0], frames=drawn[0].frames[:3])
    one, two = ([m.depth for m in Stereo(width=80, rounds=1).depths(capture)] for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_neighbours_see_the_same_from_a_step_apart(drawn):
    frame = drawn[0].frames[0]
    poses = [
        Pose.at((0, 0, 0), yaw=90),
        Pose.at((0.3, 0, 0), yaw=90),  # a step aside
        Pose.at((0, 0, 0), yaw=90),  # no baseline
        Pose.at((0.3, 0, 0), yaw=-90),  # looks away
        Pose.at((2.5, 1.5, 0), yaw=180),  # the same place, seen from the side
    ]
    frames = tuple(replace(frame, pose=pose.matrix) for pose in poses)
    assert neighbours(frames, 4)[0] == [1]


def test_images_that_do_not_overlap_are_refused(drawn):
    capture = drawn[0]
    turned = tuple(
        replace(frame, pose=Pose.at((0, 0, 0), yaw=120 * i).matrix)
        for i, frame in enumerate(capture.frames[:3])
    )
    with pytest.raises(GeometryError, match="overlap"):
        next(Stereo().depths(replace(capture, frames=turned)))


def test_lengths_up_to_scale_are_refused_until_someone_tells_the_scale(drawn):
    capture: Capture = replace(drawn[0], metric=False)
    with pytest.raises(GeometryError, match="metres") as refused:
        reconstruct(capture, depth="stereo")
    assert str(capture.root) in str(refused.value)
    factor = metres_from_length((0, 0, 0), (0, 0.5, 0), 1.5)
    assert factor == pytest.approx(3.0)
    scaled = rescale(capture, factor)
    assert scaled.metric
    np.testing.assert_allclose(scaled.positions, 3 * capture.positions)
    np.testing.assert_array_equal(scaled.frames[1].pose[:3, :3], capture.frames[1].pose[:3, :3])
    with pytest.raises(CaptureError, match="scale"):
        rescale(capture, 0.0)
    with pytest.raises(CaptureError, match="length"):
        metres_from_length((0, 0, 0), (0, 0, 0), 1.0)


def test_an_unknown_source_of_depth_is_refused(drawn):
    with pytest.raises(GeometryError, match="sensor, stereo"):
        reconstruct(drawn[0], depth="guess")


def test_distance_to_a_mesh_is_exact():
    square = Mesh([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    points = np.array([[1, 0.5, 0.3], [-3, 0.5, 4], [5, 5, 0], [1, 2, 0], [1.2, 0.1, 0]], float)
    np.testing.assert_allclose(point_to_mesh(points, square), [0.3, 5, 5, 1, 0], atol=1e-12)


def test_a_mesh_agrees_with_itself_and_not_with_a_shifted_one():
    room = Scene.shoebox((4, 3, 2.5))
    mesh = Mesh(room.vertices, room.faces)
    points, _ = sample_surface(mesh, 4000)
    seen = np.ones(len(points), bool)
    same = agreement(mesh, mesh, seen, points)
    assert same.accuracy < 1e-9 and same.completeness < 1e-9 and same.recall == 1
    assert same.volume_error == pytest.approx(0, abs=1e-9)
    larger = Mesh(room.vertices * [1.05, 1, 1], room.faces)
    other = agreement(larger, mesh, seen, points)
    assert other.volume_error == pytest.approx(0.05, abs=1e-6)
    assert other.accuracy_all < 0.2


# --- patches without texture


@pytest.fixture(scope="module")
def plain():
    """Rooms of plain faces, each of one colour; depth is known along their edges alone."""
    return plain_plates(two_rooms(), walk(36))


def plain_plates(world, poses):
    """Plates and true depths of a world of plain faces."""
    caster = RayCaster(world.vertices, world.faces)
    a, b, c = np.moveaxis(world.vertices[world.faces], 1, 0)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    side = np.round(normal, 3) @ [1, 2, 4] + 100 * np.round(np.einsum("ij,ij->i", normal, a), 3)
    flat = np.unique(side, return_inverse=True)[1]
    colours = np.random.default_rng(0).integers(60, 230, (flat.max() + 1, 3)).astype(np.uint8)
    lens = np.array([110.0, 110.0, 79.5, 59.5])
    plates, truths = [], []
    for pose in poses:
        empty = Plate(
            np.zeros((120, 160, 3), np.uint8), np.zeros((120, 160), np.float32), lens, pose
        )
        way = empty.rays().reshape(-1, 3)
        length = np.linalg.norm(way, axis=1)
        start = np.broadcast_to(pose[:3, 3], way.shape)
        distance, face = caster.closest(start, way / length[:, None])
        depth = (distance / length).reshape(120, 160).astype(np.float32)
        of = flat[face].reshape(120, 160)
        inner = (cv2.erode(of.astype(np.float32), np.ones((3, 3))) == of) & (
            cv2.dilate(of.astype(np.float32), np.ones((3, 3))) == of
        )
        plates.append(replace(empty, colour=colours[of], depth=np.where(inner, 0, depth)))
        truths.append(depth)
    return plates, truths


def test_plain_walls_take_the_planes_of_their_edges(plain):
    plates, truths = plain
    error, filled = [], []
    for plate, depth, truth in zip(plates, fill_flat(plates, 0.0), truths, strict=True):
        new = (plate.depth == 0) & (depth > 0)
        error.append(np.abs(depth - truth)[new] / truth[new])
        filled.append((depth > 0)[plate.depth == 0])
        np.testing.assert_array_equal(depth[plate.depth > 0], plate.depth[plate.depth > 0])
    error = np.concatenate(error)
    assert np.concatenate(filled).mean() > 0.6
    assert np.median(error) < 0.005
    assert np.mean(error > 0.03) < 0.1


def test_what_others_look_through_is_emptied(plain):
    plates, truths = plain
    wrong = truths[0].copy()
    wrong[30:90, 40:120] *= 0.5
    kept = _kept(plates, [wrong, *truths[1:]], 0)[30:90, 40:120]
    assert not kept[plates[0].depth[30:90, 40:120] == 0].any()
    fine = _kept(plates, truths, 0)
    assert (fine > 0).mean() > 0.7


def test_what_lies_behind_what_others_see_is_emptied(plain):
    """A wall taken for too deep in two images, where a third sees it in its place."""
    plates, truths = plain
    wrong = truths[5].copy()
    middle = slice(30, 90), slice(40, 120)
    wrong[middle] *= 1.1
    alike, believed = [*plates, plates[5]], [*truths, wrong]
    believed[5] = wrong
    kept, fine = _kept(alike, believed, 5), _kept([*plates, plates[5]], [*truths, truths[5]], 5)
    empty = plates[5].depth[middle] == 0
    assert (fine[middle][empty] > 0).mean() > 0.95
    assert (kept[middle][empty] > 0).mean() < 0.3


def test_what_has_a_texture_of_its_own_stays_and_outlines_take_planes(plain):
    plate, truth = plain[0][0], plain[1][0]
    textured = np.arange(plate.depth.size).reshape(plate.depth.shape) % 7 == 0
    depth = np.where(plate.depth > 0, 1.0 * plate.depth, np.where(textured, 1.5 * truth, 0))
    marked = replace(
        plate,
        depth=depth.astype(np.float32),
        contrast=np.where(textured & (plate.depth == 0), 9, 1).astype(np.float32),
    )
    planes = _Planes(np.eye(3), np.full(3, 50.0))
    found = _fill(marked, plate.depth, planes, np.zeros((0, 3)))
    stays = marked.stays > 0
    assert stays.any() and not stays[plate.depth > 0].any()
    np.testing.assert_array_equal(found[stays], marked.depth[stays])
    outline = (plate.depth > 0) & (found > 0)
    assert outline.any()
    assert np.median(found[outline] / truth[outline]) == pytest.approx(1, abs=0.01)


def test_no_patch_goes_on_above_the_ceiling(plain):
    planes = _Planes(np.eye(3), np.full(3, 50.0))
    tops = []
    for lids in ([], [Lid(2.2, np.full(2, -9.0), np.full(2, 9.0))]):
        found = []
        for plate in plain[0][:12]:
            bare = replace(plate, contrast=0 * plate.depth)
            ceiling = under(lids, plate.pose[:3, 3], plate.rays(), 0.0)
            depth = _fill(bare, plate.depth, planes, BARE, ceiling)
            found.append(plate.points(depth)[:, 2].max(initial=0))
        tops.append(max(found))
    assert tops[0] > 2.3
    assert 2.0 < tops[1] < 2.2 + 1e-3


def test_the_contrast_of_a_place_is_its_own():
    grey = np.full((40, 60), 100, np.float32)
    grey[:, 30:] = 20 + 6 * np.random.default_rng(0).standard_normal((40, 30))
    found = own_contrast(grey)
    assert found[:, :30].max() < 0.1  # up to the very outline
    assert 4 < np.median(found[:, 30:]) < 6


def test_images_that_heed_each_other_know_more(drawn):
    capture, truth = drawn
    shares = []
    for passes in (0, 2):
        stereo = Stereo(width=WIDTH, rounds=1, passes=passes, fill=False)
        right = [
            (np.abs(found.depth / truth[found.frame.image_path.name] - 1) < 0.01).mean()
            for found in stereo.depths(capture)
        ]
        shares.append(np.mean(right))
    assert shares[1] > 1.05 * shares[0]


def test_images_are_matched_thinned_and_then_as_they_are(drawn):
    capture, truth = drawn
    shares = []
    for width in (WIDTH // 2, WIDTH):
        right = []
        for found in Stereo(width=width, coarse=WIDTH // 2, fill=False).depths(capture):
            true = truth[found.frame.image_path.name]
            true = cv2.resize(true, found.depth.shape[::-1], interpolation=cv2.INTER_AREA)
            right.append((np.abs(found.depth / true - 1) < 0.003).mean())
        shares.append(np.mean(right))
    assert shares[1] > 1.1 * shares[0]


def test_planes_are_drawn_finer_where_they_lie():
    normal = np.array([0.3, -0.2, -1.0]) / np.linalg.norm([0.3, -0.2, -1.0])
    coarse = Intrinsics(16, 12, 14.0, 14.0, 7.5, 5.5)
    fine = Intrinsics(40, 30, 35.0, 35.0, 19.5, 14.5)

    def planes(camera):
        v, u = np.mgrid[: camera.height, : camera.width]
        ray = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1 + 0 * u], -1)
        depth = (2 * normal[2] / (ray @ normal)).astype(np.float32)
        return StereoPlanes(depth, np.broadcast_to(normal.astype(np.float32), ray.shape).copy())

    found = planes(coarse).drawn(coarse, fine)
    np.testing.assert_allclose(found.depth, planes(fine).depth, rtol=1e-5)
    empty = StereoPlanes(np.zeros((12, 16), np.float32), np.zeros((12, 16, 3), np.float32))
    assert not empty.drawn(coarse, fine).depth.any()


def test_nothing_known_fills_nothing(plain):
    bare = [replace(plate, depth=np.zeros_like(plate.depth)) for plate in plain[0][:3]]
    assert not any(depth.any() for depth in fill_flat(bare, 0.0))
    plain_only = [replace(plate, contrast=0 * plate.depth) for plate in plain[0][:3]]
    assert len(fill_flat(plain_only, 0.0)) == 3  # nothing has a texture of its own


def test_patches_that_lie_on_no_plane_of_the_room_take_one_of_their_own(plain):
    far = _Planes(np.eye(3), np.full(3, 50.0))  # the room's axes, none of its planes
    nowhere = np.zeros((0, 3))
    error, filled = [], []
    for plate, truth in zip(*plain, strict=True):
        depth = _fill(plate, plate.depth, far, nowhere)
        new = (plate.depth == 0) & (depth > 0)
        error.append(np.abs(depth - truth)[new] / truth[new])
        filled.append((depth > 0)[plate.depth == 0])
    assert np.concatenate(filled).mean() > 0.5
    assert np.median(np.concatenate(error)) < 0.01
