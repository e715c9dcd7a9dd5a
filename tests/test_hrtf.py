"""Heads: level, time, sides, interpolation, the sphere's theory, and damaged files."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from conftest import shared
from piavas import install
from piavas.acoustics.hrtf import Hrtf, load_hrtf, rigid_sphere
from piavas.errors import HrtfError, MissingDependencyError

KEMAR = "data/hrtf/MIT_KEMAR_normal_pinna.sofa"
KU100 = "data/hrtf/FHK_HRIR_L2354.sofa"
LEFT, AHEAD = np.array([[0.0, 1, 0]]), np.array([[1.0, 0, 0]])


@pytest.fixture(params=["rigid-sphere", KEMAR, KU100])
def head(request) -> Hrtf:
    sphere = request.param == "rigid-sphere"
    return load_hrtf(request.param if sphere else shared(request.param))


def rise(response: np.ndarray) -> int:
    """First sample within 10 dB of the peak."""
    level = np.abs(response)
    return int(np.flatnonzero(level > 0.316 * level.max())[0])


def test_diffuse_field_has_unit_power(head):
    energy = (head.responses.astype(float) ** 2).sum(axis=2).mean(axis=1)
    assert (energy * head.weights).sum() == pytest.approx(1, abs=1e-5)
    assert head.weights.sum() == pytest.approx(1)


def test_frontal_sound_arrives_at_time_zero_in_both_ears(head):
    front = head.at(AHEAD)[0]
    for ear in front:
        assert abs(rise(ear) - head.lead) <= 2


def test_the_near_ear_hears_it_louder_and_earlier(head):
    near, far = head.at(LEFT)[0]
    assert (near**2).sum() > 4 * (far**2).sum()
    size = 1 << 14
    both = np.fft.rfft([near, far], size)
    band = np.fft.rfftfreq(size, 1 / head.sample_rate)
    low = (band > 100) & (band < 1500)
    lag = np.fft.irfft(np.where(low, both[1] * both[0].conj(), 0), size)
    later = (np.argmax(lag[: size // 2])) / head.sample_rate
    assert 0.6e-3 <= later <= 0.95e-3


def test_sphere_has_woodworths_and_kuhns_delays():
    sphere = rigid_sphere(ear_angle=90.0)
    near, far = sphere.at(LEFT)[0].astype(float)
    size = 1 << 15
    turn = np.angle(np.fft.rfft(near, size) * np.fft.rfft(far, size).conj())
    f = np.fft.rfftfreq(size, 1 / sphere.sample_rate)
    low = np.argmin(np.abs(f - 150))
    # Kuhn 1977: 3 a/c sin(angle) at low frequencies.
    assert turn[low] / (2 * np.pi * f[low]) == pytest.approx(3 * 0.0875 / 343, rel=0.06)
    # Woodworth 1938: a/c (1 + pi/2) between the first rises.
    assert (rise(far) - rise(near)) / 48_000 == pytest.approx(
        0.0875 / 343 * (1 + np.pi / 2), rel=0.1
    )


def test_sphere_doubles_the_pressure_towards_it_and_leaves_low_sound_alone():
    sphere = rigid_sphere(ear_angle=90.0)
    gain = np.abs(np.fft.rfft(sphere.at(LEFT)[0, 0].astype(float), 1 << 13))
    f = np.fft.rfftfreq(1 << 13, 1 / sphere.sample_rate)
    ratio = gain[(f > 4000) & (f < 15_000)].mean() / gain[(f > 30) & (f < 60)].mean()
    assert 20 * np.log10(ratio) == pytest.approx(6.02, abs=0.4)


def test_sphere_is_symmetric():
    sphere = load_hrtf("rigid-sphere")
    way = np.random.default_rng(0).normal(size=(20, 3))
    one, two = sphere.at(way), sphere.at(way * [1, -1, 1])[:, ::-1]
    assert np.abs(one - two).max() < 0.03 * np.abs(one).max()


def test_diffuse_coherence_falls_from_one_to_nothing(head):
    field = head.diffuse_spectrum(4096)
    gamma = field.coherence.real
    assert gamma[(field.frequency > 30) & (field.frequency < 150)].min() > 0.85
    assert np.abs(gamma[(field.frequency > 1500) & (field.frequency < 12_000)]).mean() < 0.15


def test_left_out_directions_are_interpolated():
    head = load_hrtf(shared(KU100))
    even = np.arange(len(head.directions)) % 2 == 0
    import dataclasses

    half = dataclasses.replace(
        head, directions=head.directions[even], responses=head.responses[even]
    )
    test = np.flatnonzero(~even)[::40]
    ours, truth = half.at(head.directions[test]), head.responses[test]
    f = np.fft.rfftfreq(1024, 1 / 48_000)
    band = (f > 200) & (f < 8000)
    one, two = (np.abs(np.fft.rfft(x, 1024))[..., band] for x in (ours, truth))
    assert np.abs(20 * np.log10(one / two)).mean() < 1.0


def test_resampling_keeps_levels():
    path = shared(KEMAR)
    gains = []
    for rate in (44_100, 48_000):
        spectrum = np.abs(np.fft.rfft(load_hrtf(path, sample_rate=rate).at(AHEAD)[0, 0], rate))
        gains.append(20 * np.log10(spectrum[[500, 1000, 4000]]))
    gains = np.array(gains) - np.array(gains)[:, [1]]
    assert np.abs(gains - gains[0]).max() < 0.05


def test_dense_grid_keeps_level_and_nearest_finds_it():
    dense = load_hrtf(shared(KEMAR)).dense()
    assert len(dense.directions) == 2562
    energy = (dense.responses.astype(float) ** 2).sum(axis=2).mean(axis=1)
    assert (energy * dense.weights).sum() == pytest.approx(1, rel=0.05)
    way = np.random.default_rng(1).normal(size=(200, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    found = dense.nearest(way)
    best = (way @ dense.directions.T).max(axis=1)
    np.testing.assert_allclose((way * dense.directions[found]).sum(1), best, atol=2e-3)


def test_band_powers_are_means_of_the_spectrum():
    head = load_hrtf("rigid-sphere")
    powers = head.band_powers()
    assert powers.shape == (len(head.directions), 9, 3)
    assert (np.abs(powers[..., 2]) <= np.sqrt(powers[..., 0] * powers[..., 1]) + 1e-6).all()
    ahead = int(head.nearest(AHEAD)[0])
    assert powers[ahead, 0, 2] == pytest.approx(powers[ahead, 0, 0], rel=0.01)


def test_no_silent_fallback(tmp_path, monkeypatch):
    monkeypatch.setenv("PIAVAS_DATA", str(tmp_path))
    monkeypatch.setattr(install, "SYSTEM_FOLDER", tmp_path)
    with pytest.raises(HrtfError, match="install hrtf"):
        load_hrtf()


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "head.sofa"
    if damage == "truncated":
        path.write_bytes(shared(KEMAR).read_bytes()[:20_000])
    elif damage == "text":
        path.write_text("no sofa")
    with pytest.raises(HrtfError, match=str(path)):
        load_hrtf(path)


def test_bad_options_are_refused():
    with pytest.raises(HrtfError, match="sample_rate"):
        load_hrtf("rigid-sphere", sample_rate=10)
    with pytest.raises(HrtfError, match="rigid-sphere"):
        rigid_sphere(radius=-1)


def test_install_takes_only_the_right_file(tmp_path, monkeypatch):
    system = tmp_path / "system"
    system.mkdir()
    monkeypatch.setattr(install, "SYSTEM_FOLDER", system)
    monkeypatch.setattr(install, "ADDRESSES", ())

    def no_apt(*args, **kwargs):
        raise subprocess.SubprocessError("no apt here")

    monkeypatch.setattr(install.subprocess, "run", no_apt)
    (system / "default.sofa").write_text("something else")
    with pytest.raises(MissingDependencyError):
        install.install_hrtf(tmp_path / "data")
    shutil.copy(shared(KEMAR), system / "default.sofa")
    target = install.install_hrtf(tmp_path / "data")
    assert install.is_kemar(target)
    assert any("LICENCE" in other.name for other in target.parent.iterdir())
    assert install.install_hrtf(tmp_path / "data") == target
