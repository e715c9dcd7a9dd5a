"""The verb that tells what a room is made of: materials."""

from __future__ import annotations

from pathlib import Path

import tyro

from piavas.cli.tell import tell


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
