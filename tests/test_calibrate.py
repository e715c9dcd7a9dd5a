"""Calibration: exact derivatives, known rooms found again, honest about what cannot be told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from scipy.special import expit, logit

from conftest import shared
from piavas.acoustics import Simulator
from piavas.acoustics.field import Room, trace_field
from piavas.calibrate import Performance, RoomResponse, calibrate, read_recordings
from piavas.calibrate.bounces import BIN, DIRECT, contributions, hollow
from piavas.calibrate.observe import noise_level, observe_performance, observe_response, windows
from piavas.calibrate.problem import Problem
from piavas.cli import main
from piavas.errors import AudioError, CalibrationError, CaptureError, SimulationError
from piavas.materials import load_scene, save_scene
from piavas.measured import load_dechorate
from piavas.scene import OCTAVE_BANDS, Material, Pose, Scene, Source

FROM_250 = slice(2, 8)
SIZE = (6.0, 4.5, 2.8)
TRUTH = {"walls": 0.08, "floor": 0.3, "ceiling": 0.55}
SLOPE = np.linspace(0.8, 1.2, 9)
SIMULATOR = Simulator(output="mono", rays=6000, duration=0.8)
SOURCES = np.array([(1.2, 1.0, 1.4), (4.6, 3.2, 1.1)])
LISTENERS = np.array([(3.0, 2.2, 1.2), (5.0, 1.0, 1.7), (1.5, 3.4, 1.0), (4.0, 3.6, 2.0)])


def room_of(absorption: dict[str, float], scattering: float = 0.2) -> Scene:
    """A box with one material for its walls, one for the floor, one for the ceiling."""
    box = Scene.shoebox(SIZE)
    spread = np.full(9, scattering)
    rows = [Material(name, a * SLOPE, spread) for name, a in absorption.items()]
    return Scene(box.vertices, box.faces, np.repeat([0, 0, 0, 0, 1, 2], 2), tuple(rows))


@pytest.fixture(scope="module")
def responses() -> list[RoomResponse]:
    """Rendered, each with chance of its own, which no part of the calibration shares."""
    truth = room_of(TRUTH)
    found = []
    for s, source in enumerate(SOURCES):
        for i, place in enumerate(LISTENERS):
            simulator = replace(SIMULATOR, seed=100 + 10 * s + i)
            samples = simulator(truth, source, place).samples[0, 0]
            found.append(RoomResponse(Source(source), place, samples, 48_000, f"{s}-{i}"))
    return found


@pytest.fixture(scope="module")
def calibrated(responses):
    guess = room_of({"walls": 0.2, "floor": 0.2, "ceiling": 0.2})
    return calibrate(
        guess, responses, held_out=[3, 7], simulator=SIMULATOR, rays=6000, scattering=[1.0]
    )


def few(scene: Scene, rays: int = 500, seed: int = 1):
    return contributions(
        Room(hollow(scene)), Source(SOURCES[0]), LISTENERS, simulator=SIMULATOR, duration=0.3,
        rays=rays, seed=seed,
    )  # fmt: skip


def test_counted_bounces_give_the_energies_of_a_trace_with_absorption():
    """The same rays: energies from counts equal those the tracer multiplied up on the way."""
    scene = room_of(TRUTH)
    absorption = np.stack([m.absorption for m in scene.materials])
    room = Room(scene)
    reach = 0.3 * SIMULATOR.speed
    field = trace_field(room, Source(SOURCES[0]), rays=500, ways=DIRECT, reach=reach, seed=1)
    quiet = replace(SIMULATOR, air_absorption=False)
    counted = contributions(
        Room(hollow(scene)), Source(SOURCES[0]), LISTENERS, simulator=quiet, duration=0.3,
        rays=500, seed=1,
    )  # fmt: skip
    for hits, one in zip(field.hits(field.balls(LISTENERS)), counted, strict=True):
        energy = (field.segments.energy[hits.segment] * hits.weight[:, None]).sum(axis=0)
        direct = one.gain[0]
        everything = replace(one, bins=10_000).echogram(absorption).sum(axis=0)
        assert everything - direct == pytest.approx(energy, rel=1e-4)


def test_slopes_are_those_of_finite_differences():
    scene = room_of(TRUTH)
    odds = logit(np.stack([m.absorption for m in scene.materials]))
    one = few(scene)[0]
    slope, step = one.slopes(expit(odds)), 0.02
    for m in range(3):
        shift = np.zeros_like(odds)
        shift[m] = step
        difference = one.echogram(expit(odds + shift)) - one.echogram(expit(odds - shift))
        error = difference / (2 * step) - slope[:, :, m]
        assert np.abs(error).max() < 2e-4 * np.abs(slope).max()


@pytest.mark.parametrize("known_level", [False, True])
def test_the_jacobian_is_that_of_finite_differences(known_level):
    generator = np.random.default_rng(5)
    scene = room_of(TRUTH)
    sound = generator.normal(size=24_000) * np.exp(-np.arange(24_000) / 2000)
    observations = [
        observe_response(RoomResponse(Source(SOURCES[0]), p, sound, 48_000), 0.01)
        for p in LISTENERS[:2]
    ]
    prior = np.stack([m.absorption for m in scene.materials])
    problem = Problem(few(scene)[:2], observations, prior, 1.0, np.ones(3), known_level)
    x = problem.start() + 0.3 * generator.normal(size=len(problem.start()))
    exact = problem.jacobian(x)
    for k in generator.choice(len(x), 12, replace=False):
        shift = np.zeros(len(x))
        shift[k] = 0.02
        difference = (problem.residuals(x + shift) - problem.residuals(x - shift)) / 0.04
        assert difference == pytest.approx(exact[:, k], abs=2e-3 * np.abs(exact).max())


def test_known_materials_are_found_again(calibrated):
    """Traced with other rays than the truth; within .1 + 20 %, and within three stated spreads."""
    for row in calibrated.report["materials"]:
        found = np.array(row["absorption"])[FROM_250]
        true = TRUTH[row["name"]] * SLOPE[FROM_250]
        assert (np.abs(found - true) < 0.1 + 0.2 * true).all(), row["name"]
        spread = logit(np.array(row["high"])[FROM_250]) - logit(found)
        assert (np.abs(logit(found) - logit(true)) < 3 * spread).all(), row["name"]


def test_the_mean_absorption_is_found_more_exactly(calibrated):
    x, y, z = SIZE
    area = np.array([2 * z * (x + y), x * y, x * y])
    true = area @ np.array(list(TRUTH.values())) / area.sum() * SLOPE
    found = np.array(calibrated.report["mean_absorption"]["fitted"])
    assert found[FROM_250] == pytest.approx(true[FROM_250], rel=0.12)


def test_places_held_out_are_predicted_better_than_before(calibrated):
    errors = calibrated.report["errors"]["held_out"]
    before, after = (np.array(errors[w]["T20"], float)[FROM_250] for w in ("before", "after"))
    assert np.abs(after).max() < 0.10
    assert np.abs(after).mean() < np.abs(before).mean()
    level = [np.array(errors[w]["level_db"], float)[FROM_250].mean() for w in ("before", "after")]
    assert level[1] < level[0]
    assert [r["held_out"] for r in calibrated.report["recordings"]].count(True) == 2


def test_gains_and_delays_are_told(responses):
    """A response 12 dB louder and 5 ms late: both come out, the materials stay."""
    guess = room_of(TRUTH)
    late = np.concatenate([np.zeros(240), responses[0].samples * 10 ** (12 / 20)])
    pair = [responses[0], replace(responses[0], samples=late, name="late")]
    found = calibrate(guess, pair, simulator=SIMULATOR, rays=2000, scattering=[1.0])
    one, two = found.report["recordings"]
    assert two["gain_db"] - one["gain_db"] == pytest.approx(12, abs=0.1)
    assert two["delay_seconds"] - one["delay_seconds"] == pytest.approx(0.005, abs=1e-4)


def test_a_material_of_a_hands_breadth_is_called_undetermined(responses):
    """A tile of .01 m2 cannot be told by any decay: it keeps its prior, and the report says so."""
    guess = room_of({"walls": 0.2, "floor": 0.2, "ceiling": 0.2})
    tile = Material("tile", np.full(9, 0.35))
    vertices = np.vstack([guess.vertices, [(1, 1, 1e-3), (1.14, 1, 1e-3), (1, 1.14, 1e-3)]])
    faces = np.vstack([guess.faces, [[8, 9, 10]]])
    scene = Scene(vertices, faces, np.append(guess.face_material, 3), (*guess.materials, tile))
    found = calibrate(scene, responses[:3], simulator=SIMULATOR, rays=2000, scattering=[1.0])
    row = found.report["materials"][3]
    assert set(row["verdict"]) == {"undetermined"}
    assert row["absorption"] == pytest.approx([0.35] * 9, abs=0.02)
    assert "determined" in found.report["materials"][0]["verdict"]


def test_recordings_that_tell_nothing_are_refused():
    """Noise of no decay: not a window of it stands out, or nothing can be learnt from it."""
    hiss = np.random.default_rng(0).normal(size=48_000) * 1e-2
    hiss[4800] = 1.0
    recording = RoomResponse(Source(SOURCES[0]), LISTENERS[0], hiss, 48_000)
    with pytest.raises(CalibrationError, match="do not tell"):
        calibrate(room_of(TRUTH), [recording], simulator=SIMULATOR, rays=1000, scattering=[1.0])
    with pytest.raises(CalibrationError, match="nothing to fit"):
        calibrate(room_of(TRUTH), [recording], held_out=[0])


def test_bad_recordings_are_named():
    with pytest.raises(AudioError, match="silent"):
        RoomResponse(Source(SOURCES[0]), LISTENERS[0], np.zeros(100), 48_000)
    with pytest.raises(SimulationError, match="no point"):
        RoomResponse(Source(SOURCES[0]), np.zeros(2), np.ones(100), 48_000)
    outside = RoomResponse(Source(SOURCES[0]), (9, 9, 9), np.eye(1, 4800)[0], 48_000)
    with pytest.raises((SimulationError, CalibrationError)):
        calibrate(room_of(TRUTH), [outside], simulator=SIMULATOR, rays=100)


def test_levels_of_noise_have_the_moments_that_are_taken_for_them():
    """Energies of white Gaussian noise: 2 B T squared normals."""
    generator = np.random.default_rng(3)
    for half in (1.0, 3.0, 10.0):
        energy = generator.chisquare(2 * half, 200_000) / (2 * half)
        level = 10 * np.log10(energy)
        bias, spread = noise_level(np.array(half))
        assert level.mean() == pytest.approx(bias, abs=0.05)
        assert level.std() == pytest.approx(spread, rel=0.01)


def test_windows_of_an_exponential_decay_have_its_levels():
    """Noise that decays by 60 dB in .5 s, through the operator of its own echogram."""
    rate, decay = 48_000, 6.9078 / 0.5
    generator = np.random.default_rng(4)
    t = np.arange(rate) / rate
    sound = np.zeros(rate + 480)
    sound[480:] = generator.normal(size=rate) * np.exp(-decay * t)
    sound[480] = 10.0  # marks the onset
    heard = RoomResponse(Source(SOURCES[0]), LISTENERS[0], sound, rate)
    found = observe_response(heard, 0.01)
    assert found.delay == pytest.approx(0, abs=1e-4)
    bins = (np.arange(found.operator.shape[2]) + 0.5) * BIN - 0.01
    echo = np.where(bins > 0, rate * BIN * np.exp(-2 * decay * bins), 0)
    echo[10] += 100
    level = 10 * np.log10(np.maximum(found.operator @ echo, 1e-30))
    off = ((level - found.level) / found.spread)[1:8]
    known = np.isfinite(off)
    assert known.sum() > 40
    assert np.abs(off[known].mean()) < 4 / np.sqrt(known.sum())
    assert off[known].std() < 1.3
    assert (np.diff(windows(1.0)) > 0).all()


def test_a_performance_tells_the_same_as_the_plain_convolution():
    """Noise through a known echogram: levels agree within their stated spread."""
    rate, seconds = 16_000, 4.0
    generator = np.random.default_rng(6)
    dry = generator.normal(size=int(rate * seconds)) * (np.sin(np.arange(64_000) / 3000) > 0)
    echo = np.exp(-np.arange(300) * BIN * 12)
    response = generator.normal(size=4800) * np.exp(-6 * np.arange(4800) / rate)
    response /= np.sqrt((response**2).sum() / echo.sum())
    wet = np.convolve(dry, response)[: len(dry)]
    found = observe_performance(Performance(Source(SOURCES[0]), LISTENERS[0], dry, wet, rate), 0.3)
    level = 10 * np.log10(np.maximum(found.operator @ echo, 1e-30))
    off = ((level - found.level) / found.spread)[1:7]
    known = np.isfinite(off)
    assert known.sum() > 100
    assert np.abs(np.median(off[known])) < 0.6
    assert np.isnan(found.level[[0, 7, 8]]).all()  # 8 kHz does not fit at 16 kHz


def test_a_room_is_calibrated_on_noise_played_in_it(responses):
    generator = np.random.default_rng(8)
    gate = np.repeat(generator.random(20) < 0.5, 7200)
    dry = generator.normal(size=144_000) * gate
    heard = [
        Performance(r.source, r.listener, dry, np.convolve(dry, r.samples)[:144_000], 48_000)
        for r in responses[:3]
    ]
    guess = room_of({"walls": 0.2, "floor": 0.2, "ceiling": 0.2})
    found = calibrate(guess, heard, simulator=SIMULATOR, rays=3000, scattering=[1.0])
    x, y, z = SIZE
    area = np.array([2 * z * (x + y), x * y, x * y])
    true = area @ np.array(list(TRUTH.values())) / area.sum() * SLOPE
    mean = np.array(found.report["mean_absorption"]["fitted"])
    assert mean[FROM_250] == pytest.approx(true[FROM_250], rel=0.25)


@pytest.fixture
def folder(tmp_path, responses):
    """A scene folder and a list of measured responses on disk."""
    save_scene(room_of({"walls": 0.2, "floor": 0.2, "ceiling": 0.2}), tmp_path / "scene")
    rows = []
    for i, r in enumerate(responses[:3]):
        soundfile.write(tmp_path / f"{i}.wav", r.samples, 48_000, subtype="FLOAT")
        place = {"source": r.source.position.tolist(), "listener": r.listener.tolist()}
        rows.append({"file": f"{i}.wav", **place, "held_out": i == 2})
    (tmp_path / "responses.json").write_text(json.dumps(rows))
    return tmp_path


def test_the_verb_writes_a_scene_and_its_report(folder, capsys):
    verb = ["calibrate", str(folder / "scene"), str(folder), "--out", str(folder / "fitted")]
    options = ["--duration", "0.8", "--scattering", "1.0", "--json"]
    assert main([*verb, *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((folder / "fitted" / "calibration.json").read_text())
    assert set(told["errors"]) == {"fitted", "held_out"}
    scene = load_scene(folder / "fitted")
    for material, row in zip(scene.materials, told["materials"], strict=True):
        assert material.absorption == pytest.approx(row["absorption"])


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda rows: rows[0].pop("listener"), "listener"),
        (lambda rows: rows[1].update(file="none.wav"), "file"),
        (lambda rows: rows[1].update(channel=3), "channel"),
        (lambda rows: rows[2].update(source=[1, 2]), "source"),
        (lambda rows: rows.clear(), "empty"),
    ],
)
def test_the_verb_names_what_is_wrong_with_a_list(folder, capsys, spoil, word):
    rows = json.loads((folder / "responses.json").read_text())
    spoil(rows)
    (folder / "responses.json").write_text(json.dumps(rows))
    verb = ["calibrate", str(folder / "scene"), str(folder), "--out", str(folder / "fitted")]
    assert main(verb) == 2
    assert word in capsys.readouterr().err
    assert not (folder / "fitted").exists()


def test_recordings_are_read_in_their_order(folder):
    found, held = read_recordings(folder)
    assert [r.name for r in found] == ["0", "1", "2"]
    assert held == [2]
    with pytest.raises(CalibrationError, match="neither"):
        read_recordings(folder / "scene")


def test_a_walk_is_read_as_pieces_at_rest(tmp_path):
    """Three seconds and a half: pieces of a second, at the pose nearest their middle."""
    sound = np.random.default_rng(1).normal(size=(56_000, 2)) * 0.1
    soundfile.write(tmp_path / "dry.wav", sound[:, 0], 16_000)
    soundfile.write(tmp_path / "wet.wav", sound, 16_000)
    poses = [Pose.at((x, 1.0, 1.5)).matrix.tolist() for x in (1.0, 2.0, 3.0)]
    walk = {"name": "walk", "source": [1, 1, 1], "dry": "dry.wav", "wet": "wet.wav"}
    walks = [
        {**walk, "times": [0.5, 1.5, 2.5], "poses": poses},
        {**walk, "name": "test", "times": [0.5, 1.5, 2.5], "poses": poses, "split": "test"},
    ]
    (tmp_path / "recordings.json").write_text(json.dumps(walks))
    found, held = read_recordings(tmp_path)
    assert [r.listener[0] for r in found] == [1, 2, 3] * 2
    assert [r.span for r in found[:3]] == [(0, 1), (1, 2), (2, 3)]
    assert held == [3, 4, 5]
    index = tmp_path / "transforms.json"
    for told in ('{"metric": false}', '{"frames": [{"file_path": "0.jpg"}]}'):  # no depth, no unit
        index.write_text(told)
        with pytest.raises(CalibrationError, match=r"no metres.*rescale"):
            read_recordings(tmp_path)
    index.write_text('{"frames": ["0.jpg"]}')
    with pytest.raises(CaptureError, match="frames"):
        read_recordings(tmp_path)
    index.write_text('{"metric": true, "frames": [{"file_path": "0.jpg"}]}')
    assert len(read_recordings(tmp_path)[0]) == 6


def test_a_measured_room_is_predicted_where_it_was_not_heard():
    """dEchorate: fitted at three arrays, decay within 10 % at the others, 500 Hz to 4 kHz."""
    room = load_dechorate(shared("data/dechorate"))
    heard = [
        RoomResponse(Source(room.loudspeakers[0]), room.microphones[m], samples, room.sample_rate)
        for m, samples in zip(room.heard_at, room.responses, strict=True)
    ]
    found = calibrate(
        room.scene, heard, held_out=[3, 4, 5, 9, 10, 11], rays=4000, scattering=[1.0],
        simulator=Simulator(speed_of_sound=room.speed),
    )  # fmt: skip
    at = slice(OCTAVE_BANDS.index(500.0), OCTAVE_BANDS.index(4000.0) + 1)
    off = np.array(found.report["errors"]["held_out"]["after"]["T20"], float)[at]
    assert np.abs(off).max() < 0.10


def test_each_materials_prior_is_as_sure_as_it_says():
    """Without a word from data, least squares stay at the prior with exactly its spread."""
    from piavas.calibrate.problem import Problem

    rng = np.random.default_rng(3)
    prior, spread = rng.uniform(0.05, 0.6, (3, 9)), rng.uniform(0.4, 2.0, (3, 9))
    problem = Problem([], [], prior, spread, np.ones(3), known_level=True)
    x = problem.start()
    np.testing.assert_allclose(problem.residuals(x), 0, atol=1e-12)
    slope = problem.jacobian(x)
    covariance = np.linalg.inv(slope.T @ slope)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)).reshape(3, 9), spread)
    moved = x + rng.normal(0, 0.1, len(x))
    np.testing.assert_allclose(problem.residuals(moved), slope @ (moved - x), atol=1e-12)
    one = Problem([], [], prior, 1.0, np.ones(3), known_level=True)
    whole = Problem([], [], prior, np.ones((3, 9)), np.ones(3), known_level=True)
    np.testing.assert_array_equal(one.prior_mean_spread(), whole.prior_mean_spread())
