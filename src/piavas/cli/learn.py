"""Verbs of stage 2: import, train, refine, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from piavas.cli.physics import Physics, PhysicsOptions, make_simulator

AT_RWAVS_RATE = Physics(sample_rate=22_050)

console = Console()


def import_(
    capture: tyro.conf.Positional[Path],
    scene: Path,
    out: Path,
    clip_seconds: float = 1.0,
    window: Literal["centred", "past"] = "centred",
    physics: PhysicsOptions = AT_RWAVS_RATE,
) -> None:
    """Recordings of a capture, beside what physics says of them, as clips to learn from.

    Args:
        capture: capture with recordings.
        scene: scene folder.
        out: folder of clips to write.
        clip_seconds: length of a clip.
        window: where a clip lies about the time of its pose.
        physics: how sound is simulated.
    """
    from piavas.capture import load_capture
    from piavas.materials import load_scene
    from piavas.pairs import pair
    from piavas.refine import save_clips

    clips = pair(
        load_capture(capture),
        load_scene(scene),
        make_simulator(physics, "binaural"),
        sample_rate=physics.sample_rate,
        clip_seconds=clip_seconds,
        window=window,
    )
    save_clips(out, list(clips))
    console.print(f"wrote {out}")
