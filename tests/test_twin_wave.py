"""Low frequencies by finite differences, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, find_peaks, sosfiltfilt

from piavas.acoustics import Simulator, load_hrtf
from piavas.errors import SimulationError
from piavas.scene import Pose, Scene
from piavas.twin.low import CROSSOVER, crossed, ears, with_waves
from piavas.twin.wave import (
    COURANT,
    HIGHEST,
    WaveField,
    admittance,
    band_window,
    driven,
    make_grid,
    paris,
    pulse,
    solve,
)

C = 343.2


def in_band(sound, rate, low=60.0, high=300.0):
    return sosfiltfilt(butter(2, [low, high], "band", fs=rate, output="sos"), sound)


def test_admittance_inverts_paris_integral():
    assert paris(1.567) == pytest.approx(0.951, abs=1e-3)  # its maximum
    angles = (np.arange(20_000) + 0.5) / 20_000 * np.pi / 2
    for alpha in (0.02, 0.1, 0.3, 0.6, 0.9):
        z = 1 / admittance(alpha)
        # The integral itself, over sin 2 theta.
        cosine = np.cos(angles)
        here = 1 - ((z * cosine - 1) / (z * cosine + 1)) ** 2
        assert (here * np.sin(2 * angles)).mean() * np.pi / 2 == pytest.approx(alpha, abs=1e-6)
    assert admittance(0.0) == 0
    assert admittance(1.0) == admittance(0.95)


@pytest.fixture(scope="module")
def hall():
    return Scene.shoebox((7.0, 7.0, 7.0), absorption=0.0)


def sounded(scene, source, points, seconds):
    """What points hear of the solver's pulse, and the times of its samples."""
    grid = make_grid(scene, source)
    time = np.arange(0, seconds, COURANT * grid.spacing / C)
    return driven(grid, source, points, pulse(time)), time


def off(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def test_free_field_is_one_over_r_and_its_gradient(hall):
    source = np.array([3.52, 3.47, 3.51])
    ways = np.array([[1.0, 0.0, 0.0], [0.0, 0.9, 0.9], [-0.8, 0.8, 0.8]])
    heard, time = sounded(hall, source, source + ways, 0.016)  # before the walls answer
    for way, got in zip(ways, heard, strict=True):
        r = np.linalg.norm(way)
        truth = pulse(time - r / C) / r
        # The grid disperses up to 1 % in speed along its axes, not along its diagonals.
        assert off(got[0], truth) < 0.05
        assert got[0] @ truth / (truth @ truth) == pytest.approx(1, abs=0.03)
        step = 1e-4
        near, far = (pulse(time - (r + s) / C) / (r + s) for s in (-step, step))
        slope = (far - near) / (2 * step)
        assert off(got[1:], slope * way[:, None] / r) < 0.08


def test_a_hard_wall_mirrors_the_source(hall):
    source, point = np.array([1.5, 3.55, 3.55]), np.array([2.5, 3.55, 3.55])
    heard, time = sounded(hall, source, point[None], 0.021)
    direct, image = pulse(time - 1 / C), pulse(time - 4 / C) / 4
    assert off(heard[0, 0], direct + image) < 0.07
    assert off(heard[0, 0], direct) > 0.2


def test_modes_of_a_hard_box_lie_where_they_must():
    size = np.array([4.0, 3.0, 2.5])
    corner = np.array([0.05, 0.05, 0.05])
    grid = make_grid(Scene.shoebox(size, absorption=0.0), corner)
    assert len(grid.walls) == 40 * 30 * 25
    assert not grid.walls.any()
    field = solve(grid, corner, (size - corner)[None], seconds=2.0, speed=C)
    sound = field.samples[0, 0] * np.hanning(2 * field.samples.shape[2])[field.samples.shape[2] :]
    f = np.fft.rfftfreq(1 << 18, 1 / field.sample_rate)
    spectrum = np.abs(np.fft.rfft(sound, 1 << 18))
    peaks = f[find_peaks(spectrum, height=0.1 * spectrum[(f > 30) & (f < 130)].max())[0]]
    orders = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3)[1:]
    modes = np.sort(C / 2 * np.linalg.norm(orders / size, axis=1))
    for mode in modes[modes < 112]:
        assert np.abs(peaks - mode).min() < 0.004 * mode


