"""Verbs that make sound: simulate, render."""

from __future__ import annotations

from pathlib import Path

import tyro

from piavas.cli.physics import DEFAULT, PhysicsOptions, make_simulator
from piavas.cli.tell import tell
from piavas.errors import PiavasError, about
from piavas.files import check_target

Point = tuple[float, float, float]


def simulate(
    scene: tyro.conf.Positional[Path],
    source: Point,
    out: Path,
    listener: Point | None = None,
    yaw: float = 0.0,
    listeners: Path | None = None,
    materials: Path | None = None,
    output: str = "binaural",
    dry_run: bool = False,
    json: bool = False,
    physics: PhysicsOptions = DEFAULT,
) -> None:
    """Scene, source and listeners to impulse responses in a SOFA file, or in a folder.

    A folder is written as the responses are made, in bounded memory; started again, an interrupted
    run goes on where it stopped.

    Args:
        scene: scene folder, or a mesh file with --materials.
        source: x y z in metres.
        out: SOFA file to write, or a folder (a name without suffix) for any number of responses.
        listener: x y z in metres of one listener.
        yaw: degrees from +x, the way that one listener faces.
        listeners: JSON trajectory or CSV of positions, for many.
        materials: JSON of materials for a mesh file.
        output: "binaural", "mono", or "ambisonic-1" to "ambisonic-7".
        dry_run: only say what it will cost in time, memory and disk.
        json: print JSON for scripts.
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
    if out.suffix:
        check_target(out, ".sofa")
    poses = Pose.at(listener, yaw=yaw) if listener is not None else read_trajectory(str(listeners))
    simulator, room = make_simulator(physics, output), load_scene(scene, materials)
    with about(scene):
        if dry_run:
            tell(vars(simulator.estimate(room, source, poses)), json)
            return
        if not out.suffix:
            responses = simulator.stream(room, source, poses, out)
        else:
            responses = simulator(room, source, poses)
            export_sofa(responses, out)
    tell({"wrote": str(out), **responses.report}, json)


def render(
    dry: tyro.conf.Positional[Path],
    responses: tyro.conf.Positional[Path],
    out: Path,
    trajectory: Path | None = None,
    headroom: float = 1.0,
    json: bool = False,
) -> None:
    """A dry sound through impulse responses, for a still or a moving head, as a WAV file.

    Args:
        dry: sound file, one channel.
        responses: SOFA file, or a folder that `simulate` wrote.
        out: WAV file to write, never above full scale.
        trajectory: JSON of times and poses, one for each response; without it the head is still.
        headroom: decibels to full scale that the peak keeps.
        json: print JSON for scripts.
    """
    from piavas.acoustics.stream import load_responses
    from piavas.audio import read_audio, write_audio
    from piavas.listen import import_sofa
    from piavas.poses import read_trajectory
    from piavas.render import render as run
    from piavas.render import to_full_scale

    check_target(out, ".wav")
    irs = load_responses(responses) if responses.is_dir() else import_sofa(responses)
    sound, _ = read_audio(dry, sample_rate=irs.sample_rate, channels=1)
    way = read_trajectory(trajectory) if trajectory else None
    with about(trajectory or responses):
        heard, gain = to_full_scale(run(sound, irs, way), headroom)
    write_audio(out, heard, irs.sample_rate)
    tell({"wrote": str(out), "gain_db": round(gain, 2)}, json)
