"""What a refiner knows besides sound: images and numbers of the room, on file and in networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from piavas.capture import Capture, Frame, Intrinsics, Recording
from piavas.cli import main
from piavas.errors import (
    CaptureError,
    CheckpointError,
    DataError,
    MissingDependencyError,
)
from piavas.pairs import cut
from piavas.refine import Refiner, RefinerConfig, TrainConfig, load_clips, save_clips, train
from piavas.refine.batches import make_batch
from piavas.refine.conditioning import condition, mirror
from piavas.refine.features import FILE, with_known
from piavas.refine.pictures import Photographs
from piavas.refine.room import BANDS, SHORTEST, room_numbers
from piavas.refine.views import AROUND, UP, Panorama
from piavas.scene import Pose, Scene
from piavas.trials import refine_clip
from test_refine import TINY, TINY_SPECTRAL, make_clips

COUNTS = {"images": 3, "acoustics": 2}
CORES = pytest.mark.parametrize("config", [TINY, TINY_SPECTRAL], ids=["wave", "spectral"])


def knowing(count=4, seed=0, **how):
    """Clips with features at random."""
    chance = np.random.default_rng(seed)
    return [
        replace(
            clip,
            images=chance.normal(size=(2, 3)),
            acoustics=5 + chance.normal(size=2),
            seen={"head": {"image": f"{i}.png"}},
        )
        for i, clip in enumerate(make_clips(count, seed=seed, **how))
    ]


def excited(config, seed=0) -> Refiner:
    """A refiner in which everything that is known matters."""
    torch.manual_seed(seed)
    refiner = Refiner(config)
    torch.nn.init.normal_(refiner.network.out.weight, std=0.3)
    torch.nn.init.normal_(refiner.network.known.layers[2].weight)
    return refiner


# --- on file


def test_features_read_back_bit_equal(tmp_path):
    clips = knowing(3)
    save_clips(tmp_path, clips)
    again = load_clips(tmp_path).of("train")
    for one, two in zip(clips, again, strict=True):
        np.testing.assert_array_equal(one.images, two.images)
        np.testing.assert_array_equal(one.acoustics, two.acoustics)
        assert one.seen == two.seen
    save_clips(tmp_path, make_clips(3))
    assert not (tmp_path / FILE).exists()
    assert load_clips(tmp_path)[0].images is None


def test_features_of_some_clips_only_are_refused(tmp_path):
    clips = knowing(3)
    clips[1] = replace(clips[1], acoustics=None)
    with pytest.raises(DataError, match=r"acoustics.*not known of all"):
        save_clips(tmp_path, clips)
    assert not (tmp_path / "clips.json").exists()
    for wrong in ({"images": np.ones(3)}, {"images": np.ones((3, 3))}, {"acoustics": [np.nan]}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            replace(clips[0], **wrong)


@pytest.mark.parametrize("damage", ["truncate", "names"])
def test_broken_features_are_named(tmp_path, damage):
    save_clips(tmp_path, knowing(3))
    path, index = tmp_path / FILE, tmp_path / "clips.json"
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        index.write_text(index.read_text().replace('"c1"', '"d1"'))
    with pytest.raises(DataError, match=r"features\.safetensors"):
        load_clips(tmp_path)


# --- in the network


@CORES
def test_who_knows_nothing_is_as_before(config):
    torch.manual_seed(0)
    plain = Refiner(config).network.state_dict()
    torch.manual_seed(0)
    more = Refiner(replace(config, **COUNTS)).network.state_dict()
    assert [name for name in more if not name.startswith("known.")] == list(plain)
    for name, value in plain.items():
        torch.testing.assert_close(more[name], value, atol=0, rtol=0)
    assert not {"images", "acoustics"} & set(config.to_json())
    assert RefinerConfig.from_json(replace(config, **COUNTS).to_json()).counts == (3, 2)


@CORES
def test_features_matter_and_are_demanded(tmp_path, config):
    clips, refiner = knowing(2), excited(replace(config, **COUNTS))
    one = refine_clip(refiner, clips[0])
    other = refine_clip(refiner, replace(clips[0], images=clips[1].images))
    assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()
    refiner.save(tmp_path)
    np.testing.assert_array_equal(refine_clip(Refiner.load(tmp_path), clips[0]), one)
    with pytest.raises(DataError, match=r"images.*gets none"):
        refine_clip(refiner, make_clips(1)[0])
    with pytest.raises(DataError, match="3 features and gets 4"):
        refine_clip(refiner, replace(clips[0], images=np.ones((2, 4))))
    with pytest.raises(DataError, match=r"c0\.images"):
        make_batch(make_clips(1), 100, np.random.default_rng(0), (3, 2))


def test_mirror_swaps_what_is_seen_and_keeps_what_is_heard():
    clip = knowing(1)[0]
    given = {"images": clip.images, "acoustics": clip.acoustics, "counts": (3, 2)}
    straight = condition(np.eye(4), [0.4, 0.2, -1.0], **given)
    order, signs = mirror((3, 2))
    given["images"] = clip.images[::-1]
    mirrored = condition(np.eye(4), [-0.4, 0.2, -1.0], **given)
    np.testing.assert_allclose(straight[order] * signs, mirrored, atol=1e-6)


def test_spectral_network_sees_a_mirrored_world_with_swapped_ears():
    clip, refiner = knowing(1)[0], excited(replace(TINY_SPECTRAL, **COUNTS))
    sound = {"x_tx": clip.x_tx, "pose": np.eye(4), "acoustics": clip.acoustics}
    straight = refiner(clip.x_sim, **sound, source=[0.4, 0.2, -1.0], images=clip.images)
    swapped, other = clip.x_sim[::-1], [-0.4, 0.2, -1.0]
    mirrored = refiner(swapped, **sound, source=other, images=clip.images[::-1])
    np.testing.assert_allclose(mirrored[::-1], straight, atol=1e-5 * np.abs(straight).max())
    not_mirrored = refiner(swapped, **sound, source=other, images=clip.images)
    assert np.abs(not_mirrored[::-1] - straight).max() > 1e-3 * np.abs(straight).max()


def test_features_are_brought_to_unit_variance_and_constants_left_out(tmp_path):
    clips = [replace(c, images=np.concatenate([c.images[:, :2], np.full((2, 1), 7.0)], axis=1))
             for c in knowing(6)]  # fmt: skip
    refiner = train(clips, tmp_path, TrainConfig(max_steps=1), model=replace(TINY, **COUNTS))
    known = refiner.network.known
    seen = np.concatenate([c.images for c in clips])
    np.testing.assert_allclose(known.mean[:3], seen.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(known.scale[:2], 1 / seen[:, :2].std(axis=0), rtol=1e-4)
    assert known.scale[2] == 0 and (known.scale[3:] > 0).all()


def test_a_colour_that_only_the_images_tell_is_learnt(tmp_path):
    """Half of the clips are recorded louder, half quieter; only one feature says which."""
    chance = np.random.default_rng(4)
    clips = []
    for i, clip in enumerate(make_clips(20, length=1500, seed=3)):
        side = 1.0 if i % 2 else -1.0
        images = np.stack([[side, chance.normal()], [side, chance.normal()]])
        recorded = clip.x_sim * np.float32(2.0**side)
        clips.append(replace(clip, images=images, x_rx=recorded,
                             split="train" if i < 14 else "test"))  # fmt: skip
    config = TrainConfig.quick(max_steps=80, learning_rate=1e-2, average=0.9)
    error = {}
    for images in (True, False):
        network = with_known(TINY_SPECTRAL, clips, images=images)
        refiner = train(clips, tmp_path / str(images), config, model=network)
        error[images] = np.mean([
            abs(np.log2(np.std(refine_clip(refiner, c)) / np.std(c.x_rx)))
            for c in clips if c.split == "test"
        ])  # fmt: skip
    assert error[True] < 0.25
    assert error[False] > 0.7


def test_clips_that_know_nothing_are_named(tmp_path):
    save_clips(tmp_path, make_clips(2))
    with pytest.raises(DataError, match="import them with --images"):
        with_known(TINY, load_clips(tmp_path), images=True)
    save_clips(tmp_path, knowing(2))
    assert with_known(TINY, load_clips(tmp_path), images=True, acoustics=True).counts == (3, 2)


def test_verbs_train_and_refine_with_what_is_known(tmp_path, capsys):
    save_clips(tmp_path / "clips", knowing(4))
    words = ["train", str(tmp_path / "clips"), "--out", str(tmp_path / "model"), "--max-steps", "1"]
    words += ["--blocks", "2", "--cycle", "2", "--channels", "4", "--embedding", "8"]
    assert main([*words, "--images", "--acoustics"]) == 0
    assert Refiner.load(tmp_path / "model").config.counts == (3, 2)
    out = ["--out", str(tmp_path / "heard")]
    assert main(["refine", str(tmp_path / "model"), "--clips", str(tmp_path / "clips"), *out]) == 0
    assert (tmp_path / "heard" / "c0.wav").is_file()
    save_clips(tmp_path / "clips", make_clips(4))
    capsys.readouterr()
    assert main([*words, "--images"]) == 2
    assert main(["refine", str(tmp_path / "model"), "--clips", str(tmp_path / "clips"), *out]) == 2
    told = capsys.readouterr().err
    assert "import them with --images" in told and "gets none" in told


# --- what is seen


def test_panorama_of_a_box_is_its_walls():
    scene = Scene.shoebox((6, 4, 3), absorption=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    pose = Pose.at((2, 1, 1.5)).matrix  # looks along +x; left is +y
    sight = Panorama(scene)(pose, (5, 1, 1.5)).features[0]
    head, source = sight.reshape(2, 2, AROUND, UP)
    # The middle row looks level: cells 0 and 7 ahead, 3 and 4 back; the source faces the head.
    assert head[0, 0, 1] == pytest.approx(head[0, 3, 1] + np.log(2), abs=0.02)  # 4 m and 2 m
    assert head[0, 1, 1] > head[0, 6, 1]  # 3 m on the left, 1 m on the right
    assert head[1, 3, 1] == pytest.approx(0.1)
    assert 0.2 <= head[1, 0, 1] < 0.3  # the wall ahead and a little of the left one
    np.testing.assert_allclose(head[1, [1, 2], [0, 0]], 0.5, atol=1e-6)  # floor
    # On its right at 7.5 and 22.5 degrees the wall behind the head, at 37.5 the one beside it.
    ways = 5 / np.cos(np.radians(7.5)), 5 / np.cos(np.radians(22.5)), 3 / np.sin(np.radians(37.5))
    assert source[0, 7, 1] == pytest.approx(np.log(ways).mean(), abs=0.03)
    assert source[1, 7, 1] == pytest.approx(0.2)


def test_panorama_turns_with_the_world_and_is_mirrored_with_it():
    walls = np.linspace(0.1, 0.6, 6)
    pose, source = Pose.at((2, 1, 1.3), yaw=25).matrix, np.array([4.5, 2.5, 1.1])
    seen = Panorama(Scene.shoebox((6, 4, 3), absorption=walls))(pose, source).features
    turn = np.eye(4)
    turn[:2, :2], turn[:3, 3] = [[0, -1], [1, 0]], [4, 0, 0]  # the box stands on its corner again
    turned = Scene.shoebox((4, 6, 3), absorption=walls[[3, 2, 0, 1, 4, 5]])
    again = Panorama(turned)(turn @ pose, turn[:3, :3] @ source + turn[:3, 3]).features
    np.testing.assert_allclose(again, seen, atol=1e-4)
    flat = np.diag([1.0, -1, 1, 1])  # y to 4 - y, and the head's own left to its right
    flat[1, 3] = 4
    mirrored = Scene.shoebox((6, 4, 3), absorption=walls[[0, 1, 3, 2, 4, 5]])
    other = flat @ pose @ np.diag([-1.0, 1, 1, 1])
    swapped = Panorama(mirrored)(other, flat[:3, :3] @ source + flat[:3, 3]).features
    np.testing.assert_allclose(swapped, seen[::-1], atol=1e-4)


class Painted(Frame):
    """A frame of one bright column."""

    def image(self):
        picture = np.zeros((30, 40, 3), np.uint8)
        picture[:, int(self.image_path.stem)] = 255
        return picture


def visit(poses, tmp_path):
    lens = Intrinsics(40, 30, 35.0, 35.0, 20.0, 15.0)
    frames = tuple(Painted(tmp_path / f"{i}.png", lens, pose) for i, pose in enumerate(poses))
    return Capture(tmp_path, "test", frames, np.eye(4))


def column_means(images, return_tensors):
    """A processor that keeps the means of columns."""
    return {"pixels": torch.tensor(np.stack([i.mean(axis=(0, 2)) for i in images]))}


def test_the_nearest_photographs_are_taken_and_recorded(tmp_path):
    def model(pixels):
        return pixels

    poses = [
        Pose.at((0, 0, 1.5), yaw=0).matrix,
        Pose.at((0, 0, 1.5), yaw=180).matrix,
        Pose.at((1, 0, 1.5), yaw=90).matrix,
        Pose.at((3, 2, 1.5), yaw=0).matrix,
    ]
    see = Photographs(visit(poses, tmp_path), model, column_means)
    sight = see(Pose.at((0.1, 0, 1.5), yaw=170).matrix, (3, 0, 1.5))
    assert sight.facts["head"] == {"image": "1.png", "metres": 0.1, "degrees": 10.0}
    # Frame 3 is nearer to the source but looks past it.
    assert sight.facts["source"] == {"image": "0.png", "metres": 3.0, "shown": True}
    straight, mirrored = sight.features.reshape(2, 2, 40)
    assert straight.argmax(axis=1).tolist() == [1, 0]
    assert mirrored.argmax(axis=1).tolist() == [38, 39]
    assert not see(poses[0], (0, -9, 1.5)).facts["source"]["shown"]
    with pytest.raises(CaptureError, match="no images"):
        Photographs(visit([], tmp_path), model, column_means)
    flat = Photographs(visit(poses, tmp_path), lambda pixels: pixels[0], column_means)
    with pytest.raises(CheckpointError, match="no vector"):
        flat(poses[0], (3, 0, 1.5))


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_a_model_of_the_hub_sees(tmp_path, kind, monkeypatch):
    transformers = pytest.importorskip("transformers", reason="the extra vision is not installed")
    torch.manual_seed(0)
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
            "patch_size": 14}  # fmt: skip
    if kind == "clip":
        words = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                 "vocab_size": 99, "intermediate_size": 16}  # fmt: skip
        config = transformers.CLIPConfig(
            text_config=words, vision_config={**tiny, "intermediate_size": 16}, projection_dim=12
        )
        model, size = transformers.CLIPModel(config), 12
    else:
        model, size = transformers.Dinov2Model(transformers.Dinov2Config(**tiny, mlp_ratio=2)), 16
    model.save_pretrained(tmp_path)
    square = {"height": 28, "width": 28}
    transformers.CLIPImageProcessor(size=square, crop_size=square).save_pretrained(tmp_path)
    place = visit([Pose.at((0, 0, 1.5)).matrix, Pose.at((2, 1, 1.5), yaw=180).matrix], tmp_path)
    see = Photographs.load(place, tmp_path)
    one = see(Pose.at((0, 0, 1.5)).matrix, (3, 0, 1.5))
    assert one.features.shape == (2, 2 * size) and np.isfinite(one.features).all()
    assert np.abs(one.features[0] - one.features[1]).max() > 1e-3  # the mirror matters
    two = see(Pose.at((2, 1, 1.5), yaw=180).matrix, (3, 0, 1.5))
    assert np.abs(one.features[:, :size] - two.features[:, :size]).max() > 1e-3
    np.testing.assert_array_equal(one.features[:, size:], two.features[:, size:])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Photographs.load(place, tmp_path / "none")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="vision"):
        Photographs.load(place, tmp_path)


# --- what physics knows


def decaying(seconds, rate=22_050, direct=0.0, seed=0):
    """Noise `[2, time]` that falls by 60 dB in `seconds`, behind a direct sound at 10 ms."""
    time = np.arange(int(1.5 * seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=(2, len(time)))
    sound = np.pad(0.1 * noise * 10 ** (-3 * time / seconds), ((0, 0), (300, 0)))
    sound[:, 220] += direct
    return sound.astype(np.float32)


@pytest.mark.parametrize("seconds", [0.3, 1.2])
def test_numbers_of_the_room_are_those_of_its_decay(seconds):
    found = room_numbers(decaying(seconds), 22_050)
    bands = len(BANDS) - 1  # the octave of 8 kHz does not fit
    assert found.shape == (2 * bands + 2,)
    late, early = np.exp(found[: 2 * bands]).reshape(2, bands)
    np.testing.assert_allclose(late[2:], seconds, rtol=0.06)
    np.testing.assert_allclose(early[3:], seconds, rtol=0.25)  # EDT of one chance spreads


def test_numbers_tell_levels():
    sound = decaying(0.5, direct=3.0)
    direct, level = room_numbers(sound, 22_050)[-2:]
    rest = np.square(sound[:, 300:]).sum(axis=1)
    assert direct == pytest.approx(np.mean(np.log10(9 / rest)), abs=0.01)
    assert level == pytest.approx(np.mean(np.log10(9 + rest)), abs=1e-3)
    louder = room_numbers(10 * sound, 22_050)
    np.testing.assert_allclose(louder[-2:], [direct, level + 2], atol=1e-4)
    silent = room_numbers(np.zeros((2, 5000)), 22_050)
    assert np.isfinite(silent).all() and silent[0] == np.float32(np.log(SHORTEST))
    alone = np.zeros((2, 5000))
    alone[0, 10] = 1
    assert np.isfinite(room_numbers(alone, 22_050)).all()


def test_clips_carry_what_their_pose_knows(tmp_path):
    poses = np.stack([Pose.at((x, 1, 1.5)).matrix for x in (1, 2, 3)])
    recording = Recording("walk", np.array([5.0, 2, 1.5]), tmp_path, tmp_path,
                          np.array([0.2, 0.5, 0.8]), poses)  # fmt: skip
    sound = np.random.default_rng(0).normal(size=(2, 8000)).astype(np.float32)
    box = Panorama(Scene.shoebox((6, 4, 3)))
    clips = list(
        cut(recording, sound[:1], [sound], sound, sample_rate=8000, clip_seconds=0.4,
            images=box, acoustics=[np.full(2, i) for i in range(3)])
    )  # fmt: skip
    assert [clip.acoustics.tolist() for clip in clips] == [[0, 0], [1, 1], [2, 2]]
    for clip, pose in zip(clips, poses, strict=True):
        np.testing.assert_array_equal(clip.images, box(pose, recording.source).features)
        assert clip.seen is None
