"""Bad input at every verb: exit code 2, one line with the offending path, nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from piavas.audio import write_audio
from piavas.capture import Frame, Intrinsics, Recording, write_nerfstudio
from piavas.cli import main
from piavas.geometry import save_mesh
from piavas.listen import export_sofa
from piavas.materials import save_scene
from piavas.refine import Clip, Refiner, RefinerConfig, save_clips
from piavas.scene import ImpulseResponses, Mesh, Pose, Scene

RATE = 8000
LOOK = ["--hrtf", "rigid-sphere", "--rays", "50", "--duration", "0.1", "--output", "mono"]


def noise(channels, length=2000, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, length)).astype(np.float32)


def hole() -> Scene:
    """A room with a block in it, whose inside is solid."""
    room, block = Scene.shoebox((5, 4, 3)), Scene.shoebox((1, 1, 1))
    return Scene(
        np.vstack([room.vertices, block.vertices + np.array([2, 1, 0.5])]),
        np.vstack([room.faces, block.faces[:, ::-1] + len(room.vertices)]),
        np.concatenate([room.face_material, block.face_material]),
        room.materials,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """One of each artefact, all good, and an output that must stay."""
    root = tmp_path_factory.mktemp("whole")
    save_scene(hole(), root / "scene")
    capture, camera = root / "capture", Intrinsics(40, 30, 35.0, 35.0, 20.0, 15.0)
    capture.mkdir()
    cv2.imwrite(str(capture / "image.png"), np.full((30, 40, 3), 99, np.uint8))
    cv2.imwrite(str(capture / "depth.png"), np.full((30, 40), 999, np.uint16))
    write_audio(capture / "dry.wav", noise(1), RATE)
    write_audio(capture / "wet.wav", noise(2), RATE)
    pose = Pose.at((1, 1, 1.5)).matrix
    recording = Recording(
        "r", np.array([4.0, 3, 1]), capture / "dry.wav", capture / "wet.wav", np.array([0.1]),
        pose[None],
    )  # fmt: skip
    frame = Frame(capture / "image.png", camera, pose, capture / "depth.png")
    write_nerfstudio(capture, [frame], recordings=[recording])
    responses = ImpulseResponses(noise(4, 300).reshape(2, 2, 300), RATE, "binaural", [1, 1, 1],
                                 np.stack([pose, pose]))  # fmt: skip
    export_sofa(responses, root / "responses.sofa")
    poses = {"times": [0, 1], "poses": [pose.tolist()] * 2}
    (root / "poses.json").write_text(json.dumps(poses))
    write_audio(root / "dry.wav", noise(1), RATE)
    write_audio(root / "x_sim.wav", noise(2), RATE)
    clips = [
        Clip(f"c{i}", noise(1, 2000, i), noise(2, 2000, i), noise(2, 2000, i + 9), RATE, pose,
             [4, 3, 1], split) for i, split in enumerate(("train", "test"))
    ]  # fmt: skip
    save_clips(root / "clips", clips)
    for name in ("predicted", "recorded"):
        write_audio(root / name / "a.wav", noise(2), RATE)
    shape = RefinerConfig(sample_rate=RATE, blocks=2, cycle=2, channels=8, embedding=8)
    Refiner(shape).save(root / "model")
    (root / "out.sofa").write_bytes(b"precious")
    (root / "out.wav").write_bytes(b"precious")
    (root / "out.ply").write_bytes(b"precious")
    (root / "out").mkdir()
    (root / "out" / "table.json").write_bytes(b"precious")
    return root


@pytest.fixture
def root(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "r")
    return tmp_path / "r"


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def refuse(capfd, root: Path, args: str, path: str | None, *told: str) -> None:
    """Run a verb in `root`, whose files `args` names as @file; it must refuse because of `path`."""
    before = tree(root)
    words = [str(root / word[1:]) if word.startswith("@") else word for word in args.split()]
    assert main(words) == 2
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert error.count("piavas: ") == 1
    for text in (*([str(root / path)] if path else []), *told):
        assert text in error, error
    assert tree(root) == before


# --- the stories of the verbs, with @file for a file that lies there

SIMULATE = "simulate @scene --source 4 3 1 --listener 1 1 1.5 --out @out.sofa " + " ".join(LOOK)
MANY = SIMULATE.replace("--listener 1 1 1.5", "--listeners @poses.json")
RECONSTRUCT = "reconstruct @capture --out @out.ply"
RENDER = "render @dry.wav @responses.sofa --trajectory @poses.json --out @out.wav"
IMPORT = (
    "import capture @capture --scene @scene --out @out --hrtf rigid-sphere --rays 50 "
    "--clip-seconds .1"
)
TRAIN = "train @clips --out @out --max-steps 1 --blocks 2 --cycle 2 --channels 8 --embedding 8"
REFINE = (
    "refine @model --x-sim @x_sim.wav --dry @dry.wav --source 4 3 1 --listener 1 1 1.5 "
    "--out @out.wav"
)
REFINE_CLIPS = "refine @model --clips @clips --out @out"
EVALUATE = "evaluate @predicted --recordings @recorded --out @out"
EVALUATE_CLIPS = "evaluate @clips --model @model --out @out"


@pytest.mark.parametrize(
    "args",
    [SIMULATE, MANY, RENDER, TRAIN, REFINE, REFINE_CLIPS, EVALUATE, EVALUATE_CLIPS],
    ids=lambda args: args.split()[0],
)
def test_the_same_verbs_work_on_good_input(root, args, capsys):
    """What is refused below is refused for its fault alone."""
    words = [str(root / word[1:]) if word.startswith("@") else word for word in args.split()]
    assert main(words) == 0
    kept = [name for name, data in tree(root).items() if data == b"precious"]
    assert len(kept) >= 2


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (SIMULATE.replace("@scene", "@gone"), "gone"),
        (SIMULATE + " --materials @gone.json", "gone.json"),
        (SIMULATE.replace("rigid-sphere", "@gone.sofa").replace("mono", "binaural"), "gone.sofa"),
        (MANY.replace("@poses.json", "@gone.json"), "gone.json"),
        (MANY.replace("@poses.json", "@gone.csv"), "gone.csv"),
        (RECONSTRUCT.replace("@capture", "@gone"), "gone"),
        ("materials @gone --mesh @scene/mesh.ply --out @out", "gone"),
        ("materials @capture --mesh @gone.ply --out @out", "gone.ply"),
        (RENDER.replace("@dry.wav", "@gone.wav"), "gone.wav"),
        (RENDER.replace("@responses.sofa", "@gone.sofa"), "gone.sofa"),
        (RENDER.replace("@poses.json", "@gone.json"), "gone.json"),
        (IMPORT.replace("@capture", "@gone"), "gone"),
        (IMPORT.replace("@scene", "@gone"), "gone"),
        (TRAIN.replace("@clips", "@gone"), "gone"),
        (REFINE.replace("@model", "@gone"), "gone"),
        (REFINE.replace("@x_sim.wav", "@gone.wav"), "gone.wav"),
        (REFINE_CLIPS.replace("@clips", "@gone"), "gone"),
        (EVALUATE.replace("@predicted", "@gone"), "gone"),
        (EVALUATE.replace("@recorded", "@gone"), "gone"),
        (EVALUATE + " --against @gone", "gone"),
        (EVALUATE_CLIPS.replace("@model", "@gone"), "gone"),
        (EVALUATE_CLIPS + " --scene @gone", "gone"),
    ],
)
def test_a_missing_file(capfd, root, args, path):
    refuse(capfd, root, args, path, "no such f")


def test_a_pose_that_is_no_rotation(capfd, root):
    for file, args in (
        ("poses.json", MANY),
        ("poses.json", RENDER),
        ("capture/transforms.json", RECONSTRUCT),
        ("capture/recordings.json", IMPORT),
        ("clips/clips.json", TRAIN),
        ("clips/clips.json", REFINE_CLIPS),
    ):
        kept = (root / file).read_text()
        bent = kept.replace("-1.0", "-1.5")
        assert bent != kept
        (root / file).write_text(bent)
        where = "clips/c0" if file.startswith("clips") else file
        refuse(capfd, root, args, where, "no rotation")
        (root / file).write_text(kept)


@pytest.mark.parametrize("text", ["{", '{"poses": [[1, 2]]}', "[]", '{"poses": "here"}', "3"])
def test_a_trajectory_that_is_none(capfd, root, text):
    (root / "poses.json").write_text(text)
    refuse(capfd, root, MANY, "poses.json")
    refuse(capfd, root, RENDER, "poses.json")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "x,y,z\n1,2\n", "x,y,z\n1,2,nan\n", "x,y,z\n"])
def test_a_table_of_positions_that_is_none(capfd, root, text):
    (root / "poses.csv").write_text(text)
    refuse(capfd, root, MANY.replace("poses.json", "poses.csv"), "poses.csv")


def test_a_depth_image_of_another_size(capfd, root):
    cv2.imwrite(str(root / "capture/depth.png"), np.full((30, 39), 999, np.uint16))
    for args in (RECONSTRUCT, IMPORT, "materials @capture --mesh @scene/mesh.ply --out @out"):
        refuse(capfd, root, args, "capture/depth.png", "39 x 30", "40 x 30")


def test_a_truncated_capture(capfd, root):
    file = root / "capture/transforms.json"
    file.write_text(file.read_text()[:-20])
    refuse(capfd, root, RECONSTRUCT, "capture/transforms.json", "not JSON")


def test_an_empty_mesh(capfd, root):
    (root / "empty.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\n"
        "property float z\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
    )
    (root / "materials.json").write_text('{"*": "default"}')
    args = SIMULATE.replace("@scene", "@empty.ply") + " --materials @materials.json"
    refuse(capfd, root, args, "empty.ply")
    refuse(capfd, root, "materials @capture --mesh @empty.ply --out @out", "empty.ply")


def test_a_broken_scene(capfd, root):
    file = root / "scene/mesh.ply"
    kept = file.read_bytes()
    file.write_bytes(kept[:-10])
    refuse(capfd, root, SIMULATE, "scene/mesh.ply", "truncated")
    file.write_bytes(kept)
    for change in ({"format": "other"}, {"materials": []}, {"faces": [[0, 3]]}):
        data = json.loads((root / "scene/materials.json").read_text())
        (root / "scene/materials.json").write_text(json.dumps({**data, **change}))
        refuse(capfd, root, SIMULATE, "scene/materials.json")
        (root / "scene/materials.json").write_text(json.dumps(data))


def test_an_open_room(capfd, root):
    room = hole()
    open_room = Scene(room.vertices, room.faces[2:], room.face_material[2:], room.materials)
    save_scene(open_room, root / "scene")
    refuse(capfd, root, SIMULATE, "scene", "escape")


@pytest.mark.parametrize(
    ("source", "listener", "field"),
    [
        ("9 3 1", "1 1 1.5", "source"),
        ("2.5 1.5 1", "1 1 1.5", "source"),
        ("4 3 1", "1 1 3.5", "listeners[0]"),
        ("4 3 1", "2.5 1.5 1", "listeners[0]"),
        ("nan 3 1", "1 1 1.5", "source"),
    ],
)
def test_a_place_inside_a_wall_or_outside_the_room(capfd, root, source, listener, field):
    args = SIMULATE.replace("4 3 1", source).replace("1 1 1.5", listener)
    refuse(capfd, root, args, "scene", field)


SOUNDS = {
    "nan": np.full((2, 2000), np.nan, np.float32),
    "silent": np.zeros((2, 2000), np.float32),
    "short": noise(2, 0),
}


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize(
    ("file", "args"),
    [
        ("dry.wav", RENDER),
        ("capture/dry.wav", IMPORT),
        ("capture/wet.wav", IMPORT),
        ("dry.wav", REFINE),
        ("x_sim.wav", REFINE),
        ("predicted/a.wav", EVALUATE),
        ("recorded/a.wav", EVALUATE),
    ],
)
def test_sound_that_is_none(capfd, root, kind, file, args):
    import soundfile

    channels = 1 if "dry" in file else 2
    soundfile.write(root / file, SOUNDS[kind][:channels].T, RATE, subtype="FLOAT")
    refuse(capfd, root, args, file)


@pytest.mark.parametrize("part", ["x_tx", "x_sim", "x_rx"])
def test_clips_that_are_not_finite(capfd, root, part):
    import soundfile

    file = f"clips/c0/{part}.wav"
    channels = 1 if part == "x_tx" else 2
    soundfile.write(root / file, SOUNDS["nan"][:channels].T, RATE, subtype="FLOAT")
    refuse(capfd, root, TRAIN, file, "NaN")
    refuse(capfd, root, REFINE_CLIPS, file, "NaN")


def test_sound_of_the_wrong_rate(capfd, root):
    write_audio(root / "x_sim.wav", noise(2), 16_000)
    refuse(capfd, root, REFINE, "x_sim.wav", "16000 Hz", "8000")
    write_audio(root / "predicted/a.wav", noise(2), 16_000)
    refuse(capfd, root, EVALUATE, "predicted/a.wav", "16000 Hz", "8000 Hz")
    write_audio(root / "clips/c0/x_rx.wav", noise(2), 16_000)
    refuse(capfd, root, TRAIN, "clips/c0/x_rx.wav", "16000 Hz", "8000")
    refuse(capfd, root, REFINE_CLIPS, "clips/c0/x_rx.wav", "16000 Hz")
    shutil.rmtree(root / "model")
    Refiner(RefinerConfig(blocks=2, cycle=2, channels=8, embedding=8)).save(root / "model")
    refuse(capfd, root, EVALUATE_CLIPS, "clips", "8000")


def test_sound_of_other_channels_or_length(capfd, root):
    write_audio(root / "x_sim.wav", noise(1), RATE)
    refuse(capfd, root, REFINE, "x_sim.wav", "1 channel")
    write_audio(root / "x_sim.wav", noise(2, 1500), RATE)
    refuse(capfd, root, REFINE, "dry.wav", "2000 samples", "1500")
    write_audio(root / "predicted/a.wav", noise(2, 500), RATE)
    refuse(capfd, root, EVALUATE, "predicted/a.wav", "500 samples")
    write_audio(root / "dry.wav", noise(2), RATE)
    refuse(capfd, root, RENDER, "dry.wav", "2 channel")


def test_files_that_are_no_sound(capfd, root):
    for file, args in (
        ("dry.wav", RENDER),
        ("x_sim.wav", REFINE),
        ("capture/wet.wav", IMPORT),
        ("clips/c0/x_sim.wav", TRAIN),
        ("predicted/a.wav", EVALUATE),
    ):
        kept = (root / file).read_bytes()
        (root / file).write_bytes(kept[:30])
        refuse(capfd, root, args, file)
        (root / file).write_bytes(kept)


def test_a_corrupt_checkpoint(capfd, root):
    weights, config = root / "model/model.safetensors", root / "model/config.json"
    kept = weights.read_bytes()
    for data, told in ((kept[:-8], "corrupt"), (kept[:5], "corrupt"), (b"", "corrupt")):
        weights.write_bytes(data)
        for args in (REFINE, REFINE_CLIPS, EVALUATE_CLIPS):
            refuse(capfd, root, args, "model/model.safetensors", told)
    weights.write_bytes(kept)
    facts = json.loads(config.read_text())
    for change in ({"channels": 16}, {"blocks": 0}, {"chanels": 8}):
        config.write_text(json.dumps({**facts, "model": {**facts["model"], **change}}))
        refuse(capfd, root, REFINE, "model/")
    config.write_text("{")
    refuse(capfd, root, REFINE, "model/config.json", "not JSON")


def test_a_training_run_that_cannot_go_on(capfd, root):
    (root / "out/training.safetensors").write_bytes(b"broken")
    refuse(capfd, root, TRAIN, "out/training.safetensors", "corrupt")


def test_options_that_cannot_be(capfd, root):
    refuse(capfd, root, TRAIN + " --batch 0", None, "batch")
    refuse(capfd, root, TRAIN + " --kernel 4", None, "kernel")
    refuse(capfd, root, REFINE + " --solver eular", None, "did you mean 'euler'")
    refuse(capfd, root, REFINE + " --solver midpoint-paper --steps 3", None, "even")
    refuse(capfd, root, REFINE + " --clips @clips", None, "exactly one")
    refuse(capfd, root, REFINE + " --pose @poses.json", None, "exactly one")
    refuse(capfd, root, REFINE.replace("--dry @dry.wav", ""), None, "dry")
    refuse(capfd, root, EVALUATE + " --model @model", None, "model")
    refuse(capfd, root, EVALUATE_CLIPS + " --against @predicted", None, "against")
    refuse(capfd, root, EVALUATE_CLIPS + " --split val", "clips", "val")
    refuse(capfd, root, SIMULATE.replace("mono", "stereo"), None, "output")
    refuse(capfd, root, SIMULATE + " --specular-order 99", None, "specular_order")
    refuse(capfd, root, RENDER + " --headroom -3", None, "headroom")
    refuse(capfd, root, RECONSTRUCT + " --voxel 0", None, "voxel")


def test_two_poses_for_one_sound(capfd, root):
    args = REFINE.replace("--listener 1 1 1.5", "--pose @poses.json")
    refuse(capfd, root, args, "poses.json", "2 poses")


def test_a_trajectory_of_another_length_than_the_responses(capfd, root):
    data = json.loads((root / "poses.json").read_text())
    data = {key: value[:1] for key, value in data.items()}
    (root / "poses.json").write_text(json.dumps(data))
    refuse(capfd, root, RENDER, "poses.json")


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.01, 0.0])
def test_a_truncated_sofa(capfd, root, keep):
    for file, args in (
        ("responses.sofa", RENDER),
        ("responses.sofa", SIMULATE.replace("rigid-sphere", "@responses.sofa")),
    ):
        data = (root / file).read_bytes()
        (root / file).write_bytes(data[: int(keep * len(data))])
        refuse(capfd, root, args.replace("mono", "binaural"), file)


def test_names_that_cannot_be_written(capfd, root):
    refuse(capfd, root, SIMULATE.replace("out.sofa", "out.wav"), "out.wav", ".sofa")
    refuse(capfd, root, RECONSTRUCT.replace("out.ply", "out.obj"), "out.obj", ".ply")
    # A file where a folder must be.
    refuse(capfd, root, REFINE_CLIPS.replace("@out", "@out.wav"), "out.wav")
    refuse(capfd, root, EVALUATE.replace("@out", "@out.wav"), "out.wav")
    refuse(capfd, root, TRAIN.replace("@out", "@out.wav"), "out.wav")


def test_a_mesh_that_is_none(capfd, root):
    save_mesh(Mesh(hole().vertices, hole().faces), root / "mesh.ply")
    refuse(capfd, root, SIMULATE.replace("@scene", "@mesh.ply"), "mesh.ply", "materials")
    (root / "mesh.ply").write_bytes(b"no mesh")
    refuse(capfd, root, "materials @capture --mesh @mesh.ply --out @out", "mesh.ply")


def test_recordings_are_needed(capfd, root):
    (root / "capture/transforms.json").write_text(
        (root / "capture/transforms.json")
        .read_text()
        .replace('"recordings": "recordings.json",', "")
    )
    refuse(capfd, root, IMPORT, "capture", "no recordings")
    data = json.loads((root / "clips/clips.json").read_text())
    for row in data["clips"]:
        row["recorded"] = False
    (root / "clips/clips.json").write_text(json.dumps(data))
    refuse(capfd, root, TRAIN, "clips", "recording")
    refuse(capfd, root, EVALUATE_CLIPS, "clips", "recording")
