"""The native engine and its peers side by side: CPU seconds a response, T30 and C50.

python benchmarks/peers.py [--quick] [--scenes box apt5k apt50k] [--engines native steam-audio ...]
                           [--listeners 1 20] [--native-listeners 1 20 1000]
                           [--rlr PYTHON] [--rlr-rays 5000 20000]

One JSON object a line. Every line has a process of its own; CPU time is of all its threads, after
a warm-up in another room (or, for rlr-audio-propagation, at the first listener). All responses are
binaural, 48 kHz, 1 s, absorption .2 and scattering .1 everywhere, with each engine's own defaults.
`steam-audio-32` is Steam Audio with 8,192 rays of 32 bounces and no mending: its bare cost. T30 and
C50 are means over heads, ears and the octaves from 250 Hz to 4 kHz. The last lines are ratios to
the native engine's cheapest line of the same scene. `--rlr` names a Python interpreter that has
rlr-audio-propagation (default: `PIAVAS_RLR_PYTHON`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from piavas.acoustics.simulator import Simulator
from piavas.errors import PiavasError
from piavas.evaluate import room_metrics
from piavas.scene import Pose, Scene
from simulate import SOURCE, apartment, heads

RATE, SECONDS = 48_000, 1.0
BANDS = (250.0, 500.0, 1000.0, 2000.0, 4000.0)
ABSORPTION, SCATTERING = 0.2, 0.1
BOX, BOX_SOURCE = (6.0, 4.0, 3.0), (1.0, 1.0, 1.5)
RAYS = {"native": "auto", "pyroomacoustics": 20_000, "steam-audio": 8192, "steam-audio-32": 8192}
ENGINES = (*RAYS, "rlr")


def scene_of(name: str) -> tuple[Scene, tuple[float, float, float]]:
    """A scene of the comparison and its source."""
    if name == "box":
        return Scene.shoebox(BOX, absorption=ABSORPTION, scattering=SCATTERING), BOX_SOURCE
    return apartment(name), SOURCE


def poses_of(name: str, scene: Scene, count: int) -> np.ndarray:
    """Heads in a scene `[count, 4, 4]`, the same for every engine."""
    if name != "box":
        return heads(scene, count)
    generator = np.random.default_rng(7)
    places = generator.uniform(0.5, np.array(BOX) - 0.5, (count, 3))
    turns = generator.uniform(0, 360, count)
    return np.stack([Pose.at(p, yaw=t).matrix for p, t in zip(places, turns, strict=True)])


def room_figures(samples: np.ndarray) -> dict[str, float]:
    """Means of T30 and C50 over heads, ears and octaves."""
    found = room_metrics(samples, RATE, bands=BANDS, broadband=False)
    with np.errstate(invalid="ignore"):
        return {
            "t30_s": round(float(np.nanmean(found["T30"])), 3),
            "c50_db": round(float(np.nanmean(found["C50"])), 2),
        }


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """One line of an engine that runs in this interpreter."""
    scene, source = scene_of(task["scene"])
    poses = poses_of(task["scene"], scene, task["listeners"])
    if task["engine"] == "steam-audio-32":
        return bare_steam_audio(task, scene, source, poses)
    simulator = Simulator(task["engine"], rays=task["rays"], duration=SECONDS, sample_rate=RATE)
    simulator(Scene.shoebox((5, 4, 3), absorption=0.2), (1, 1, 1), [(4, 2, 1)] * 2)
    start = time.process_time()
    found = simulator(scene, source, poses)
    spent = time.process_time() - start
    some = found.samples[:: max(1, len(poses) // 50)]
    return line(task, spent, some, str(found.report["version"]))


def bare_steam_audio(
    task: dict[str, Any], scene: Scene, source: tuple[float, float, float], poses: np.ndarray
) -> dict[str, Any]:
    """Steam Audio as games use it: first order, 32 bounces, W alone judged."""
    from piavas.acoustics.backends.steam_library import steam_audio
    from piavas.acoustics.backends.steam_roads import Trace, road_b
    from piavas.acoustics.backends.steam_scene import AIR, SPEED, convert

    phonon = steam_audio()
    mesh = convert(scene, inward=1.0, scale=1.0)
    how = Trace(task["rays"], 32, SECONDS, 1, AIR, SPEED, 1)
    start = time.process_time()
    found = road_b(phonon, mesh, np.array(source), poses[:, :3, 3], how)
    spent = time.process_time() - start
    return line(task, spent, found[:, :1], phonon.version)


def measure_rlr(task: dict[str, Any], python: str) -> dict[str, Any]:
    """One line of rlr-audio-propagation, run by the interpreter that has it."""
    scene, source = scene_of(task["scene"])
    poses = poses_of(task["scene"], scene, task["listeners"])
    with tempfile.TemporaryDirectory() as folder:
        given, got = Path(folder) / "task.npz", Path(folder) / "responses.npy"
        np.savez(
            given,
            vertices=scene.vertices,
            faces=scene.faces,
            source=source,
            heads=poses[:, :3, 3],
            material=[ABSORPTION, SCATTERING],
            how=[task["rays"], SECONDS, RATE],
        )
        worker = Path(__file__).with_name("rlr_worker.py")
        run = subprocess.run(
            [python, str(worker), str(given), str(got)], capture_output=True, text=True, check=False
        )
        if run.returncode:
            return {**task, "failed": run.stderr.strip().splitlines()[-1:]}
        told = json.loads(run.stdout.strip().splitlines()[-1])
        return line(task, told["cpu_s"], np.load(got), told["version"])


def line(task: dict[str, Any], spent: float, samples: np.ndarray, version: str) -> dict[str, Any]:
    """What is printed of one measurement."""
    cost = {"cpu_s_per_response": round(spent / task["listeners"], 5)}
    return {**task, "version": version, **cost, **room_figures(samples)}


def _child(task: dict[str, Any]) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        return {**task, "failed": run.stderr.strip().splitlines()[-1:]}
    return json.loads(run.stdout.splitlines()[-1])


def tasks(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every measurement asked for."""
    out = []
    for scene in options.scenes:
        for engine in options.engines:
            counts = options.native_listeners if engine == "native" else options.listeners
            for rays in options.rlr_rays if engine == "rlr" else [RAYS[engine]]:
                out += [
                    {"scene": scene, "engine": engine, "listeners": n, "rays": rays} for n in counts
                ]
    return out


