"""Slanted and stepped ceilings: worlds that have them, and reconstructions of such."""

from __future__ import annotations

import numpy as np
import pytest
from manifold3d import CrossSection, Manifold
from numpy.testing import assert_allclose

from piavas.capture import load_capture
from piavas.errors import DataError
from piavas.files import read_json
from piavas.geometry import reconstruct
from piavas.rays import RayCaster
from piavas.scene import OBSERVED, Mesh, Pose
from piavas.twin import load_world, make_world
from piavas.twin.roofs import KINDS
from rooms import carved, distance_to, photograph
from test_geometry import sample


def drawn(profile, length, *parts):
    """Air of `length` metres along y under a profile `[(x, z)]`; boxes `(sign, low, high)`."""
    outline = [*profile[::-1], (profile[0][0], 0.0), (profile[-1][0], 0.0)]
    air = Manifold.extrude(CrossSection([outline]), length).rotate((90, 0, 0))
    return carved(air.translate((0, length, 0)), parts)


def look_about(count, places):
    return [
        Pose.at((*places[i % 3], 1.5), yaw=47.0 * i, pitch=(0, -30, 30)[i // 3 % 3]).matrix
        for i in range(count)
    ]


def rise(mesh, places):
    """Heights of what is over `(x, y)` at 1.2 m."""
    start = np.array([(x, y, 1.2) for x, y in places])
    return (
        1.2
        + RayCaster(mesh.vertices, mesh.faces).closest(
            start, np.tile([0, 0, 1.0], (len(start), 1))
        )[0]
    )


def check(mesh, world):
    assert mesh.report["leak"] == 0
    assert mesh.report["volume"] == pytest.approx(world.volume, rel=0.03)
    points = sample(mesh, 1000, only=mesh.origin == OBSERVED)
    assert np.median(distance_to(points, world.vertices, world.faces)) < 0.005


def test_a_gable_keeps_its_slopes_its_ridge_and_its_knee_walls(tmp_path):
    world = drawn([(0, 1.3), (2.2, 2.9), (4.2, 1.3)], 3.4, (-1, (3.3, 1.0, -0.1), (4.3, 2.2, 0.7)))
    poses = look_about(27, [(1.6, 0.8), (2.6, 2.6), (2.1, 1.7)])
    mesh = reconstruct(load_capture(photograph(tmp_path, world, poses, turn=11.0)))
    turned = Pose.at((0, 0, 0), yaw=11.0).matrix @ np.linalg.inv(Pose.at((0, 0, 0)).matrix)
    mesh = Mesh(mesh.vertices @ turned[:3, :3], mesh.faces, mesh.origin, mesh.report)
    check(mesh, world)
    true = np.degrees(np.arctan([1.6 / 2.0, 1.6 / 2.2]))
    found = sorted((row["degrees"] for row in mesh.report["slopes"]), reverse=True)
    assert_allclose(found, true, atol=0.5)
    assert mesh.report["ceilings"] == [] and mesh.report["ceiling_seen"]
    x = np.array([0.3, 1.0, 1.9, 2.2, 2.5, 3.4, 3.9])
    height = np.interp(x, [0, 2.2, 4.2], [1.3, 2.9, 1.3])
    for y in (0.3, 1.7, 3.1):
        assert_allclose(rise(mesh, [(v, y) for v in x]), height, atol=0.01)


def test_a_slope_goes_on_to_a_level_ceiling_and_where_nobody_looked(tmp_path):
    world = drawn([(0, 1.4), (1.3, 2.5), (4.0, 2.5)], 4.0)
    poses = [p for p in look_about(54, [(2.6, 0.8), (2.2, 1.6), (3.2, 1.1)]) if p[1, 2] > -0.1]
    mesh = reconstruct(load_capture(photograph(tmp_path, world, poses)))
    assert mesh.report["leak"] == 0
    assert mesh.report["ceilings"] == pytest.approx([2.5], abs=0.01)
    assert [row["degrees"] for row in mesh.report["slopes"]] == pytest.approx([40.2], abs=0.5)
    places = [(x, y) for x in (0.2, 0.8, 1.1, 1.6, 3.5) for y in (0.5, 1.5, 2.2)]
    height = np.interp([x for x, _ in places], [0, 1.3, 4.0], [1.4, 2.5, 2.5])
    assert_allclose(rise(mesh, places), height, atol=0.02)


def test_a_slope_ends_before_a_dormer_that_was_looked_into(tmp_path):
    world = drawn([(0, 1.4), (1.5, 2.6), (4.0, 2.6)], 4.0, (1, (0.0, 1.8, 0.0), (2.0, 4.0, 2.6)))
    poses = look_about(36, [(2.6, 0.8), (2.2, 3.2), (1.0, 2.8)])
    mesh = reconstruct(load_capture(photograph(tmp_path, world, poses)))
    check(mesh, world)
    x = np.array([0.2, 0.8, 1.2, 2.5])
    slanted = np.interp(x, [0, 1.5, 4.0], [1.4, 2.6, 2.6])
    for y in (0.4, 1.0, 1.7):
        assert_allclose(rise(mesh, [(v, y) for v in x]), slanted, atol=0.01)
    for y in (1.9, 2.6, 3.6):
        assert_allclose(rise(mesh, [(v, y) for v in x]), 2.6, atol=0.01)


def test_a_room_keeps_two_heights(tmp_path):
    world = drawn([(0, 2.4), (1.5, 2.4), (1.5, 3.0), (4.2, 3.0)], 3.4)
    poses = look_about(27, [(0.8, 0.8), (3.2, 2.6), (2.1, 1.2)])
    mesh = reconstruct(load_capture(photograph(tmp_path, world, poses)))
    check(mesh, world)
    assert mesh.report["ceilings"] == pytest.approx([2.4, 3.0], abs=0.01)
    assert mesh.report["slopes"] == []
    x = np.array([0.2, 1.0, 1.46, 1.54, 2.5, 4.0])
    assert_allclose(rise(mesh, [(v, 1.7) for v in x]), np.where(x < 1.5, 2.4, 3.0), atol=0.01)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_worlds_lie_under_their_roofs(kind, tmp_path):
    world = make_world(5, 2, kind)
    edges = np.sort(world.mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()
    assert any(world.plan.roofs)
    places = world.free_points(60, 0)
    held = [[room.holds(*at[:2]) for room in world.plan.rooms] for at in places]
    places = places[np.any(held, axis=1)]  # not those in doorways
    rooms = np.argmax(held, axis=1)[np.any(held, axis=1)]
    under = [world.plan.headroom(r, at[:2], at[:2]) for r, at in zip(rooms, places, strict=True)]
    assert len(under) > 40 and min(under) > 1.85
    above = (
        1.5
        + RayCaster(world.mesh.vertices, world.mesh.faces).closest(
            places, np.tile([0, 0, 1.0], (len(places), 1))
        )[0]
    )
    # Under lamps there is something else.
    assert np.mean(np.abs(above - under) < 1e-4) > 0.8
    assert (above < np.array(under) + 1e-4).all()
    world.save(tmp_path)
    np.testing.assert_array_equal(load_world(tmp_path).mesh.vertices, world.mesh.vertices)


def test_plans_are_drawn_until_a_gable_clears_a_doorway():
    # The first plans of two of these leave no room for one.
    for seed in range(1, 5):
        world = make_world(seed, 2, "gabled")
        for index, roof in enumerate(world.plan.roofs):
            for door in world.plan.doorways:
                if roof and index in door.rooms:
                    assert world.plan.headroom(index, door.centre, door.centre) > door.height


def test_level_worlds_say_nothing_of_roofs(tmp_path):
    make_world(5, 2).save(tmp_path)
    assert not {"ceiling", "roofs"} & set(read_json(tmp_path / "world.json"))
    with pytest.raises(DataError, match="vaulted"):
        make_world(5, 2, "vaulted")
