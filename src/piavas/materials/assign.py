"""Mesh and label images to a `Scene`: every face gets a material, the report says from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.materials.subdivide import merge_agreeing, subdivide
from piavas.materials.table import DEFAULT, find_material, load_table
from piavas.materials.votes import Places, cast_votes, fill_unseen
from piavas.rays import RayCaster
from piavas.scene import Material, Mesh, Scene, triangle_areas

SMALL = 0.15  # metres of the longest edge of a face that votes


def assign_materials(
    mesh: Mesh,
    capture: Capture,
    *,
    table: Mapping[str, Material] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Scene:
    """Give every face of `mesh` a material.

    With label images, views vote; faces that nobody saw follow their neighbours in place and
    normal. Without, every face gets the table's "default". `report["materials"]` says which.

    Args:
        mesh: the room.
        capture: what the mesh was made from.
        table: materials by name; None for `load_table()`.
        mapping: table row of a label, where the names differ.

    Raises:
        MaterialError: a label that neither the table nor the mapping knows.
    """
    table = table if table is not None else load_table()
    if not capture.labels or not any(frame.label_path for frame in capture.frames):
        return _default(mesh, table)
    mapping = mapping or {}
    numbers = sorted(capture.labels)
    rows = [find_material(mapping.get(n, n), table) for n in (capture.labels[k] for k in numbers)]
    vertices, small, parent = subdivide(mesh.vertices, mesh.faces, SMALL)
    places = _places(vertices, small)
    caster = RayCaster(mesh.vertices, mesh.faces)
    votes = cast_votes(places, capture, caster, max(numbers) + 1)[:, numbers]
    label = fill_unseen(votes, places).argmax(axis=1)
    faces, label, origin = merge_agreeing(mesh.faces, small, parent, label)
    used = np.unique(label)
    area = triangle_areas(vertices, small)
    seen = votes.sum(axis=1) > 0
    report = {
        "path": "label images",
        "frames": sum(frame.label_path is not None for frame in capture.frames),
        "area_voted": round(float(area[seen].sum()), 3),
        "area_filled": round(float(area[~seen].sum()), 3),
    }
    index = np.searchsorted(used, label)
    return _scene(mesh, vertices, faces, index, [rows[k] for k in used], origin, report)


def _places(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> Places:
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return Places((a + b + c) / 3, normal / np.maximum(length, 1e-20))


def _default(mesh: Mesh, table: Mapping[str, Material]) -> Scene:
    index = np.zeros(len(mesh.faces), np.int64)
    report = {"path": "default: the capture has no label images, every face is a guess"}
    row = [find_material(DEFAULT, table)]
    return _scene(mesh, mesh.vertices, mesh.faces, index, row, np.arange(len(index)), report)


def _scene(
    mesh: Mesh,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    material: NDArray[np.int64],
    rows: list[Material],
    parent: NDArray[np.int64],
    report: dict[str, Any],
) -> Scene:
    kept, index = np.unique(faces, return_inverse=True)
    area = np.bincount(material, triangle_areas(vertices, faces), len(rows))
    by_name = {row.name: round(float(a), 3) for row, a in zip(rows, area, strict=True)}
    return Scene(
        vertices[kept],
        index.reshape(-1, 3).astype(np.int32),
        material.astype(np.int32),
        tuple(rows),
        None if mesh.origin is None else mesh.origin[parent],
        {**mesh.report, "materials": {**report, "area": by_name}},
    )
