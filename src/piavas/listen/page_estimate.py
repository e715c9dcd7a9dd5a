"""What a listening page will cost, from a pilot: few rays, few points, measured here and now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from piavas.acoustics.field import Room
from piavas.capture import Capture
from piavas.listen.page import WEB, Page, place_sources
from piavas.listen.page_floor import choose_points, map_floor
from piavas.listen.page_points import GridHearing
from piavas.scene import Scene, Source

SHARE = 5  # the pilot traces so many times fewer rays
FEWEST = 200  # rays
PILOTS = 2  # points heard, after one that pays for compilation
FIXED = 12e6  # bytes of head, sounds and mesh


def estimate_web(
    scene: Scene,
    *,
    sources: Sequence[Source | ArrayLike] = (),
    capture: Capture | None = None,
    page: Page | None = None,
) -> dict[str, float]:
    """Time, memory and disk of `export_web` with these arguments, without the capture's colours.

    Time grows as the rays and as the points, so it is right within a factor of about two where the
    machine does nothing else meanwhile.

    Returns:
        `points`, `sources`, `seconds`, `memory_mb` (of the traced field) and `disk_mb`.

    Raises:
        SimulationError: as `export_web`.
    """
    page = page or Page()
    floor = map_floor(scene, height=page.height, clearance=page.clearance)
    points = choose_points(floor, page.spacing)
    placed = place_sources(floor, sources, capture)
    rays = max(page.rays // SHARE, FEWEST)
    simulator = replace(page.simulator(), rays=rays)
    some = np.linspace(0, len(points) - 1, PILOTS + 1).astype(int)
    heads = floor.place(points[some])
    started = time.perf_counter()
    room = Room(scene)
    GridHearing.of(replace(simulator, rays=FEWEST), room, placed[0], heads).point(0)
    begun = time.perf_counter()
    hearing = GridHearing.of(simulator, room, placed[0], heads)
    ready = time.perf_counter()
    bundles = [hearing.point(i) for i in range(1, len(heads))]
    each = (time.perf_counter() - ready) / len(bundles)
    size = sum(array.nbytes for bundle in bundles for array in bundle.values()) / len(bundles)
    more = page.rays / rays
    # Compilation is paid once; of a point about half the time does not depend on the rays.
    every = (ready - begun) * more + each * len(points) * (1 + more) / 2
    whole = begun - started + len(placed) * every
    field = sum(array.nbytes for array in vars(hearing.field.segments).values() if _array(array))
    shipped = sum(file.stat().st_size for file in WEB.rglob("*") if file.is_file())
    return {
        "points": len(points),
        "sources": len(placed),
        "seconds": round(whole, 1),
        "memory_mb": round(more * field / 1e6, 1),
        "disk_mb": round((len(placed) * len(points) * size + FIXED + shipped) / 1e6, 1),
    }


def _array(value: object) -> bool:
    return isinstance(value, np.ndarray)
