"""Sets of impulse responses: RAF's layout and axes, generic tables, and copies that are spoilt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

from piavas.datasets import (
    Response,
    check_raf,
    check_rirs,
    few_shot,
    load_raf,
    load_rirs,
    protocols,
    write_raf,
    write_rirs,
)
from piavas.datasets.raf import CUT, RATE, which_hand, winding_number
from piavas.datasets.rirset import write_table
from piavas.errors import AudioError, DataError, PiavasError
from piavas.geometry import load_mesh
from piavas.scene import Mesh, Pose, Scene, Source

SPLITS = ("train",) * 8 + ("test", "val")


def make_responses() -> list[Response]:
    chance = np.random.default_rng(0)
    made = []
    for i, split in enumerate(SPLITS):
        axis = chance.normal(size=3)
        made.append(
            Response(
                f"r{i}",
                Path(),
                chance.uniform(0, 3, 3),
                Pose.at(chance.uniform(0, 3, 3), yaw=36.0 * i - 170).matrix,
                axis / np.linalg.norm(axis),
                split,
            )
        )
    return made


RESPONSES = make_responses()


def signals(channels=1):
    chance = np.random.default_rng(1)
    decay = np.exp(-np.arange(RATE // 2) / 4000)
    return [(0.5 * chance.standard_normal((channels, RATE // 2)) * decay) for _ in SPLITS]


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    return write_raf(tmp_path_factory.mktemp("raf") / "EmptyRoom", RESPONSES, signals())


@pytest.fixture
def raf(room, tmp_path) -> Path:
    return Path(shutil.copytree(room, tmp_path / "EmptyRoom"))


# --- RAF


def test_raf_is_read_back(room):
    read = load_raf(room)
    assert (read.layout, read.sample_rate, read.channels, len(read)) == ("raf", RATE, 1, 10)
    for i, (ours, truth) in enumerate(zip(read.responses, RESPONSES, strict=True)):
        assert ours.name == f"{i:06d}"
        assert_allclose(ours.source, truth.source, atol=1e-12)
        assert_allclose(ours.pose[:3, 3], truth.pose[:3, 3], atol=1e-12)
        assert_allclose(ours.axis, truth.axis, atol=1e-12)
        assert ours.split == truth.split
        Source(ours.source, ours.axis)
    samples = read.read("000003")
    assert samples.shape == (1, RATE // 2)
    assert_array_equal(samples, np.float32(signals()[3]))
    assert read.read("000003", CUT).shape == (1, 15_360)


def test_raf_axes_are_x_ahead_y_up_z_left(raf):
    """By hand: 1 m ahead, 2 m up, 3 m to the left of the origin; a speaker that faces left."""
    half = np.sqrt(0.5)
    (raf / "data/000000/rx_pos.txt").write_text("1,2,3\n")
    # The turn about y that takes x to z as the numbers go: x' = -z sin + x cos with sin < 0.
    (raf / "data/000000/tx_pos.txt").write_text(f"0 {-half} 0 {half} 4 5 6\n")
    left = load_raf(raf).responses[0]
    assert_allclose(left.pose[:3, 3], [1, 3, 2])  # house: x ahead, y left, z up
    assert_allclose(left.source, [4, 6, 5])
    assert_allclose(left.axis, [0, 1, 0], atol=1e-12)
    right = load_raf(raf, hand="right").responses[0]
    assert_allclose(right.pose[:3, 3], [1, -3, 2])
    assert_allclose(right.axis, [0, -1, 0], atol=1e-12)


def test_a_right_handed_copy_is_read_as_one(tmp_path):
    write_raf(tmp_path, RESPONSES, signals(), hand="right")
    for ours, truth in zip(load_raf(tmp_path, hand="right").responses, RESPONSES, strict=True):
        assert_allclose(ours.pose[:3, 3], truth.pose[:3, 3], atol=1e-12)
        assert_allclose(ours.axis, truth.axis, atol=1e-12)


def test_the_mesh_tells_the_hand_of_the_axes(tmp_path):
    """A room that lies to the left of the origin only, written y-up as OBJ files are."""
    box = Scene.shoebox((5, 4, 3))
    flipped = np.column_stack([box.vertices[:, 0], box.vertices[:, 2], -box.vertices[:, 1]])
    lines = [f"v {x} {y} {z}" for x, y, z in flipped]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in box.faces]
    (tmp_path / "room.obj").write_text("\n".join(lines))
    mesh = load_mesh(tmp_path / "room.obj", up="y")
    inside = np.random.default_rng(2).uniform([0.2, 0.2, 0.2], [4.8, 3.8, 2.8], (40, 3))
    raf_left = inside[:, [0, 2, 1]]
    assert which_hand(raf_left, mesh) == {"left": 1.0, "right": 0.0}
    assert which_hand(raf_left * [1, 1, -1], mesh) == {"left": 0.0, "right": 1.0}


def test_winding_numbers():
    box = Scene.shoebox((2, 2, 2))
    mesh = Mesh(box.vertices, box.faces)
    number = winding_number(np.array([[1.0, 1, 1], [0.1, 1.9, 0.3], [3, 1, 1]]), mesh)
    assert_allclose(np.abs(number), [1, 1, 0], atol=1e-12)
    holed = Mesh(box.vertices, box.faces[1:])
    assert abs(winding_number(np.array([[1.0, 1, 1]]), holed)[0]) == pytest.approx(11 / 12)


def test_lists_may_be_flat_or_nested_numbers_or_texts(raf):
    file = raf / "metadata/data-split.json"
    data = json.loads(file.read_text())
    assert data["validation"] == ["000009"] and len(data["train"][0]) == 8
    wanted = [response.split for response in load_raf(raf).responses]
    for lists in (
        {key: np.ravel(value).tolist() for key, value in data.items()},
        {key: [np.ravel(value).tolist()] for key, value in data.items()},
        {key: [int(name) for name in np.ravel(value)] for key, value in data.items()},
    ):
        (raf / "mine.json").write_text(json.dumps(lists))
        read = load_raf(raf, splits=raf / "mine.json")
        assert [response.split for response in read.responses] == wanted


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train": [["000011"]]}, "data/000011: no such folder"),
        ({"test": [["000001"]]}, "000001 is listed twice"),
        ({"train": "000001"}, "no list of items"),
        ({"train": ["one"]}, "no list of items"),
        ({"dev": []}, "no object of train"),
    ],
)
def test_lists_that_are_wrong(raf, change, told):
    file = raf / "metadata/data-split.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DataError, match=told) as problem:
        load_raf(raf)
    assert str(file) in str(problem.value)
    assert [finding.item for finding in check_raf(raf).faults] == ["splits"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("rx_pos.txt", "1,2\n", "3 finite numbers"),
        ("rx_pos.txt", "1,2,nan\n", "3 finite numbers"),
        ("rx_pos.txt", "a,b,c\n", "3 finite numbers"),
        ("tx_pos.txt", "1,2,3,0,0,0,1\n", "quaternion has length"),
        ("tx_pos.txt", "0,0,0,1,1,2\n", "7 finite numbers"),
        ("tx_pos.txt", "", "7 finite numbers"),
        ("rx_pos.txt", None, "no such file"),
        ("tx_pos.txt", None, "no such file"),
        ("rir.wav", None, "no such file"),
        ("rir.wav", "RIFF", "cannot be read"),
    ],
)
def test_items_that_are_wrong(raf, name, text, told):
    file = raf / "data/000004" / name
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(PiavasError, match=told) as problem:
        load_raf(raf)
    assert str(file) in str(problem.value)
    check = check_raf(raf)
    assert [finding.item for finding in check.faults] == ["000004"]
    assert check.faults[0].state == ("missing" if text is None else "wrong")


def test_responses_of_another_kind_are_refused(raf):
    for rate, channels in ((16_000, 1), (RATE, 2)):
        soundfile.write(raf / "data/000002/rir.wav", np.ones((99, channels)) * 0.1, rate)
        with pytest.raises(AudioError, match=r"000002/rir\.wav"):
            load_raf(raf)


def test_a_check_tells_splits_and_axes(room, tmp_path):
    mesh = Scene.shoebox((3, 3, 3)).mesh
    check = check_raf(room, mesh)
    assert check.good
    notes = {f.item: f.told for f in check.findings if f.state == "note"}
    assert notes["splits"].startswith("train 80 %, test 10 %, val 10 %")
    assert "left-handed 100 %, right-handed 0 %" in notes["axes"]
    with pytest.raises(DataError, match="no such folder"):
        check_raf(tmp_path / "gone")
    assert not check_raf(tmp_path).good
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="holds no items"):
        load_raf(tmp_path)


def test_the_protocol_of_raf(room):
    own = load_raf(room).protocol("RAF")
    lists = json.loads((room / "metadata/data-split.json").read_text())
    flat = {key: np.ravel(value).tolist() for key, value in lists.items()}
    assert protocols.raf(flat).hash == own.hash
    assert own.split_of["000009"] == "val"
    assert len(few_shot(own, 0.25).splits["train"]) == 2


# --- generic sets


@pytest.fixture
def folder(tmp_path) -> Path:
    write_rirs(tmp_path, RESPONSES, signals(2), 16_000)
    return tmp_path


def test_a_generic_set_is_read_back(folder):
    read = load_rirs(folder)
    assert (read.layout, read.sample_rate, read.channels) == ("rirs", 16_000, 2)
    for ours, truth, signal in zip(read.responses, RESPONSES, signals(2), strict=True):
        assert (ours.name, ours.split) == (truth.name, truth.split)
        assert_array_equal(ours.source, truth.source)
        assert_array_equal(ours.axis, truth.axis)
        assert_allclose(ours.pose, truth.pose, atol=1e-12)
        assert_array_equal(read.read(ours.name), np.float32(signal))
    assert len(read.of("train")) == 8
    assert check_rirs(folder).good


def test_raf_becomes_a_generic_set_without_copies(room, tmp_path):
    write_table(tmp_path, load_raf(room).responses)
    read = load_rirs(tmp_path)
    for ours, truth in zip(read.responses, load_raf(room).responses, strict=True):
        assert ours.path.resolve() == truth.path.resolve()
        assert_allclose(ours.pose, truth.pose, atol=1e-12)
        assert ours.split == truth.split


def test_only_what_is_needed_must_be_there(folder):
    (folder / "rirs.csv").write_text(
        "file,source_x,source_y,source_z,listener_x,listener_y,listener_z\nr0.wav,1,2,3,4,5,6\n"
    )
    (response,) = load_rirs(folder).responses
    assert response.axis is None and response.split == ""
    assert_allclose(response.pose, Pose.at((4, 5, 6)).matrix)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.replace("source_y", "source_w"), "lacks source_y"),
        (lambda t: t.replace("yaw", "jaw"), "unknown columns jaw"),
        (lambda t: t.replace("r3.wav", "r2.wav"), "lists 'r2' twice"),
        (lambda t: t.replace("r3.wav", "gone.wav"), r"gone\.wav: no such file"),
        (lambda t: t.replace("r3.wav", ""), "line 5: names no file"),
        (lambda t: t.replace(",val", ",dev"), "'dev' is no split"),
        (lambda t: t.splitlines()[0], "no rows"),
        (lambda t: t.replace("r0.wav,", "r0.wav,x"), "line 2: source_x, source_y"),
        (lambda t: t.replace("r0.wav,", "r0.wav,nan"), "line 2: source_x"),
    ],
)
def test_tables_that_are_wrong(folder, change, told):
    file = folder / "rirs.csv"
    file.write_text(change(file.read_text()))
    with pytest.raises(PiavasError, match=told) as problem:
        load_rirs(folder)
    assert str(folder) in str(problem.value)
    assert not check_rirs(folder).good


def test_files_that_are_wrong(folder, tmp_path_factory):
    soundfile.write(folder / "r5.wav", np.full((99, 2), 0.1), 8000)
    with pytest.raises(AudioError, match=r"r5\.wav: has 2 channel\(s\) of 99 samples at 8000 Hz"):
        load_rirs(folder)
    soundfile.write(folder / "r5.wav", np.zeros((99, 2)), 16_000)
    load_rirs(folder)  # from the headers alone
    assert [finding.item for finding in check_rirs(folder).faults] == ["r5"]
    with pytest.raises(AudioError, match="silent"):
        load_rirs(folder).read("r5")
    with pytest.raises(DataError, match="no responses"):
        write_rirs(folder, [], [], 8000)
    with pytest.raises(DataError, match=r"rirs\.csv: no such file"):
        load_rirs(tmp_path_factory.mktemp("empty"))
