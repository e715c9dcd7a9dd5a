"""Directivities: the cardioid family, balloons from SOFA, microphones; early and late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piavas.acoustics.directivity import Balloon, load_directivity
from piavas.acoustics.simulator import Simulator
from piavas.acoustics.sphere_grid import uniform_directions
from piavas.errors import SimulationError
from piavas.scene import Directivity, Pose, Scene, Source

C = 343.0
SIZE = (6.0, 4.0, 3.0)
PLACE = np.array([1.0, 1.0, 1.5])
HEAD = np.array([4.0, 2.5, 1.2])
MONO = Simulator(output="mono", air_absorption=False, speed_of_sound=C, duration=0.4, rays=8000)
DEAD = Scene.shoebox(SIZE, absorption=1.0)
RINGING = Scene.shoebox(SIZE, absorption=0.2, scattering=0.5)
FREQUENCY = np.geomspace(44, 22_000, 60)


def cardioid(weight: float, directions: np.ndarray) -> np.ndarray:
    return (1 - weight + weight * directions[:, 0])[:, None] * np.ones(9)


def write_sofa(path, spectra, directions, *, view=(1, 0, 0), up=(0, 0, 1), radius=2.0):
    """A FreeFieldDirectivityTF file of `spectra` `[m, r, n]` at `directions` `[r, 3]`."""
    sofar = pytest.importorskip("sofar")
    sofa = sofar.Sofa("FreeFieldDirectivityTF", verify=False)
    sofa.Data_Real, sofa.Data_Imag = spectra.real, spectra.imag
    sofa.N = FREQUENCY[: spectra.shape[2]]
    x, y, z = directions.T
    sofa.ReceiverPosition = np.stack(
        [
            np.degrees(np.arctan2(y, x)) % 360,
            np.degrees(np.arcsin(z.clip(-1, 1))),
            np.full(len(x), radius),
        ],
        axis=1,
    )
    sofa.ReceiverPosition_Type, sofa.ReceiverPosition_Units = "spherical", "degree, degree, metre"
    sofa.SourceView, sofa.SourceUp = np.array([view], float), np.array([up], float)
    sofar.write_sofa(str(path), sofa)
    return path


@pytest.mark.parametrize(("weight", "within"), [(0.3, 0.01), (0.5, 0.01), (1.0, 0.15)])
def test_balloon_of_a_cardioid_is_the_cardioid(weight, within):
    # A balloon has no sign: the null of the dipole, between the directions, is filled.
    grid = uniform_directions(162)
    # To a scale of its own: the axis is set to 1.
    balloon = Balloon(grid, np.abs(7 * cardioid(weight, grid)))
    way = np.random.default_rng(0).normal(size=(500, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    exact = np.abs(Directivity(weight).pressure(way))
    assert np.abs(balloon.pressure(way) - exact).max() < within
    np.testing.assert_allclose(balloon.pressure([[1.0, 0, 0]]), 1, atol=1e-3)


def test_measured_directions_keep_their_values():
    grid = uniform_directions(162)
    level = np.random.default_rng(1).uniform(0.5, 1, (162, 9))
    balloon = Balloon(grid, level)
    axis = balloon.magnitude[np.abs(grid - [1, 0, 0]).sum(1) < 1e-9]
    np.testing.assert_allclose(axis, 1)
    found = balloon.pressure(grid)
    # The grid of three degrees rounds the corners of the facets.
    assert np.abs(20 * np.log10(found / balloon.magnitude)).max() < 1.0


def test_sofa_file_is_read_band_by_band_and_turned_to_its_axis(tmp_path):
    grid = uniform_directions(162)
    weight = np.where(FREQUENCY < 1400, 0.2, 0.5)
    spectra = 3 * np.exp(1j * FREQUENCY / 100) * (1 - weight + weight * grid[:, :1])
    # The loudspeaker stood upright and looked along +y of the file's axes.
    turned = grid @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    path = write_sofa(tmp_path / "speaker.sofa", spectra[None], turned, view=(0, 1, 0))
    balloon = load_directivity(path)
    way = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    exact = np.stack([Directivity(0.2).pressure(way)[:, 0], Directivity(0.5).pressure(way)[:, 0]])
    np.testing.assert_allclose(balloon.pressure(way)[:, :4], exact[[0] * 4].T, atol=0.02)
    np.testing.assert_allclose(balloon.pressure(way)[:, 5:], exact[[1] * 4].T, atol=0.02)


def test_source_turns_its_balloon():
    grid = uniform_directions(162)
    # Loud ahead, half as loud to the left, a quarter above.
    level = 0.1 + 0.9 * grid[:, 0].clip(0) + 0.4 * grid[:, 1].clip(0) + 0.15 * grid[:, 2].clip(0)
    balloon = Balloon(grid, level[:, None] * np.ones(9))
    source = Source(PLACE, (0, 0, 1), balloon, up=(1, 0, 0))  # faces up, its top to +x
    to = np.array([[0, 0, 1.0], [0, -1, 0], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(source.frame[1], np.cross([1, 0, 0], [0, 0, 1]))
    np.testing.assert_allclose(source.pressure(to)[:, 3], [1, 0.5, 0.1, 0.25], atol=0.02)


def test_axis_along_up_is_no_trouble():
    frame = Source(PLACE, (0, 0, -2)).frame
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)


def test_source_with_a_balloon_sounds_like_the_formula_early_and_late():
    grid = uniform_directions(162)
    balloon = Balloon(grid, np.abs(cardioid(0.5, grid)))
    one, two = (
        MONO(RINGING, Source(PLACE, (0, 1, 0), pattern), HEAD).samples[0, 0].astype(float)
        for pattern in (Directivity(0.5), balloon)
    )
    first = slice(0, 900)
    assert 10 * np.log10((one[first] ** 2).sum() / (two[first] ** 2).sum()) == pytest.approx(
        0, abs=0.1
    )
    assert 10 * np.log10((one**2).sum() / (two**2).sum()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("yaw", [0.0, 60.0, 90.0, 150.0])
def test_microphone_takes_the_direct_sound_by_its_pattern(yaw):
    toward = np.degrees(np.arctan2(*(PLACE - HEAD)[1::-1]))
    pose = Pose.at(HEAD, yaw=toward + yaw)
    ahead = -pose.matrix[:3, 2]
    cosine = ahead @ (PLACE - HEAD) / np.linalg.norm(PLACE - HEAD)
    plain = MONO(DEAD, PLACE, pose).samples[0, 0].astype(float)
    heard = replace(MONO, microphone=Directivity(0.5))(DEAD, PLACE, pose).samples[0, 0]
    ratio = np.sqrt((heard.astype(float) ** 2).sum() / (plain**2).sum())
    assert ratio == pytest.approx(0.5 + 0.5 * cosine, abs=1e-3)


def test_microphone_takes_the_diffuse_field_by_its_random_energy_efficiency():
    # A cardioid takes a third of a diffuse field's energy (Kuttruff: directivity factor 3).
    plain, heard = (
        MONO(RINGING, PLACE, HEAD).samples,
        replace(MONO, microphone=Directivity(0.5))(RINGING, PLACE, HEAD).samples,
    )
    late = slice(int(0.15 * 48_000), None)
    ratio = (heard[..., late].astype(float) ** 2).sum() / (
        plain[..., late].astype(float) ** 2
    ).sum()
    assert 10 * np.log10(ratio) == pytest.approx(-4.77, abs=0.5)


def test_omnidirectional_microphone_is_none():
    plain = MONO(RINGING, PLACE, HEAD).samples[0, 0].astype(float)
    heard = replace(MONO, microphone=Directivity(0.0))(RINGING, PLACE, HEAD).samples[0, 0]
    np.testing.assert_allclose(heard[:550], plain[:550], atol=2e-5)
    energy = (heard.astype(float) ** 2).sum() / (plain**2).sum()
    assert 10 * np.log10(energy) == pytest.approx(0, abs=0.2)


def broken(kind: str, path):
    grid = uniform_directions(42)
    spectra = np.ones((1, 42, 60), complex)
    if kind == "convention":
        shared = pytest.importorskip("sofar").Sofa("SimpleFreeFieldHRIR")
        pytest.importorskip("sofar").write_sofa(str(path), shared)
    elif kind == "nan":
        write_sofa(path, spectra * np.nan, grid)
    elif kind == "silent":
        write_sofa(path, spectra * (grid[:, 0] < 0.99)[:, None], grid)
    elif kind == "flat":
        write_sofa(path, spectra[:, :8], grid[:8] * [1, 1, 0] + [0, 0, 0])
    elif kind == "text":
        path.write_text("no SOFA")
    return path


@pytest.mark.parametrize("kind", ["convention", "nan", "silent", "flat", "text", "absent"])
def test_broken_balloons_are_refused_by_name(kind, tmp_path):
    with pytest.raises(SimulationError, match=r"speaker\.sofa"):
        load_directivity(broken(kind, tmp_path / "speaker.sofa"))


def test_microphones_are_for_mono():
    with pytest.raises(SimulationError, match="microphone"):
        Simulator(output="binaural", microphone=Directivity(0.5))
