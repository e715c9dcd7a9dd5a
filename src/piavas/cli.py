"""Verbs only: each is one function and writes one artefact that the next verb reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from piavas.errors import PiavasError

Positional = tyro.conf.Positional
Point = tuple[float, float, float]

console = Console()


@dataclass(frozen=True)
class Physics:
    """How sound is simulated."""

    rays: int = 20_000
    """Rays traced from the source."""
    seed: int = 0
    """The same seed gives the same samples."""
    sample_rate: int = 48_000
    """Of the responses, hertz."""
    duration: float | None = None
    """Seconds; as long as the decay needs if not given."""
    hrtf: str | None = None
    """"rigid-sphere" or a SOFA path; MIT KEMAR if not given."""
    temperature: float = 20.0
    """Degrees Celsius."""
    humidity: float = 50.0
    """Relative, per cent."""
    air_absorption: bool = True
    """Whether air swallows sound (ISO 9613-1)."""
    specular_order: int = 3
    """Reflections up to which mirror paths are discrete."""
    allow_leaks: bool = False
    """Simulate scenes that sound escapes from."""


def _simulator(physics: Physics, output: str) -> Any:
    from piavas.acoustics import Simulator

    return Simulator(output=output, **vars(physics))


def demo(
    out: Path = Path("demo"),
    capture: Path | None = None,
    seed: int = 0,
    train_seconds: float = 150.0,
) -> None:
    """The main job from images to ears, in one go, in about ten minutes.

    Args:
        out: folder for the report, the sounds and all that lies between.
        capture: a capture of yours; without one an apartment is generated, with recordings.
        seed: of the generated apartment.
        train_seconds: how long the refiner may train.
    """
    from piavas import demo as demonstration

    if capture is not None:
        report = demonstration.of_capture(capture, out)
    else:
        report = demonstration.of_twin(out, seed=seed, train_seconds=train_seconds)
    console.print(f"open [bold]{report}[/bold]")


def doctor(json: bool = False) -> None:
    """Say what this machine has, and what to do about what it lacks.

    Args:
        json: print JSON for scripts.
    """
    from piavas.doctor import examine

    findings = examine()
    if json:
        console.print_json(data=[finding.to_json() for finding in findings])
    else:
        for finding in findings:
            mark = {True: "[green]ok[/]", False: "[red]missing[/]", None: "[dim]info[/]"}
            line = f"{mark[finding.good]:>20} {finding.what}: {finding.told}"
            console.print(line + (f"  -> {finding.mend}" if finding.mend else ""))
    if any(finding.good is False for finding in findings):
        raise SystemExit(2)


def install(what: Positional[Literal["hrtf"]]) -> None:
    """Put what is not part of the package into the user's data folder, checked by its hash.

    Args:
        what: "hrtf" for the default head, MIT KEMAR.
    """
    from piavas.install import install_hrtf

    console.print(f"{what}: {install_hrtf()}")


def twin(
    out: Positional[Path],
    seed: int = 0,
    frames: int = 60,
    width: int = 320,
    height: int = 240,
    quality: Literal["fast", "path"] = "fast",
    recordings: int = 0,
) -> None:
    """Generate a furnished apartment as a capture with known truth.

    Args:
        out: folder of the capture.
        seed: no two seeds give the same apartment.
        frames: images.
        width: of an image, pixels.
        height: of an image, pixels.
        quality: "fast" shades rays, "path" traces light paths.
        recordings: sources to record with the twin's hidden physics; the first is for training.
    """
    from piavas.twin import generate_capture, record

    world = generate_capture(out, seed, frames=frames, width=width, height=height, quality=quality)
    if recordings:
        record(world, out, sources=recordings, seed=seed)
    console.print(f"wrote {out}")


def reconstruct(
    capture: Positional[Path], out: Path, voxel: float = 0.05, triangles: int = 20_000
) -> None:
    """Images with depth to a closed mesh of the air in the room.

    Args:
        capture: folder in any supported layout.
        out: mesh file to write, e.g. room/mesh.ply.
        voxel: metres.
        triangles: budget of the mesh.
    """
    from piavas.capture import load_capture
    from piavas.geometry import reconstruct as run
    from piavas.geometry import save_mesh

    mesh = run(load_capture(capture), voxel=voxel, triangles=triangles)
    save_mesh(mesh, out)
    console.print_json(data=dict(mesh.report))


def materials(capture: Positional[Path], mesh: Path, out: Path) -> None:
    """Mesh and label images to a scene of acoustic materials.

    Args:
        capture: the capture that the mesh was made from.
        mesh: mesh file.
        out: scene folder to write: mesh.ply and materials.json, which may be edited.
    """
    from piavas.capture import load_capture
    from piavas.geometry import load_mesh
    from piavas.materials import assign_materials, save_scene

    scene = assign_materials(load_mesh(mesh), load_capture(capture))
    save_scene(scene, out)
    console.print_json(data=dict(scene.report).get("materials", {}))


def simulate(
    scene: Positional[Path],
    source: Point,
    out: Path,
    listener: Point | None = None,
    yaw: float = 0.0,
    listeners: Path | None = None,
    materials: Path | None = None,
    output: str = "binaural",
    physics: Annotated[Physics, tyro.conf.arg(name="")] = Physics(),
) -> None:
    """Scene, source and listeners to impulse responses in a SOFA file.

    Args:
        scene: scene folder, or a mesh file with --materials.
        source: x y z in metres.
        out: SOFA file to write.
        listener: x y z in metres of one listener.
        yaw: degrees from +x, the way that one listener faces.
        listeners: JSON trajectory or CSV of positions, for many.
        materials: JSON of materials for a mesh file.
        output: "binaural", "mono", or "ambisonic-1" to "ambisonic-7".
        physics: how sound is simulated.
    """
    from piavas.listen import export_sofa
    from piavas.materials import load_scene
    from piavas.poses import read_trajectory
    from piavas.scene import Pose

    if (listener is None) == (listeners is None):
        raise PiavasError(
            "one listener or a file of them is needed", field="listener", mend="give exactly one"
        )
    poses = Pose.at(listener, yaw=yaw) if listener is not None else read_trajectory(str(listeners))
    responses = _simulator(physics, output)(load_scene(scene, materials), source, poses)
    export_sofa(responses, out)
    console.print_json(data=dict(responses.report))


def render(
    dry: Positional[Path],
    responses: Positional[Path],
    out: Path,
    trajectory: Path | None = None,
    headroom: float = 1.0,
) -> None:
    """A dry sound through impulse responses, for a still or a moving head, as a WAV file.

    Args:
        dry: sound file, one channel.
        responses: SOFA file.
        out: WAV file to write, never above full scale.
        trajectory: JSON of times and poses, one for each response; without it the head is still.
        headroom: decibels to full scale that the peak keeps.
    """
    from piavas.audio import read_audio, write_audio
    from piavas.listen import import_sofa
    from piavas.poses import read_trajectory
    from piavas.render import render as run
    from piavas.render import to_full_scale

    irs = import_sofa(responses)
    sound, _ = read_audio(dry, sample_rate=irs.sample_rate, channels=1)
    way = read_trajectory(trajectory) if trajectory else None
    heard, gain = to_full_scale(run(sound, irs, way), headroom)
    write_audio(out, heard, irs.sample_rate)
    console.print(f"wrote {out}, gain {gain:.1f} dB")


def import_(
    capture: Positional[Path],
    scene: Path,
    out: Path,
    sample_rate: int = 22_050,
    clip_seconds: float = 1.0,
    window: Literal["centred", "past"] = "centred",
    physics: Annotated[Physics, tyro.conf.arg(name="")] = Physics(),
) -> None:
    """Recordings of a capture, beside what physics says of them, as clips to learn from.

    Args:
        capture: capture with recordings.
        scene: scene folder.
        out: folder of clips to write.
        sample_rate: of the clips, hertz.
        clip_seconds: length of a clip.
        window: where a clip lies about the time of its pose.
        physics: how sound is simulated.
    """
    from piavas.capture import load_capture
    from piavas.materials import load_scene
    from piavas.pairs import pair
    from piavas.refine import save_clips

    physics = replace(physics, sample_rate=sample_rate)
    clips = pair(
        load_capture(capture),
        load_scene(scene),
        _simulator(physics, "binaural"),
        sample_rate=sample_rate,
        clip_seconds=clip_seconds,
        window=window,
    )
    save_clips(out, list(clips))
    console.print(f"wrote {out}")


def export(responses: Positional[Path], out: Path) -> None:
    """Impulse responses as one WAV file a listener.

    Args:
        responses: SOFA file.
        out: folder to write.
    """
    from piavas.listen import export_wavs, import_sofa

    export_wavs(import_sofa(responses), out)
    console.print(f"wrote {out}")


VERBS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "doctor": doctor,
    "install": install,
    "import": import_,
    "twin": twin,
    "reconstruct": reconstruct,
    "materials": materials,
    "simulate": simulate,
    "render": render,
    "export": export,
}


def main(argv: list[str] | None = None) -> int:
    """Run a verb; 0 when it did its work, 2 on bad input, 130 when interrupted."""
    try:
        tyro.extras.subcommand_cli_from_dict(VERBS, args=argv, prog="piavas", description=__doc__)
    except PiavasError as problem:
        print(f"piavas: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("piavas: stopped; what was finished is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
