"""The paper's experiments in tiny: the files carry what they must, and nothing is done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from piavas.cli import main
from piavas.errors import DataError, SimulationError
from piavas.evaluate import Comparison, Table
from piavas.experiments import SIZES, ablations, data, methods, page, run
from piavas.experiments.bench import LOG, Bench, open_bench
from piavas.experiments.measure import LEVELLED, levelled, table_path
from piavas.materials import save_scene
from piavas.refine import Clip
from piavas.scene import Mesh, Scene

TINY = replace(SIZES["tiny"], parts=("calibration", "responses"), protocols=("rwavs-gen",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("experiments") / "all"
    run(out, TINY)
    return out


def tables(folder):
    return sorted((folder / "results").rglob("*.json"))


def test_every_result_says_how_it_came_to_be(folder):
    found = tables(folder)
    assert len([p for p in found if p.name.endswith("avcloud.json")]) >= 4 + 2 * 3
    for path in found:
        meta = Table.load(path).meta
        for key in ("protocol", "family", "split_hash", "sample_rate", "trim", "filter", "seeds"):
            assert meta[key] not in (None, ""), (path.name, key)
        assert meta["protocol_facts"]["protocol_hash"]
        if meta["family"] != "raf":
            assert len(meta["hrtf_hash"]) == 64
    text = (folder / "tables.md").read_text()
    for word in ("RWAVS-Gen", "physics + refiner", "Mono-Energy", "T60", "Size `tiny`"):
        assert word in text


def test_tables_hold_the_clips_of_the_video_that_did_not_train(folder):
    bench = open_bench(folder, TINY)
    rules = data.protocol(bench, "rwavs-gen")
    table = Table.load(table_path(folder / "results" / "rwavs-gen" / "office", methods.REFINED))
    assert {row["name"] for row in table.rows} == set(rules.splits["test"])
    assert {row["group"] for row in table.rows} == {"office-2"}
    case = methods.Case(bench, rules, "office")
    assert {clip.environment for clip in case.clips().of("train")} == {"office-1"}
    physics = Table.load(table_path(case.results, "physics"))
    assert physics.means["MAG"] != table.means["MAG"]


def test_what_is_missing_is_done_again_and_nothing_else(folder):
    lost = table_path(folder / "results" / "rwavs-gen" / "office", "Mono-Energy")
    lost.unlink()
    with (folder / LOG).open("a") as log:
        log.write('{"step": "half a li')
    stamps = {p: p.stat().st_mtime_ns for p in tables(folder)}
    before = len(open_bench(folder, TINY).costs())
    run(folder, TINY)
    costs = open_bench(folder, TINY).costs()
    assert [row["step"] for row in costs[before:]] == ["RWAVS-Gen, office: Mono-Energy"]
    again = {p: p.stat().st_mtime_ns for p in tables(folder)}
    redone = {p for p in again if again[p] != stamps.get(p)}
    assert {p.name.split(".")[0] for p in redone} == {"mono-energy", "mono-energy-level-known"}


def test_a_folder_of_other_sizes_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"experiments\.json.*other sizes"):
        run(folder, replace(TINY, steps=4))
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="something else"):
        run(tmp_path, TINY)
    with pytest.raises(DataError, match="ablated"):
        run(tmp_path / "new", replace(TINY, ablated="moon"))


def test_axes_that_change_one_thing(folder):
    bench = open_bench(folder, replace(TINY))
    case = methods.Case(bench, data.protocol(bench, "rwavs-gen"), "office")
    ablations._dry(case)
    ablations._known(case)
    ablations._few_shots(case)
    ablations._backends(case)
    dry = Comparison.load(ablations.point_path(bench, "simulation", "none: dry sound"))
    shots = Comparison.load(ablations.point_path(bench, "shots", "50 %: 4 clips"))
    assert dry.first.means == shots.first.means
    assert dry.second.means != shots.second.means
    assert shots.second.meta["share"] == 0.5
    seen = Comparison.load(ablations.point_path(bench, "known", "surfaces around head and source"))
    assert seen.second.meta["images"] is True
    assert seen.second.means != dry.second.means
    told = json.loads(ablations.point_path(bench, "backend", "steam-audio").read_text())
    assert "failed" in told or told["labels"][1] == "steam-audio"
    assert "dry sound" in "\n".join(page._ablations(bench))


def test_a_room_from_its_images_stands_beside_the_scan(folder, monkeypatch):
    """Were they the same room, physics alone would be the same, and a refiner learns on it."""
    bench = Bench(folder, replace(TINY, pictures=4))
    case = methods.Case(bench, data.protocol(bench, "rwavs-gen"), "office")

    def scan(case):
        shutil.copytree(bench.at("scenes", case.place, "scan"), bench.at("scenes", "office/images"))

    monkeypatch.setattr(ablations, "_seen_scene", scan)
    ablations._images(case)
    seen = Comparison.load(ablations.point_path(bench, "geometry", ablations.IMAGES))
    refined = Comparison.load(ablations.point_path(bench, "geometry", ablations.REFINED))
    assert seen.second.means == seen.first.means == refined.first.means
    assert refined.second.means != refined.first.means
    assert refined.second.meta["pictures"] == 4


def test_a_room_that_images_do_not_show_is_named(folder):
    bench = Bench(folder, replace(TINY, pictures=4))
    case = methods.Case(bench, data.protocol(bench, "rwavs-gen"), "office")
    path = ablations.point_path(bench, "geometry", ablations.IMAGES)
    path.unlink(missing_ok=True)
    ablations._images(case)  # four pictures of 24 x 18
    assert "0 of 4 frames have usable depth" in json.loads(path.read_text())["failed"]
    assert "failed" in "\n".join(page._ablations(bench))


def test_levels_are_one_number_a_video():
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            f"{video}-{i}", np.ones((1, 50), np.float32), np.ones((2, 50), np.float32),
            rng.standard_normal((2, 50)).astype(np.float32), 1000, np.eye(4), np.zeros(3),
            environment=video,
        )
        for video in ("a", "b") for i in range(3)
    ]  # fmt: skip
    guess = {c.name: rng.standard_normal((2, 50)).astype(np.float32) for c in clips}
    scaled = levelled(guess, clips)
    gains = {c.name: scaled[c.name] / guess[c.name] for c in clips}
    assert_allclose(gains["a-0"], gains["a-2"], rtol=1e-5)
    for video in ("a", "b"):
        own = [c for c in clips if c.environment == video]
        ours = sum(float((scaled[c.name] ** 2).sum()) for c in own)
        assert ours == pytest.approx(sum(float((c.x_rx**2).sum()) for c in own), rel=1e-5)
    assert LEVELLED not in guess


def test_faces_are_told_by_the_side_they_face():
    box = Scene.shoebox((3, 2, 2.5), absorption=0.3)
    scene = data.unknown_materials(Mesh(box.vertices, box.faces))
    names = [scene.materials[k].name for k in scene.face_material]
    assert [names.count(f"default, {side}") for side in data.SIDES] == [2, 2, 8]
    level = scene.vertices[scene.faces[scene.face_material == 0]][..., 2]
    assert (level == 0).all()  # the floor faces up
    sky = data.unknown_materials(box.mesh, np.arange(len(box.faces)) < 2)
    assert sky.materials[-1].absorption.min() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_benchmark_that_was_killed_goes_on_to_the_same_files(folder, tmp_path):
    """`folder` holds one that was not."""
    films = TINY.videos
    words = [
        sys.executable,
        "-m",
        "piavas.cli",
        "twin-benchmark",
        str(tmp_path / "b"),
        "--no-waves",
    ]
    sizes = {"environments": 1, "videos": 2, "seconds": films.seconds, "rays": films.rays}
    sizes |= {"width": films.width, "height": films.height}
    words += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    child = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for _ in range(600):
        time.sleep(0.1)
        if list((tmp_path / "b").rglob("source-0.wav")) or child.poll() is not None:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "b" / "SHA256SUMS").exists()
    assert main(words[3:]) == 0
    one, two = ((f / "SHA256SUMS").read_bytes() for f in (folder / "rwavs", tmp_path / "b"))
    assert one == two


def test_what_it_will_cost_is_told_and_nothing_written(tmp_path, capsys):
    assert main(["experiments", str(tmp_path / "no"), "--size", "tiny", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["generate_seconds"] >= 0
    assert told["disk_mb"] > 0
    assert not (tmp_path / "no").exists()


def test_poses_stay_where_the_scan_is(folder):
    bench = open_bench(folder, TINY)
    scene = data.scan(bench, "office")
    low, high = scene.vertices.min(axis=0), scene.vertices.max(axis=0)
    case = methods.Case(bench, data.protocol(bench, "rwavs-gen"), "office")
    for row in case.clips().rows:
        at = np.array(row["pose"])[:3, 3]
        assert (at > low).all()
        assert (at < high).all()


def test_heads_outside_the_room_are_named(folder):
    bench = open_bench(folder, TINY)
    room = data.scan(bench, "office")
    low, high = room.vertices.min(axis=0), room.vertices.max(axis=0)
    half = replace(room, vertices=low + 0.3 * (room.vertices - low) + 0.7 * (high - low))
    save_scene(half, folder / "scenes" / "office" / "half")
    with pytest.raises(SimulationError, match="outside"):
        data.simulated(bench, "office", "half")
    assert not (folder / "clips" / "office" / "half").exists()
