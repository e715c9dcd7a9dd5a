"""From images to ears in one go: on a generated apartment, or on a capture of yours."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas import __version__
from piavas.acoustics import Simulator
from piavas.audio import write_audio
from piavas.capture import Capture, load_capture
from piavas.evaluate.report import Example, Picture, ReportData, RoomMap, write_report
from piavas.files import write_json
from piavas.geometry import reconstruct, save_mesh
from piavas.listen import export_sofa
from piavas.materials import assign_materials, read_corrections, save_scene
from piavas.pairs import pair, provenance
from piavas.refine import (
    Clip,
    Refiner,
    RefinerConfig,
    TrainConfig,
    load_clips,
    save_clips,
    train,
)
from piavas.render import render, to_full_scale
from piavas.scene import ImpulseResponses, Mesh, Pose, Scene, Trajectory
from piavas.stages import Stages
from piavas.trials import Trial, report_of_trial, try_clips

RATE = 22_050
SIMULATOR = Simulator(rays=10_000, sample_rate=RATE)
SYNTHETIC = (
    "The recordings are synthetic: a digital twin made them. Its physics is hidden from the "
    "pipeline: the exact mesh, other material values than the table's, a loudspeaker with "
    "directivity and a frequency response of its own, another head (a rigid sphere), microphone "
    "noise and peak normalisation. They were rendered by the same propagation engine as the "
    "simulation, so they say nothing about how well that engine agrees with a real room."
)


def of_twin(
    out: Path,
    *,
    seed: int = 0,
    train_seconds: float = 150.0,
    frames: int = 60,
    width: int = 320,
    seconds: float = 48.0,
) -> Path:
    """Generate an apartment, hear it through the whole pipeline, and report.

    One source position trains the refiner, the others evaluate it (RWAVS-Gen in small).

    Args:
        out: folder to write to.
        seed: of the apartment.
        train_seconds: how long the refiner may train.
        frames: images of the capture.
        width: of an image, pixels; three quarters as high.
        seconds: of each recording.

    Returns:
        path of the report.
    """
    from piavas.twin import generate_capture, record

    stages = Stages(total=8)
    with stages("generate an apartment and walk a camera through it"):
        world = generate_capture(
            out / "capture", seed, frames=frames, width=width, height=3 * width // 4
        )
    with stages("record three sources with the twin's hidden physics"):
        record(world, out / "capture", sources=3, seed=seed, seconds=seconds)
    capture, scene = _scene(out, stages)
    with stages("simulate the recordings"):
        clips = list(pair(capture, scene, SIMULATOR, sample_rate=RATE))
        save_clips(out / "clips", clips, provenance(SIMULATOR))
        responses = _responses(scene, clips)
        export_sofa(responses, out / "responses.sofa")
    with stages(f"train a small refiner on one source for {train_seconds:.0f} s"):
        refiner = _train(out, train_seconds, seed)
    with stages("refine and evaluate on the other sources"):
        trial = _evaluate(out, refiner, seed)
    with stages("write the report"):
        path = _report(out, capture, scene, trial, stages)
    write_json(out / "stages.json", [asdict(cost) for cost in stages.costs])
    trial.result.show()
    return path


def of_capture(folder: Path, out: Path) -> Path:
    """Hear a room of yours: capture to mesh, materials, simulation, and a walk through it.

    The source stands where the cameras looked most; the head walks the way of the cameras.

    Args:
        folder: a capture with depth.
        out: folder to write to.

    Returns:
        path of the report.
    """
    stages = Stages(total=5)
    capture, scene = _scene(out, stages, load_capture(folder))
    with stages("simulate a walk along the cameras"):
        source, walk = _walk(capture, scene)
        responses = SIMULATOR(scene, source, walk)
        export_sofa(responses, out / "responses.sofa")
    with stages("render dry speech and music along it"):
        examples = _heard(out, responses, walk)
    with stages("write the report"):
        data = ReportData(
            title=f"{folder.name}, heard along the way of its cameras",
            statements=_honesty(scene),
            room_map=RoomMap(sources={"source": source}, mesh=scene, held_out=walk.poses),
            examples=tuple(examples),
            pictures=_pictures(capture),
            provenance=_provenance(scene),
            timings=stages.seconds,
        )
        path = write_report(out / "report.html", data)
    write_json(out / "stages.json", [asdict(cost) for cost in stages.costs])
    return path


def _scene(out: Path, stages: Stages, capture: Capture | None = None) -> tuple[Capture, Scene]:
    capture = capture or load_capture(out / "capture")
    with stages("reconstruct the air of the room from the images"):
        mesh: Mesh = reconstruct(capture)
        save_mesh(mesh, out / "mesh.ply")
    with stages("assign materials"):
        kept = read_corrections(out / "scene")
        scene = assign_materials(mesh, capture, corrections=kept)
        save_scene(scene, out / "scene")
    return capture, scene


def _responses(scene: Scene, clips: list[Clip]) -> ImpulseResponses:
    """Responses of the last source at its clips' poses, to keep as SOFA."""
    last = [clip for clip in clips if clip.environment == clips[-1].environment]
    return SIMULATOR(scene, last[0].source, np.stack([clip.pose for clip in last]))


