"""Time and memory of `piavas reconstruct scan.ply` for a scan of millions of triangles.

    python benchmarks/big_scan.py --millions 5

Two generated rooms are cut into triangles of a given edge, moved by 2 mm at random as scanners do,
and reconstructed by the command line in a process of its own. Prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh
import tyro

ROOMS = (((0, 0, 0), (4, 4, 2.7)), ((4.2, 0, 0), (8.2, 4, 2.4)), ((3.9, 2.6, 0), (4.3, 3.6, 2.0)))


def make_scan(path: Path, triangles: float) -> int:
    """Write the scan with at least so many `triangles`; how many there are."""
    from manifold3d import Manifold

    air = Manifold()
    for low, high in ROOMS:
        size = np.subtract(high, low).astype(float)
        air += Manifold.cube(tuple(size)).translate(tuple(map(float, low)))
    mesh = air.to_mesh()
    vertices = np.asarray(mesh.vert_properties, float)[:, :3]
    faces = np.asarray(mesh.tri_verts, np.int64)[:, ::-1]
    vertices, faces = trimesh.remesh.subdivide_to_size(vertices, faces, 0.22)
    while len(faces) < triangles:
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    vertices = vertices + np.random.default_rng(0).normal(0, 0.002, vertices.shape)
    trimesh.Trimesh(vertices, faces, process=False).export(path)
    return len(faces)


def main(millions: float = 5.0, voxel: float = 0.05) -> None:
    """Make, reconstruct, measure.

    Args:
        millions: of triangles at least.
        voxel: metres.
    """
    with tempfile.TemporaryDirectory() as folder:
        scan, out = Path(folder) / "scan.ply", Path(folder) / "mesh.ply"
        count = make_scan(scan, 1e6 * millions)
        words = ["reconstruct", str(scan), "--out", str(out), "--voxel", str(voxel), "--json"]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "piavas.cli", *words], check=True, capture_output=True, text=True
        )
        wall = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = json.loads(done.stdout)
        facts = {
            "triangles": count,
            "file_mb": round(scan.stat().st_size / 1e6),
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_mb": round(used.ru_maxrss / 1024),
            "left": told["triangles"],
            "volume": told["volume"],
            "leak": told["leak"],
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    tyro.cli(main)