def test_a_mode_decays_as_its_walls_take_it():
    """2 delta = c beta sum over axes of 2 eps / L, eps = 1 for order 0, else 2 (small beta)."""
    size, alpha = np.array([4.0, 3.0, 2.5]), 0.08
    scene = Scene.shoebox(size, absorption=alpha)
    ends = np.array([[0.05, 1.5, 1.25], [3.95, 1.5, 1.25]])  # on nodes of y and z, (1, 0, 0) heard
    grid = make_grid(scene, ends[0])
    field = solve(grid, ends[0], ends[1:], seconds=2.0, speed=C)
    mode = C / 2 / size[0]
    tone = in_band(field.samples[0, 0], field.sample_rate, 0.9 * mode, 1.1 * mode)
    level = np.log(np.cumsum((tone**2)[::-1])[::-1])
    first, last = (round(t * field.sample_rate) for t in (0.3, 1.0))
    delta = -(level[last] - level[first]) / 0.7 / 2
    truth = C * admittance(alpha) * (2 / size[0] + 1 / size[1] + 1 / size[2])
    assert delta == pytest.approx(truth, rel=0.03)


def test_an_absorbing_wall_reflects_as_its_impedance_says(hall):
    alpha = 0.6
    walls = [
        replace(m, absorption=np.full(9, alpha if m.name == "x0" else 0.0)) for m in hall.materials
    ]
    source, point = np.array([1.5, 3.55, 3.55]), np.array([2.5, 3.55, 3.55])
    scenes = (hall, hall.with_materials(walls))
    hard, soft = (sounded(scene, source, point[None], 0.021)[0][0, 0] for scene in scenes)
    time = np.arange(hard.size) * COURANT * 0.1 / C
    late = time > 1 / C + 8.5e-3  # the direct pulse is over
    ratio = soft[late] @ hard[late] / (hard[late] @ hard[late])
    beta = admittance(alpha)
    assert ratio == pytest.approx((1 - beta) / (1 + beta), abs=0.06)


def test_a_thin_board_keeps_sound_out():
    import manifold3d as m3

    def scene_of(solid):
        mesh = solid.to_mesh()
        faces = np.asarray(mesh.tri_verts, np.int32)[:, ::-1]
        vertices = np.asarray(mesh.vert_properties, float)[:, :3]
        box = Scene.shoebox((1, 1, 1), absorption=0.0)
        return Scene(vertices, faces, np.zeros(len(faces), np.int32), box.materials[:1])

    room = m3.Manifold.cube((4, 3, 2.5))
    board = m3.Manifold.cube((0.01, 2.9, 2.5)).translate((2.003, -0.1, 0))
    source, point = np.array([1.0, 0.6, 1.2]), np.array([3.0, 0.6, 1.2])
    energy = []
    for solid in (room, room - board):
        field = solve(make_grid(scene_of(solid), source), source, point[None], seconds=0.012)
        energy.append((field.samples[0, 0, : round(0.009 * field.sample_rate)] ** 2).sum())
    assert energy[1] < 0.05 * energy[0]


def test_places_outside_the_air_are_refused(hall):
    grid = make_grid(hall, np.array([1.0, 1.0, 1.0]))
    with pytest.raises(SimulationError, match="not in the air"):
        solve(grid, np.array([1.0, 1, 1]), np.array([[9.0, 1, 1]]), seconds=0.01)
    with pytest.raises(SimulationError, match="spacing"):
        make_grid(hall, np.array([1.0, 1.0, 1.0]), 0.01)


def plane_wave(direction, rate, count):
    """A wave from `direction` as the solver would give it at the origin."""
    size = 2 * count
    f = np.fft.rfftfreq(size, 1 / rate)
    pressure = np.abs(band_window(f)) * np.exp(-2j * np.pi * f * 0.05)
    slope = 2j * np.pi * f / C * pressure
    spectra = np.stack([pressure, *(d * slope for d in direction)])
    return WaveField(np.fft.irfft(spectra, size)[None, :, :count], rate, C)


