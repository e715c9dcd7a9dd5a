"""Verbs that make a room: twin, reconstruct, materials."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from piavas.cli.tell import tell
from piavas.files import check_target


def twin(
    out: tyro.conf.Positional[Path],
    seed: int = 0,
    frames: int = 60,
    width: int = 320,
    height: int = 240,
    quality: Literal["fast", "path"] = "fast",
    recordings: int = 0,
    json: bool = False,
) -> None:
    """Generate a furnished apartment as a capture with known truth.

    Args:
        out: folder of the capture.
        seed: no two seeds give the same apartment.
        frames: images.
        width: of an image, pixels.
        height: of an image, pixels.
        quality: "fast" shades rays, "path" traces light paths.
        recordings: sources to record with the twin's hidden physics; the first is for training.
        json: print JSON for scripts.
    """
    from piavas.twin import generate_capture, record

    world = generate_capture(out, seed, frames=frames, width=width, height=height, quality=quality)
    if recordings:
        record(world, out, sources=recordings, seed=seed)
    tell({"wrote": str(out), "frames": frames, "recordings": recordings}, json)


def reconstruct(
    capture: tyro.conf.Positional[Path],
    out: Path,
    depth: Literal["sensor", "stereo"] = "sensor",
    metres: float | None = None,
    voxel: float = 0.05,
    triangles: int = 20_000,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Images to a closed mesh of the air in the room.

    Args:
        capture: folder in any supported layout.
        out: mesh file to write, e.g. room/mesh.ply.
        depth: "sensor" takes the capture's depth images, "stereo" matches its colour images.
        metres: that one unit of the capture's lengths is, where they are only up to scale.
        voxel: metres.
        triangles: budget of the mesh.
        dry_run: only say what it will cost in time, memory and disk.
        json: print JSON for scripts.
    """
    from piavas.capture import load_capture, rescale
    from piavas.geometry import reconstruct as run
    from piavas.geometry import save_mesh
    from piavas.geometry.estimate import estimate

    check_target(out, ".ply")
    found = load_capture(capture)
    found = found if metres is None else rescale(found, metres)
    if dry_run:
        cost = estimate(found, depth=depth, voxel=voxel, triangles=triangles)
        tell(vars(cost), json)
        return
    mesh = run(found, depth=depth, voxel=voxel, triangles=triangles)
    save_mesh(mesh, out)
    tell({"wrote": str(out), **mesh.report}, json)


def materials(
    capture: tyro.conf.Positional[Path], mesh: Path, out: Path, json: bool = False
) -> None:
    """Mesh and label images to a scene of acoustic materials.

    Args:
        capture: the capture that the mesh was made from.
        mesh: mesh file.
        out: scene folder to write: mesh.ply and materials.json, which may be edited.
        json: print JSON for scripts.
    """
    from piavas.capture import load_capture
    from piavas.geometry import load_mesh
    from piavas.materials import assign_materials, save_scene

    scene = assign_materials(load_mesh(mesh), load_capture(capture))
    save_scene(scene, out)
    tell({"wrote": str(out), **dict(scene.report).get("materials", {})}, json)
