"""Parts of a mesh that have names: glTF and OBJ materials, and what they are made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import GeometryError, MaterialError, about
from piavas.geometry import load_mesh
from piavas.geometry.files import TURN_UP, weld
from piavas.materials.names import ANY, Matches, load_names, match_names
from piavas.materials.opened import opened
from piavas.materials.table import DEFAULT
from piavas.scene import Material, Mesh, Scene

NAMED = (".obj", ".glb", ".gltf")  # mesh files whose parts have names
PARTS = "parts"  # in the report of a closed scan: what its faces are called, in their order
VAGUE = ("object", "misc")  # names that programs give to what nobody named


@dataclass(frozen=True)
class Parts:
    """What the faces of a mesh are called.

    Args:
        names: of each part; a part that has none is called like its file.
        index: `[f]` part of each face.
        given: of each part, whether the name stands in the mesh.
    """

    names: tuple[str, ...]
    index: NDArray[np.int32]
    given: tuple[bool, ...]

    def match(self, table: Mapping[str, Material], own: Mapping[str, str] | None = None) -> Matches:
        """Rows of all names.

        Args:
            table: materials by name.
            own: a mapping of the user's; "*" for all names that it does not list.

        Raises:
            MaterialError: a name that nothing is known of.
        """
        own = own or {}
        if ANY in own:
            own = {**dict.fromkeys(self.names, own[ANY]), **own}
        return match_names(self.names, table, own)

    def known(self, table: Mapping[str, Material], own: Mapping[str, str] | None = None) -> Matches:
        """Rows of those names that say something: no "object", nothing that is only a default.

        Args:
            table: materials by name.
            own: a mapping of the user's; "*" is not heard.

        Raises:
            MaterialError: a name of `own` is mapped to no row of the table.
        """
        own = own or {}
        telling = {name: row for name, row in table.items() if name != DEFAULT}
        words = {n: row for n, row in load_names().items() if row in telling and n not in VAGUE}
        found = Matches({})
        for name, given in zip(self.names, self.given, strict=True):
            if name in own:
                found += match_names([name], table, own, words)
            elif given:
                with suppress(MaterialError):
                    found += match_names([name], telling, {}, words)
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Plain JSON values, for faces that lie in the order of their parts."""
        count = np.bincount(self.index, minlength=len(self.names))
        return [
            {"name": name, "given": told, "faces": int(n)}
            for name, told, n in zip(self.names, self.given, count, strict=True)
        ]


def parts_of(mesh: Mesh) -> tuple[Mesh, Parts | None]:
    """A mesh without the parts that its report holds, and those; None where it holds none.

    Raises:
        GeometryError: the report speaks of other faces, or is spoilt.
    """
    report = dict(mesh.report)
    runs = report.pop(PARTS, None)
    if runs is None:
        return mesh, None
    try:
        names = tuple(str(run["name"]) for run in runs)
        given = tuple(bool(run["given"]) for run in runs)
        count = [int(run["faces"]) for run in runs]
        index = np.repeat(np.arange(len(count), dtype=np.int32), count)
        if len(index) != len(mesh.faces):
            raise ValueError(f"{len(index)} faces of {len(mesh.faces)}")
    except (KeyError, TypeError, ValueError) as problem:
        raise GeometryError(
            f"its parts lack or spoil {problem}", field=PARTS, mend="close the scan anew"
        ) from None
    return replace(mesh, report=report), Parts(names, index, given)


def named_scene(mesh: Mesh, parts: Parts, table: Mapping[str, Material], matches: Matches) -> Scene:
    """The scene that names alone make, where all are known; parts of one row are one material."""
    rows = list(dict.fromkeys(matches.rows[name] for name in parts.names))
    number = np.array([rows.index(matches.rows[name]) for name in parts.names], np.int32)
    report = {**mesh.report, "materials": {"path": "names in the mesh", **matches.report()}}
    materials = tuple(table[row] for row in rows)
    return opened(
        Scene(mesh.vertices, mesh.faces, number[parts.index], materials, mesh.origin, report)
    )


def load_parts(path: str | os.PathLike[str], *, up: str | None = None) -> tuple[Mesh, Parts]:
    """A mesh file and its parts: glTF or OBJ materials, else geometries; those that a mesh closed
    from a scan keeps in its report; one part of other files.

    Args:
        path: of the mesh.
        up: "y" or "z", as in `piavas.geometry.load_mesh`.

    Raises:
        GeometryError: the mesh cannot be read, or has faces without area.
    """
    path = Path(path)
    mesh = load_mesh(path, up=up)  # refuses what cannot be read
    if path.suffix.lower() not in NAMED:
        with about(path):
            mesh, kept = parts_of(mesh)
        one = Parts((path.stem,), np.zeros(len(mesh.faces), np.int32), (False,))
        return mesh, one if kept is None else kept
    import trimesh

    loaded: Any = trimesh.load(path, process=False, split_object=True, group_material=True)
    pieces: list[Any] = loaded.dump() if isinstance(loaded, trimesh.Scene) else [loaded]
    names, given, vertices, faces, index, start = [], [], [], [], [], 0
    for number, piece in enumerate(pieces):
        material = getattr(piece.visual, "material", None)
        name = getattr(material, "name", None) or piece.metadata.get("name")
        names.append(str(name or path.stem))
        given.append(bool(name))
        vertices.append(np.asarray(piece.vertices, np.float64))
        faces.append(np.asarray(piece.faces, np.int32) + start)
        index.append(np.full(len(piece.faces), number, np.int32))
        start += len(piece.vertices)
    places = np.concatenate(vertices)
    if (up or ("y" if path.suffix.lower() in (".glb", ".gltf") else "z")) == "y":
        places = places @ TURN_UP.T
    merged, joined = weld(places, np.concatenate(faces))
    number_of = np.concatenate(index)
    if len(joined) != len(number_of):
        keep = _with_area(places, np.concatenate(faces))
        number_of = number_of[keep]
    if len(joined) != len(number_of):
        raise GeometryError("has faces without area", file=path, mend="repair the mesh")
    return Mesh(merged, joined, report=mesh.report), Parts(tuple(names), number_of, tuple(given))


def _with_area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Faces whose corners stay apart when vertices are welded."""
    _, inverse = np.unique(np.round(vertices / 1e-5).astype(np.int64), axis=0, return_inverse=True)
    a, b, c = inverse.reshape(-1)[faces].T
    return np.asarray((a != b) & (b != c) & (c != a))
