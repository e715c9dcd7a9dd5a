"""The verb that tells what a room is made of: materials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from piavas.cli.tell import tell
from piavas.errors import MaterialError

if TYPE_CHECKING:
    from piavas.materials.recognise import Recogniser

SHEET = "materials.png"
Way = Literal["auto", "labels", "names", "classifier", "open-vocabulary", "default"]


def materials(
    capture: tyro.conf.Positional[Path],
    mesh: Path,
    out: Path,
    by: Way = "auto",
    segments: str = "superpixels",
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
        segments: what the model that knows words is shown: "superpixels", or the things found by a
            segmentation model, a folder or a name on the hub such as facebook/sam-vit-base.
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

    recogniser = _recogniser(by, segments)
    kept = read_corrections(out)
    mapping = read_mapping(names) if names else None
    room, parts = load_parts(mesh)
    visit = like_mesh(load_capture(capture), room.report)
    told = by == "names" or mesh.suffix.lower() in NAMED or any(parts.given)
    named = parts if told else None
    where = names or mesh if by == "names" else (out / MATERIALS if kept else None)
    with about(where):
        found = assign(room, visit, by=recogniser, mapping=mapping, corrections=kept, parts=named)
    save_scene(found.scene, out, found.faces)
    if save_sheet(found, visit, out / SHEET) is None:
        (out / SHEET).unlink(missing_ok=True)
    report = dict(dict(found.scene.report).get("materials", {}))
    report.pop("groups", None)
    tell({"wrote": str(out), **report}, json)


def _recogniser(by: str, segments: str) -> str | Recogniser:
    """What `--by` and `--segments` ask for."""
    if segments == "superpixels":
        return by
    if by != "open-vocabulary":
        raise MaterialError(
            "belongs to --by open-vocabulary", field="--segments", mend="leave it out"
        )
    from piavas.materials import load_table, load_vocabulary
    from piavas.materials.recognise.vision import OpenVocabulary

    table = load_table()
    words = load_vocabulary(table)
    return OpenVocabulary.load(vocabulary=words, table=table, segments=segments)
