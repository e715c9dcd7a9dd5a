"""Exports, each opened with a reader that is not ours: soundfile, wave, trimesh, pygltflib, csv."""

from __future__ import annotations

import csv
import io
import json
import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import trimesh

from piavas.cli import main
from piavas.errors import DataError
from piavas.evaluate import room_metrics
from piavas.listen import (
    export_ambix,
    export_gltf,
    export_sofa,
    export_table,
    export_wavs,
    room_table,
    strength,
)
from piavas.materials import load_scene, load_table, save_scene
from piavas.scene import ImpulseResponses, Pose, Scene

RATE = 16_000


def decaying(output: str = "ambisonic-1", channels: int = 4, t60: float = 0.5) -> ImpulseResponses:
    """Noise that decays by 60 dB in `t60`, at three listeners, after a direct sound."""
    generator = np.random.default_rng(3)
    time = np.arange(RATE) / RATE
    samples = 0.05 * generator.normal(size=(3, channels, RATE)) * 10 ** (-3 * time / t60)
    samples[..., 0] = 1.0
    poses = [Pose.at((1 + i, 2, 1.5), yaw=90 * i).matrix for i in range(3)]
    return ImpulseResponses(
        samples.astype(np.float32), RATE, output, np.array([1.0, 1.0, 1.0]), np.stack(poses)
    )


def info(path) -> dict[str, bytes]:
    """Chunks of a RIFF file by their four letters, read by hand."""
    data, at, found = path.read_bytes(), 12, {}
    assert (data[:4], data[8:12]) == (b"RIFF", b"WAVE")
    while at + 8 <= len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        found[data[at : at + 4].decode()] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def test_ambix_holds_the_channels_in_order_and_says_so(tmp_path):
    ours = decaying()
    paths = export_ambix(ours, tmp_path)
    assert [p.name for p in paths] == [f"listener-000{i}_ambix_o1.wav" for i in range(3)]
    for path, expected in zip(paths, ours.samples, strict=True):
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        np.testing.assert_array_equal(samples.T, expected)
    with soundfile.SoundFile(paths[0]) as file:
        assert file.comment == "ambiX order 1: ACN, SN3D; x ahead, y left, z up"
    form, channels, rate = struct.unpack("<HHI", info(paths[0])["fmt "][:8])
    assert (form, channels, rate) == (3, 4, RATE)  # 3: IEEE float
    index = json.loads((tmp_path / "listeners.json").read_text())
    assert index["channels"] == ["ACN 0", "ACN 1", "ACN 2", "ACN 3"]
    np.testing.assert_array_equal(index["listeners"][2]["pose"], ours.listeners[2])


def test_ambix_of_two_ears_is_refused(tmp_path):
    with pytest.raises(DataError, match="not ambisonic"):
        export_ambix(decaying("binaural", 2), tmp_path)
    assert not list(tmp_path.iterdir())


def test_wavs_hold_the_samples(tmp_path):
    ours = decaying("binaural", 2)
    ours.samples[1] *= 7  # beyond full scale, which float files bear
    paths = export_wavs(ours, tmp_path)
    assert len(paths) == 3
    for path, expected in zip(paths, ours.samples, strict=True):
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        np.testing.assert_array_equal(samples.T, expected)
    index = json.loads((tmp_path / "listeners.json").read_text())
    assert index["channels"] == ["left", "right"]


def test_gltf_holds_the_room_in_its_place_with_names_and_extras(tmp_path):
    pygltflib = pytest.importorskip("pygltflib", reason="the dev extra has pygltflib")
    absorption = np.linspace(0.1, 0.6, 6)
    scene = Scene.shoebox((4, 5, 3), absorption=absorption)
    poses = [Pose.at((1, 2, 1.5), yaw=30).matrix, Pose.at((3, 4, 1.2), yaw=-90).matrix]
    path = export_gltf(scene, tmp_path / "a.glb", sources={"piano": (2, 1, 1)}, listeners=poses)
    file = pygltflib.GLTF2().load_binary(str(path))
    assert file.asset.version == "2.0"
    nodes = {node.name: node for node in file.nodes}
    assert nodes["piano"].extras == {"piavas": "source", "position": [2.0, 1.0, 1.0]}
    np.testing.assert_array_equal(nodes["listener-0001"].extras["pose"], poses[1])
    given = np.array(nodes["listener-0001"].matrix).reshape(4, 4).T
    np.testing.assert_allclose(given, poses[1], atol=1e-12)
    names = ["x0", "x1", "y0", "y1", "floor", "ceiling"]
    assert [m.name for m in file.materials] == [*names, "source", "listener"]
    assert len({tuple(m.pbrMetallicRoughness.baseColorFactor) for m in file.materials}) == 8
    walls = [m for m in file.meshes if "absorption" in (m.extras or {})]
    np.testing.assert_allclose([m.extras["absorption"][0] for m in walls], absorption)

    world = trimesh.load(path)
    assert isinstance(world, trimesh.Scene)
    place, _ = world.graph.get("piano")
    np.testing.assert_allclose(place[:3, 3], [2, 1, -1])  # +y up: our y is its -z


