"""CPU time, peak memory and error of binaural responses in a furnished two-room apartment.

python benchmarks/simulate.py [--quick] [--meshes apt5k apt50k] [--listeners 1 20 1000]
                              [--rays auto 4096] [--diffraction 1 0] [--peers steam-audio]

One JSON object a line. CPU time is of all threads; every measurement has a process of its own, so
that peak memory is its own too, and compiles its kernels on another room before it is timed.
`prepare_cpu_ms` is what a scene costs once: tree of triangles, mirrors, edges. Errors
are against the engine with a million rays at some of the same heads: the mean over heads, ears and
octave bands from 250 Hz to 4 kHz of the deviation of T30 (relative) and C50 (dB), both of the
finished responses. `ray_mray_per_cpu_s` is what bare Mitsuba traces on the larger mesh in the same
run, by which figures of other machines can be carried over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator
from piavas.acoustics.backends import BACKENDS
from piavas.acoustics.field import ready
from piavas.acoustics.hearing import Pairs
from piavas.acoustics.late import ear_noise, late_ears
from piavas.acoustics.receivers import ear_classes
from piavas.errors import PiavasError
from piavas.evaluate import room_metrics
from piavas.rays import RayCaster
from piavas.scene import Material, Pose, Scene, Source

MESHES = Path(os.environ.get("PIAVAS_SHARED", "../shared")) / "data" / "bench_meshes"
SOURCE = (1.5, 2.0, 1.5)
RATE, SECONDS, ORDER = 48_000, 1.0, 3
BANDS = (250.0, 500.0, 1000.0, 2000.0, 4000.0)
CLEAR = 0.25  # metres that heads keep from surfaces
STAGE = 50_000  # rays of the reference traced at a time


def apartment(name: str) -> Scene:
    """The apartment, absorption .2 and scattering .1 everywhere."""
    data = np.load(MESHES / f"{name}.npz")
    materials = tuple(Material(str(i), 0.2, 0.1) for i in range(int(data["M"].max()) + 1))
    return Scene(data["V"], data["F"], data["M"], materials)


def heads(scene: Scene, count: int) -> np.ndarray:
    """Poses `[count, 4, 4]` of heads in both rooms at 1 to 1.8 m, turned at random."""
    generator = np.random.default_rng(7)
    room, poses = ready(scene), []
    lower, upper = scene.vertices.min(axis=0), scene.vertices.max(axis=0)
    lower[2], upper[2] = lower[2] + 1.0, lower[2] + 1.8
    while len(poses) < count:
        places = generator.uniform(lower, upper, (1024, 3))
        away, behind = room.surroundings(places)
        ways = np.eye(3)[[0, 0, 1, 1, 2, 2]] * np.array([1, -1, 1, -1, 1, -1])[:, None]
        far, _ = room.caster.closest(np.repeat(places, 6, axis=0), np.tile(ways, (1024, 1)))
        free = (away < 0.1) & (behind < 0.1) & (far.reshape(-1, 6).min(axis=1) > CLEAR)
        turns = generator.uniform(0, 360, 1024)
        poses += [Pose.at(p, yaw=t).matrix for p, t in zip(places[free], turns[free], strict=True)]
    return np.stack(poses[:count])


def reference(simulator: Simulator, scene: Scene, poses: np.ndarray, rays: int) -> np.ndarray:
    """Responses `[l, 2, time]` of `rays` rays, traced by the stage and averaged as echograms."""
    stages = max(1, rays // STAGE)
    hearing = simulator.prepare(ready(scene), Pairs.of([Source(np.array(SOURCE))], poses))
    how, head = hearing.how, hearing.listener.hrtf
    classes, grams = ear_classes(head), 0.0
    for stage in range(stages):
        other = replace(hearing, simulator=replace(simulator, seed=1000 + stage))
        field = other.field(hearing.groups[0], rays // stages)
        hits = field.hits(field.balls(poses[:, :3, 3]))
        grams = grams + np.stack(
            [how.echogram(h, field.arrivals, p, classes) for h, p in zip(hits, poses, strict=True)]
        )
    noise = ear_noise(head, how.length, how.sample_rate, how.seed)
    paths = field.paths(poses[:, :3, 3]).split(len(poses))
    return np.stack(
        [
            hearing.early(way, pose) + late_ears(gram / stages, noise, how.sample_rate, how.length)
            for way, pose, gram in zip(paths, poses, grams, strict=True)
        ]
    )


def errors(samples: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean and 95th percentile of the deviations of T30 (relative) and C50 (dB)."""
    one, two = (room_metrics(s, RATE, bands=BANDS, broadband=False) for s in (samples, truth))
    t30 = np.abs(one["T30"] / two["T30"] - 1)
    c50 = np.abs(one["C50"] - two["C50"])
    return {
        "t30_error": round(float(np.nanmean(t30)), 4),
        "t30_error_p95": round(float(np.nanpercentile(t30, 95)), 4),
        "c50_error_db": round(float(np.nanmean(c50)), 3),
        "c50_error_db_p95": round(float(np.nanpercentile(c50, 95)), 3),
    }


