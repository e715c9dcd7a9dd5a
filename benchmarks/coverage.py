"""What the pictures of generated apartments show, one JSON object a line.

    python benchmarks/coverage.py [--seeds 12 19 22] [--frames 70 140 280] [--rooms 2]

Films as `reconstruction.py --depth stereo` takes them. `surface` is the share of the true surface
that at least `--images` (3) pictures see, `absorption` that of its full absorption (500 Hz and 1
kHz), and `materials` tells both of the materials that absorb most: stereo matches a place in one
image and confirms it in two others. The rest is hidden, or nobody pointed the camera there.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from piavas.acoustics.confidence import MIDDLE
from piavas.geometry.compare import sample_surface, seen_points
from piavas.twin.generate import lens
from piavas.twin.walk import walk
from piavas.twin.world import make_world

SAMPLES = 10_000
MOST = 6  # materials that are told of


def coverage(seed: int, rooms: int, frames: int, images: int) -> dict[str, object]:
    """One film of one apartment."""
    world, camera = make_world(seed, rooms), lens(640, 480)
    mesh, scene = world.mesh, world.scene()
    points, face = sample_surface(mesh, SAMPLES)
    fov = np.array([0.5 * camera.width / camera.fx, 0.5 * camera.height / camera.fy])
    views = walk(world, frames, film=True)
    count = sum(seen_points(mesh, points, face, pose[None], fov).astype(int) for pose in views)
    seen = np.asarray(count) >= images
    material = scene.face_material[face]
    absorbed = np.stack([m.absorption for m in scene.materials])[:, MIDDLE].mean(axis=1)[material]
    total = np.bincount(material, absorbed, len(scene.materials))
    return {
        "seed": seed,
        "frames": frames,
        "surface": round(float(seen.mean()), 3),
        "absorption": round(float((absorbed * seen).sum() / absorbed.sum()), 3),
        "materials": {
            scene.materials[m].name: {
                "of_absorption": round(float(total[m] / total.sum()), 3),
                "seen": round(float(seen[material == m].mean()), 3),
            }
            for m in np.argsort(-total)[:MOST]
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[12, 19, 22])
    parser.add_argument("--frames", type=int, nargs="+", default=[70, 140, 280])
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--images", type=int, default=3)
    options = parser.parse_args()
    for seed in options.seeds:
        for frames in options.frames:
            row = coverage(seed, options.rooms, frames, options.images)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