def _train(out: Path, seconds: float, seed: int) -> Refiner:
    import torch

    # The network is narrow: on few cores, threads would wait for each other more than they work.
    torch.set_num_threads(1)
    config = TrainConfig.quick(max_seconds=seconds, seed=seed)
    return train(out / "clips", out / "model", config, model=RefinerConfig.spectral())


def _evaluate(out: Path, refiner: Refiner, seed: int) -> Trial:
    protocol = "RWAVS-Gen in small: one source trains, the others evaluate"
    trial = try_clips(load_clips(out / "clips"), refiner, seed=seed, protocol=protocol)
    trial.result.save(out / "comparison.json")
    for clip in trial.tests:
        heard = {"simulated": clip.x_sim, "refined": trial.refined[clip.name]}
        for kind, sound in heard.items():
            write_audio(out / "wav" / kind / f"{clip.name}.wav", to_full_scale(sound)[0], RATE)
        if clip.x_rx is not None:
            write_audio(out / "wav" / "recorded" / f"{clip.name}.wav", clip.x_rx, RATE)
    return trial


def _report(out: Path, capture: Capture, scene: Scene, trial: Trial, stages: Stages) -> Path:
    data = report_of_trial(
        trial,
        load_clips(out / "clips"),
        "An apartment seen by a camera, heard anywhere",
        scene,
    )
    data = replace(
        data,
        statements=(SYNTHETIC, *_honesty(scene)),
        pictures=_pictures(capture),
        provenance=_provenance(scene),
        timings=stages.seconds,
    )
    return write_report(out / "report.html", data)


def _honesty(scene: Scene) -> tuple[str, ...]:
    area = dict(scene.report).get("area", {})
    materials = dict(scene.report).get("materials", {})
    return (
        "Surface of the mesh: " + ", ".join(f"{m2:.1f} m² {how}" for how, m2 in area.items()) + ".",
        f"Materials from {materials.get('path', 'unknown')}.",
    )


def _provenance(scene: Scene) -> dict[str, dict[str, Any]]:
    return {
        "versions": {"piavas": __version__},
        "simulation": {"rays": SIMULATOR.rays, "seed": SIMULATOR.seed, "rate": RATE},
        "scene": {"triangles": len(scene.faces), "materials": len(scene.materials)},
    }


def _pictures(capture: Capture, count: int = 6) -> tuple[Picture, ...]:
    frames = capture.frames[:: max(1, len(capture) // count)][:count]
    return tuple(Picture(f.image(), f"frame {f.image_path.name}") for f in frames)


def _walk(capture: Capture, scene: Scene) -> tuple[NDArray[np.float64], Trajectory]:
    """A source before the middle camera, and up to 48 heads along the cameras, one a second."""
    step = max(1, len(capture) // 24)
    poses = [_level(frame.pose) for frame in capture.frames[::step]]
    middle = capture.frames[len(capture) // 2].pose
    source = _in_front(middle, scene)
    return source, Trajectory(np.arange(len(poses), dtype=float), np.stack(poses))


def _level(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    ahead = -pose[:3, 2]
    return Pose.at(pose[:3, 3], yaw=float(np.degrees(np.arctan2(ahead[1], ahead[0])))).matrix


def _in_front(pose: NDArray[np.float64], scene: Scene) -> NDArray[np.float64]:
    """A place halfway to what the camera sees, at most 1.5 m off."""
    from piavas.rays import RayCaster

    ahead = -pose[:3, 2]
    distance, _ = RayCaster(scene.vertices, scene.faces).closest(pose[None, :3, 3], ahead[None])
    return np.asarray(pose[:3, 3] + min(1.5, 0.5 * float(distance[0])) * ahead)


def _heard(out: Path, responses: ImpulseResponses, walk: Trajectory) -> list[Example]:
    from piavas.twin import music_like, speech_like

    seconds = float(walk.times[-1]) + 1
    examples = []
    for name, make in (("speech", speech_like), ("music", music_like)):
        dry = make(0, seconds, responses.sample_rate)
        heard, _ = to_full_scale(render(dry, responses, walk))
        write_audio(out / "wav" / f"{name}.wav", heard, responses.sample_rate)
        examples.append(
            Example(
                name,
                responses.sample_rate,
                dry=dry,
                simulated=heard,
                note="synthesised dry sound, heard while walking along the cameras",
            )
        )
    return examples
