"""How near reconstructions of generated apartments come to the truth, one JSON object a line.

    python benchmarks/reconstruction.py [--seeds 1 2 3 4 5] [--depth sensor|stereo]
        [--frames 60] [--rooms 2]

Distances are exact point-to-mesh. `*_error` of sound compares what is simulated in the
reconstruction with the true mesh, both with the true materials, at four places of each apartment:
T30 relative, C50 and the direct-to-reverberant ratio in dB, means of absolute differences.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict

import numpy as np
from scipy.spatial import cKDTree

from piavas.acoustics import Simulator
from piavas.capture import Capture, load_capture
from piavas.evaluate import direct_to_reverberant, room_metrics
from piavas.geometry import reconstruct
from piavas.geometry.compare import agreement, sample_surface, seen_points
from piavas.scene import Mesh, Scene
from piavas.twin import generate_capture
from piavas.twin.world import World

SAMPLES, DENSE = 20_000, 200_000
RATE = 16_000
BANDS = (500.0, 1000.0, 2000.0)


def with_true_materials(mesh: Mesh, world: World) -> Scene:
    """`mesh` with each face made of what the nearest true surface is made of."""
    truth = world.scene()
    points, face = sample_surface(world.mesh, DENSE)
    _, near = cKDTree(points).query(mesh.triangles.mean(axis=1))
    return Scene(mesh.vertices, mesh.faces, truth.face_material[face[near]], truth.materials)


def heard(scene: Scene, source: np.ndarray, heads: np.ndarray) -> dict[str, np.ndarray]:
    """T30 in s, C50 and direct-to-reverberant ratio in dB at each head, means over bands."""
    responses = Simulator(output="mono", sample_rate=RATE, allow_leaks=True)(scene, source, heads)
    found = [room_metrics(r[0], RATE, bands=BANDS, broadband=False) for r in responses.samples]
    ratio = [float(direct_to_reverberant(r, RATE)[0]) for r in responses.samples]
    return {
        "t30": np.array([np.nanmean(m["T30"]) for m in found]),
        "c50": np.array([np.nanmean(m["C50"]) for m in found]),
        "drr": np.array(ratio),
    }


def wall_errors(mesh: Mesh, world: World) -> list[float]:
    """Metres by which the median of the faces near each true wall lies off it."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    normal, centre = np.cross(b - a, c - a), mesh.triangles.mean(axis=1)
    area = np.linalg.norm(normal, axis=1)
    normal = normal / np.maximum(area, 1e-12)[:, None]
    errors = []
    for room in world.plan.rooms:
        inside = [(centre[:, k] > room.low[k]) & (centre[:, k] < room.high[k]) for k in (0, 1)]
        for axis in (0, 1):
            for at, sign in ((room.low[axis], 1), (room.high[axis], -1)):
                wall = (normal[:, axis] * sign > 0.95) & (np.abs(centre[:, axis] - at) < 0.3)
                wall &= inside[1 - axis]
                if wall.any():
                    order = np.argsort(centre[wall, axis])
                    total = np.cumsum(area[wall][order])
                    middle = centre[wall, axis][order][np.searchsorted(total, total[-1] / 2)]
                    errors.append(float(abs(middle - at)))
                else:
                    errors.append(float("nan"))
    return errors


def doorways_open(mesh: Mesh, world: World) -> int:
    """How many doorways a ray passes, from half a metre before to half a metre behind."""
    from piavas.rays import RayCaster

    caster, count = RayCaster(mesh.vertices, mesh.faces), 0
    for door in world.plan.doorways:
        step = np.zeros(3)
        step[door.axis] = 0.3
        middle = np.array([*door.centre, 1.2])
        count += bool(caster.visible((middle - step)[None], (middle + step)[None])[0])
    return count


def measure(capture: Capture, world: World, depth: str) -> dict[str, object]:
    """One apartment."""
    cpu = time.process_time()
    mesh = reconstruct(capture, depth=depth)
    cpu = time.process_time() - cpu
    points, face = sample_surface(world.mesh, SAMPLES)
    lens = capture.frames[0].intrinsics
    fov = np.array([0.5 * lens.width / lens.fx, 0.5 * lens.height / lens.fy])
    seen = seen_points(world.mesh, points, face, np.stack([f.pose for f in capture.frames]), fov)
    places = world.free_points(5, 1, height=1.5, clearance=0.5)
    true, found = (
        heard(scene, places[0], places[1:])
        for scene in (world.scene(), with_true_materials(mesh, world))
    )
    walls = wall_errors(mesh, world)
    return {
        "cpu_s": round(cpu, 1),
        "triangles": len(mesh.faces),
        "leak": mesh.report["leak"],
        "seen": round(float(seen.mean()), 3),
        **{k: round(v, 4) for k, v in asdict(agreement(mesh, world.mesh, seen, points)).items()},
        "wall_error_median": round(float(np.nanmedian(walls)), 4),
        "wall_error_worst": round(float(np.nanmax(walls)), 4),
        "walls_missing": int(np.isnan(walls).sum()),
        "doorways": f"{doorways_open(mesh, world)}/{len(world.plan.doorways)}",
        "t30_error": round(float(np.nanmean(np.abs(found["t30"] / true["t30"] - 1))), 4),
        "c50_error_db": round(float(np.nanmean(np.abs(found["c50"] - true["c50"]))), 2),
        "drr_error_db": round(float(np.nanmean(np.abs(found["drr"] - true["drr"]))), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--depth", default="sensor", choices=["sensor", "stereo"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rooms", type=int, default=None)
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            world = generate_capture(
                folder, seed, frames=options.frames, rooms=options.rooms,
                film=options.depth == "stereo",
            )  # fmt: skip
            row = measure(load_capture(folder), world, options.depth)
        print(json.dumps({"seed": seed, "depth": options.depth, **row}), flush=True)


if __name__ == "__main__":
    main()
