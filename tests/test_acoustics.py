"""The native engine against closed forms: arrival, level, images, decay, energy, reciprocity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import linregress

from piavas.acoustics.ambisonics import harmonics
from piavas.acoustics.field import Room
from piavas.acoustics.medium import air_absorption, speed_of_sound
from piavas.acoustics.simulator import Simulator
from piavas.errors import PiavasError, SimulationError
from piavas.scene import Directivity, Material, Pose, Scene, Source, as_poses

C = 343.0
SIZE = np.array([6.0, 4.0, 3.0])
SOURCE = np.array([1.0, 1.0, 1.5])
MONO = Simulator(output="mono", air_absorption=False, speed_of_sound=C, duration=1.0, rays=8000)


def decay_time(response: np.ndarray, rate: int) -> float:
    """T30 of one response, broadband (ISO 3382-1)."""
    left = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(left / left[0] + 1e-30)
    part = (level < -5) & (level > -35)
    return -60 / linregress(np.arange(len(level))[part] / rate, level[part]).slope


def shoebox_images(source, head, reach):
    """Images `[n, 3]` and their orders `[n]` within `reach` metres of `head` (Allen & Berkley)."""
    n = np.arange(-int(reach / SIZE.min() / 2) - 1, int(reach / SIZE.min() / 2) + 2)
    axes = [
        (
            np.concatenate([2 * n * SIZE[k] + source[k], 2 * n * SIZE[k] - source[k]]),
            np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)]),
        )
        for k in range(3)
    ]
    position = np.stack(np.meshgrid(*(a[0] for a in axes), indexing="ij"), -1).reshape(-1, 3)
    order = sum(np.meshgrid(*(a[1] for a in axes), indexing="ij")).ravel()
    near = np.linalg.norm(position - head, axis=1) < reach
    return position[near], order[near]


def late_energy(scene, source, head, **options) -> tuple[np.ndarray, np.ndarray]:
    """Squared pressure of the traced part at 1 kHz, and the way each piece travelled."""
    simulator = replace(MONO, **options)
    source = source if isinstance(source, Source) else Source(source)
    field = simulator.trace(Room(scene), source, as_poses(head))
    hits = field.hits(field.balls(np.atleast_2d(head)))[0]
    return hits.weight * field.segments.energy[hits.segment, 4], hits.distance


@pytest.mark.parametrize("head", [(4.0, 2.5, 1.2), (1.0, 1.0, 2.5), (5.7, 0.3, 2.0)])
def test_direct_sound_arrives_on_time_at_one_over_r(head):
    scene = Scene.shoebox(SIZE, absorption=1.0)
    response = MONO(scene, SOURCE, head).samples[0, 0].astype(float)
    far = np.linalg.norm(np.array(head) - SOURCE)
    assert abs(np.abs(response).argmax() - far / C * 48_000) <= 1
    assert 10 * np.log10((response**2).sum() * far**2) == pytest.approx(0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(response))[20:20_000] * far
    assert np.abs(20 * np.log10(spectrum)).max() < 0.1


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_other_rates_keep_time_and_spectrum(rate):
    scene = Scene.shoebox(SIZE, absorption=1.0)
    response = replace(MONO, sample_rate=rate)(scene, SOURCE, (4.0, 2.5, 1.2)).samples[0, 0]
    far = np.linalg.norm(np.array([4.0, 2.5, 1.2]) - SOURCE)
    assert abs(np.abs(response).argmax() - far / C * rate) <= 1
    spectrum = np.abs(np.fft.rfft(response, rate))[50 : int(0.4 * rate)] * far
    assert np.abs(20 * np.log10(spectrum)).max() < 0.1


@pytest.mark.parametrize("head", [(4.0, 2.5, 1.2), (3.0, 1.0, 2.0), (2.2, 2.2, 0.05)])
def test_image_sources_of_a_shoebox(head):
    # The last head lies on the diagonal through the source: paths run into edges there.
    head = np.array(head)
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=0.1)
    field = MONO.trace(Room(scene), Source(SOURCE), as_poses(head))
    paths = field.paths(head[None])
    images, order = shoebox_images(SOURCE, head, 40.0)
    images, order = images[order <= 3], order[order <= 3]
    found = head - paths.length[:, None] * paths.arrival
    gap = np.linalg.norm(found[:, None] - images[None], axis=-1)
    assert len(paths) == len(images)
    assert gap.min(axis=0).max() < 1e-6
    nearest = gap.argmin(axis=1)
    expected = np.sqrt(0.8 * 0.9) ** order[nearest] / paths.length
    np.testing.assert_allclose(paths.gain[:, 4], expected, rtol=1e-6)


def test_early_and_traced_parts_together_carry_every_image_once():
    head = np.array([4.0, 2.5, 1.2])
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=0.0)
    images, order = shoebox_images(SOURCE, head, C)
    energy = 0.8**order / ((images - head) ** 2).sum(1)
    for carried in (0, 1, 3):
        late, _ = late_energy(scene, SOURCE, head, specular_order=carried)
        assert 10 * np.log10(late.sum() / energy[order > carried].sum()) == pytest.approx(
            0, abs=0.3
        )


def test_decay_of_the_traced_part_follows_the_images_in_time():
    head = np.array([4.0, 2.5, 1.2])
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=0.0)
    images, order = shoebox_images(SOURCE, head, C)
    way = np.linalg.norm(images - head, axis=1)
    energy = np.where(order > 3, 0.8**order / way**2, 0)
    late, travelled = late_energy(scene, SOURCE, head, rays=20_000)
    edges = np.arange(0, 0.5, 0.05) * C
    ratio = (
        np.histogram(travelled, edges, weights=late)[0]
        / np.histogram(way, edges, weights=energy)[0]
    )
    assert np.abs(10 * np.log10(ratio)).max() < 1.0


@pytest.mark.parametrize(("scattering", "expected"), [(0.1, 0.523), (0.5, 0.495)])
def test_reverberation_time_that_independent_engines_agree_on(scattering, expected):
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=scattering)
    heads = [(4.0, 2.5, 1.2), (3.0, 1.0, 2.0), (5.0, 3.2, 1.0)]
    responses = replace(MONO, rays=20_000)(scene, SOURCE, heads)
    times = [decay_time(r[0], 48_000) for r in responses.samples]
    assert np.mean(times) == pytest.approx(expected, rel=0.03)


def lambert_walk(absorption: float, rays: int, bounces: int, seed: int):
    """Free paths `[rays, bounces]` and vertices of a plain walk between diffuse walls."""
    generator = np.random.default_rng(seed)
    position = np.tile(SOURCE, (rays, 1))
    way = generator.normal(size=(rays, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    lengths, points = [], []
    for _ in range(bounces):
        with np.errstate(divide="ignore"):
            reach = np.where(way > 0, (SIZE - position) / way, -position / way)
        wall = reach.argmin(axis=1)
        step = reach.min(axis=1)
        position = np.clip(position + step[:, None] * way, 0, SIZE)
        normal = np.zeros_like(way)
        normal[np.arange(rays), wall] = -np.sign(way[np.arange(rays), wall])
        lengths.append(step)
        points.append((position.copy(), normal.copy()))
        way = generator.normal(size=(rays, 3))
        way = normal + way / np.linalg.norm(way, axis=1, keepdims=True)  # cosine law
        way /= np.linalg.norm(way, axis=1, keepdims=True)
    return np.stack(lengths, axis=1), points


def test_diffuse_walls_decay_as_eyring_with_kuttruffs_correction():
    lengths, _ = lambert_walk(0.2, 4000, 60, seed=3)
    spread = (lengths[:, 5:].std() / lengths[:, 5:].mean()) ** 2
    volume, area = SIZE.prod(), 2 * (6 * 4 + 6 * 3 + 4 * 3)
    exponent = -np.log(0.8)
    exponent *= 1 + spread / 2 * np.log(0.8)  # Kuttruff, Room Acoustics, 6th ed., eq. 5.35
    expected = 24 * np.log(10) * volume / (C * area * exponent)
    scene = Scene.shoebox(SIZE, absorption=0.2, scattering=1.0)
    response = replace(MONO, rays=20_000)(scene, SOURCE, (4.0, 2.5, 1.2)).samples[0, 0]
    assert decay_time(response, 48_000) == pytest.approx(expected, rel=0.03)


def test_energy_agrees_with_a_plain_walk_that_connects_to_the_listener():
    head = np.array([4.0, 2.5, 1.2])
    rays = 20_000
    _, points = lambert_walk(0.3, rays, 40, seed=5)
    total = 0.0
    for bounce, (point, normal) in enumerate(points):
        way = head - point
        square = (way**2).sum(axis=1)
        cosine = (way * normal).sum(axis=1) / np.sqrt(square)
        # A Lambert wall element re-radiates cos/pi of what meets it; p² = 4 pi times intensity.
        total += 0.7 ** (bounce + 1) * (4 * cosine.clip(0) / square).sum() / rays
    scene = Scene.shoebox(SIZE, absorption=0.3, scattering=1.0)
    late, _ = late_energy(scene, SOURCE, head, rays=20_000)
    assert 10 * np.log10(late.sum() / total) == pytest.approx(0, abs=0.3)


def test_energy_is_kept_at_every_bounce():
    scene = Scene.shoebox(SIZE, absorption=0.0, scattering=0.4)
    field = replace(MONO, duration=0.3, specular_order=0).trace(
        Room(scene), Source(SOURCE), as_poses((4.0, 2.5, 1.2))
    )
    mean = np.array([field.segments.energy[field.segments.ray == r].mean(0) for r in range(50)])
    np.testing.assert_allclose(mean, 1, rtol=1e-4)


def test_bands_with_other_scattering_keep_their_energy():
    scattering = np.linspace(0.05, 0.9, 9)
    scene = Scene.shoebox(SIZE, absorption=0.0, scattering=scattering)
    simulator = replace(MONO, duration=0.1, specular_order=0, rays=40_000)
    segments = simulator.trace(Room(scene), Source(SOURCE), as_poses((4.0, 2.5, 1.2))).segments
    at = np.abs(segments.travelled + segments.length / 2 - 20.0) < segments.length / 2
    share = segments.energy[at].sum(axis=0) / segments.rays
    deviation = segments.energy[at].std(axis=0) / np.sqrt(segments.rays)
    assert (np.abs(share - 1) < 4 * deviation + 1e-3).all()


@pytest.mark.parametrize("scattering", [0.05, 0.5])
def test_source_and_microphone_may_change_places(scattering):
    walls = np.repeat(np.array([[0.1, 0.6, 0.2, 0.1, 0.3, 0.5]]).T, 9, axis=1)
    scene = Scene.shoebox(SIZE, absorption=walls, scattering=scattering)
    here, there = SOURCE, np.array([4.5, 3.0, 0.7])
    forth, back = (
        np.array([late_energy(scene, a, b, seed=s, rays=16_000)[0].sum() for s in range(6)])
        for a, b in ((here, there), (there, here))
    )
    error = np.sqrt((forth.var(ddof=1) + back.var(ddof=1)) / 6)
    assert abs(forth.mean() - back.mean()) < 3.5 * error
    assert error / forth.mean() < 0.02


def test_same_seed_same_samples_and_other_seed_others():
    scene = Scene.shoebox(SIZE, absorption=0.3)
    simulator = replace(MONO, rays=2000, duration=0.3)
    one, two = (simulator(scene, SOURCE, (4.0, 2.5, 1.2)).samples for _ in range(2))
    other = replace(simulator, seed=1)(scene, SOURCE, (4.0, 2.5, 1.2)).samples
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-4


def test_mirrored_scene_swaps_the_ears():
    walls = np.repeat(np.array([[0.1, 0.6, 0.2, 0.4, 0.3, 0.5]]).T, 9, axis=1)
    scene = Scene.shoebox(SIZE, absorption=walls, scattering=0.0)
    flip = np.array([1.0, -1.0, 1.0])
    mirrored = replace(scene, vertices=scene.vertices * flip, faces=scene.faces[:, ::-1])
    simulator = Simulator(hrtf="rigid-sphere", rays=8000, duration=0.4)
    head = np.array([4.0, 2.5, 1.2])
    one = simulator(scene, SOURCE, Pose.at(head, yaw=30)).samples[0]
    two = simulator(mirrored, SOURCE * flip, Pose.at(head * flip, yaw=-30)).samples[0, ::-1]
    first_traced = int(0.02 * 48_000)  # no fourth reflection comes earlier
    np.testing.assert_allclose(one[:, :first_traced], two[:, :first_traced], atol=2e-4)
    energy = 10 * np.log10((one**2).sum(axis=1) / (two**2).sum(axis=1))
    assert np.abs(energy).max() < 0.3


def test_the_louder_ear_is_on_the_side_of_the_source():
    scene = Scene.shoebox(SIZE, absorption=0.5)
    simulator = Simulator(hrtf="rigid-sphere", rays=4000, duration=0.3)
    head = np.array([4.0, 1.0, 1.5])  # the source lies at -x of it
    poses = [Pose.at(head, yaw=90), Pose.at(head, yaw=-90)]
    energy = (simulator(scene, SOURCE, poses).samples ** 2).sum(axis=-1)
    assert energy[0, 0] > 1.5 * energy[0, 1]
    assert energy[1, 1] > 1.5 * energy[1, 0]


def test_interaural_coherence_of_the_late_field():
    scene = Scene.shoebox(SIZE, absorption=0.1, scattering=0.5)
    simulator = Simulator(hrtf="rigid-sphere", duration=1.0)
    left, right = simulator(scene, SOURCE, (4.0, 2.5, 1.2)).samples[0][:, 4800:28_800]
    frames = np.stack([left, right]).reshape(2, -1, 480)
    spectra = np.fft.rfft(frames * np.hanning(480))
    cross = (spectra[0] * spectra[1].conj()).sum(0).real
    coherence = cross / np.sqrt((np.abs(spectra) ** 2).sum(1).prod(0))
    assert coherence[1] > 0.8  # 100 Hz
    assert np.abs(coherence[20:120].mean()) < 0.15  # 2 to 12 kHz


def test_ambisonic_w_is_the_mono_pressure_and_x_points_ahead():
    scene = Scene.shoebox(SIZE, absorption=0.6)
    head = Pose.looking_at((4.0, 2.5, 1.2), SOURCE)
    mono = replace(MONO, duration=0.3)(scene, SOURCE, head).samples[0, 0]
    encoded = replace(MONO, duration=0.3, output="ambisonic-3")(scene, SOURCE, head).samples[0]
    assert encoded.shape[0] == 16
    np.testing.assert_allclose(encoded[0], mono, atol=1e-6)
    at = np.abs(mono).argmax()
    assert encoded[3, at] == pytest.approx(mono[at], rel=1e-3)
    assert abs(encoded[1, at]) < 1e-3 * abs(mono[at])


def test_harmonics_are_sn3d():
    way = np.random.default_rng(0).normal(size=(20, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    y = harmonics(way, 4)
    np.testing.assert_allclose(y[:, 1:4], way[:, [1, 2, 0]], atol=1e-12)
    for n in range(5):
        np.testing.assert_allclose((y[:, n * n : (n + 1) ** 2] ** 2).sum(1), 1, atol=1e-12)


def test_directivity_weakens_the_back():
    scene = Scene.shoebox(SIZE, absorption=1.0)
    cardioid = Directivity(np.full(9, 0.5))
    peaks = [
        np.abs(MONO(scene, Source(SOURCE, axis, cardioid), (4.0, 1.0, 1.5)).samples).max()
        for axis in ([1, 0, 0], [0, 1, 0])
    ]
    assert peaks[0] == pytest.approx(1 / 3, rel=0.05)
    assert peaks[1] / peaks[0] == pytest.approx(0.5, rel=1e-3)
    silent = late_energy(Scene.shoebox(SIZE), Source(SOURCE, [0, 0, 1], cardioid), (4, 2, 1))[
        0
    ].sum()
    full = late_energy(Scene.shoebox(SIZE), SOURCE, (4, 2, 1))[0].sum()
    assert silent / full == pytest.approx(1 / 3, rel=0.1)  # mean of a cardioid's energy


def two_rooms() -> Scene:
    """Two rooms of 4 x 4 x 3 m with a wall of 0.2 m between and a doorway at one end of it."""
    manifold = pytest.importorskip("manifold3d").Manifold
    air = (
        manifold.cube((4, 4, 3))
        + manifold.cube((4, 4, 3)).translate((4.2, 0, 0))
        + manifold.cube((0.4, 1, 2)).translate((3.9, 3, 0))
    ).to_mesh()
    faces = np.asarray(air.tri_verts, np.int32)[:, ::-1]
    stuff = (Material("plaster", 0.15, 0.2),)
    return Scene(air.vert_properties[:, :3], faces, np.zeros(len(faces), np.int32), stuff)


def test_sound_behind_a_wall_comes_through_the_doorway():
    scene = two_rooms()
    source, near, far = np.array([1.0, 1.0, 1.5]), (3.0, 1.5, 1.5), (6.0, 1.0, 1.5)
    assert not Room(scene).caster.visible(source[None], np.array([far]))[0]
    responses = replace(MONO, duration=0.8)(scene, source, [near, far])
    energy = (responses.samples[:, 0] ** 2).sum(axis=1)
    assert 0 < energy[1] < 0.2 * energy[0]
    door = np.array([4.0, 3.0, 1.5])
    shortest = np.linalg.norm(door - source) + np.linalg.norm(door + np.array([0.2, 0, 0]) - far)
    first = np.flatnonzero(np.abs(responses.samples[1, 0]) > 1e-5)[0] / 48_000 * C
    assert shortest - 0.7 < first < shortest + 4.0


def test_air_absorbs_as_iso_9613_tabulates():
    # ISO 9613-2:1996, table 2, dB/km at exact mid-band frequencies.
    bands = 1000.0 * 10 ** (0.3 * np.arange(-3, 4))
    warm = air_absorption(bands, temperature=20, humidity=70) * 1000
    np.testing.assert_allclose(warm, [0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6], atol=0.06)
    cool = air_absorption(bands, temperature=10, humidity=70) * 1000
    np.testing.assert_allclose(cool[:6], [0.4, 1.0, 1.9, 3.7, 9.7, 32.8], atol=0.06)
    assert cool[6] == pytest.approx(117, abs=0.5)
    assert speed_of_sound(20) == pytest.approx(343.2)


def test_air_absorption_shortens_the_high_decay():
    scene = Scene.shoebox(SIZE, absorption=0.05, scattering=0.5)
    simulator = replace(MONO, rays=2000)
    unasked = replace(simulator, rays=200, duration=None)(scene, SOURCE, (4, 2, 1))
    assert unasked.samples.shape[-1] == pytest.approx(2.3 * 48_000, rel=0.3)  # Sabine 2.15 s
    with_air = replace(simulator, air_absorption=True, duration=1.0)(scene, SOURCE, (4, 2, 1))
    without = replace(simulator, duration=1.0)(scene, SOURCE, (4, 2, 1))
    a, b = (np.abs(np.fft.rfft(r.samples[0, 0, 24_000:])) ** 2 for r in (with_air, without))
    assert a[4000:5000].sum() / b[4000:5000].sum() < 0.5
    assert a[100:500].sum() / b[100:500].sum() > 0.8


def solid_box_room() -> Scene:
    manifold = pytest.importorskip("manifold3d").Manifold
    air = (manifold.cube((6, 4, 3)) - manifold.cube((1, 1, 1)).translate((2, 2, 0.5))).to_mesh()
    faces = np.asarray(air.tri_verts, np.int32)[:, ::-1]
    return Scene(
        air.vert_properties[:, :3], faces, np.zeros(len(faces), np.int32), (Material("m", 0.2),)
    )


@pytest.mark.parametrize(
    ("source", "head", "field"),
    [
        ((9, 1, 1), (4, 2, 1), "source"),
        ((1, 1, 1), (4, 2, -1), r"listeners\[0\]"),
        ((2.5, 2.5, 1), (4, 2, 1), "source"),
        ((1, 1, 1), (2.5, 2.5, 1), r"listeners\[0\]"),
        ((1, 1, np.nan), (4, 2, 1), "source"),
    ],
)
def test_places_in_walls_or_outside_are_refused(source, head, field):
    with pytest.raises(SimulationError, match=field):
        replace(MONO, duration=0.1)(solid_box_room(), source, head)


def test_leaks_are_refused_unless_allowed():
    box = Scene.shoebox(SIZE)
    open_box = replace(box, faces=box.faces[:-1], face_material=box.face_material[:-1])
    with pytest.raises(SimulationError, match="escape"):
        MONO(open_box, SOURCE, (4, 2, 1))
    with pytest.warns(UserWarning, match="escape"):
        assert np.isfinite(
            replace(MONO, allow_leaks=True)(open_box, SOURCE, (4, 2, 1)).samples
        ).all()


@pytest.mark.parametrize(
    "options",
    [
        {"rays": 0},
        {"duration": -1.0},
        {"output": "stereo"},
        {"output": "ambisonic-9"},
        {"sample_rate": 5},
        {"specular_order": -1},
        {"backend": "magic"},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(SimulationError, match=next(iter(options))):
        Simulator(**options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Material("m", 1.2),
        lambda: Material("m", np.ones(4) * 0.1),
        lambda: Material("m", 0.1, transmission=0.5),
        lambda: Scene(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), (Material("m", 0.1),)),
        lambda: Scene(np.eye(3), [[0, 1, 5]], [0], (Material("m", 0.1),)),
        lambda: Scene(np.eye(3), [[0, 1, 2]], [3], (Material("m", 0.1),)),
        lambda: Pose(np.diag([1.0, 1.0, 2.0, 1.0])),
        lambda: as_poses([]),
    ],
)
def test_broken_nouns_are_refused(make):
    with pytest.raises(PiavasError):
        make()
