"""How cost grows with triangles, rays, listeners, duration and bands of the shared apartment.

python benchmarks/growth.py [--out docs/figures/growth]

Writes `growth.json` and `growth.png`: CPU time of all threads, all in one process and with kernels
compiled before, so that points of one curve compare. `bands` varies how many octave bands differ in
absorption, from one (all alike) to nine: the engine always carries all nine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator
from piavas.acoustics.field import ready
from piavas.scene import Scene

sys.path.insert(0, str(Path(__file__).parent))
from simulate import SOURCE, apartment, heads

BASE = Simulator(rays=2048, duration=1.0)
LISTENERS = 48
REPEATS = 2


def spent(simulator: Simulator, scene: Scene, poses: np.ndarray) -> float:
    """CPU milliseconds of one call, the least of `REPEATS`."""
    ready(scene)
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        simulator(scene, SOURCE, poses)
        times.append(1e3 * (time.process_time() - start))
    return round(min(times), 1)


def banded(scene: Scene, bands: int) -> Scene:
    """`scene` with `bands` different absorptions among its octave bands."""
    absorption = 0.2 + 0.01 * np.minimum(np.arange(9), bands - 1)
    return scene.with_materials([replace(m, absorption=absorption) for m in scene.materials])


def triangles(small: Scene, large: Scene) -> list[tuple[int, Scene]]:
    """The apartment at three sizes; the middle one is the small with each face cut in four."""
    a, b, c = np.moveaxis(small.vertices[small.faces], 1, 0)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    quarters = np.stack([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]], axis=0)
    corners = np.moveaxis(quarters, (0, 1, 2), (1, 2, 0)).reshape(-1, 3, 3)
    vertices, faces = np.unique(np.round(corners.reshape(-1, 3), 6), axis=0, return_inverse=True)
    middle = Scene(
        vertices, faces.reshape(-1, 3), np.repeat(small.face_material, 4), small.materials
    )
    return [(len(s.faces), s) for s in (small, middle, large)]


def measure() -> dict[str, list[tuple[float, float]]]:
    """Each curve as points (value, CPU milliseconds)."""
    small, large = apartment("apt5k"), apartment("apt50k")
    poses = heads(large, 4 * LISTENERS)
    some = poses[:LISTENERS]
    BASE(large, SOURCE, some[:2])
    return {
        "triangles": [(n, spent(BASE, s, some)) for n, s in triangles(small, large)],
        "rays": [(n, spent(replace(BASE, rays=n), large, some)) for n in (512, 2048, 8192, 32_768)],
        "listeners": [(n, spent(BASE, large, poses[:n])) for n in (1, 12, 48, 192)],
        "duration": [
            (s, spent(replace(BASE, duration=s), large, some)) for s in (0.25, 0.5, 1.0, 2.0)
        ],
        "bands": [(n, spent(BASE, banded(large, n), some)) for n in (1, 3, 9)],
    }


def draw(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """The curves side by side, both axes logarithmic, with a line of proportional growth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 3), layout="constrained")
    axes = figure.subplots(1, len(curves), sharey=True)
    units = {"duration": "duration, s"}
    for axis, (name, points) in zip(axes, curves.items(), strict=True):
        x, y = np.array(points).T
        axis.loglog(x, y, "o-", color="#22577a")
        axis.loglog(x, y[0] * x / x[0], ":", color="grey", linewidth=1)
        axis.set_xlabel(units.get(name, name))
        axis.set_xticks(x, [f"{v:g}" for v in x], rotation=30)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("CPU time of a call, ms")
    low = min(y for points in curves.values() for _, y in points)
    axes[0].set_ylim(0.7 * low, None)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/growth"))
    out = parser.parse_args().out
    curves = measure()
    for name, points in curves.items():
        print(json.dumps({"against": name, "points": points}), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(curves, indent=2) + "\n")
    draw(curves, out.with_suffix(".png"))


if __name__ == "__main__":
    main()
