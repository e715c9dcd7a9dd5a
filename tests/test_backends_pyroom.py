"""pyroomacoustics against closed forms, and the polygons it is given."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from piavas.acoustics.backends.diffuse import diffuse_ears
from piavas.acoustics.backends.polygons import polygons, volume
from piavas.acoustics.backends.pyroom import image_order
from piavas.acoustics.field import Room
from piavas.acoustics.hrtf import rigid_sphere
from piavas.acoustics.simulator import Simulator
from piavas.errors import MissingDependencyError, SimulationError
from piavas.scene import Directivity, Material, Scene, Source
from rooms import two_rooms

C = 343.0
SIZE = np.array([6.0, 4.0, 3.0])
SOURCE = np.array([1.0, 1.0, 1.5])
HEADS = np.array([(4.0, 2.5, 1.2), (3.0, 1.0, 2.0), (5.0, 3.2, 1.0)])
PEER = Simulator(
    "pyroomacoustics",
    rays=4000,
    output="mono",
    duration=0.8,
    speed_of_sound=C,
    air_absorption=False,
)


def two_room_scene() -> Scene:
    world = two_rooms()
    return Scene(
        world.vertices,
        world.faces,
        np.zeros(len(world.faces), np.int32),
        (Material("plaster", 0.2),),
    )


@pytest.mark.parametrize("flip", [False, True])
def test_box_becomes_six_walls_with_outward_normals(flip):
    scene = Scene.shoebox(SIZE)
    scene = replace(scene, faces=scene.faces[:, ::-1]) if flip else scene
    walls = polygons(Room(scene))
    assert [len(wall.corners) for wall in walls] == [4] * 6
    assert sorted(wall.material for wall in walls) == list(range(6))
    assert volume(walls) == pytest.approx(72.0)


def test_furnished_rooms_keep_their_volume():
    scene = two_room_scene()
    walls = polygons(Room(scene))
    assert volume(walls) == pytest.approx(two_rooms().volume, rel=1e-6)
    assert len(walls) < len(scene.faces) / 1.5


def test_subdivided_wall_becomes_one_polygon_without_its_middle():
    scene = Scene.shoebox(SIZE)
    a, b, _ = scene.faces[0]
    middle = scene.vertices[[a, b]].mean(axis=0)
    n = len(scene.vertices)
    # The edge a-b is split on this face and on its neighbour over the edge.
    faces, materials = [], []
    for face, material in zip(scene.faces, scene.face_material, strict=True):
        for i in range(3):
            p, q, r = np.roll(face, -i)
            if {p, q} == {a, b}:
                faces += [(p, n, r), (n, q, r)]
                materials += [material] * 2
                break
        else:
            faces.append(tuple(face))
            materials.append(material)
    split = replace(
        scene,
        vertices=np.vstack([scene.vertices, middle]),
        faces=np.array(faces),
        face_material=np.array(materials),
    )
    assert len(split.faces) == 14
    walls = polygons(Room(split))
    assert [len(wall.corners) for wall in walls] == [4] * 6


def test_order_is_bounded_by_the_number_of_walls():
    assert image_order(6, 3) == 3
    assert image_order(100, 3) == 2
    assert image_order(1500, 3) == 1
    with pytest.raises(SimulationError, match="2001 plane walls"):
        image_order(2001, 3)


def test_diffuse_ears_have_energy_and_coherence_of_the_head():
    head = rigid_sphere()
    energy = np.full((9, 100), 2.0)
    ears = diffuse_ears(energy, head, bin_samples=480, length=48_000, seed=0).astype(float)
    assert (ears**2).sum(axis=1) == pytest.approx([200, 200], rel=0.05)
    grid, _, _, coherence = head.diffuse_spectrum(4096)
    left, right = np.fft.rfft(ears.reshape(2, 100, 480)[:, 2:-2])
    found = (left * right.conj()).sum(0) / np.sqrt(
        (np.abs(left) ** 2).sum(0) * (np.abs(right) ** 2).sum(0)
    )
    f = np.fft.rfftfreq(480, 1 / 48_000)
    low, high = (f > 50) & (f < 250), (f > 4000) & (f < 15_000)
    assert np.real(found[low]).mean() > 0.85
    assert abs(np.real(found[high]).mean()) < 0.1
    expected = np.interp(f[low], grid, np.real(coherence))
    assert np.abs(np.real(found[low]) - expected).mean() < 0.1


def test_absent_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(MissingDependencyError, match=r"piavas\[peers\]"):
        PEER(Scene.shoebox(SIZE), SOURCE, HEADS)


def test_what_it_cannot_do_is_said():
    scene = Scene.shoebox(SIZE)
    with pytest.raises(SimulationError, match="binaural or mono"):
        replace(PEER, output="ambisonic-1")(scene, SOURCE, HEADS)
    with pytest.raises(SimulationError, match="directivity"):
        PEER(scene, Source(SOURCE, directivity=Directivity(0.5)), HEADS)


def test_scene_without_volume_ends_in_an_error():
    pytest.importorskip("pyroomacoustics", reason="pyroomacoustics is not installed")
    plane = Scene(
        [(0, 0, 0), (6, 0, 0), (6, 6, 0), (0, 6, 0), (0, 0, 3), (6, 0, 3)],
        [(0, 1, 2), (0, 2, 3), (0, 1, 5), (0, 5, 4)],
        np.zeros(4, np.int32),
        (Material("wall", 0.2),),
    )
    with pytest.warns(UserWarning, match="escape"), pytest.raises(SimulationError, match="no air"):
        replace(PEER, allow_leaks=True)(plane, (2, 2, 1), [(4, 4, 1)])


@pytest.fixture
def package():
    return pytest.importorskip("pyroomacoustics", reason="pyroomacoustics is not installed")


def test_image_sources_of_a_shoebox(package):
    from piavas.acoustics.backends.job import Job
    from piavas.acoustics.backends.pyroom import _room, image_paths

    room = Room(Scene.shoebox(SIZE, absorption=0.2, scattering=0.0))
    job = Job(PEER, room, Source(SOURCE), np.eye(4)[None].repeat(3, 0), 0.5)
    job.poses[:, :3, 3] = HEADS
    peer = _room(package, job, polygons(room), 2)
    peer.image_source_model()
    n = np.arange(-2, 3)
    for i, head in enumerate(HEADS):
        paths = image_paths(peer, i, head)
        axes = [
            np.concatenate([2 * n * s + x, 2 * n * s - x])
            for s, x in zip(SIZE, SOURCE, strict=True)
        ]
        orders = np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)])
        position = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        order = sum(np.meshgrid(orders, orders, orders, indexing="ij")).ravel()
        position, order = position[order <= 2], order[order <= 2]
        found = head - paths.length[:, None] * paths.arrival
        gap = np.linalg.norm(found[:, None] - position[None], axis=-1)
        assert len(paths) == len(position) == 25
        assert gap.min(axis=0).max() < 1e-4
        expected = np.sqrt(0.8) ** order[gap.argmin(axis=1)] / paths.length
        np.testing.assert_allclose(paths.gain[:, 4], expected, rtol=1e-5)


def decay_time(response: np.ndarray) -> float:
    left = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(left / left[0] + 1e-30)
    part = (level < -5) & (level > -35)
    return -60 / np.polyfit(np.flatnonzero(part) / 48_000, level[part], 1)[0]


@pytest.mark.parametrize(("scattering", "expected"), [(0.1, 0.523), (0.5, 0.495)])
def test_reverberation_time_that_independent_engines_agree_on(package, scattering, expected):
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=scattering)
    found = replace(PEER, rays=8000)(scene, SOURCE, HEADS)
    times = [decay_time(r[0]) for r in found.samples]
    assert np.mean(times) == pytest.approx(expected, rel=0.04)


def test_ears_and_microphone_carry_the_same_energy(package):
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=0.5)
    mono = PEER(scene, SOURCE, HEADS).samples[:, 0, 4800:].astype(float)
    ears = replace(PEER, output="binaural", hrtf="rigid-sphere")(scene, SOURCE, HEADS)
    heard = (ears.samples[..., 4800:].astype(float) ** 2).sum(-1).mean()
    assert 10 * np.log10(heard / (mono**2).sum(-1).mean()) == pytest.approx(0, abs=0.5)


def test_octave_bands_of_materials_arrive(package):
    absorption = np.array([0.05] * 5 + [0.6] * 4)
    scene = Scene.shoebox(SIZE).with_materials([Material("felt", absorption, 0.3)] * 6)
    found = PEER(scene, SOURCE, HEADS).samples[:, 0].astype(float)
    spectrum = np.abs(np.fft.rfft(found[:, 4800:])) ** 2
    f = np.fft.rfftfreq(found.shape[1] - 4800, 1 / 48_000)
    low, high = (spectrum[:, (f > a) & (f < 2 * a)].mean() for a in (350, 5000))
    assert 10 * np.log10(low / high) > 15


def test_seed_of_others_is_left_random(package):
    PEER(Scene.shoebox(SIZE), SOURCE, HEADS[:1])
    one = package.random.get_rng().uniform(size=4)
    PEER(Scene.shoebox(SIZE), SOURCE, HEADS[:1])
    assert not np.array_equal(one, package.random.get_rng().uniform(size=4))
    assert package.constants.get("rir_hpf_enable") is True
