"""One contract that every engine keeps: time, level, order, channels, report, errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from piavas.acoustics.ambisonics import harmonics, to_head
from piavas.acoustics.backends import BACKENDS
from piavas.acoustics.backends.decode import from_n3d, to_ears, turned
from piavas.acoustics.hrtf import rigid_sphere
from piavas.acoustics.simulator import Simulator
from piavas.errors import MissingDependencyError, SimulationError
from piavas.scene import Directivity, ImpulseResponses, Pose, Scene

C = 343.0
SIZE = (6.0, 4.0, 3.0)
SOURCE = np.array([1.0, 1.0, 1.5])
HEADS = np.array([(4.0, 2.5, 1.2), (3.0, 1.0, 2.0), (1.5, 3.2, 0.7)])
DEAD = Scene.shoebox(SIZE, absorption=1.0)
LIVE = Scene.shoebox(SIZE, absorption=0.2, scattering=0.1)


@pytest.fixture(params=BACKENDS)
def simulator(request) -> Simulator:
    if request.param == "pyroomacoustics":
        pytest.importorskip("pyroomacoustics", reason="pyroomacoustics is not installed")
    if request.param == "steam-audio":
        from piavas.acoustics.backends.steam_library import steam_audio

        try:
            steam_audio()
        except MissingDependencyError as problem:
            pytest.skip(f"no Steam Audio library: {problem.what}")
    return Simulator(
        request.param,
        rays=500,
        output="mono",
        duration=0.3,
        speed_of_sound=C,
        air_absorption=False,
    )


def test_direct_sound_arrives_on_time_at_one_over_r(simulator):
    found = simulator(DEAD, SOURCE, HEADS)
    assert isinstance(found, ImpulseResponses)
    assert found.samples.shape == (3, 1, 14_400)
    for response, head in zip(found.samples[:, 0].astype(float), HEADS, strict=True):
        far = np.linalg.norm(head - SOURCE)
        assert abs(np.abs(response).argmax() - far / C * 48_000) <= 1
        assert 10 * np.log10((response**2).sum() * far**2) == pytest.approx(0, abs=0.1)
        spectrum = np.abs(np.fft.rfft(response))[60:5000] * far
        assert np.abs(20 * np.log10(spectrum)).max() < 0.1


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_other_rates_keep_time_and_level(simulator, rate):
    response = replace(simulator, sample_rate=rate)(DEAD, SOURCE, HEADS[0]).samples[0, 0]
    far = np.linalg.norm(HEADS[0] - SOURCE)
    assert abs(np.abs(response).argmax() - far / C * rate) <= 1
    spectrum = np.abs(np.fft.rfft(response, rate))[50 : int(0.4 * rate)] * far
    assert np.abs(20 * np.log10(spectrum)).max() < 0.1


def test_listeners_come_in_their_order(simulator):
    found = simulator(DEAD, SOURCE, HEADS[::-1])
    far = np.linalg.norm(HEADS[::-1] - SOURCE, axis=1)
    np.testing.assert_allclose(np.abs(found.samples[:, 0]).argmax(1), far / C * 48_000, atol=1)
    np.testing.assert_array_equal(found.listeners[:, :3, 3], HEADS[::-1])


def test_two_ears_hear_the_side_that_sound_comes_from(simulator):
    poses = [Pose.at(HEADS[0], yaw=yaw) for yaw in (0, 180)]
    source = HEADS[0] + (0, 1, 0)
    found = replace(simulator, output="binaural", hrtf="rigid-sphere")(DEAD, source, poses)
    assert found.samples.shape[:2] == (2, 2)
    left, right = 10 * np.log10((found.samples.astype(float) ** 2).sum(-1)).T
    assert left[0] > right[0] + 5
    assert right[1] > left[1] + 5
    assert found.report["hrtf"]["name"] == "rigid-sphere"


def test_energy_of_a_room_is_the_same_for_every_engine(simulator):
    # Eyring's diffuse field: the engines differ in scattering and edges, not by half their energy.
    found = replace(simulator, rays=4000)(LIVE, SOURCE, HEADS)
    late = (found.samples[:, 0, 2880:].astype(float) ** 2).sum(-1).mean()
    volume, area = np.prod(SIZE), 2 * (6 * 4 + 6 * 3 + 4 * 3)
    rate = -C * area * np.log(0.8) / (4 * volume)
    expected = 4 * np.pi * C / volume * (np.exp(-rate * 0.06) - np.exp(-rate * 0.3)) / rate
    assert 10 * np.log10(late / expected) == pytest.approx(0, abs=2.5)


def test_nothing_comes_before_the_direct_sound(simulator):
    found = replace(simulator, rays=2000)(LIVE, SOURCE, HEADS)
    for response, head in zip(found.samples[:, 0], HEADS, strict=True):
        start = int(np.linalg.norm(head - SOURCE) / C * 48_000)
        assert np.abs(response[: start - 60]).max() < 1e-3 * np.abs(response).max()


def test_report_names_engine_version_and_chance(simulator):
    report = simulator(DEAD, SOURCE, HEADS[:1]).report
    assert report["backend"] == simulator.backend
    assert report["version"][0].isdigit()
    assert isinstance(report["deterministic"], bool)
    assert report["seed"] == 0
    assert report["cpu_seconds"] > 0
    json.dumps(dict(report), allow_nan=False)


def test_seed_repeats_where_the_report_says_so(simulator):
    one, two = (simulator(LIVE, SOURCE, HEADS[:1]) for _ in range(2))
    same = np.array_equal(one.samples, two.samples)
    assert same == one.report["deterministic"]
    other = replace(simulator, seed=1)(LIVE, SOURCE, HEADS[:1])
    assert not np.array_equal(one.samples, other.samples)


def test_bad_places_are_refused(simulator):
    with pytest.raises(SimulationError, match="source"):
        simulator(LIVE, (9.0, 1.0, 1.0), HEADS)
    with pytest.raises(SimulationError, match=r"listeners\[1\]"):
        simulator(LIVE, SOURCE, [HEADS[0], (1.0, 1.0, 5.0)])


def test_leaks_are_refused_or_warned_of(simulator):
    keep = np.arange(12) != 11
    open_box = replace(LIVE, faces=LIVE.faces[keep], face_material=LIVE.face_material[keep])
    with pytest.raises(SimulationError, match="escape"):
        simulator(open_box, SOURCE, HEADS[:1])


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_directional_microphones_are_refused(backend):
    simulator = Simulator(backend, output="mono", microphone=Directivity(0.5))
    with pytest.raises(SimulationError, match="directional microphones"):
        simulator(LIVE, SOURCE, HEADS)


def test_unknown_engine_is_named():
    with pytest.raises(SimulationError, match=r"native, steam-audio, pyroomacoustics"):
        Simulator("wwise")


def test_n3d_becomes_the_pressure_at_order_zero():
    samples = np.zeros((16, 2), np.float32)
    samples[:, 0] = 1
    found = from_n3d(samples)
    degree = np.array([0, *[1] * 3, *[2] * 5, *[3] * 7])
    np.testing.assert_allclose(found[:, 0], np.sqrt(4 * np.pi / (2 * degree + 1)), rtol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_turned_plane_wave_comes_from_where_the_head_sees_it(order):
    way = np.array([[0.48, -0.6, 0.64]])
    pose = Pose.at((1, 2, 3), yaw=70, pitch=-25).matrix
    world = harmonics(way, order).T.astype(np.float32)
    np.testing.assert_allclose(
        turned(world, pose)[:, 0], harmonics(to_head(pose, way), order)[0], atol=1e-5
    )


def test_decoded_ears_carry_the_diffuse_energy_of_the_head():
    head = rigid_sphere().dense()
    generator = np.random.default_rng(0)
    field = np.zeros((4, 48_000), np.float32)
    field[0] = generator.standard_normal(48_000)
    ears = to_ears(field, head, C)
    gain = 10 * np.log10((ears.astype(float) ** 2).sum(1) / (field[0].astype(float) ** 2).sum())
    assert gain == pytest.approx([0, 0], abs=0.3)


def test_decoded_ears_tell_left_from_right():
    head = rigid_sphere().dense()
    impulse = np.zeros((4, 4096), np.float32)
    impulse[:, 100] = harmonics(np.array([[0.0, 1.0, 0.0]]), 1)[0]
    ears = to_ears(impulse, head, C).astype(float)
    left, right = 10 * np.log10((ears**2).sum(1))
    assert left > right + 3
    # Below the order's limit (624 Hz) the delay between the ears is the head's own.
    own = head.responses[head.nearest([[0.0, 1.0, 0.0]])[0]].astype(float)
    delay = [_phase_delay(pair, 300.0) for pair in (ears, own)]
    assert delay[0] == pytest.approx(delay[1], rel=0.2)
    assert 0.5e-3 < delay[1] < 0.9e-3


def _phase_delay(ears: np.ndarray, frequency: float) -> float:
    """Seconds by which the right ear is late."""
    turn = np.exp(-2j * np.pi * frequency * np.arange(ears.shape[1]) / 48_000)
    left, right = ears @ turn
    return -np.angle(right / left) / (2 * np.pi * frequency)
