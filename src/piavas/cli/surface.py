"""The verb that tells what a room is made of: materials."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from piavas.cli.tell import tell

SHEET = "materials.png"
Way = Literal["auto", "labels", "names", "classifier", "open-vocabulary", "default"]


def materials(
    capture: tyro.conf.Positional[Path],
    mesh: Path,
    out: Path,
    by: Way = "auto",
    names: Path | None = None,
    json: bool = False,
) -> None:
    """Mesh and pictures to a scene of acoustic materials.

    Corrections written into materials.json of an earlier run are kept.

    Args:
        capture: the capture that the mesh was made from.
        mesh: mesh file.
        out: scene folder to write: mesh.ply, materials.json, which may be edited,
            materials.safetensors, what pictures said of each face, and materials.png, which shows
            what was taken for what.
        by: label images, names of the mesh's parts, the classifier that comes with the package, a
            model that knows words and pictures (extra vision), or the table's default for all;
            auto takes names of the mesh's parts that are known, and for all other faces the first
            of label images and classifier that there is.
        names: JSON of {"name of a label or part": "row of the table"}, asked before the mapping
            that comes with the package; "*" for all others.
        json: print JSON for scripts.
    """
    from piavas.capture import like_mesh, load_capture
    from piavas.errors import about
    from piavas.materials import assign, load_parts, read_corrections, save_scene
    from piavas.materials.files import MATERIALS, read_mapping
    from piavas.materials.parts import NAMED
    from piavas.materials.sheet import save_sheet

    kept = read_corrections(out)
    mapping = read_mapping(names) if names else None
    room, parts = load_parts(mesh)
    visit = like_mesh(load_capture(capture), room.report)
    told = by == "names" or mesh.suffix.lower() in NAMED or any(parts.given)
    named = parts if told else None
    where = names or mesh if by == "names" else (out / MATERIALS if kept else None)
    with about(where):
        found = assign(room, visit, by=by, mapping=mapping, corrections=kept, parts=named)
    save_scene(found.scene, out, found.faces)
    if save_sheet(found, visit, out / SHEET) is None:
        (out / SHEET).unlink(missing_ok=True)
    report = dict(dict(found.scene.report).get("materials", {}))
    report.pop("groups", None)
    tell({"wrote": str(out), **report}, json)
