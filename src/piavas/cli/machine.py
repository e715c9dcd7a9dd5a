"""Verbs about the machine and the whole way: demo, doctor, install."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from piavas.cli.tell import console, tell


def demo(
    out: Path = Path("demo"),
    capture: Path | None = None,
    seed: int = 0,
    train_seconds: float = 150.0,
    json: bool = False,
) -> None:
    """The main job from images to ears, in one go, in about ten minutes.

    Args:
        out: folder for the report, the sounds and all that lies between.
        capture: a capture of yours; without one an apartment is generated, with recordings.
        seed: of the generated apartment.
        train_seconds: how long the refiner may train.
        json: print JSON for scripts.
    """
    from piavas import demo as demonstration

    if capture is not None:
        report = demonstration.of_capture(capture, out)
    else:
        report = demonstration.of_twin(out, seed=seed, train_seconds=train_seconds)
    tell({"open": str(report)}, json)


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
            console.print(line + (f"  -> {finding.mend}" if finding.mend else ""), soft_wrap=True)
    if any(finding.good is False for finding in findings):
        raise SystemExit(2)


def install(
    what: tyro.conf.Positional[Literal["hrtf", "steam-audio"]],
    archive: Path | None = None,
    json: bool = False,
) -> None:
    """Put what is not part of the package into the user's data folder, checked by its hash.

    Args:
        what: "hrtf" for the default head, MIT KEMAR; "steam-audio" for Valve's library (181 MB to
            download, of which one file is kept).
        archive: the release of Steam Audio, where it is already here.
        json: print JSON for scripts.
    """
    if what == "hrtf":
        from piavas.install import install_hrtf

        tell({what: str(install_hrtf())}, json)
    else:
        from piavas.install_steam import install_steam_audio

        tell({what: str(install_steam_audio(archive=archive))}, json)
