"""The set in the layout of RAF: physics on the room's mesh, before and after calibration."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator
from piavas.calibrate import RoomResponse, calibrate
from piavas.datasets.predict import predict
from piavas.datasets.raf import CUT, load_raf
from piavas.evaluate import evaluate
from piavas.experiments.bench import Bench
from piavas.experiments.data import ROOM, unknown_materials
from piavas.experiments.measure import table_path
from piavas.files import write_json
from piavas.geometry import load_mesh
from piavas.materials import load_scene, save_scene
from piavas.scene import Source
from piavas.twin.benchmark import TRUTH

VARIANTS = ("physics", "physics, calibrated")


def evaluate_room(bench: Bench) -> None:
    """Both variants; RAF ships a mesh of its room, so the exact one is given."""
    scenes = {name: bench.at("scenes", ROOM, name) for name in ("mesh", "mesh-calibrated")}
    first, second = scenes.values()
    bench.step(
        "scene of the RAF-like room",
        first / "materials.json",
        lambda: save_scene(unknown_materials(load_mesh(bench.at(ROOM, TRUTH, "mesh.ply"))), first),
    )
    bench.step(
        "calibrate the RAF-like room",
        second / "materials.json",
        lambda: _calibrate(bench, first, second),
    )
    for method, folder in zip(VARIANTS, scenes.values(), strict=True):
        path = table_path(bench.at("results", ROOM), method, "raf")
        bench.step(f"RAF: {method}", path, partial(_table, bench, method, folder, path))


def _calibrate(bench: Bench, before: Path, after: Path) -> None:
    """On a few of the training responses, spread over the list."""
    rirs = load_raf(bench.at(ROOM))
    train = rirs.of("train")
    chosen = np.linspace(0, len(train) - 1, min(len(train), bench.recipe.pieces)).astype(int)
    measured = [
        RoomResponse(
            Source(train[i].source, train[i].axis),
            train[i].pose[:3, 3],
            rirs.read(train[i].name)[0],
            rirs.sample_rate,
            train[i].name,
        )
        for i in chosen
    ]
    fitted = calibrate(load_scene(before), measured, rays=bench.recipe.rays, scattering=(1.0,))
    write_json(after / "calibration.json", fitted.report)
    save_scene(fitted.scene, after)


def _table(bench: Bench, method: str, folder: Path, path: Path) -> None:
    rirs = load_raf(bench.at(ROOM))
    out = bench.at("responses", folder.name)
    simulator = Simulator(rays=bench.recipe.rays)
    ours, theirs = predict(rirs, load_scene(folder), simulator, out, seconds=CUT)
    meta = {
        "size": bench.recipe.name,
        "protocol_facts": rirs.protocol("RAF").to_json(),
        "seeds": {"data": bench.recipe.responses.seed, "simulation": simulator.seed},
        "simulator": {"backend": simulator.backend, "rays": simulator.rays},
        "variant": method,
    }
    evaluate(ours, theirs, "raf", protocol="RAF", meta=meta).save(path)
