"""Scenes on disk: `mesh.ply` and a `materials.json` that a person can edit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import GeometryError, MaterialError, about
from piavas.files import read_json, write_json
from piavas.geometry import load_mesh, save_mesh
from piavas.materials.assign import check_corrections, correct
from piavas.materials.faces import FACES, FaceMaterials, save_face_materials
from piavas.materials.parts import NAMED, load_parts, named_scene
from piavas.materials.table import fill_bands, load_table, spread_scattering
from piavas.scene import Material, Scene

FORMAT = "piavas-scene-1"
MESH, MATERIALS = "mesh.ply", "materials.json"


def save_scene(
    scene: Scene, folder: str | os.PathLike[str], faces: FaceMaterials | None = None
) -> Path:
    """Write a scene folder; `materials.json`, written last, makes it one.

    Faces are listed as runs `[material, count]` in the order of the mesh. `corrections` is for a
    person to fill: `{"name of a material": "row of the table"}`. What pictures said of each face
    goes into `materials.safetensors`; without `faces` there is none, an older one is removed.

    Raises:
        MaterialError: `faces` is of other faces.
    """
    folder = Path(folder)
    told = dict(scene.report).get("materials", {})
    if faces is not None and len(faces.probability) != len(scene.faces):
        raise MaterialError(
            f"is of {len(faces.probability)} faces, the scene has {len(scene.faces)}",
            field="faces",
            mend="give those of the scene's own assignment",
        )
    save_mesh(scene.mesh, folder / MESH)
    if faces is None:
        (folder / FACES).unlink(missing_ok=True)
    else:
        save_face_materials(faces, folder / FACES)
    write_json(
        folder / MATERIALS,
        {
            "format": FORMAT,
            "corrections": dict(told.get("corrections", {})),
            "recognised_by": told.get("path", ""),
            "groups": list(told.get("groups", [])),
            "materials": [_row(material) for material in scene.materials],
            "faces": _runs(scene.face_material),
        },
    )
    return folder


def _row(material: Material) -> dict[str, Any]:
    return {
        "name": material.name,
        "absorption": material.absorption.tolist(),
        "scattering": material.scattering.tolist(),
        "transmission": material.transmission.tolist(),
        "source": material.source,
        **({} if material.spread is None else {"spread": material.spread.tolist()}),
    }


def read_corrections(folder: str | os.PathLike[str]) -> dict[str, str]:
    """What a person wrote under "corrections" in the `materials.json` of a scene folder.

    Raises:
        MaterialError: they are no mapping of names; the path is named.
    """
    file = Path(folder) / MATERIALS
    if not file.exists():
        return {}
    data = read_json(file, error=MaterialError)
    found = data.get("corrections", {}) if isinstance(data, dict) else None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise MaterialError(
            "is no mapping of names",
            file=file,
            field="corrections",
            mend='write {"name of a material": "row of the table"}',
        )
    return found


def _runs(index: NDArray[np.int32]) -> list[list[int]]:
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    lengths = np.diff(starts, append=len(index))
    return [[int(index[s]), int(n)] for s, n in zip(starts, lengths, strict=True)]


def load_scene(
    path: str | os.PathLike[str], materials: str | os.PathLike[str] | None = None
) -> Scene:
    """Read a scene.

    Args:
        path: a scene folder, or a mesh file (PLY, OBJ, GLB); a PLY closed from a scan with named
            parts has their names.
        materials: for a mesh file, JSON of `{"name in the mesh": "row of the table"}`, where "*"
            stands for all names that are not listed. Without "*" those are looked up in the
            mapping that comes with the package; the report says what was mapped and guessed.

    Raises:
        GeometryError: the mesh cannot be read.
        MaterialError: a material that is not physical or not known, faces and materials that do
            not match, or no materials given; the path is named.
    """
    path = Path(path)
    if not path.exists():
        raise GeometryError("no such file or folder", file=path, mend="check the path")
    if materials is None and path.is_dir():
        return _own(path)
    if (
        materials is None
        and path.suffix.lower() not in NAMED
        and not any(load_parts(path)[1].given)
    ):
        raise MaterialError(
            "a mesh file says nothing of materials",
            file=path,
            field="materials",
            mend='give a scene folder, or materials such as {"*": "default"}',
        )
    mesh_path = path / MESH if path.is_dir() else path
    return _named(mesh_path, None if materials is None else Path(materials))


def _own(folder: Path) -> Scene:
    mesh = load_mesh(folder / MESH)
    file = folder / MATERIALS
    data = read_json(file, error=MaterialError)
    try:
        if data["format"] != FORMAT:
            raise MaterialError(f"is not of format {FORMAT}", field="format", mend="save it anew")
        rows = tuple(_material(row) for row in data["materials"])
        index = np.concatenate([np.full(n, k, np.int32) for k, n in data["faces"]])
        scene = Scene(mesh.vertices, mesh.faces, index, rows, mesh.origin, mesh.report)
        corrections = read_corrections(folder)
        table = load_table()
        check_corrections(corrections, table)
        return correct(scene, corrections, table)
    except (KeyError, TypeError, ValueError) as problem:
        raise MaterialError(f"lacks or spoils {problem}", file=file, mend="save it anew") from None
    except MaterialError as problem:
        raise MaterialError(
            problem.what, file=file, field=problem.field, mend=problem.mend
        ) from None


def _material(row: Mapping[str, Any]) -> Material:
    return Material(
        name=str(row["name"]),
        absorption=fill_bands(row["absorption"]),
        scattering=spread_scattering(row["scattering"]),
        transmission=fill_bands(row.get("transmission", [0.0] * 9)),
        source=str(row.get("source", "")),
        spread=row.get("spread"),
    )


def _named(path: Path, materials: Path | None) -> Scene:
    mapping = read_mapping(materials) if materials is not None else {}
    mesh, parts = load_parts(path)
    with about(materials if materials is not None else path):
        table = load_table()
        return named_scene(mesh, parts, table, parts.match(table, mapping))


def read_mapping(path: str | os.PathLike[str]) -> dict[str, str]:
    """JSON of `{"name": "row of the table"}`.

    Raises:
        MaterialError: it is none; the path is named.
    """
    mapping = read_json(path, error=MaterialError)
    if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
        raise MaterialError(
            "is no mapping of names", file=path, mend='write {"name": "row of the table"}'
        )
    return mapping