@pytest.mark.parametrize("yaw", [0.0, 70.0])
@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.6, -0.8, 0.0)])
def test_ears_in_a_plane_wave_hear_what_the_head_hears(direction, yaw):
    head = load_hrtf("rigid-sphere", sample_rate=22_050)
    direction = np.array(direction)
    pose = Pose.at((0, 0, 0), yaw=yaw).matrix
    turn = np.radians(-yaw)
    rotated = [
        direction[0] * np.cos(turn) - direction[1] * np.sin(turn),
        direction[0] * np.sin(turn) + direction[1] * np.cos(turn),
        0.0,
    ]
    heard = ears(plane_wave(direction, 22_050 / 4, 1500), pose[None], head, 6000)[0]
    f = np.fft.rfftfreq(6000, 1 / 22_050)
    truth = head.at([rotated])[0]
    time = (np.arange(truth.shape[1]) - head.lead) / 22_050
    row = (f > 60) & (f < CROSSOVER)
    theirs = truth @ np.exp(-2j * np.pi * time[:, None] * f[row])
    ours = np.fft.rfft(heard, axis=1)[:, row] * np.exp(2j * np.pi * f[row] * 0.05)
    ratio = ours / theirs
    assert np.abs(20 * np.log10(np.abs(ratio))).max() < 0.8
    assert np.abs(np.angle(ratio)).max() < 0.12


def test_crossover_passes_what_agrees():
    pulse = np.zeros((2, 1 << 14))
    pulse[:, 100] = 1
    spectrum = np.abs(np.fft.rfft(crossed(pulse, pulse, 22_050)))
    assert np.abs(20 * np.log10(spectrum)).max() < 0.02
    one = np.abs(np.fft.rfft(crossed(pulse, 0 * pulse, 22_050)[0]))
    f = np.fft.rfftfreq(1 << 14, 1 / 22_050)
    assert 20 * np.log10(one[np.argmin(np.abs(f - CROSSOVER))]) == pytest.approx(-3, abs=0.1)
    assert HIGHEST > CROSSOVER


def test_crossover_keeps_the_energy_of_what_does_not_agree():
    rng = np.random.default_rng(0)
    both = crossed(*rng.standard_normal((2, 1, 1 << 18)), 22_050)[0]
    power = np.abs(np.fft.rfft(both)) ** 2 / both.size
    f = np.fft.rfftfreq(both.size, 1 / 22_050)
    for low, high in ((60, 120), (120, 200), (200, 300), (300, 600)):
        level = power[(f >= low) & (f < high)].mean()
        assert 10 * np.log10(level) == pytest.approx(0, abs=0.25)


def test_nothing_is_heard_before_the_sound_arrives(hall):
    """But for what the upper edge of the band rings, which has no phase and soon dies away."""
    source, far = np.array([1.0, 3.5, 3.5]), 5.0
    grid = make_grid(hall, source)
    field = solve(grid, source, np.array([[1.0 + far, 3.5, 3.5]]), seconds=0.1, speed=C)
    silence = np.zeros((1, field.samples.shape[2]))
    heard = crossed(field.samples[0, :1], silence, round(field.sample_rate))[0]
    for before, level in ((5e-3, -40), (8e-3, -55)):
        early = np.abs(heard[: round((far / C - before) * field.sample_rate)]).max()
        assert 20 * np.log10(early / np.abs(heard).max()) < level


def test_waves_and_rays_meet_in_level():
    """Where modes are many enough, both ways of simulating give the same energy."""
    scene = Scene.shoebox((6.0, 5.0, 3.0), absorption=0.15, scattering=0.3)
    simulator = Simulator(
        rays=3000, sample_rate=22_050, hrtf="rigid-sphere", duration=0.5, air_absorption=False
    )
    spots = [(4.5, 3.5, 1.6), (2.2, 3.8, 1.4), (4.2, 1.1, 1.7), (1.1, 2.1, 1.2)]
    poses = np.stack([Pose.at(p, yaw=40.0).matrix for p in spots])
    rays = simulator(scene, (1.4, 1.2, 1.3), poses)
    head = load_hrtf("rigid-sphere", sample_rate=22_050)
    both = with_waves(rays, scene, head, simulator.speed)
    assert both.samples.shape == rays.samples.shape
    for low, high, limit in ((180.0, 240.0, 2.5), (220.0, 290.0, 2.0), (600.0, 2000.0, 0.05)):
        energy = [(in_band(r.samples, 22_050, low, high) ** 2).sum() for r in (both, rays)]
        assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(0, abs=limit)
    assert both.report["waves_below"] == CROSSOVER
