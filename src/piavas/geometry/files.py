"""Meshes on disk: our PLY keeps the origin of each face and the report; others are read too."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import GeometryError
from piavas.files import atomic
from piavas.scene import Mesh

REPORT = "comment piavas "
VERTEX = np.dtype([("x", "<f8"), ("y", "<f8"), ("z", "<f8")])
FACE = np.dtype([("count", "u1"), ("index", "<i4", 3), ("origin", "u1")])
UNKNOWN = 255
TURN_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From +y up to +z up."""


def save_mesh(mesh: Mesh, path: str | os.PathLike[str]) -> Path:
    """Write a binary PLY, whole or not at all, with per-face `origin` and the report as comment.

    Raises:
        GeometryError: `path` does not end in .ply.
    """
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise GeometryError("is no PLY", file=path, mend="give a path that ends in .ply")
    faces = np.zeros(len(mesh.faces), FACE)
    faces["count"], faces["index"] = 3, mesh.faces
    faces["origin"] = UNKNOWN if mesh.origin is None else mesh.origin
    header = [
        "ply",
        "format binary_little_endian 1.0",
        REPORT + json.dumps(dict(mesh.report)),
        f"element vertex {len(mesh.vertices)}",
        *(f"property double {axis}" for axis in "xyz"),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "property uchar origin",
        "end_header",
    ]
    with atomic(path) as part, part.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode("ascii"))
        file.write(np.ascontiguousarray(mesh.vertices).astype("<f8").tobytes())
        file.write(faces.tobytes())
    return path


def load_mesh(path: str | os.PathLike[str], *, up: str | None = None) -> Mesh:
    """Read a mesh.

    Args:
        path: PLY, OBJ, GLB, or whatever trimesh reads. Vertices in one place become one.
        up: "y" or "z", the file's upward axis; None takes y for glTF, whose standard says so, and
            z for all else.

    Raises:
        GeometryError: missing, unreadable, truncated, or without triangles; the path is named.
    """
    path = Path(path)
    if not path.is_file():
        raise GeometryError("no such file", file=path, mend="check the path")
    if up not in (None, "y", "z"):
        raise GeometryError(f"{up!r} is no axis", field="up", mend="give 'y' or 'z'")
    try:
        return _own(path) if _is_own(path) else _foreign(path, up)
    except GeometryError as problem:
        raise GeometryError(
            problem.what, file=path, field=problem.field, mend=problem.mend
        ) from None


def _is_own(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix.lower() == ".ply" and REPORT.encode() in file.read(200)


def _own(path: Path) -> Mesh:
    data = path.read_bytes()
    end = data.find(b"end_header\n")
    head = data[: max(end, 0)].decode("ascii", "replace").splitlines()
    found: dict[str, Any] = {}
    for line in head:
        if line.startswith(REPORT):
            found["report"] = _json(line[len(REPORT) :])
        elif line.startswith("element "):
            _, name, count = line.split()
            found[name] = int(count)
    start = end + len(b"end_header\n")
    middle = start + found.get("vertex", 0) * VERTEX.itemsize
    stop = middle + found.get("face", 0) * FACE.itemsize
    if end < 0 or len(data) != stop:
        raise GeometryError("is truncated", mend="write it anew")
    vertices = np.frombuffer(data[start:middle], VERTEX)
    faces = np.frombuffer(data[middle:stop], FACE)
    places = np.stack([vertices[axis] for axis in "xyz"], axis=1)
    origin: NDArray[np.uint8] | None = faces["origin"].copy()
    if origin is not None and (origin == UNKNOWN).any():
        origin = None
    return Mesh(places, faces["index"].copy(), origin, found["report"])


def _json(text: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise GeometryError("its report is broken", mend="write it anew") from None


def _foreign(path: Path, up: str | None) -> Mesh:
    import trimesh

    try:
        loaded = trimesh.load(path, force="mesh", process=False)
    except Exception as problem:  # trimesh raises whatever its many readers raise
        raise GeometryError(
            f"cannot be read as a mesh: {problem}", mend="give a PLY, OBJ or GLB"
        ) from None
    vertices = np.asarray(getattr(loaded, "vertices", np.empty((0, 3))), np.float64)
    faces = np.asarray(getattr(loaded, "faces", np.empty((0, 3))), np.int32)
    if not len(faces):
        raise GeometryError("has no faces", field="mesh", mend="give a mesh with triangles")
    if (up or ("y" if path.suffix.lower() in (".glb", ".gltf") else "z")) == "y":
        vertices = vertices @ TURN_UP.T
    welded = weld(vertices, faces)
    return Mesh(*welded, report={"welded": len(vertices) - len(welded[0])})


def weld(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], apart: float = 1e-5
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Merge vertices nearer than `apart` metres and drop faces that then have no area."""
    if not np.isfinite(vertices).all():
        raise GeometryError(
            "has vertices that are not finite", field="mesh", mend="repair the mesh"
        )
    _, first, inverse = np.unique(
        np.round(vertices / apart).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    merged = inverse.reshape(-1).astype(np.int32)[faces]
    a, b, c = merged.T
    return vertices[first], merged[(a != b) & (b != c) & (c != a)]
