"""The verb that fits a room to recordings of it: calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from piavas.cli.physics import DEFAULT, PhysicsOptions, make_simulator

REPORT = "calibration.json"

console = Console()


def calibrate(
    scene: tyro.conf.Positional[Path],
    recordings: tyro.conf.Positional[Path],
    out: Path,
    hold_out: int = 0,
    spread: float = 1.0,
    scattering: tuple[float, ...] = (0.5, 1.0, 2.0),
    known_level: bool = False,
    json: bool = False,
    physics: PhysicsOptions = DEFAULT,
) -> None:
    """Fit the materials of a scene to recordings made in the room.

    Args:
        scene: scene folder; its materials are what is thought before.
        recordings: JSON list of impulse responses, a folder with `responses.json`, or a capture
            with `recordings.json`.
        out: scene folder to write, with calibration.json beside the materials.
        hold_out: also keep every n-th recording out of the fit, to judge it by; 0 for none.
        spread: of the prior, in log odds: 1 trusts odds of absorption within a factor of e.
        scattering: factors on the scattering of all materials to try.
        known_level: the recordings are calibrated to 1/r.
        json: print the report as JSON.
        physics: how sound is simulated.
    """
    from piavas.calibrate import calibrate as run
    from piavas.calibrate import read_recordings
    from piavas.files import write_json
    from piavas.materials import load_scene, save_scene

    room = load_scene(scene)
    found, held = read_recordings(recordings)
    if hold_out:
        held = sorted({*held, *range(hold_out - 1, len(found), hold_out)})
    result = run(
        room,
        found,
        held_out=held,
        simulator=make_simulator(physics, "mono"),
        **({} if physics.rays == "auto" else {"rays": physics.rays}),
        spread=spread,
        scattering=scattering,
        known_level=known_level,
    )
    write_json(out / REPORT, result.report)
    save_scene(result.scene, out)
    if json:
        console.print_json(data=result.report)
        return
    console.print(materials_table(result.report))
    console.print(f"wrote {out}", highlight=False, soft_wrap=True, markup=False)


def materials_table(report: dict[str, Any]) -> Table:
    """Absorption before and after by material and band; what is not determined in brackets."""
    table = Table("material", *(f"{band:g} Hz" for band in report["bands"]))
    for row in report["materials"]:
        cells = [
            f"{before:.2f} > {after:.2f}" if word != "undetermined" else f"({after:.2f})"
            for before, after, word in zip(
                row["prior"], row["absorption"], row["verdict"], strict=True
            )
        ]
        table.add_row(row["name"], *cells)
    return table
