"""What a benchmark will cost, from a few of its pictures and sounds on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from piavas.datasets.raf import RATE as RAF_RATE
from piavas.datasets.rwavs import RATE
from piavas.datasets.rwavs_write import write_picture
from piavas.twin.benchmark import Videos
from piavas.twin.benchmark_raf import Responses, measure, place_microphones
from piavas.twin.generate import lens
from piavas.twin.places import make_place
from piavas.twin.record import place_sources, record_sounds
from piavas.twin.shade import Camera

SHORT, LONG = 2, 6  # seconds, or microphones, of the two probes


@dataclass(frozen=True)
class Estimate:
    """What a benchmark will cost on this machine.

    Args:
        items: videos or responses.
        seconds: until they are written.
        disk_mb: that they take.
    """

    items: int
    seconds: float
    disk_mb: float


def estimate_videos(options: Videos) -> Estimate:
    """Take two short recordings and two pictures in the first place; nothing is kept."""
    place = make_place(options.places[0], options.seed)
    count = options.environments * options.videos

    def sound(seconds: int) -> None:
        how = replace(options.sound, seconds=float(seconds))
        with tempfile.TemporaryDirectory() as folder:
            record_sounds(place.world, Path(folder), how, 1, place.hidden)

    with tempfile.TemporaryDirectory() as folder:
        camera = Camera(place.world, lens(options.width, options.height))
        pose = place.world.free_points(1, options.seed)[0]
        path = Path(folder) / "a.png"

        def picture() -> None:
            from piavas.scene import Pose

            write_picture(path, camera.shoot(Pose.at(pose).matrix, 0).image)

        picture()
        each = _spent(picture)
        bytes_each = path.stat().st_size
    fixed, more = _line(sound)
    pictures = options.seconds - 1
    return Estimate(
        count,
        round(count * (fixed + more * options.seconds + each * pictures), 1),
        round(count * (6 * RATE * options.seconds + bytes_each * pictures) / 1e6, 1),
    )


def estimate_responses(options: Responses) -> Estimate:
    """Measure one loudspeaker at few microphones, twice; nothing is kept."""
    place = make_place("apartment", options.seed)
    sources = place_sources(place.world, options.speakers, options.seed)
    heads = place_microphones(place, sources, replace(options, microphones=LONG), 0)

    fixed, more = _line(lambda n: measure(place, sources[0], heads[:n], options, 0))
    count = options.speakers * options.microphones
    return Estimate(
        count,
        round(options.speakers * fixed + count * more, 1),
        round(4 * RAF_RATE * options.seconds * count / 1e6, 1),
    )


def _line(work: Callable[[int], object]) -> tuple[float, float]:
    """Seconds of `work(0)` and of each unit more; a first run compiles and is not counted."""
    work(SHORT)
    short, long = (_spent(lambda n=n: work(n)) for n in (SHORT, LONG))  # type: ignore[misc]
    more = max(long - short, 0.0) / (LONG - SHORT)
    return max(short - SHORT * more, 0.0), more


def _spent(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
