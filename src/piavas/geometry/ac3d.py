"""AC3D model files (`.ac`): named materials on polygons, +y up."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.errors import GeometryError
from piavas.geometry.files import TURN_UP, weld
from piavas.scene import Mesh, triangle_areas

NO_AREA = 1e-9  # square metres
POLYGON = 0
"""Low four bits of a surface's flags; 1 and 2 are lines."""


@dataclass
class _Model:
    """What has been read so far."""

    names: list[str] = field(default_factory=list)
    vertices: list[NDArray[np.float64]] = field(default_factory=list)
    polygons: list[NDArray[np.int64]] = field(default_factory=list)
    material: list[int] = field(default_factory=list)


def load_ac3d(path: str | os.PathLike[str]) -> tuple[Mesh, tuple[str, ...], NDArray[np.int32]]:
    """Read an AC3D file (Colton, "The AC3D file format", version b).

    Polygons become triangles, those without area are dropped, vertices in one place become one, and
    +y up becomes +z up.

    Returns:
        the mesh, the names of its materials, and the material `[f]` of each face.

    Raises:
        GeometryError: no such file, no AC3D file, a truncated one, or no polygons; names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise GeometryError("no such file", file=path, mend="check the path")
    lines = iter(path.read_text(encoding="utf-8", errors="replace").splitlines())
    if not next(lines, "").startswith("AC3D"):
        raise GeometryError("is no AC3D file", file=path, mend="give a file that begins with AC3D")
    model = _Model()
    try:
        _object(lines, model, np.eye(3), np.zeros(3))
        vertices = np.concatenate(model.vertices)
        pieces = [_triangles(vertices[polygon], polygon) for polygon in model.polygons]
        faces = np.concatenate(pieces).astype(np.int32)
    except (StopIteration, ValueError, IndexError) as problem:
        raise GeometryError(
            f"is broken or truncated: {problem}", file=path, mend="export it anew"
        ) from None
    material = np.repeat(model.material, [len(piece) for piece in pieces]).astype(np.int32)
    # Polygons with corners in a row, there for what joins them, leave triangles without area.
    solid = triangle_areas(vertices, faces) > NO_AREA
    merged, joined = weld(vertices @ TURN_UP.T, faces[solid])
    if len(joined) != solid.sum():
        raise GeometryError("has faces thinner than .01 mm", file=path, mend="repair the mesh")
    return Mesh(merged, joined), tuple(model.names), material[solid]


def _object(
    lines: Iterator[str], model: _Model, turn: NDArray[np.float64], shift: NDArray[np.float64]
) -> None:
    """Read up to the end of one object and of its kids, which `kids` closes."""
    start = 0
    for line in lines:
        word, *rest = shlex.split(line) or [""]
        if word == "MATERIAL":
            model.names.append(rest[0])
        elif word == "rot":
            turn = turn @ np.array(rest, dtype=np.float64).reshape(3, 3).T
        elif word == "loc":
            shift = shift + turn @ np.array(rest, dtype=np.float64)
        elif word == "data":
            next(lines)
        elif word == "numvert":
            start = sum(map(len, model.vertices))
            rows = [next(lines).split() for _ in range(int(rest[0]))]
            model.vertices.append(np.array(rows, dtype=np.float64) @ turn.T + shift)
        elif word == "SURF":
            _surface(lines, model, int(rest[0], 0), start)
        elif word == "kids":
            for _ in range(int(rest[0])):
                _object(lines, model, turn, shift)
            return


def _surface(lines: Iterator[str], model: _Model, flags: int, start: int) -> None:
    material = 0
    for line in lines:
        word, *rest = line.split()
        if word == "mat":
            material = int(rest[0])
        if word == "refs":
            corners = [int(next(lines).split()[0]) for _ in range(int(rest[0]))]
            break
    if flags & 15 == POLYGON and len(corners) > 2:
        model.polygons.append(np.array(corners) + start)
        model.material.append(material)


def _triangles(corners: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """`[t, 3]` of `index` that fill a planar polygon `[n, 3]`, wound as it is."""
    from manifold3d import triangulate

    if len(index) == 3:
        return index[None]
    ahead = np.roll(corners, -1, axis=0)
    normal = np.cross(corners, ahead).sum(axis=0)  # Newell: twice the vector area
    flat = int(np.argmax(np.abs(normal)))
    axes = [(flat + 1) % 3, (flat + 2) % 3]
    plane = corners[:, axes] if normal[flat] > 0 else corners[:, axes[::-1]]
    return np.asarray(index[np.asarray(triangulate([plane]))], dtype=np.int64)
