"""How well materials are told from pictures of apartments never trained on, one JSON object a line.

    python benchmarks/materials.py [--seeds 301 302 303 304 305] [--frames 60] [--looks other|own]
        [--by classifier default labels] [--no-simulation]

`other` looks are textures and colours that the classifier was never trained on, `own` those of the
generator. Every apartment is reconstructed from its own images with depth. Then, for each way:

- `accuracy`: area-weighted, of the most probable row on the reconstruction, against what the
  nearest true surface is made of;
- `absorption`: relative error of the mean absorption in each octave band from 125 Hz, on the
  reconstruction, against the same mesh with the true materials;
- `eyring`: relative error of Eyring's reverberation time of those (mean over six octaves), and
  `eyring_whole` against the true mesh (area and volume wrong as well);
- `t30_materials`, `t30_whole`: relative error of simulated T30 at four places, 500 Hz to 2 kHz,
  against the reconstruction with true materials, and against the true mesh with true materials.

Signed: positive is too much absorption or too long.
"""

from __future__ import annotations

import argparse
import json
import tempfile

import numpy as np
from scipy.spatial import cKDTree

import looks
import reconstruction as rec
from piavas.capture import load_capture
from piavas.geometry import reconstruct
from piavas.geometry.compare import sample_surface
from piavas.materials import assign, load_table
from piavas.scene import Scene, triangle_areas
from piavas.twin import generate_capture
from piavas.twin.finishes import MATERIALS
from piavas.twin.world import World

TABLE = load_table()
BANDS = slice(1, 7)  # 125 Hz to 4 kHz


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


def truth(scene: Scene, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Points all over the surface of `scene`: their faces, and the nearest true surface's row."""
    points, face = sample_surface(world.mesh, rec.DENSE)
    mesh_points, own = sample_surface(scene.mesh, rec.SAMPLES)
    _, near = cKDTree(points).query(mesh_points)
    return own, world.face_material[face[near]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303, 304, 305])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--looks", default="other", choices=["other", "own"])
    parser.add_argument("--by", nargs="+", default=["classifier", "default", "labels"])
    parser.add_argument("--no-simulation", action="store_true")
    options = parser.parse_args()
    for seed in options.seeds:
        dress = (lambda w, s=seed: looks.redress(w, s)) if options.looks == "other" else None
        with tempfile.TemporaryDirectory() as folder:
            world = generate_capture(folder, seed, frames=options.frames, dress=dress)
            capture = load_capture(folder)
            mesh = reconstruct(capture)
            scenes = {by: assign(mesh, capture, by=by).scene for by in options.by}
        measure(seed, world, scenes, rec.with_true_materials(mesh, world), options)


def measure(
    seed: int, world: World, scenes: dict[str, Scene], true: Scene, options: argparse.Namespace
) -> None:
    """One line for each way."""
    whole, sound = world.scene(), {}
    ideal = eyring(whole, mean_absorption(whole))
    if not options.no_simulation:
        places = world.free_points(5, 1, height=1.5, clearance=0.5)
        for name, scene in {"whole": whole, "true": true, **scenes}.items():
            sound[name] = rec.heard(scene, places[0], places[1:])["t30"]
    for by, scene in scenes.items():
        own, row_of = truth(scene, world)
        names = np.array([m.name.split(" (")[0] for m in scene.materials])[scene.face_material[own]]
        exact = np.stack([TABLE[name].absorption for name in MATERIALS])[row_of].mean(axis=0)
        mean = mean_absorption(scene)
        off = mean / exact - 1
        row = {
            "seed": seed,
            "looks": options.looks,
            "by": by,
            "accuracy": round(float((names == np.array(MATERIALS)[row_of]).mean()), 3),
            "absorption": [round(float(v), 3) for v in off[BANDS]],
            "absorption_mean": round(float(np.abs(off[BANDS]).mean()), 3),
            "eyring": round(
                float((eyring(scene, mean) / eyring(scene, exact) - 1)[BANDS].mean()), 3
            ),
            "eyring_whole": round(float((eyring(scene, mean) / ideal - 1)[BANDS].mean()), 3),
        }
        for against in ("true", "whole") if sound else ():
            error = float(np.nanmean(sound[by] / sound[against] - 1))
            row[f"t30_{'materials' if against == 'true' else against}"] = round(error, 3)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
