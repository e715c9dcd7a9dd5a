"""From images to ears in one go: on a generated apartment, or on a capture of yours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas import __version__
from piavas.acoustics import Simulator
from piavas.audio import write_audio
from piavas.capture import Capture, load_capture
from piavas.evaluate import Comparison, Table, compare, evaluate
from piavas.evaluate.report import Example, Picture, ReportData, RoomMap, write_report
from piavas.files import write_json
from piavas.geometry import reconstruct, save_mesh
from piavas.listen import export_sofa
from piavas.materials import assign_materials, save_scene
from piavas.pairs import pair
from piavas.refine import Clip, Refiner, RefinerConfig, TrainConfig, save_clips, train
from piavas.render import render, to_full_scale
from piavas.scene import ImpulseResponses, Mesh, Pose, Scene, Trajectory
from piavas.stages import Stages

RATE = 22_050
SIMULATOR = Simulator(rays=10_000, sample_rate=RATE)
SYNTHETIC = (
    "The recordings are synthetic: a digital twin made them. Its physics is hidden from the "
    "pipeline: the exact mesh, other material values than the table's, a loudspeaker with "
    "directivity and a frequency response of its own, another head (a rigid sphere), microphone "
    "noise and peak normalisation. They were rendered by the same propagation engine as the "
    "simulation, so they say nothing about how well that engine agrees with a real room."
)


@dataclass(frozen=True)
class Outcome:
    """What the generated demo found out, for its report.

    Args:
        comparison: physics alone against refined, on sources that were not trained on.
        baselines: tables of the energy baselines.
        tests: the clips evaluated.
        refined: refined audio `[2, time]` by clip name.
    """

    comparison: Comparison
    baselines: dict[str, Table]
    tests: list[Clip]
    refined: dict[str, NDArray[np.float32]]


def of_twin(out: Path, *, seed: int = 0, train_seconds: float = 150.0) -> Path:
    """Generate an apartment, hear it through the whole pipeline, and report.

    One source position trains the refiner, the others evaluate it (RWAVS-Gen in small).

    Args:
        out: folder to write to.
        seed: of the apartment.
        train_seconds: how long the refiner may train.

    Returns:
        path of the report.
    """
    from piavas.twin import generate_capture, record

    stages = Stages(total=8)
    with stages("generate an apartment and walk a camera through it"):
        world = generate_capture(out / "capture", seed, frames=60, width=320, height=240)
    with stages("record three sources with the twin's hidden physics"):
        record(world, out / "capture", sources=3, seed=seed)
    capture, scene = _scene(out, stages)
    with stages("simulate the recordings"):
        clips = list(pair(capture, scene, SIMULATOR, sample_rate=RATE))
        save_clips(out / "clips", clips)
        responses = _responses(scene, clips)
        export_sofa(responses, out / "responses.sofa")
    with stages(f"train a small refiner on one source for {train_seconds:.0f} s"):
        refiner = _train(out, train_seconds, seed)
    with stages("refine and evaluate on the other sources"):
        outcome = _evaluate(out, refiner, clips, seed)
    with stages("write the report"):
        path = _report(out, capture, scene, clips, outcome, stages)
    write_json(out / "stages.json", [asdict(cost) for cost in stages.costs])
    outcome.comparison.show()
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
        scene = assign_materials(mesh, capture)
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


def _evaluate(out: Path, refiner: Refiner, clips: list[Clip], seed: int) -> Outcome:
    from piavas.baselines import ENERGY_BASELINES, fit_energy

    learn = [(clip.x_tx, _recorded(clip)) for clip in clips if clip.split == "train"]
    tests = [clip for clip in clips if clip.split == "test"][::3]
    refined = {c.name: refiner(c.x_sim, c.x_tx, pose=c.pose, source=c.source) for c in tests}
    truth = {clip.name: _recorded(clip) for clip in tests}
    how: dict[str, Any] = {
        "sample_rate": RATE,
        "seed": seed,
        "protocol": "RWAVS-Gen in small: one source trains, the others evaluate",
        "groups": {clip.name: clip.environment for clip in tests},
    }
    comparison = compare({c.name: c.x_sim for c in tests}, refined, truth, "avcloud", **how)
    baselines: dict[str, Table] = {}
    for name in ENERGY_BASELINES:
        predict = fit_energy(name, learn)
        baselines[name] = evaluate({c.name: predict(c.x_tx) for c in tests}, truth, **how)
    comparison.save(out / "comparison.json")
    for clip in tests:
        for kind, sound in (("simulated", clip.x_sim), ("refined", refined[clip.name])):
            write_audio(out / "wav" / kind / f"{clip.name}.wav", to_full_scale(sound)[0], RATE)
        write_audio(out / "wav" / "recorded" / f"{clip.name}.wav", truth[clip.name], RATE)
    return Outcome(comparison, baselines, tests, refined)


def _recorded(clip: Clip) -> NDArray[np.float32]:
    assert clip.x_rx is not None  # the twin recorded every clip
    return clip.x_rx


def _report(
    out: Path, capture: Capture, scene: Scene, clips: list[Clip], found: Outcome, stages: Stages
) -> Path:
    shown = found.tests[:: max(1, len(found.tests) // 5)][:5]
    examples = tuple(
        Example(
            name=clip.name,
            sample_rate=RATE,
            dry=clip.x_tx,
            simulated=clip.x_sim,
            refined=found.refined[clip.name],
            recorded=clip.x_rx,
            note=_place(clip),
        )
        for clip in shown
    )
    sources = {clip.environment: clip.source for clip in clips}
    data = ReportData(
        title="An apartment seen by a camera, heard anywhere",
        statements=(SYNTHETIC, *_honesty(scene)),
        tables=found.baselines,
        comparison=found.comparison,
        room_map=RoomMap(
            sources=sources,
            mesh=scene,
            train=np.stack([clip.pose for clip in clips if clip.split == "train"]),
            held_out=np.stack([clip.pose for clip in found.tests]),
        ),
        examples=examples,
        pictures=_pictures(capture),
        provenance=_provenance(scene),
        timings=stages.seconds,
    )
    return write_report(out / "report.html", data)


def _place(clip: Clip) -> str:
    far = float(np.linalg.norm(clip.pose[:3, 3] - clip.source))
    return f"{far:.1f} m from source {clip.environment}, which the refiner was not trained on"


def _honesty(scene: Scene) -> tuple[str, ...]:
    area = dict(scene.report).get("area", {})
    materials = dict(scene.report).get("materials", {})
    return (
        f"Geometry, m² of surface by origin: {area}.",
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
