"""How near reconstructions of generated apartments come to the truth, one JSON object a line.

    python benchmarks/reconstruction.py [--seeds 1 2 3 4 5] [--depth sensor|stereo]
        [--frames 60] [--width 640] [--rooms 2]
        [--ceiling level|pitched|gabled|attic|stepped] [--shape] [--rays 120000]

Pictures are 320 pixels wide with a sensor, 640 for stereo, or as asked for.

Distances are exact point-to-mesh. `absorption` is the area of full absorption (500 Hz and 1 kHz)
of the reconstruction relative to the truth's, less 1. Sound is compared in expected energies
(`expected.py`) at eight places of each apartment, both meshes with the true materials: means of
absolute differences (`error`) and of signed ones (`bias`); T30 relative, C50 and the
direct-to-reverberant ratio, where the source is seen, in dB. `noise` holds the same differences
between two simulations of the true mesh: less than that is not told from chance.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from piavas.acoustics.confidence import MIDDLE
from piavas.acoustics.patches import face_normals
from piavas.capture import Capture, load_capture
from piavas.geometry import reconstruct
from piavas.geometry.compare import agreement, sample_surface, seen_points
from piavas.materials.subdivide import subdivide
from piavas.scene import Mesh, Scene, triangle_areas
from piavas.twin import generate_capture
from piavas.twin.roofs import KINDS
from piavas.twin.world import World

sys.path.insert(0, str(Path(__file__).parent))
from expected import RAYS, expected, places_in

SAMPLES, DENSE = 20_000, 400_000
FINEST = 0.3  # metres of an edge within which a face is of one material
NEAR = 16  # nearest true points of which the first that faces the same way counts


def with_true_materials(mesh: Mesh, world: World) -> Scene:
    """`mesh`, each piece of it of what the nearest true surface that faces its way is made of."""
    truth = world.scene()
    cut = subdivide(mesh.vertices, mesh.faces, FINEST)
    vertices, faces = cut.vertices, cut.faces
    scene = Scene(vertices, faces, np.zeros(len(faces), np.int32), truth.materials)
    points, face = sample_surface(world.mesh, DENSE)
    _, near = cKDTree(points).query(vertices[faces].mean(axis=1), k=NEAR)
    alike = np.einsum("fkc,fc->fk", face_normals(truth)[face[near]], face_normals(scene)) > 0.5
    chosen = near[np.arange(len(near)), alike.argmax(axis=1)]
    return Scene(vertices, faces, truth.face_material[face[chosen]], truth.materials)


def absorbing(scene: Scene) -> float:
    """Square metres of full absorption in the bands that sound is compared in."""
    area = triangle_areas(scene.vertices, scene.faces)
    values = np.stack([m.absorption for m in scene.materials])[:, MIDDLE].mean(axis=1)
    return float(area @ values[scene.face_material])


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


def ceiling_errors(mesh: Mesh, world: World) -> list[tuple[float, float]]:
    """Metres and degrees by which each piece of a ceiling that is not level lies off the truth.

    A plane is fitted to the mesh's faces that look down within 30 cm of the piece; metres are those
    under its middle, not a number where there are no such faces.
    """
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area, middle = np.linalg.norm(normal, axis=1) / 2, corners.mean(axis=1)
    down = -normal[:, 2] > 1.2 * area  # less than 53 degrees from straight down
    errors = []
    for room, roof in zip(world.plan.rooms, world.plan.roofs, strict=False):
        ends = list(zip(roof.at, roof.heights, strict=True)) if roof else []
        for (u0, z0), (u1, z1) in itertools.pairwise(ends):
            if u1 - u0 < 0.1:
                continue
            slope = (z1 - z0) / (u1 - u0)
            u, v = middle[:, roof.axis], middle[:, 1 - roof.axis]
            mine = down & (u > u0 + 0.03) & (u < u1 - 0.03)
            mine &= (v > room.low[1 - roof.axis]) & (v < room.high[1 - roof.axis])
            mine &= np.abs(middle[:, 2] - z0 - slope * (u - u0)) < 0.3
            if area[mine].sum() < 0.2:
                errors.append((float("nan"), float("nan")))
                continue
            at, weight = corners[mine].reshape(-1, 3), np.repeat(area[mine], 3)
            for _ in range(10):  # least absolute differences, by weights: lamps are no ceiling
                sides = np.stack([at[:, roof.axis], np.ones(len(at))], axis=1)
                root = np.sqrt(weight)[:, None]
                fit, *_ = np.linalg.lstsq(root * sides, root[:, 0] * at[:, 2], rcond=None)
                off = np.abs(at[:, 2] - sides @ fit)
                weight = np.repeat(area[mine], 3) / np.maximum(off, 1e-3)
            found = fit @ [(u0 + u1) / 2, 1]
            angles = np.degrees(np.arctan([fit[0], slope]))
            errors.append((float(abs(found - (z0 + z1) / 2)), float(abs(angles[0] - angles[1]))))
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


def sound(mesh: Mesh, world: World, rays: int = RAYS) -> dict[str, object]:
    """What sound makes of the difference."""
    truth, like = world.scene(), with_true_materials(mesh, world)
    places = places_in(world)
    one, other = (
        expected(truth, places[0], places[1:], rays=2 * rays, seed=seed) for seed in (0, 1)
    )
    found = expected(like, places[0], places[1:], rays=rays)
    return {
        "absorption": round(absorbing(like) / absorbing(truth) - 1, 3),
        **found.off(one.mean(other)),
        "noise": other.off(one),
    }


def measure(capture: Capture, world: World, depth: str) -> tuple[Mesh, dict[str, object]]:
    """One apartment."""
    cpu = time.process_time()
    mesh = reconstruct(capture, depth=depth)
    cpu = time.process_time() - cpu
    points, face = sample_surface(world.mesh, SAMPLES)
    lens = capture.frames[0].intrinsics
    fov = np.array([0.5 * lens.width / lens.fx, 0.5 * lens.height / lens.fy])
    seen = seen_points(world.mesh, points, face, np.stack([f.pose for f in capture.frames]), fov)
    walls, ceilings = wall_errors(mesh, world), ceiling_errors(mesh, world)
    return mesh, {
        "cpu_s": round(cpu, 1),
        "triangles": len(mesh.faces),
        "leak": mesh.report["leak"],
        "seen": round(float(seen.mean()), 3),
        **{k: round(v, 4) for k, v in asdict(agreement(mesh, world.mesh, seen, points)).items()},
        "wall_error_median": round(float(np.nanmedian(walls)), 4),
        "wall_error_worst": round(float(np.nanmax(walls)), 4),
        "walls_missing": int(np.isnan(walls).sum()),
        "ceiling_errors": [(round(off, 4), round(angle, 2)) for off, angle in ceilings],
        "doorways": f"{doorways_open(mesh, world)}/{len(world.plan.doorways)}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--depth", default="sensor", choices=["sensor", "stereo"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--rooms", type=int, default=None)
    parser.add_argument("--ceiling", default="level", choices=KINDS)
    parser.add_argument("--shape", action="store_true", help="leave sound out")
    parser.add_argument("--rays", type=int, default=RAYS, help="twice as many in the truth")
    options = parser.parse_args()
    stereo = options.depth == "stereo"
    width = options.width or (640 if stereo else 320)
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            world = generate_capture(
                folder, seed, frames=options.frames, rooms=options.rooms, width=width,
                height=3 * width // 4, film=stereo, ceiling=options.ceiling,
            )  # fmt: skip
            mesh, row = measure(load_capture(folder), world, options.depth)
            row |= {} if options.shape else sound(mesh, world, options.rays)
        print(json.dumps({"seed": seed, "depth": options.depth, "width": width, **row}), flush=True)


if __name__ == "__main__":
    main()
