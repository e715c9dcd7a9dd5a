"""The verb that generates data sets: twin-benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from piavas.cli.tell import tell


def twin_benchmark(
    out: tyro.conf.Positional[Path],
    layout: Literal["rwavs", "raf"] = "rwavs",
    seed: int = 0,
    environments: int = 4,
    videos: int = 3,
    seconds: int | None = None,
    width: int = 320,
    height: int = 240,
    speakers: int = 4,
    microphones: int = 30,
    rays: int = 6_000,
    waves: bool = True,
    hrtf: str = "rigid-sphere",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Generate a synthetic data set in the layout of RWAVS or of RAF; the same seeds, the same set.

    What an interrupted run left is kept; a set that is whole is checked against its hashes.

    Args:
        out: folder of the set.
        layout: "rwavs" for videos of heads that walk about, "raf" for impulse responses of a room.
        seed: of everything.
        environments: rwavs: how many of office, house, apartment, outdoor.
        videos: rwavs: of each environment, every one with its own source position.
        seconds: of a video (120 if not given), or of a response (4).
        width: rwavs: of a picture, pixels; one a second.
        height: rwavs: likewise.
        speakers: raf: places of the loudspeaker.
        microphones: raf: places of the microphone, for each loudspeaker.
        rays: traced from each source.
        waves: take frequencies below 250 Hz from the wave equation.
        hrtf: rwavs: the head, "rigid-sphere", "kemar" or a SOFA file.
        dry_run: only say what it will cost in time and disk.
        json: print JSON for scripts.
    """
    from piavas.twin.benchmark import Videos, write_videos
    from piavas.twin.benchmark_estimate import estimate_responses, estimate_videos
    from piavas.twin.benchmark_raf import Responses, write_responses
    from piavas.twin.released import check_sums

    if layout == "rwavs":
        films = Videos(
            seed, environments, videos, seconds or 120, width, height, rays, waves, hrtf=hrtf
        )
        if dry_run:
            tell(vars(estimate_videos(films)), json)
            return
        write_videos(out, films)
    else:
        room = Responses(seed, speakers, microphones, seconds or 4, rays, waves)
        if dry_run:
            tell(vars(estimate_responses(room)), json)
            return
        write_responses(out, room)
    tell({"wrote": str(out), "layout": layout, "files": check_sums(out)}, json)