def ratios(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times each line costs what the native engine's cheapest one of its scene does."""
    good = [one for one in lines if "cpu_s_per_response" in one]
    out = []
    for one in good:
        native = [
            other["cpu_s_per_response"]
            for other in good
            if other["engine"] == "native" and other["scene"] == one["scene"]
        ]
        if native and one["engine"] != "native":
            times = round(one["cpu_s_per_response"] / min(native), 1)
            keys = ("scene", "engine", "listeners", "rays")
            out.append({**{key: one[key] for key in keys}, "times_native": times})
    return out


def main() -> None:
    """Print a line for each measurement, then the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the box, few listeners")
    parser.add_argument("--scenes", nargs="+", default=["box", "apt5k", "apt50k"])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--listeners", nargs="+", type=int, default=[1, 20])
    parser.add_argument("--native-listeners", nargs="+", type=int, default=[1, 20, 1000])
    parser.add_argument("--rlr", default=os.environ.get("PIAVAS_RLR_PYTHON"))
    parser.add_argument("--rlr-rays", nargs="+", type=int, default=[5000])
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        try:
            print(json.dumps(measure(json.loads(options.task))))
        except PiavasError as problem:
            sys.exit(str(problem))
        return
    if options.quick:
        options.scenes, options.listeners, options.native_listeners = ["box"], [4], [4, 100]
    if not options.rlr:
        options.engines = [engine for engine in options.engines if engine != "rlr"]
    lines = []
    for task in tasks(options):
        done = measure_rlr(task, options.rlr) if task["engine"] == "rlr" else _child(task)
        lines.append(done)
        print(json.dumps(done), flush=True)
    for ratio in ratios(lines):
        print(json.dumps(ratio), flush=True)


if __name__ == "__main__":
    main()
