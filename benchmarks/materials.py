"""How well materials are told from pictures of apartments never trained on, one JSON object a line.

    python benchmarks/materials.py [--seeds 301 302 303 304 305] [--frames 60] [--looks other|own]
        [--by classifier default labels] [--rays 60000] [--no-simulation]
        [--work FOLDER]

`other` looks are textures and colours that the classifier was never trained on, `own` those of the
generator. Every apartment is reconstructed from its own images with depth. Then, for each way:

- `accuracy`: area-weighted, of the most probable row on the reconstruction, against what the
  nearest true surface that faces its way is made of;
- `confidence`: area-weighted mean probability of that row: near `accuracy`, if it knows itself;
- `absorption`: relative error of the mean absorption in each octave band from 125 Hz, on the
  reconstruction, against the same mesh with the true materials;
- `because`: what the true materials add to that error (mean over six octaves), the largest first;
- `eyring`: relative error of Eyring's reverberation time of those (mean over six octaves), and
  `eyring_whole` against the true mesh (area and volume wrong as well);
- `t30_materials`, `t30_whole`: relative error of expected T30 (`expected.py`), eight places,
  500 Hz and 1 kHz, against the reconstruction with true materials and against the true mesh with
  true materials; `t30_noise` the same between two seeds on the true mesh, the chance of rays;
- `faces`, `bytes`: of the scene, and of its mesh and materials on disk.

Signed: positive is too much absorption or too long. What an earlier run photographed into `--work`
is used again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

import looks
from expected import expected, places_in
from piavas.acoustics.patches import face_normals
from piavas.capture import load_capture
from piavas.geometry import reconstruct
from piavas.geometry.compare import sample_surface
from piavas.materials import Assignment, assign, load_table, save_scene
from piavas.materials.subdivide import Subdivision, subdivide
from piavas.scene import Mesh, Scene, triangle_areas
from piavas.twin import generate_capture
from piavas.twin.finishes import MATERIALS
from piavas.twin.world import World, make_world

TABLE = load_table()
BANDS = slice(1, 7)  # 125 Hz to 4 kHz
PIECE, FINEST = 0.1, 0.3  # metres of edges, to score and to hear
DENSE = 400_000  # points of the true surface
NEAR = 16  # nearest ones of which the first that faces the same way counts


def mean_absorption(scene: Scene) -> np.ndarray:
    """`[9]`, weighted by area."""
    area = triangle_areas(scene.vertices, scene.faces)
    values = np.stack([m.absorption for m in scene.materials])[scene.face_material]
    return area @ values / area.sum()


def eyring(scene: Scene, mean: np.ndarray) -> np.ndarray:
    """`[9]` seconds for the mean absorption `[9]`, without air (Eyring 1930)."""
    area = triangle_areas(scene.vertices, scene.faces).sum()
    a, b, c = np.moveaxis(scene.vertices[scene.faces], 1, 0)
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6
    return 0.161 * volume / (-area * np.log(1 - mean))


def truth(cut: Subdivision, world: World) -> np.ndarray:
    """Of each small face the row of the nearest true surface that faces its way."""
    scene = world.scene()
    small = Scene(cut.vertices, cut.faces, np.zeros(len(cut.faces), int), scene.materials)
    points, face = sample_surface(world.mesh, DENSE)
    _, near = cKDTree(points).query(small.vertices[small.faces].mean(axis=1), k=NEAR)
    alike = face_normals(scene)[face[near]] @ face_normals(small)[:, :, None] > 0.5
    chosen = near[np.arange(len(near)), alike[..., 0].argmax(axis=1)]
    return world.face_material[face[chosen]]


def with_true_materials(mesh: Mesh, world: World) -> Scene:
    """`mesh`, each piece of it of what it is made of in truth."""
    cut = subdivide(mesh.vertices, mesh.faces, FINEST)
    rows = tuple(TABLE[name] for name in MATERIALS)
    return Scene(cut.vertices, cut.faces, truth(cut, world), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303, 304, 305])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--looks", default="other", choices=["other", "own"])
    parser.add_argument("--by", nargs="+", default=["classifier", "default", "labels"])
    parser.add_argument("--rays", type=int, default=60_000)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--no-simulation", action="store_true")
    options = parser.parse_args()
    for seed in options.seeds:
        dress = (lambda w, s=seed: looks.redress(w, s)) if options.looks == "other" else None
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.work / str(seed) if options.work else Path(temporary)
            if (folder / "transforms.json").is_file():
                world = make_world(seed)
            else:
                world = generate_capture(folder, seed, frames=options.frames, dress=dress)
            capture = load_capture(folder)
            mesh = reconstruct(capture)
            found = {by: assign(mesh, capture, by=by) for by in options.by}
        measure(seed, world, found, with_true_materials(mesh, world), options)


def measure(
    seed: int, world: World, found: dict[str, Assignment], true: Scene, options: argparse.Namespace
) -> None:
    """One line for each way."""
    whole, sound, noise = world.scene(), {}, 0.0
    scenes = {by: one.scene for by, one in found.items()}
    ideal = eyring(whole, mean_absorption(whole))
    if not options.no_simulation:
        places = places_in(world)
        for name, scene in {"whole": whole, "true": true, **scenes}.items():
            sound[name] = expected(scene, places[0], places[1:], rays=options.rays).t30
        again = expected(whole, places[0], places[1:], rays=options.rays, seed=1).t30
        noise = float(np.nanmean(np.abs(again / sound["whole"] - 1)))
    for by, scene in scenes.items():
        cut = subdivide(scene.vertices, scene.faces, PIECE)
        row_of, own = truth(cut, world), cut.parent
        area = triangle_areas(cut.vertices, cut.faces)
        area /= area.sum()
        names = np.array([m.name.split(" (")[0] for m in scene.materials])[scene.face_material[own]]
        exact = area @ np.stack([TABLE[name].absorption for name in MATERIALS])[row_of]
        mean = mean_absorption(scene)
        felt = np.stack([m.absorption for m in scene.materials])[scene.face_material[own]]
        off = mean / exact - 1
        row = {
            "seed": seed,
            "looks": options.looks,
            "by": by,
            "accuracy": round(float(area @ (names == np.array(MATERIALS)[row_of])), 3),
            "confidence": confidence(found[by]),
            "absorption": [round(float(v), 3) for v in off[BANDS]],
            "absorption_mean": round(float(np.abs(off[BANDS]).mean()), 3),
            "because": because(felt, row_of, area),
            "eyring": round(
                float((eyring(scene, mean) / eyring(scene, exact) - 1)[BANDS].mean()), 3
            ),
            "eyring_whole": round(float((eyring(scene, mean) / ideal - 1)[BANDS].mean()), 3),
        }
        for against in ("true", "whole") if sound else ():
            error = float(np.nanmean(sound[by] / sound[against] - 1))
            row[f"t30_{'materials' if against == 'true' else against}"] = round(error, 3)
        if sound:
            row["t30_noise"] = round(noise, 4)
        row |= {"faces": len(scene.faces), "bytes": on_disk(scene)}
        print(json.dumps(row), flush=True)


def confidence(found: Assignment) -> float | None:
    """Mean probability of the most probable rows, where pictures were asked."""
    if found.faces is None:
        return None
    area = triangle_areas(found.scene.vertices, found.scene.faces)
    return round(float(area @ found.faces.probability.max(axis=1) / area.sum()), 3)


def because(felt: np.ndarray, row_of: np.ndarray, area: np.ndarray) -> dict[str, float]:
    """What pieces of each true row add to the error of the mean absorption `felt` `[n, 9]`."""
    rows = np.stack([TABLE[name].absorption for name in MATERIALS])[row_of]
    part = ((felt - rows) / (area @ rows))[:, BANDS].mean(axis=1)
    total = np.bincount(row_of, area * part, len(MATERIALS))
    return {MATERIALS[k]: round(float(total[k]), 3) for k in np.argsort(-np.abs(total))[:5]}


def on_disk(scene: Scene) -> int:
    """Bytes of `mesh.ply` and `materials.json`."""
    with tempfile.TemporaryDirectory() as folder:
        return sum(file.stat().st_size for file in save_scene(scene, folder).iterdir())


if __name__ == "__main__":
    main()
