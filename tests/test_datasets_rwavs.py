"""RWAVS: worlds of known truth written in its layout, read back, spoilt and checked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

from piavas.capture import Intrinsics, load_capture, write_nerfstudio
from piavas.datasets.alignment import Alignment, clip_names, to_capture
from piavas.datasets.protocols import Protocol, few_shot, rwavs, rwavs_gen
from piavas.datasets.rwavs import RATE, load_rwavs
from piavas.datasets.rwavs_check import check_rwavs
from piavas.datasets.rwavs_write import NewVideo, write_rwavs
from piavas.datasets.similarity import Similarity
from piavas.errors import AudioError, CaptureError, DataError, PiavasError
from piavas.scene import Pose

SECONDS = 12
LENS = Intrinsics(32, 24, 30.0, 30.0, 15.5, 11.5)
TURN = Pose.at((0, 0, 0), yaw=70).matrix[:3, :3] @ Pose.at((0, 0, 0)).matrix[:3, :3].T
UNIT = Similarity(0.31, TURN, np.array([5.0, -2.0, 1.0]))


def make_video(number=1, environment="office", seed=0) -> NewVideo:
    chance = np.random.default_rng([number, seed])
    seconds = [s for s in range(1, SECONDS) if s != 7]  # structure from motion lost a frame
    steps = chance.uniform(-0.4, 0.4, (len(seconds), 3)) * [1, 1, 0.1]
    places = np.cumsum(steps, axis=0) + np.array([2, 2, 1.6])
    poses = [
        Pose.at(p, yaw=chance.uniform(0, 360), pitch=chance.uniform(-20, 20)).matrix for p in places
    ]
    return NewVideo(
        number,
        environment,
        source=np.array([3.0, 1.0 + 0.3 * number, 1.2]),
        poses=np.stack(poses),
        seconds=seconds,
        pictures=[chance.integers(0, 255, (24, 32, 3), np.uint8) for _ in seconds],
        intrinsics=LENS,
        dry=0.2 * chance.standard_normal((1, SECONDS * RATE)).astype(np.float32),
        wet=0.1 * chance.standard_normal((2, SECONDS * RATE)).astype(np.float32),
    )


VIDEOS = (make_video(1), make_video(2), make_video(6, "house"))


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rwavs") / "release"
    return write_rwavs(folder, VIDEOS, units={"office": UNIT})


@pytest.fixture
def copy(release, tmp_path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "release"))


def edit(file: Path, change) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


# --- what is read


def test_the_layout_is_that_of_the_release(release):
    files = {str(p.relative_to(release)) for p in release.glob("1/*")} | {
        p.name for p in release.glob("*.json")
    }
    assert files == {
        "position.json", "environments.json", "1/frames", "1/binaural_syn_re.wav",
        "1/source_syn_re.wav", "1/transforms_train.json", "1/transforms_val.json",
        "1/transforms_scale_train.json", "1/transforms_scale_val.json",
    }  # fmt: skip
    assert (release / "1/frames/00001.png").is_file()
    info = soundfile.info(release / "1/binaural_syn_re.wav")
    assert (info.channels, info.samplerate, info.subtype) == (2, 22_050, "PCM_16")
    for name in ("binaural_syn_re", "source_syn_re"):
        samples, _ = soundfile.read(release / f"1/{name}.wav")
        assert np.abs(samples).max() == pytest.approx(0.999, abs=1e-4)


def test_a_release_is_read_back(release):
    for video, truth in zip(load_rwavs(release.parent), VIDEOS, strict=True):
        unit = UNIT if truth.environment == "office" else Similarity()
        assert (video.number, video.environment) == (truth.number, truth.environment)
        assert_allclose(video.poses, unit.poses(truth.poses), atol=1e-9)
        assert_allclose(video.source, unit.points(truth.source), atol=1e-9)
        assert_array_equal(video.times, truth.seconds)
        assert video.splits.count("val") == len(video) // 5
        assert video.uniform
        scaled = video.poses[:, :3, 3] @ video.cube[:, :3].T + video.cube[:, 3]
        assert np.abs(scaled).max() <= 1
        assert video.intrinsics is not None
        assert video.intrinsics[0] == LENS
        assert [image.name for image in video.images[:2]] == ["00001.png", "00002.png"]
        assert_allclose(
            video.distances,
            unit.scale * np.linalg.norm(truth.poses[:, :3, 3] - truth.source, axis=1),
        )


def test_videos_of_one_environment_share_the_written_cube(release):
    office = load_rwavs(release, [1, 2])
    assert_allclose(office[0].cube, office[1].cube, atol=1e-9)


@pytest.mark.parametrize("plain", ["frames", "camera_path"])
@pytest.mark.parametrize("scaled", ["frames", "camera_path"])
def test_both_schemas_are_read_in_both_files(tmp_path, plain, scaled):
    write_rwavs(tmp_path, VIDEOS[:1], units={"office": UNIT}, schemas=(plain, scaled))
    keys = {"frames", "camera_path"}
    for kind, schema in (("transforms", plain), ("transforms_scale", scaled)):
        data = json.loads((tmp_path / "1" / f"{kind}_train.json").read_text())
        assert keys & set(data) == {schema}
    video = load_rwavs(tmp_path, [1])[0]
    assert_allclose(video.poses, UNIT.poses(VIDEOS[0].poses), atol=1e-9)
    camera = video.intrinsics[0]
    assert_allclose([camera.fx, camera.fy, camera.cx, camera.cy], [30, 30, 15.5, 11.5], atol=1e-9)


def test_a_cube_of_one_factor_an_axis_keeps_geometry_true(copy):
    """Were each axis scaled for itself, distances in the cube would be wrong; these are not."""
    cube, shift = np.array([0.5, 0.3, 0.9]), np.array([0.1, 0, -0.1])
    truth = load_rwavs(copy, [1])[0]
    middle = truth.poses[:, :3, 3].mean(axis=0)
    for split in ("train", "val"):
        plain = json.loads((copy / f"1/transforms_{split}.json").read_text())
        for frame in plain["frames"]:
            matrix = np.array(frame["transform_matrix"])
            matrix[:3, 3] = cube * (matrix[:3, 3] - middle) + shift
            frame["transform_matrix"] = matrix.tolist()
        (copy / f"1/transforms_scale_{split}.json").write_text(json.dumps(plain))
    point = (cube * (truth.source - middle) + shift).tolist()
    edit(copy / "position.json", lambda d: d["1"].update(source_position=point))
    video = load_rwavs(copy, [1])[0]
    assert not video.uniform
    assert_allclose(video.source, truth.source, atol=1e-9)
    assert_allclose(video.distances, truth.distances, atol=1e-9)


def test_published_environments_need_no_file(copy):
    (copy / "environments.json").unlink()
    assert [v.environment for v in load_rwavs(copy, [1, 6])] == ["office", "house"]
    with pytest.raises(DataError, match="3: no such folder"):
        load_rwavs(copy)
    with pytest.raises(DataError, match="no video 14"):
        load_rwavs(copy, [14])


# --- what is wrong


def first(key, value):
    return lambda d: d[next(k for k in ("frames", "camera_path") if k in d)][0].update({key: value})


NO_ROTATION = np.diag([2.0, 1, 1, 1])


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("1/transforms_train.json", lambda d: d.update(camera_path=[]), "frames and camera_path"),
        ("1/transforms_train.json", lambda d: d.pop("frames"), "neither frames nor camera_path"),
        ("1/transforms_train.json", first("transform_matrix", NO_ROTATION.tolist()), "no rotation"),
        ("1/transforms_train.json", first("file_path", "frames/00007.png"), "no such file"),
        ("1/transforms_train.json", first("file_path", "frames/one.png"), "no number"),
        ("1/transforms_train.json", first("file_path", "00002.png"), "lists 00002.png twice"),
        ("1/transforms_scale_val.json", first("camera_to_world", [1.0] * 12), "16 finite numbers"),
        ("1/transforms_scale_val.json", first("camera_to_world", [float("nan")] * 16), "16 finite"),
        ("1/transforms_scale_val.json", first("fov", 200), "no angle of view"),
        ("1/transforms_scale_train.json", lambda d: d["camera_path"].pop(), "do not both list"),
        ("position.json", lambda d: d.pop("1"), "is missing"),
        ("position.json", lambda d: d.update({"1": {"source_position": [1, 2]}}), "3 finite"),
        ("position.json", lambda d: d.update({"1": {}}), "source_position: is missing"),
        ("position.json", lambda d: d.update({"one": {}}), "no number of a video"),
        ("environments.json", lambda d: d.update({"x": "y"}), "no number"),
    ],
)
def test_a_wrong_field_is_named(copy, file, change, told):
    edit(copy / file, change)
    with pytest.raises((DataError, CaptureError), match=told) as problem:
        load_rwavs(copy, [1])
    assert str(copy) in str(problem.value)
    check = check_rwavs(copy, [1])
    assert not check.good
    assert any(str(problem.value) == finding.told for finding in check.faults)


@pytest.mark.parametrize(
    "name",
    [
        "position.json",
        "1/transforms_train.json",
        "1/transforms_scale_val.json",
        "1/source_syn_re.wav",
        "1/frames/00003.png",
    ],
)
def test_what_is_missing_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(PiavasError, match="no such file") as problem:
        load_rwavs(copy, [1])
    assert str(copy / name) in str(problem.value)
    faults = check_rwavs(copy, [1]).faults
    assert [finding for finding in faults if finding.state == "missing"]
    assert any(str(copy / name) in finding.told for finding in faults)


def test_poses_that_are_no_scaling_of_each_other_are_refused(copy):
    file = copy / "1/transforms_scale_train.json"
    edit(file, lambda d: d["camera_path"][2]["camera_to_world"].__setitem__(3, 0.77))
    with pytest.raises(CaptureError, match="is no scaling"):
        load_rwavs(copy, [1])
    edit(file, lambda d: d["camera_path"][2]["camera_to_world"].__setitem__(3, 1.5))
    with pytest.raises(CaptureError, match=r"positions reach 1\.5"):
        load_rwavs(copy, [1])


def test_a_split_that_overlaps_is_refused(copy):
    for kind in ("transforms", "transforms_scale"):
        train, val = (copy / f"1/{kind}_{s}.json" for s in ("train", "val"))
        key = "frames" if kind == "transforms" else "camera_path"
        entry = json.loads(train.read_text())[key][0]
        edit(val, lambda d, key=key, entry=entry: d[key].append(entry))
    with pytest.raises(DataError, match=r"00001\.png in both splits"):
        load_rwavs(copy, [1])


@pytest.mark.parametrize(
    ("channels", "rate", "length", "told"),
    [
        (1, RATE, SECONDS * RATE, "1 channel"),
        (2, 16_000, SECONDS * 16_000, "16000 Hz"),
        (2, RATE, 3 * RATE, "3.00 s"),
        (2, RATE, 0, "0 samples"),
    ],
)
def test_sound_that_does_not_fit_is_refused(copy, channels, rate, length, told):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (length, channels))
    soundfile.write(copy / "1/binaural_syn_re.wav", noise, rate, subtype="PCM_16")
    with pytest.raises(AudioError, match=told):
        load_rwavs(copy, [1])
    (copy / "1/binaural_syn_re.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="cannot be read"):
        load_rwavs(copy, [1])


def test_a_whole_copy_is_good_and_a_partial_one_is_told_item_by_item(copy):
    check = check_rwavs(copy.parent)
    assert check.good
    assert {f.item.split(",")[0] for f in check.findings if "video" in f.item} == {
        "video 1", "video 2", "video 6",
    }  # fmt: skip
    check.demand()
    shutil.rmtree(copy / "2")
    (copy / "6/source_syn_re.wav").unlink()
    (copy / "1/feats_train.pkl").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    broken = check_rwavs(copy)
    assert [(f.item, f.state) for f in broken.faults] == [
        ("video 2, folder", "missing"),
        ("video 6, sound", "missing"),
    ]
    notes = [f for f in broken.findings if f.state == "note"]
    assert any("pickle" in f.told for f in notes)
    with pytest.raises(DataError, match="2 of"):
        broken.demand()
    assert json.loads(json.dumps(broken.to_json()))["faults"] == 2
    assert not check_rwavs(copy / "1").good
    with pytest.raises(DataError, match="no such folder"):
        check_rwavs(copy / "gone")


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(DataError, match="no videos"):
        write_rwavs(tmp_path, [])
    with pytest.raises(DataError, match="two of one number"):
        write_rwavs(tmp_path, [VIDEOS[0], VIDEOS[0]])
    with pytest.raises(DataError, match="poses, seconds, pictures"):
        write_rwavs(tmp_path, [replace(VIDEOS[0], seconds=[1, 2])])
    with pytest.raises(AudioError, match="silent"):
        write_rwavs(tmp_path, [replace(VIDEOS[0], wet=np.zeros((2, 99), np.float32))])
    assert not (tmp_path / "position.json").exists()


# --- captures


def test_an_environment_becomes_a_capture_that_is_read_back(release, tmp_path):
    office = load_rwavs(release, [1, 2])
    metres = Alignment({1: UNIT.inverse, 2: UNIT.inverse}, metric=True)
    capture = to_capture(office, metres)
    assert capture.metric
    assert len(capture) == sum(len(video) for video in office)
    for recording, truth in zip(capture.recordings, VIDEOS, strict=False):
        assert_allclose(recording.source, truth.source, atol=1e-9)
        assert_allclose(recording.poses, truth.poses, atol=1e-9)
        assert recording.splits is not None
    write_nerfstudio(tmp_path, capture.frames, metric=capture.metric, recordings=capture.recordings)
    again = load_capture(tmp_path)
    assert [r.name for r in again.recordings] == ["office-1", "office-2"]
    assert again.recordings[1].splits == office[1].splits
    assert again.frames[3].image().shape == (24, 32, 3)
    assert not to_capture(office).metric
    with pytest.raises(DataError, match="2 environments"):
        to_capture(load_rwavs(release))


def test_images_without_a_camera_are_refused(copy):
    for split in ("train", "val"):
        for kind, key in (("transforms", "frames"), ("transforms_scale", "camera_path")):

            def strip(data, key=key):
                for entry in data[key]:
                    for lens in ("fl_x", "fl_y", "fov"):
                        entry.pop(lens, None)

            edit(copy / f"1/{kind}_{split}.json", strip)
    video = load_rwavs(copy, [1])[0]
    assert video.intrinsics is None
    with pytest.raises(DataError, match="angle of view"):
        to_capture([video])
    check = check_rwavs(copy, [1])
    assert check.good
    assert any("angle of view" in finding.told for finding in check.findings)


def test_an_alignment_is_kept_in_a_file(tmp_path):
    alignment = Alignment({1: UNIT, 13: Similarity(2.0)}, metric=True)
    alignment.save(tmp_path / "a.json")
    read = Alignment.load(tmp_path / "a.json")
    assert read.metric
    assert_array_equal(read.moves[1].rotation, UNIT.rotation)
    assert (read.moves[1].scale, read.moves[13].scale) == (0.31, 2.0)
    good = json.loads((tmp_path / "a.json").read_text())
    for change, told in (
        ({"format": "other"}, "format"),
        ({"videos": []}, "no videos"),
        ({"metric": "yes"}, "no videos"),
        ({"videos": {"one": {}}}, "no number"),
        ({"videos": {"1": {"scale": -1}}}, r"videos\.1: -1.0 is no scale"),
        ({"videos": {"1": {"rotation": np.diag([1, 1, -1]).tolist()}}}, "mirrors"),
        ({"videos": {"1": {"rotation": [[1, 2], [3]]}}}, "no numbers"),
        ({"videos": {"1": {"skale": 1}}}, "no similarity"),
    ):
        (tmp_path / "b.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(DataError, match=told) as problem:
            Alignment.load(tmp_path / "b.json")
        assert "b.json" in str(problem.value)


def test_similarities_compose_and_are_found():
    chance = np.random.default_rng(4)
    other = Similarity(3.0, TURN.T @ TURN.T, chance.normal(size=3))
    points = chance.normal(size=(5, 3))
    assert_allclose((other @ UNIT).points(points), other.points(UNIT.points(points)))
    assert_allclose(UNIT.inverse.points(UNIT.points(points)), points, atol=1e-12)
    line = np.tile(Pose.at((0, 0, 1), yaw=20).matrix, (4, 1, 1))
    line[:, 0, 3] = [0, 1, 2, 4]  # a straight walk leaves the turn about itself to the poses
    found = Similarity.between(line, UNIT.poses(line))
    assert_allclose(found.rotation, UNIT.rotation, atol=1e-9)
    assert_allclose([found.scale, *found.translation], [0.31, *UNIT.translation], atol=1e-9)


# --- protocols


def items_of(videos) -> dict[str, list[str]]:
    return {str(video.number): clip_names(video) for video in videos}


def test_rwavs_keeps_the_split_of_each_video(release):
    videos = load_rwavs(release)
    own = {n: s for v in videos for n, s in zip(clip_names(v), v.splits, strict=True)}
    protocol = rwavs(items_of(videos), own)
    assert set(protocol.splits) == {"train", "val"}
    assert protocol.split_of == own
    capture = to_capture(videos[:2], protocol=protocol)
    assert [r.splits for r in capture.recordings] == [v.splits for v in videos[:2]]
    with pytest.raises(DataError, match="no split for"):
        rwavs(items_of(videos), {})


def test_rwavs_gen_trains_on_one_video_of_each_environment():
    videos = {str(n): [f"{n}-{i}" for i in range(10)] for n in range(1, 14)}
    rooms = {"office": range(1, 6), "house": range(6, 9), "apartment": range(9, 12)}
    rooms["outdoor"] = range(12, 14)
    published = {str(n): room for room, numbers in rooms.items() for n in numbers}
    protocol = rwavs_gen(videos, published)
    assert len(protocol.splits["train"]) == 4 * 10
    assert len(protocol.splits["test"]) == 9 * 10
    assert protocol.split_of["1-3"] == "train" and protocol.split_of["13-0"] == "test"
    other = rwavs_gen(videos, published, {"outdoor": "13"})
    assert other.split_of["13-0"] == "train" and other.split_of["12-0"] == "test"
    assert other.hash != protocol.hash
    assert protocol.to_json()["training_videos"]["house"] == "6"
    with pytest.raises(DataError, match="no video of outdoor"):
        rwavs_gen(videos, published, {"outdoor": "1"})
    with pytest.raises(DataError, match="garden has one video"):
        rwavs_gen({"1": ["a"]}, {"1": "garden"})


def test_a_hash_knows_names_and_splits_but_no_order():
    one = Protocol("A", {"train": ("a", "b"), "test": ("c",)})
    assert one.hash == Protocol("B", {"test": ("c",), "train": ("b", "a")}).hash
    assert one.hash != Protocol("A", {"train": ("a",), "test": ("b", "c")}).hash
    with pytest.raises(DataError, match="'a' is in train and in test"):
        Protocol("A", {"train": ("a",), "test": ("a",)})
    with pytest.raises(DataError, match="twice in train"):
        Protocol("A", {"train": ("a", "a")})
    with pytest.raises(DataError, match="no split 'dev'"):
        Protocol("A", {"dev": ("a",)})


def test_few_shots_are_nested_and_leave_the_evaluation_alone(release):
    whole = Protocol("RAF", {"train": tuple(f"{i:06d}" for i in range(5000)), "test": ("x",)})
    one, tenth = few_shot(whole, 0.01, seed=3), few_shot(whole, 0.001, seed=3)
    assert len(one.splits["train"]) == 50 and len(tenth.splits["train"]) == 5
    assert set(tenth.splits["train"]) < set(one.splits["train"]) < set(whole.splits["train"])
    assert one.splits["test"] == ("x",)
    assert one == few_shot(whole, 0.01, seed=3)
    assert one.hash != few_shot(whole, 0.01, seed=4).hash
    assert (one.name, tenth.name) == ("RAF, 1 %", "RAF, 0.1 %")
    assert len(few_shot(whole, 1e-9).splits["train"]) == 1
    for share in (0, 1.5, -1):
        with pytest.raises(DataError, match="no share"):
            few_shot(whole, share)
    with pytest.raises(DataError, match="trains on nothing"):
        few_shot(Protocol("A", {"test": ("x",)}), 0.5)
    videos = load_rwavs(release)[:2]
    gen = rwavs_gen(items_of(videos), {"1": "office", "2": "office"})
    capture = to_capture(videos, protocol=few_shot(gen, 0.2))
    assert [capture.recordings[0].splits.count(s) for s in ("train", "unused")] == [2, 8]
    with pytest.raises(DataError, match="says nothing of office"):
        to_capture(videos, protocol=whole)
