"""What discrete paths cost in the apartment: one JSON line for each choice of paths.

    python benchmarks/early.py [--meshes apt5k apt50k] [--listeners 300]

CPU milliseconds per listener to find the paths and to make binaural samples of them; the second run
of each, so that nothing is compiled or loaded within. OMP_NUM_THREADS=1 keeps BLAS to one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from piavas.acoustics.ambisonics import to_head
from piavas.acoustics.early import early
from piavas.acoustics.field import Room
from piavas.acoustics.simulator import INSIDE_RATE, Simulator
from piavas.scene import Material, Scene, Source, as_poses

MESHES = Path(os.environ.get("PIAVAS_SHARED", "../shared")) / "data" / "bench_meshes"
SOURCE = np.array([1.5, 2.0, 1.5])
CHOICES = (
    # specular order, edges, walls
    (3, 0, 0), (3, 1, 0), (3, 2, 0), (3, 0, 1), (3, 1, 1),
    (4, 0, 0), (5, 0, 0), (6, 0, 0), (6, 1, 1),
)  # fmt: skip


def apartment(name: str) -> Scene:
    """The mesh with absorption .2, scattering .1 and a transmission loss of 30 dB everywhere."""
    data = np.load(MESHES / f"{name}.npz")
    share = np.ones(9)
    materials = tuple(Material(str(i), 0.2 * share, 0.1 * share, 1e-3 * share) for i in range(5))
    return Scene(data["V"], data["F"], data["M"], materials)


def places(count: int) -> np.ndarray:
    """Ears of people who stand in either room."""
    generator = np.random.default_rng(1)
    points = generator.uniform([0.3, 0.3, 1.2], [5.7, 8.7, 1.7], (4 * count, 3))
    free = (points[:, 1] < 3.8) | ((points[:, 1] > 4.2) & (points[:, 0] > 2.2))
    return points[free][:count]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives the second time, and its CPU seconds."""
    work()
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def measure(room: Room, heads: np.ndarray, choice: tuple[int, int, int]) -> dict[str, object]:
    """One choice of paths."""
    order, edges, walls = choice
    simulator = Simulator(
        specular_order=order, diffraction_order=edges, transmission=walls, duration=1.0, rays=20_000
    )
    field = simulator.trace(room, Source(SOURCE), as_poses(heads))
    paths, find = timed(lambda: field.paths(heads))
    listener = simulator.listener(simulator.late_options(field))
    poses = as_poses(heads)

    def synthesise() -> None:
        for i, pose in enumerate(poses[:100]):
            mine = paths.of(i)
            early(
                mine, to_head(pose, -mine.arrival), listener.receiver, air_db=simulator.air_db,
                speed=simulator.speed, sample_rate=INSIDE_RATE, length=INSIDE_RATE,
            )  # fmt: skip

    _, make = timed(synthesise)
    return {
        "specular_order": order,
        "diffraction_order": edges,
        "transmission": walls,
        "chains": len(field.sequences),
        "edges": len(room.corners.edges),
        "paths_per_listener": round(len(paths) / len(heads), 1),
        "bent_per_listener": round(float((paths.bend >= 0).sum()) / len(heads), 1),
        "find_cpu_ms": round(1e3 * find / len(heads), 3),
        "synthesis_cpu_ms": round(1e3 * make / min(len(heads), 100), 3),
    }


def completeness(room: Room, heads: np.ndarray, order: int) -> dict[str, object]:
    """Mirrored paths that 20,000 rays lead to, beside those of half a million."""
    found = []
    for rays in (20_000, 500_000):
        simulator = Simulator(
            specular_order=order, diffraction_order=0, transmission=0, duration=0.15, rays=rays
        )
        field = simulator.trace(room, Source(SOURCE), as_poses(heads[:60]))
        found.append(len(field.paths(heads[:60])))
    return {"specular_order": order, "paths_20k_rays": found[0], "paths_500k_rays": found[1]}


def main() -> None:
    """Print one line for each mesh and choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", nargs="+", default=["apt5k", "apt50k"])
    parser.add_argument("--listeners", type=int, default=300)
    options = parser.parse_args()
    heads = places(options.listeners)
    for mesh in options.meshes:
        room = Room(apartment(mesh))
        for choice in CHOICES:
            print(json.dumps({"mesh": mesh, **measure(room, heads, choice)}), flush=True)
        for order in (3, 4, 6):
            print(json.dumps({"mesh": mesh, **completeness(room, heads, order)}), flush=True)


if __name__ == "__main__":
    main()
