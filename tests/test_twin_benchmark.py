"""Benchmarks from seeds: the same files again, strictly read, harmed ones told."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from piavas.audio import read_audio
from piavas.capture import load_capture
from piavas.cli import main
from piavas.datasets.raf import check_raf, load_raf
from piavas.datasets.rwavs import load_rwavs
from piavas.datasets.rwavs_check import check_rwavs
from piavas.datasets.similarity import Similarity
from piavas.errors import DataError
from piavas.files import read_json
from piavas.poses import read_trajectory
from piavas.scene import OCTAVE_BANDS
from piavas.twin.benchmark import Videos, write_videos
from piavas.twin.benchmark_raf import Responses, _splits, pressure, write_responses
from piavas.twin.openings import GLASS
from piavas.twin.places import make_place
from piavas.twin.released import SUMS, WORK, check_sums
from piavas.twin.wave import WaveField

TINY = Videos(
    seed=3, environments=1, videos=2, seconds=6, width=24, height=18, rays=60, waves=False
)
FEW = Responses(seed=3, speakers=2, microphones=5, seconds=0.5, rays=200, waves=False)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return write_videos(tmp_path_factory.mktemp("twin") / "films", TINY)


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    return write_responses(tmp_path_factory.mktemp("twin") / "room", FEW)


def test_strict_readers_take_the_films(films):
    assert check_rwavs(films).good
    one, two = load_rwavs(films)
    assert (one.environment, two.environment) == ("office", "office")
    assert np.linalg.norm(one.source - two.source) > 0.1 * np.linalg.norm(
        np.ptp(one.poses[:, :3, 3], axis=0)
    )
    assert one.splits.count("val") == 1
    assert not list(films.rglob("*.pkl"))
    facts = read_json(films / "truth" / "office" / "environment.json")
    back = Similarity.from_json(facts["unit"]).inverse
    for video in (one, two):
        assert len(video) == TINY.seconds - 1
        name = facts["videos"][str(video.number)]
        way = read_trajectory(str(films / "truth" / "office" / f"{name}.json"))
        metres = back.poses(video.poses)
        for time, pose in zip(video.times, metres, strict=True):
            assert_allclose(pose, way.poses[int(np.argmin(np.abs(way.times - time)))], atol=1e-6)
        assert_allclose(back.points(video.source), facts["sources"][str(video.number)], atol=1e-6)
        for path, channels in ((video.dry_path, 1), (video.wet_path, 2)):
            sound, rate = read_audio(path)
            assert (len(sound), rate, sound.shape[1]) == (channels, 22_050, 22_050 * TINY.seconds)
            assert np.abs(sound).max() == pytest.approx(0.999, abs=1e-3)


def test_one_video_of_a_place_trains_and_the_others_test(films, tmp_path, capsys):
    words = ["import", "rwavs", str(films), "--protocol", "rwavs-gen", "--no-compare", "--json"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["train"], facts["test"]) == (5, 5)
    assert facts["training_videos"] == {"office": "1"}
    assert len(load_capture(tmp_path / "office").recordings) == 2


def test_what_was_interrupted_goes_on_and_ends_in_the_same_files(films, tmp_path):
    copy = Path(shutil.copytree(films, tmp_path / "copy"))
    kept = copy / "release/1/frames/00002.png"
    for lost in (SUMS, "release/position.json", "release/2/frames/00003.png", "README.txt"):
        (copy / lost).unlink()
    assert not (copy / WORK).exists()
    write_videos(copy, TINY)
    assert (copy / SUMS).read_bytes() == (films / SUMS).read_bytes()
    assert kept.read_bytes() == (films / "release/1/frames/00002.png").read_bytes()


def test_a_whole_set_is_checked_and_a_harmed_one_named(films, tmp_path):
    copy = Path(shutil.copytree(films, tmp_path / "copy"))
    count = check_sums(copy)
    assert count == len((copy / SUMS).read_text().splitlines())
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--quiet", "-c", SUMS], cwd=copy, check=True)
    assert write_videos(copy, TINY) == copy
    with pytest.raises(DataError, match=r"benchmark\.json.*other options"):
        write_videos(copy, replace(TINY, seed=4))
    (copy / "release/1/frames/00001.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"00001\.png.*not as it was written"):
        write_videos(copy, TINY)
    (copy / "release/1/frames/00001.png").unlink()
    with pytest.raises(DataError, match=r"00001\.png.*missing"):
        check_sums(copy)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="something else"):
        write_videos(tmp_path / "mine", TINY)


def test_the_court_is_open_to_the_sky_and_nowhere_else():
    court = make_place("outdoor", 0)
    sky = court.world.finish == GLASS
    corners = court.world.mesh.triangles
    height = min(room.height for room in court.world.plan.rooms)
    up = corners[..., 2].min(axis=1)
    area = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    floor = sum(room.area for room in court.world.plan.rooms)
    above = sky & (up > height - 0.05)
    assert area[above].sum() == pytest.approx(floor, rel=0.05)
    name = court.world.finishes[GLASS].material
    assert_allclose(court.hidden.materials[name].absorption, np.ones(len(OCTAVE_BANDS)))
    assert make_place("office", 0).hidden.materials[name].absorption.max() < 0.9


def test_strict_readers_take_the_responses(room):
    assert check_raf(room).good
    found = load_raf(room)
    assert (len(found), found.sample_rate) == (10, 48_000)
    assert len({tuple(r.source) for r in found.responses}) == 2
    hidden = read_json(room / "truth" / "hidden.json")
    speed = 331.3 * np.sqrt(1 + hidden["temperature"] / 273.15)
    for response in found.responses:
        sound = found.read(response.name)
        assert sound.shape == (1, 24_000)
        far = np.linalg.norm(response.pose[:3, 3] - response.source)
        loud = np.abs(sound[0]) > 0.5 * np.abs(sound).max()
        assert np.flatnonzero(loud)[0] > 48_000 * (far - 0.1) / speed


def test_splits_have_the_shares_of_the_published_ones():
    drawn = _splits(1000, 0)
    assert [drawn.count(name) for name in ("train", "val", "test")] == [800, 50, 150]
    assert drawn == _splits(1000, 0) != _splits(1000, 1)


def test_responses_are_the_same_again_and_go_on(room, tmp_path):
    again = write_responses(tmp_path / "again", FEW)
    assert (again / SUMS).read_bytes() == (room / SUMS).read_bytes()
    (again / SUMS).unlink()
    write_responses(again, FEW)
    assert (again / SUMS).read_bytes() == (room / SUMS).read_bytes()


def test_low_pressure_keeps_its_spectrum_at_the_higher_rate():
    rate, low = 48_000, 2_000.0
    time = np.arange(400) / low
    tone = np.sin(2 * np.pi * 200 * time) * np.hanning(400)
    samples = np.zeros((1, 4, 400), np.float32)
    samples[0, 0] = tone
    field = WaveField(samples, low, 343.0)
    out = pressure(field, 400 * 24, rate)[0]
    assert_allclose(24 * out[::24], tone, atol=5e-3)


@pytest.mark.parametrize("bad", [{"seconds": 3}, {"environments": 5}, {"videos": 0}, {"width": 2}])
def test_bad_requests_are_named(bad):
    with pytest.raises(DataError, match=next(iter(bad))):
        replace(TINY, **bad)


def test_estimates_write_nothing(tmp_path, capsys):
    words = ["twin-benchmark", str(tmp_path / "no"), "--no-waves", "--dry-run", "--json"]
    small = ["--layout", "raf", "--rays", "100", "--speakers", "2", "--microphones", "7"]
    assert main([*words, *small, "--seconds", "1"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["items"] == 14
    assert said["disk_mb"] == pytest.approx(14 * 0.192, abs=0.1)
    assert said["seconds"] > 0
    assert not (tmp_path / "no").exists()
