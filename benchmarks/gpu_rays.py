"""What a GPU makes of tracing: rays and whole simulations by both of Mitsuba's variants.

    python benchmarks/gpu_rays.py [--seed 1] [--rays 1000000] [--listeners 1 100]

One JSON object a line for each variant, each in a process of its own, in a generated apartment;
seconds are of the clock, the least of five after one that compiles. `bare_s` is one call of
`RayCaster.closest` with the rays coming in and the hits going out, `simulate_s` a simulation of
50,000 rays for so many listeners (mono, 1 s).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from piavas.acoustics import Simulator
from piavas.rays import RayCaster
from piavas.twin import make_world

VARIANTS = ("llvm_ad_mono", "cuda_ad_mono")


def least(work: Callable[[], Any], times: int = 5) -> float:
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return round(min(seconds), 4)


def child(args: argparse.Namespace) -> None:
    world = make_world(args.seed)
    scene, places = world.scene(), world.free_points(1 + max(args.listeners), 1)
    caster = RayCaster(scene.vertices, scene.faces)
    ways = np.random.default_rng(0).normal(size=(args.rays, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    start = np.broadcast_to(places[0], ways.shape)
    simulator = Simulator(output="mono", rays=50_000, duration=1.0)
    row = {
        "variant": args.child,
        "cores": os.cpu_count(),
        "triangles": len(scene.faces),
        "bare_s": least(lambda: caster.closest(start, ways)),
    }
    for count in args.listeners:
        heads = places[1 : 1 + count]
        row[f"simulate_{count}_s"] = least(lambda h=heads: simulator(scene, places[0], h))
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rays", type=int, default=1_000_000)
    parser.add_argument("--listeners", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--child", choices=VARIANTS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    for variant in VARIANTS:
        env = {**os.environ, "PIAVAS_VARIANT": variant}
        command = [sys.executable, __file__, *sys.argv[1:], "--child", variant]
        subprocess.run(command, env=env, check=True)


if __name__ == "__main__":
    main()