def test_gltf_without_markers_comes_back_as_the_scene(tmp_path):
    scene = Scene.shoebox((4, 5, 3))
    path = export_gltf(scene, tmp_path / "a.glb", sources=(2, 1, 1), markers=0)
    names = {"*": "default", "floor": next(n for n in load_table() if "carpet" in n)}
    (tmp_path / "m.json").write_text(json.dumps(names))
    again = load_scene(path, tmp_path / "m.json")
    assert len(again.faces) == len(scene.faces)
    np.testing.assert_allclose(again.vertices.max(axis=0), [4, 5, 3], atol=1e-6)
    low = again.vertices[again.faces][..., 2].max(axis=1) < 1e-6
    assert {again.materials[m].name for m in again.face_material[low]} == {names["floor"]}
    corners = scene.vertices[scene.faces], again.vertices[again.faces]
    volumes = [np.einsum("ij,ij->", c[:, 0], np.cross(c[:, 1], c[:, 2])) / 6 for c in corners]
    assert volumes[0] == pytest.approx(volumes[1])  # which way the normals point


@pytest.mark.parametrize("name", ["a.gltf", "a.obj"])
def test_gltf_of_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=name):
        export_gltf(Scene.shoebox((4, 5, 3)), tmp_path / name)


def test_table_is_what_room_metrics_measures(tmp_path):
    ours = decaying(t60=0.5)
    path = export_table(ours, tmp_path / "rooms.csv", bands=(500.0, 1000.0))
    text = path.read_bytes().decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3 * 3
    expected = room_metrics(ours.samples[:, 0], RATE, bands=(500.0, 1000.0))
    for row in rows:
        i = int(row["listener"])
        b = ["broadband", "500.0", "1000.0"].index(row["band (Hz)"])
        for head, name, scale in (
            ("T20 (s)", "T20", 1),
            ("T30 (s)", "T30", 1),
            ("EDT (s)", "EDT", 1),
            ("C50 (dB)", "C50", 1),
            ("C80 (dB)", "C80", 1),
            ("D50 (%)", "D50", 100),
            ("Ts (ms)", "Ts", 1000),
        ):
            assert float(row[head]) == pytest.approx(expected[name][i, b] * scale, rel=1e-5)
        assert (row["channel"], float(row["x (m)"])) == ("W", 1 + i)
    assert float(rows[-1]["yaw (degrees)"]) == 180
    broadband = [float(row["T30 (s)"]) for row in rows[::3]]
    np.testing.assert_allclose(broadband, 0.5, rtol=0.02)


def test_what_is_not_reached_is_an_empty_cell_and_a_null(tmp_path):
    ours = replace(
        decaying("mono", 1), samples=np.eye(1, 4000, dtype=np.float32)[None].repeat(3, 0)
    )
    rows = list(csv.DictReader(export_table(ours, tmp_path / "a.csv").open(newline="")))
    assert rows[0]["C50 (dB)"] == ""  # nothing is late
    data = json.loads(export_table(ours, tmp_path / "a.json").read_text())
    assert data["rows"][0]["C50 (dB)"] is None
    assert data["rows"][0]["G (dB)"] == pytest.approx(20.0)
    assert data["source"] == [1.0, 1.0, 1.0]


def test_binaural_tables_have_a_row_for_each_ear():
    rows = room_table(decaying("binaural", 2), bands=(1000.0,))
    assert [row["channel"] for row in rows[:4:2]] == ["left", "right"]


def test_strength_of_the_free_field_falls_with_distance():
    """A unit impulse is the free field at 1 m: 20 dB; at 10 m, 0 dB; in every band."""
    near, far = np.eye(1, 4800)[0], 0.1 * np.eye(1, 4800, 1400)[0]
    bands = (0.0, 250.0, 1000.0, 4000.0)
    np.testing.assert_allclose(strength(near, 48_000, bands), 20.0, atol=1e-9)
    np.testing.assert_allclose(strength(far, 48_000, bands), 0.0, atol=1e-6)
    assert strength(np.zeros(100), 48_000)[0] == -math.inf


def test_tables_of_another_suffix_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.xlsx"):
        export_table(decaying(), tmp_path / "a.xlsx")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scene folder and the SOFA files of two sources."""
    folder = tmp_path_factory.mktemp("files")
    save_scene(Scene.shoebox((6, 5, 3)), folder / "scene")
    for i, name in enumerate("ab"):
        ours = replace(decaying(), source=np.array([1.0 + i, 1.0, 1.0]))
        export_sofa(ours, folder / f"{name}.sofa")
    return folder


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("sofa a.sofa b.sofa --out c.sofa --scene scene --title Hall", "c.sofa"),
        ("wav a.sofa --out wav", "wav/listener-0002.wav"),
        ("ambix b.sofa --out ambix", "ambix/listener-0002_ambix_o1.wav"),
        ("gltf scene --out room.glb --responses a.sofa", "room.glb"),
        ("table a.sofa --out rooms.csv --bands 500 1000", "rooms.csv"),
    ],
)
def test_the_verbs_write_their_artefact(files, monkeypatch, capsys, words, made):
    monkeypatch.chdir(files)
    assert main(["export", *words.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrote"] == words.split("--out ")[1].split()[0]
    assert (files / made).stat().st_size > 0


def test_a_verb_asks_which_of_several_sources(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    assert main(["export", "sofa", "a.sofa", "b.sofa", "--out", "both.sofa"]) == 0
    assert main(["export", "table", "both.sofa", "--out", "t.csv"]) == 2
    assert "both.sofa: emitter: has 2 emitters" in capsys.readouterr().err
    assert main(["export", "table", "both.sofa", "--out", "t.csv", "--emitter", "1"]) == 0