def peak_megabytes() -> float:
    """Peak resident memory of this process (Linux: `VmHWM`, which starts anew with a program)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(task: dict) -> dict:
    """One line: the responses of one configuration, timed in this process."""
    scene = apartment(task["mesh"])
    poses = heads(scene, task["listeners"])
    simulator = Simulator(
        backend=task["backend"],
        rays=task["rays"],
        duration=SECONDS,
        sample_rate=RATE,
        specular_order=ORDER,
        diffraction_order=task["diffraction"],
    )
    simulator(Scene.shoebox((5, 4, 3), absorption=0.2, scattering=0.1), (1, 1, 1), [(4, 2, 1)] * 2)
    start = time.process_time()
    replace(simulator, rays=16)(replace(scene), SOURCE, poses[:1])
    prepared = time.process_time() - start
    replace(simulator, rays=16)(scene, SOURCE, poses[:1])
    clock, start = time.perf_counter(), time.process_time()
    responses = simulator(scene, SOURCE, poses)
    spent, wall = time.process_time() - start, time.perf_counter() - clock
    peak = peak_megabytes()
    line = {
        **task,
        "cpu_ms_per_listener": round(1e3 * spent / len(poses), 2),
        "wall_ms_per_listener": round(1e3 * wall / len(poses), 2),
        "prepare_cpu_ms": round(1e3 * prepared, 1),
        "peak_mb": round(peak),
    }
    truth = np.load(task.pop("truth")) if task.get("truth") else None
    line.pop("truth", None)
    if truth is not None:
        some = responses.samples[: len(truth)]
        line |= errors(some, truth[: len(some)])
    line["rays"] = responses.report.get("rays", task["rays"])
    return line


def bare_rays(scene: Scene, rays: int = 200_000, repeats: int = 5) -> float:
    """Million closest hits of incoherent rays a CPU second of Mitsuba alone."""
    caster, generator = RayCaster(scene.vertices, scene.faces), np.random.default_rng(0)
    way = generator.normal(size=(rays, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    at = np.array(SOURCE) + 0.3 * way
    caster.closest(at, way)
    start = time.process_time()
    for _ in range(repeats):
        caster.closest(at, way)
    return rays * repeats / (time.process_time() - start) / 1e6


def _child(task: dict) -> dict:
    run = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        return {**task, "failed": run.stderr.strip().splitlines()[-1:]}
    return dict(json.loads(run.stdout.splitlines()[-1]))


def tasks(options: argparse.Namespace) -> list[dict]:
    """Every configuration asked for."""
    return [
        {"mesh": mesh, "listeners": count, "backend": name, "diffraction": bent, "rays": rays}
        for mesh in options.meshes
        for name in ("native", *options.peers)
        for bent in (options.diffraction if name == "native" else [0])
        for count in options.listeners
        for rays in (options.rays if name == "native" else [8192])
        if name == "native" or count <= 20
    ]


def main() -> None:
    """Print one line for each configuration, and the speed of bare rays last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in a minute")
    parser.add_argument("--meshes", nargs="+", default=["apt5k", "apt50k"])
    parser.add_argument("--listeners", nargs="+", type=int, default=[1, 20, 1000])
    parser.add_argument("--rays", nargs="+", default=["auto"])
    parser.add_argument("--diffraction", nargs="+", type=int, default=[1, 0])
    parser.add_argument("--peers", nargs="*", default=[], choices=BACKENDS[1:])
    parser.add_argument("--reference-rays", type=int, default=1_000_000)
    parser.add_argument("--reference-heads", type=int, default=16)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        try:
            print(json.dumps(measure(json.loads(options.task))))
        except PiavasError as problem:
            sys.exit(str(problem))
        return
    if options.quick:
        options.meshes, options.listeners, options.diffraction = ["apt50k"], [1, 100], [1]
        options.reference_rays, options.reference_heads = 200_000, 4
    options.rays = [r if r == "auto" else int(r) for r in options.rays]
    with tempfile.TemporaryDirectory() as folder:
        for mesh in options.meshes:
            for bent in options.diffraction:
                scene = apartment(mesh)
                simulator = Simulator(
                    duration=SECONDS, specular_order=ORDER, diffraction_order=bent
                )
                poses = heads(scene, options.reference_heads)
                truth = reference(simulator, scene, poses, options.reference_rays)
                np.save(f"{folder}/{mesh}-{bent}.npy", truth)
        for task in tasks(options):
            truth = f"{folder}/{task['mesh']}-{task['diffraction']}.npy"
            known = {"truth": truth} if task["backend"] == "native" else {}
            print(json.dumps(_child(task | known)), flush=True)
    speed = bare_rays(apartment(options.meshes[-1]))
    print(json.dumps({"mesh": options.meshes[-1], "ray_mray_per_cpu_s": round(speed, 2)}))


if __name__ == "__main__":
    main()
