"""Diffraction against closed forms: MacDonald's half-plane, Biot and Tolstoy's wedge, geodesics."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import hankel2

from piavas.acoustics import utd
from piavas.acoustics.diffraction import lit_by
from piavas.acoustics.field import Room
from piavas.acoustics.paths import direct_paths, join, reflected_paths
from piavas.acoustics.simulator import Simulator
from piavas.errors import SimulationError
from piavas.scene import Material, Scene, Source
from rooms import two_rooms

C = 343.0
OCTAVES = np.array([63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0])
WITHIN = np.array([0.35, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05])  # dB
HARD = (Material("hard", 0.0, 0.0),)
FAR = 500.0


def half_plane(material: Material = HARD[0]) -> Scene:
    """A sheet at y = 0, x > 0, with its edge along z."""
    corners = np.array([[0, 0, -FAR], [FAR, 0, -FAR], [FAR, 0, FAR], [0, 0, FAR]])
    return Scene(corners, [[0, 1, 2], [0, 2, 3]], np.zeros(2, np.int32), (material,))


def solid_corner(material: Material = HARD[0], low: float = -FAR, high: float = FAR) -> Scene:
    """A solid that fills x > 0, y < 0; 270 degrees of air, and an edge from `low` to `high`."""
    corners = np.array([[x, y, z] for z in (low, high) for x, y in ((0, 0), (FAR, 0), (0, -FAR))])
    faces = [[0, 4, 1], [0, 3, 4], [0, 2, 5], [0, 5, 3]]
    return Scene(corners, faces, np.zeros(4, np.int32), (material,))


def around(radius: float, angle: np.ndarray, z: float) -> np.ndarray:
    angle = np.asarray(angle, dtype=float)
    return np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), np.full(angle.shape, z)], axis=-1
    )


def paths_of(scene: Scene, source, heads, *, double: bool = False, order: int = 1):
    """Every path at `heads`, all mirrors looked at."""
    room, source = Room(scene), Source(source)
    heads, walls = np.atleast_2d(heads), Room(scene).walls(0)
    mirrors = np.arange(len(room.patches), dtype=np.int32)[:, None]
    straight = direct_paths(walls, source, heads, 1)
    if order:
        mirrored = reflected_paths(walls, source=source, heads=heads, sequences=mirrors)
        straight = join(straight, mirrored)
    lit = lit_by(room.corners, source, reflected=False, double=double)
    return join(straight, lit.paths(heads, straight, C))


def pressure(paths, heads: int, frequency=OCTAVES) -> np.ndarray:
    """Sum of `paths` at each head and frequency, `[heads, f]`, from the exact coefficients."""
    k = 2 * np.pi * np.asarray(frequency) / C
    out = np.zeros((heads, len(k)), complex)
    for p in range(len(paths)):
        factor = paths.gain[p, 4] * np.exp(-1j * k * paths.length[p])
        if paths.bend[p] >= 0:
            bends, faces = paths.bends.wedge[paths.bend[p]], paths.bends.face[paths.bend[p]]
            for bend, (o, n) in zip(bends, faces[:, :, 4], strict=True):
                if bend[11]:
                    factor = factor * [utd.coefficient(v, bend, o, n) for v in k]
        out[paths.listener[p]] += factor
    return out


def decibel(value) -> np.ndarray:
    return 20 * np.log10(np.abs(value))


def seen(angle, r_s, at_s, r_l, at_l, z, k):
    """Direct sound and reflections off the two faces of a hard wedge."""
    total = 0
    for image in (at_s, -at_s, 2 * angle - at_s):
        if abs(at_l - image) < np.pi:
            r = np.sqrt(r_s**2 + r_l**2 - 2 * r_s * r_l * np.cos(at_l - image) + z**2)
            total = total + np.exp(-1j * k * r) / r
    return total


def biot_tolstoy(angle, r_s, at_s, r_l, at_l, z, k):
    """Exact field at a hard wedge of a source with 1/r (Biot & Tolstoy 1957; Svensson 1999)."""
    nu = np.pi / angle
    eta = (np.arange(200_000) + 0.5) * 1.4e-4
    far = np.sqrt(r_s**2 + r_l**2 + z**2 + 2 * r_s * r_l * np.cosh(eta))
    beta = 0
    for phi in (np.pi + a * at_s + b * at_l for a in (1, -1) for b in (1, -1)):
        beta = beta + np.sin(nu * phi) / (np.cosh(nu * eta) - np.cos(nu * phi))
    bent = -nu / (2 * np.pi) * (beta / far * np.exp(-1j * k * far)).sum() * 1.4e-4
    return seen(angle, r_s, at_s, r_l, at_l, z, k) + bent


def macdonald(r_s, at_s, r_l, at_l, z, k):
    """Exact field at a hard half-plane (MacDonald 1915; Bowman & Senior 1969, section 8.3)."""
    whole, total = np.hypot(r_s + r_l, z), 0
    for image in (at_s, -at_s):
        r = np.sqrt(r_s**2 + r_l**2 - 2 * r_s * r_l * np.cos(at_l - image) + z**2)

        def part(t, r=r):
            return hankel2(1, k * r + t * t) / np.sqrt(t * t + 2 * k * r)

        turned = np.linspace(0, 30, 30_001) * np.exp(-0.25j * np.pi)
        half = np.trapezoid(part(turned), turned)
        reach = 2 * np.sqrt(k * r_s * r_l / (whole + r)) * np.cos((at_l - image) / 2)
        to_reach = np.linspace(0, reach, 10_001)
        share = (half + np.trapezoid(part(to_reach), to_reach)) / (2 * half)
        total = total + share * np.exp(-1j * k * r) / r
    return total


@pytest.mark.parametrize("at", [2.3, 3.9, 5.0])
def test_the_two_exact_solutions_agree(at):
    k = 2 * np.pi * 500 / C
    one = macdonald(1.5, 0.8, 2.0, at, 0.7, k)
    two = biot_tolstoy(2 * np.pi, 1.5, 0.8, 2.0, at, 0.7, k)
    assert one == pytest.approx(two, rel=1e-3)


@pytest.mark.parametrize(("scene", "angle"), [(half_plane, 2 * np.pi), (solid_corner, 1.5 * np.pi)])
@pytest.mark.parametrize(("r_s", "at_s", "r_l", "z"), [(1.5, 0.8, 2.0, 0.7), (0.7, 1.4, 3.0, 2.0)])
def test_field_about_an_edge_is_the_exact_one_in_every_octave(scene, angle, r_s, at_s, r_l, z):
    at = np.linspace(0.1, angle - 0.1, 12)
    found = pressure(paths_of(scene(), around(r_s, at_s, 0.0), around(r_l, at, z)), len(at))
    exact = np.array(
        [
            [biot_tolstoy(angle, r_s, at_s, r_l, a, z, 2 * np.pi * f / C) for f in OCTAVES]
            for a in at
        ]
    )
    # Where waves cancel, a dB of the sum says nothing: there the error re the free field counts.
    free = 1 / np.hypot(r_s + r_l, z)
    error = np.minimum(np.abs(decibel(found / exact)), decibel(1 + np.abs(found - exact) / free))
    assert (error.max(axis=0) < WITHIN).all(), error.max(axis=0)


@pytest.mark.parametrize("absorption", [0.0, 0.5])
@pytest.mark.parametrize("boundary", [np.pi - 0.8, np.pi + 0.8])
@pytest.mark.parametrize("scene", [half_plane, solid_corner])
def test_the_field_is_continuous_where_sound_is_cut_off(scene, boundary, absorption):
    # The first boundary is that of the reflection, the second that of the direct sound.
    at = boundary + np.array([-1e-3, -2e-4, 2e-4, 1e-3])  # rays are good to a tenth of a mm
    room = scene(Material("m", absorption, 0.1))
    found = pressure(paths_of(room, around(1.5, 0.8, 0.0), around(2.0, at, 0.5)), 4)
    assert np.abs(np.diff(decibel(found), axis=0)).max() < 0.3


def test_no_diffraction_would_jump_by_a_great_deal():
    at = np.pi + 0.8 + np.array([-1e-3, 1e-3])
    paths = paths_of(half_plane(), around(1.5, 0.8, 0.0), around(2.0, at, 0.5))
    straight = paths.take(np.flatnonzero(paths.bend < 0))
    assert np.bincount(straight.listener, minlength=2).tolist() == [1, 0]


def finite_edge(angle, r_s, at_s, z_s, r_l, at_l, z_l, ends, k):
    """Svensson, Fred & Vanderkooy (JASA 1999): the edge as a line of secondary sources."""
    nu = np.pi / angle
    z = np.linspace(*ends, 40_001)
    z = (z[1:] + z[:-1]) / 2
    m, l = np.hypot(r_s, z - z_s), np.hypot(r_l, z - z_l)  # noqa: E741  # the paper's letters
    eta = np.arccosh((m * l + (z - z_s) * (z - z_l)) / (r_s * r_l))
    beta = 0
    for phi in (np.pi + a * at_s + b * at_l for a in (1, -1) for b in (1, -1)):
        beta = beta + np.sin(nu * phi) / (np.cosh(nu * eta) - np.cos(nu * phi))
    step = (ends[1] - ends[0]) / len(z)
    return -nu / (4 * np.pi) * (beta / (m * l) * np.exp(-1j * k * (m + l))).sum() * step


def over_the_edge(z_l: float, ends: tuple[float, float], at: float = 4.4) -> np.ndarray:
    """Our field over the one short edge alone."""
    source, head = around(1.5, 0.8, 0.0), around(1.5, at, z_l)
    paths = paths_of(solid_corner(low=ends[0], high=ends[1]), source, head)
    place = np.clip(z_l / 2, *ends)
    way = np.hypot(1.5, place) + np.hypot(1.5, z_l - place)
    mine = np.flatnonzero((paths.bend >= 0) & (np.abs(paths.length - way) < 1e-6))
    assert len(mine) == 1
    return pressure(paths.take(mine), 1)[0]


@pytest.mark.parametrize("z_l", [0.0, 0.6, 0.9, 1.1])
def test_an_edge_with_ends_bends_as_a_line_of_secondary_sources(z_l):
    found = over_the_edge(z_l, (-0.5, 0.5))
    exact = [
        finite_edge(1.5 * np.pi, 1.5, 0.8, 0.0, 1.5, 4.4, z_l, (-0.5, 0.5), 2 * np.pi * f / C)
        for f in OCTAVES
    ]
    assert np.abs(decibel(found / exact)).max() < 2.7


def test_the_field_is_continuous_where_an_edge_ends():
    below, above = (decibel(over_the_edge(z, (-0.5, 0.5))) for z in (0.999, 1.001))
    assert np.abs(above - below).max() < 0.2


def test_thin_plate_with_two_edges_is_about_a_half_plane():
    # Two bends within a fraction of a wavelength are out of the theory's reach: 3 dB says how far.
    thick = 0.02
    corners = np.array([[x, y, z] for y in (0, -thick) for z in (-FAR, FAR) for x in (0, FAR)])
    faces = [[0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 4, 2], [4, 6, 2]]
    scene = Scene(corners, faces, np.zeros(6, np.int32), HARD)
    at = np.array([4.2, 4.6, 5.2, 5.8])
    paths = paths_of(scene, around(1.5, 0.8, 0.0), around(2.0, at, 0.7), double=True)
    found = pressure(paths, len(at))[:, 1:6]
    exact = np.array(
        [
            [biot_tolstoy(2 * np.pi, 1.5, 0.8, 2.0, a, 0.7, 2 * np.pi * f / C) for f in OCTAVES]
            for a in at
        ]
    )[:, 1:6]
    assert np.abs(decibel(found / exact)).max() < 3.1


@pytest.mark.parametrize("double", [False, True])
def test_source_and_listener_may_change_places(double):
    world = two_rooms()
    scene = as_scene(world, Material("m", 0.3, 0.1))
    here, there = np.array([3.0, 3.2, 1.5]), np.array([4.8, 0.8, 1.2])
    forth, back = (
        paths_of(scene, a, b[None], double=double, order=0)
        for a, b in ((here, there), (there, here))
    )
    assert len(forth) == len(back) > 0
    np.testing.assert_allclose(forth.length, back.length, rtol=1e-6)
    one, two = pressure(forth, 1), pressure(back, 1)
    np.testing.assert_allclose(one, two, rtol=1e-3)


def as_scene(world, material: Material) -> Scene:
    return Scene(world.vertices, world.faces, np.zeros(len(world.faces), np.int32), (material,))


def geodesic(source, head, *posts) -> float:
    """Length of the shortest way over upright edges at `posts` (x, y)."""

    def length(heights):
        points = [source, *(np.array([*p, h]) for p, h in zip(posts, heights, strict=True)), head]
        return sum(np.linalg.norm(b - a) for a, b in pairwise(points))

    return minimize(length, np.ones(len(posts)), tol=1e-12).fun


@pytest.mark.parametrize(
    ("source", "head", "posts"),
    [
        ((3.0, 3.2, 1.5), (4.8, 0.8, 1.2), [(4.2, 2.6)]),
        ((1.0, 1.0, 1.5), (6.0, 1.5, 1.2), [(4.0, 2.6), (4.2, 2.6)]),
    ],
)
def test_sound_behind_a_wall_arrives_through_the_doorway_on_time(source, head, posts):
    scene = as_scene(two_rooms(), Material("dead", 1.0, 0.0))
    simulator = Simulator(
        output="mono", air_absorption=False, speed_of_sound=C, duration=0.2, rays=500,
        specular_order=0, diffraction_order=len(posts),
    )  # fmt: skip
    response = np.abs(simulator(scene, source, head).samples[0, 0])
    way = geodesic(np.array(source), np.array(head), *posts)
    onset = np.flatnonzero(response > 0.4 * response.max())[0]
    assert abs(onset - way / C * 48_000) <= 1
    silent = replace(simulator, diffraction_order=0)(scene, source, head).samples
    assert np.abs(silent).max() < 1e-6 * response.max()


def test_responses_hold_the_spectrum_of_the_coefficients():
    generator = np.random.default_rng(0)
    bends = np.zeros((8, 1, utd.WIDTH))
    for bend in bends[:, 0]:
        at = generator.uniform(0.1, 4.6, 2)
        utd.describe(1.5 * np.pi, *at, 1.0, generator.uniform(0.2, 2), bend)
        bend[8:10] = np.sort(generator.uniform(0, 0.9, 2))
        bend[10], bend[11] = generator.integers(2), 1
    spectra = np.ones((8, 513), complex)
    faces = np.full((8, 1, 2, 9), 0.8)
    utd.diffract(spectra, bends, faces, sample_rate=48_000, speed=C)
    k = 2 * np.pi * np.fft.rfftfreq(1024, 1 / 48_000) / C
    for found, bend in zip(spectra, bends[:, 0], strict=True):
        exact = np.array([utd.coefficient(v, bend, 0.8, 0.8) for v in k[1:]])
        assert np.abs(found[1:] / exact - 1).max() < 2e-3


def test_edges_of_a_room_with_solids():
    world = two_rooms()
    edges = Room(as_scene(world, HARD[0])).corners.edges
    inside = [
        e
        for e in range(len(edges))
        if (edges.points(np.array([0.5]))[e, 0] > 0.001).all()
        and (edges.points(np.array([0.5]))[e, 0] < (8.199, 3.999, 2.3)).all()
    ]
    ends = np.stack([edges.start, edges.start + edges.length[:, None] * edges.along], axis=1)
    # Doorway: two jambs and a lintel on either side; table: four rims and four posts; cupboard
    # in its corner: two rims and one post that stand free, and where it ends flush.
    assert len(inside) >= 6 + 8 + 3
    np.testing.assert_allclose(edges.angle[inside], 1.5 * np.pi, atol=1e-6)
    jamb = np.isclose(ends[:, :, 1], 2.6).all(1) & np.isclose(ends[:, :, 0], 4.0).all(1)
    assert jamb.sum() == 1
    np.testing.assert_allclose(np.sort(ends[jamb][0, :, 2]), [0, 2], atol=0.021)


def test_edges_buried_in_other_solids_and_curved_surfaces_are_none():
    trimesh = pytest.importorskip("trimesh")
    post = trimesh.creation.box((0.5, 0.5, 1.0))
    shelf = trimesh.creation.box((0.5, 0.5, 1.0)).apply_translation((0.5, 0, 0))  # flush with it
    drum = trimesh.creation.cylinder(0.4, 1.0, sections=48).apply_translation((3, 0, 0))
    mesh = trimesh.util.concatenate([post, shelf, drum])
    scene = Scene(mesh.vertices, mesh.faces, np.zeros(len(mesh.faces), np.int32), HARD)
    edges = Room(scene).corners.edges
    middle = edges.start + 0.5 * edges.length[:, None] * edges.along
    at_drum = middle[:, 0] > 2
    upright = np.abs(edges.along[:, 2]) > 0.9
    assert not (at_drum & upright).any()
    assert (~at_drum & upright).sum() == 4  # of the eight, the four at the joint are buried


@pytest.mark.parametrize("order", [-1, 3])
def test_bad_orders_are_refused(order):
    with pytest.raises(SimulationError, match="diffraction_order"):
        Simulator(diffraction_order=order)
