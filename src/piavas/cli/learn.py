"""Verbs of stage 2: train, refine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from piavas.cli.tell import tell
from piavas.cli.training import (
    AS_PRESET,
    Device,
    Preset,
    TrainingOptions,
    check_device,
    make_configs,
)
from piavas.errors import AudioError, DataError, PiavasError, about

if TYPE_CHECKING:
    from piavas.audio import Audio
    from piavas.refine import Refiner

Point = tuple[float, float, float]


def train(
    clips: tyro.conf.Positional[Path],
    out: Path,
    preset: Preset = "paper",
    device: Device = "cpu",
    skip_broken: bool = False,
    tensorboard: bool = False,
    dry_run: bool = False,
    json: bool = False,
    training: TrainingOptions = AS_PRESET,
) -> None:
    """Clips to a refiner; goes on where an earlier run in the same folder stopped.

    On several processes: torchrun --nproc-per-node 2 -m piavas.cli train CLIPS --out MODEL

    Args:
        clips: folder of clips; those of split "train" are learnt from.
        out: folder of the model to write.
        preset: "paper" as the paper's supplement prints it; "small" (its network, reduced) and
            "spectral" (on band energies) for minutes on a CPU.
        device: where the network runs.
        skip_broken: leave out clips that cannot be read, and count them.
        tensorboard: also log for TensorBoard.
        dry_run: only say what it will cost in time, memory and disk.
        json: print JSON for scripts.
        training: what differs from the preset.
    """
    from piavas.refine import load_clips
    from piavas.refine import train as run
    from piavas.refine.estimate import estimate_training

    found = load_clips(clips, skip_broken=skip_broken)
    config, network = make_configs(preset, training, found.sample_rate, found)
    how: dict[str, Any] = {"model": network, "device": check_device(device)}
    with about(clips):
        if dry_run:
            tell(vars(estimate_training(found, config, **how)), json)
            return
        refiner = run(found, out, config, tensorboard=tensorboard, **how)
    if os.environ.get("RANK", "0") != "0":
        return
    facts = {"model": str(out), "left_out": len(found.broken), **_learnt(refiner)}
    tell(facts, json)


def refine(
    model: tyro.conf.Positional[Path],
    out: Path,
    clips: Path | None = None,
    x_sim: Path | None = None,
    dry: Path | None = None,
    source: Point | None = None,
    listener: Point | None = None,
    yaw: float = 0.0,
    pose: Path | None = None,
    solver: str = "euler",
    steps: int = 4,
    device: Device = "cpu",
    skip_broken: bool = False,
    json: bool = False,
) -> None:
    """Simulated sound to recorded-sounding sound: of a folder of clips, or of one file.

    Args:
        model: model folder.
        out: folder of WAV files to write for clips, WAV file for one.
        clips: folder of clips.
        x_sim: simulated sound, two channels.
        dry: what was played, one channel, on the clock of --x-sim.
        source: x y z in metres.
        listener: x y z in metres.
        yaw: degrees from +x, the way the listener faces.
        pose: JSON trajectory with one pose, instead of --listener and --yaw.
        solver: "euler", "midpoint-paper", "midpoint", "heun" or "heun-full".
        steps: of the solver.
        device: where the network runs.
        skip_broken: leave out clips that cannot be read, and count them.
        json: print JSON for scripts.
    """
    from piavas.audio import write_audio
    from piavas.refine import Refiner, get_solver

    evaluations = get_solver(solver).evaluations(steps)
    if (clips is None) == (x_sim is None):
        raise PiavasError(
            "a folder of clips or one simulated sound is needed",
            field="clips, x_sim",
            mend="give exactly one",
        )
    refiner = Refiner.load(model, device=check_device(device))
    facts = {"out": str(out), "solver": solver, "steps": steps, "evaluations": evaluations}
    if clips is not None:
        facts |= _refine_clips(refiner, clips, out, solver, steps, skip_broken)
    else:
        if x_sim is None or dry is None or source is None:
            raise PiavasError("is missing", field="dry, source", mend="give both with --x-sim")
        place = {"pose": _pose(listener, yaw, pose), "source": source}
        simulated, played = _read_both(x_sim, dry, refiner.config.sample_rate)
        sound = refiner(simulated, played, **place, solver=solver, steps=steps)
        write_audio(out, sound, refiner.config.sample_rate, subtype="FLOAT")
    tell(facts, json)


def _refine_clips(
    refiner: Refiner, folder: Path, out: Path, solver: str, steps: int, skip_broken: bool
) -> dict[str, Any]:
    """Refine every clip of a folder to one WAV file each, and count them."""
    from piavas.audio import write_audio
    from piavas.refine import load_clips
    from piavas.trials import refine_clips

    clips = load_clips(folder, skip_broken=skip_broken)
    _check_rate(folder / "clips.json", clips.sample_rate, refiner.config.sample_rate)
    refined = refine_clips(refiner, clips, solver=solver, steps=steps)
    for name, sound in refined.items():
        write_audio(out / f"{name}.wav", sound, clips.sample_rate, subtype="FLOAT")
    return {"clips": len(refined), "left_out": len(clips.broken)}


def _read_both(x_sim: Path, dry: Path, sample_rate: int) -> tuple[Audio, Audio]:
    """Simulated and dry sound of exactly this rate and of one length."""
    from piavas.audio import read_audio

    sounds = []
    for path, channels in ((x_sim, 2), (dry, 1)):
        sound, rate = read_audio(path, channels=channels)
        _check_rate(path, rate, sample_rate)
        sounds.append(sound)
    simulated, played = sounds
    if simulated.shape[1] != played.shape[1]:
        raise AudioError(
            f"{played.shape[1]} samples, {x_sim} has {simulated.shape[1]}",
            file=dry,
            mend="cut both to one length",
        )
    return simulated, played


def _check_rate(path: Path, rate: int, wanted: int) -> None:
    if rate != wanted:
        raise AudioError(f"{rate} Hz, the model hears {wanted}", file=path, mend="resample it")


def _pose(listener: Point | None, yaw: float, file: Path | None) -> Any:
    """`[4, 4]` of one still head."""
    from piavas.poses import read_trajectory
    from piavas.scene import Pose

    if (listener is None) == (file is None):
        raise PiavasError(
            "one pose is needed", field="listener, pose", mend="give exactly one of the two"
        )
    if listener is not None:
        return Pose.at(listener, yaw=yaw).matrix
    poses = read_trajectory(str(file)).poses
    if len(poses) != 1:
        raise DataError(f"holds {len(poses)} poses", file=file, mend="give one; clips carry many")
    return poses[0]


def _learnt(refiner: Refiner) -> dict[str, Any]:
    number = sum(value.numel() for value in refiner.network.parameters())
    return {"parameters": number, "steps": refiner.facts["steps"], "clips": refiner.facts["clips"]}
