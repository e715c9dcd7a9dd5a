"""Mesh and pictures to a `Scene`: every face gets a material, the report says from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.errors import MaterialError
from piavas.materials.faces import FaceMaterials
from piavas.materials.names import ANY, Matches, match_names
from piavas.materials.opened import opened
from piavas.materials.parts import Parts, named_scene, parts_of
from piavas.materials.recognise.labels import LabelImages
from piavas.materials.recognise.types import Recogniser
from piavas.materials.recognition import Groups, Recognition, group, recognise_faces
from piavas.materials.subdivide import Merged
from piavas.materials.table import DEFAULT, find_material, load_table
from piavas.materials.vocabulary import load_vocabulary
from piavas.scene import Material, Mesh, Scene, triangle_areas

WAYS = ("auto", "names", "labels", "classifier", "open-vocabulary", "default")


@dataclass(frozen=True)
class Assignment:
    """A scene, and what it follows from.

    Args:
        scene: mesh with materials.
        recognition: distributions on small faces; None where no picture was asked.
        groups: the small faces' materials; None likewise.
        faces: distributions on the faces of the scene; None likewise.
    """

    scene: Scene
    recognition: Recognition | None = None
    groups: Groups | None = None
    faces: FaceMaterials | None = None


def assign_materials(
    mesh: Mesh,
    capture: Capture,
    *,
    by: str | Recogniser = "auto",
    table: Mapping[str, Material] | None = None,
    mapping: Mapping[str, str] | None = None,
    corrections: Mapping[str, str] | None = None,
    parts: Parts | None = None,
) -> Scene:
    """Give every face of `mesh` a material.

    Views vote; faces that nobody saw follow their neighbours in place and normal.
    `report["materials"]` says which way was taken, and how sure it is.

    Args:
        mesh: the room.
        capture: what the mesh was made from.
        by: "names" takes the names of `parts`, "labels" label images, "classifier" the one that
            ships with the package, "open-vocabulary" a model that knows words and pictures (extra
            `vision`), "default" one row for all; or a recogniser. "auto" takes the names of parts
            that are known, and for all other faces labels where there are any, else the classifier.
        table: materials by name; None for `load_table()`.
        mapping: table row of a label or part, where the names differ and `names.json` does not know
            them; "*" for all others.
        corrections: table row of a material of the scene, which a person knows better.
        parts: what faces are called in the mesh's file, of `load_parts`.

    Raises:
        MaterialError: an unknown way, name, label or correction, or nothing to take them from.
        MissingDependencyError: a way whose extra is not installed.
    """
    return assign(
        mesh, capture, by=by, table=table, mapping=mapping, corrections=corrections, parts=parts
    ).scene


def assign(
    mesh: Mesh,
    capture: Capture,
    *,
    by: str | Recogniser = "auto",
    table: Mapping[str, Material] | None = None,
    mapping: Mapping[str, str] | None = None,
    corrections: Mapping[str, str] | None = None,
    parts: Parts | None = None,
) -> Assignment:
    """As `assign_materials`, with what the scene follows from."""
    table = table if table is not None else load_table()
    check_corrections(corrections or {}, table)
    named = parts.known(table, mapping) if parts is not None and by == "auto" else Matches({})
    way = _way(by, capture, parts, named)
    if way == "default":
        found = _default(mesh, table, asked=by == "default")
    elif way == "names":
        assert parts is not None
        matches = named if by == "auto" else parts.match(table, mapping)
        found = Assignment(named_scene(mesh, parts, table, matches))
    else:
        told = None
        if parts is not None and named.rows:
            rows = [named.rows.get(name) for name in parts.names]
            told = [rows[k] for k in parts.index]
        if way == "labels":
            found = _by_labels(mesh, capture, table, mapping, told)
        else:
            recogniser = way if isinstance(way, Recogniser) else _recogniser(way, table)
            found = _by_pixels(mesh, capture, table, recogniser, told)
        if parts is not None and by == "auto":
            found = replace(found, scene=_tell_names(found.scene, parts, named))
    return replace(found, scene=correct(opened(found.scene), corrections or {}, table))


def _way(
    by: str | Recogniser, capture: Capture, parts: Parts | None, named: Matches
) -> str | Recogniser:
    if not isinstance(by, str):
        return by
    if by not in WAYS:
        raise MaterialError(f"no way {by!r}", field="by", mend=f"choose one of {WAYS}")
    labelled = bool(capture.labels) and any(frame.label_path for frame in capture.frames)
    if by == "labels" and not labelled:
        raise MaterialError(
            "the capture has no label images", file=capture.root, field="labels",
            mend="choose another way",
        )  # fmt: skip
    if by == "names" and parts is None:
        raise MaterialError(
            "the mesh has no named parts", field="by",
            mend="give `parts` of `load_parts`, or choose another way",
        )  # fmt: skip
    if by != "auto":
        return by
    if parts is not None and set(parts.names) <= set(named.rows):
        return "names"
    return "labels" if labelled else "classifier"


def _tell_names(scene: Scene, parts: Parts, named: Matches) -> Scene:
    told = dict(scene.report["materials"])
    if named.rows:
        told["path"] = f"names in the mesh, {told['path']} where they say nothing"
    told["parts"] = dict(named.rows)
    told["parts_unknown"] = sorted({*parts.names} - {*named.rows})
    return replace(scene, report={**scene.report, "materials": told})


def _recogniser(way: str, table: Mapping[str, Material]) -> Recogniser:
    if way == "classifier":
        from piavas.materials.recognise.classifier import Classifier

        return Classifier.load()
    from piavas.materials.recognise.vision import OpenVocabulary

    return OpenVocabulary.load(vocabulary=load_vocabulary(table), table=table)


def _by_labels(
    mesh: Mesh,
    capture: Capture,
    table: Mapping[str, Material],
    mapping: Mapping[str, str] | None,
    told: Sequence[str | None] | None,
) -> Assignment:
    recogniser = LabelImages(capture)
    mapping = mapping or {}
    if ANY in mapping:
        mapping = {**dict.fromkeys(recogniser.rows, mapping[ANY]), **mapping}
    matches = match_names(recogniser.rows, table, mapping)
    found = recognise_faces(mesh, capture, recogniser)
    found = found.renamed([matches.rows[label] for label in recogniser.rows])
    found = found if told is None else found.told(told)
    used, index = np.unique(found.probability.argmax(axis=1), return_inverse=True)
    groups = Groups(index.reshape(-1), tuple(table[found.rows[k]] for k in used), ())
    report = {
        "frames": sum(frame.label_path is not None for frame in capture.frames),
        "names": matches.report(),
    }
    return _assignment(mesh, found, groups, recogniser.name, report)


def _by_pixels(
    mesh: Mesh,
    capture: Capture,
    table: Mapping[str, Material],
    recogniser: Recogniser,
    told: Sequence[str | None] | None,
) -> Assignment:
    for name in recogniser.rows:
        find_material(name, table)
    prior = load_vocabulary(table).prior(recogniser.rows)
    found = recognise_faces(mesh, capture, recogniser, prior)
    if not found.seen.any():
        raise MaterialError(
            "no frame shows a face of the mesh", file=capture.root, field="frames",
            mend="give the mesh that was made from this capture",
        )  # fmt: skip
    found = found if told is None else found.told(told)
    groups = group(found, [table[name] for name in found.rows])
    report = {"frames": len(capture), "groups": list(groups.facts)}
    return _assignment(mesh, found, groups, recogniser.name, report)


def _assignment(
    mesh: Mesh, found: Recognition, groups: Groups, path: str, report: dict[str, Any]
) -> Assignment:
    area, seen = found.room.area, found.seen
    merged = found.cut.merge(groups.index)
    report = {
        "path": path,
        **report,
        "area_voted": round(float(area[seen].sum()), 3),
        "area_filled": round(float(area[~seen].sum()), 3),
    }
    scene = _scene(mesh, found.cut.vertices, merged, groups.materials, report)
    return Assignment(scene, found, groups, FaceMaterials.of(found, merged.into))


def _default(mesh: Mesh, table: Mapping[str, Material], *, asked: bool) -> Assignment:
    index = np.zeros(len(mesh.faces), np.int64)
    why = "as asked" if asked else "nothing was recognised"
    report = {"path": f"default: {why}, every face is a guess"}
    row = (find_material(DEFAULT, table),)
    number = np.arange(len(index))
    whole = Merged(mesh.faces, index, number, number)
    return Assignment(_scene(mesh, mesh.vertices, whole, row, report))


def _scene(
    mesh: Mesh,
    vertices: NDArray[np.float64],
    merged: Merged,
    rows: tuple[Material, ...],
    report: dict[str, Any],
) -> Scene:
    kept, index = np.unique(merged.faces, return_inverse=True)
    area = np.bincount(merged.label, triangle_areas(vertices, merged.faces), len(rows))
    by_name = {row.name: round(float(a), 3) for row, a in zip(rows, area, strict=True)}
    return Scene(
        vertices[kept],
        index.reshape(-1, 3).astype(np.int32),
        merged.label.astype(np.int32),
        rows,
        None if mesh.origin is None else mesh.origin[merged.parent],
        {**parts_of(mesh)[0].report, "materials": {**report, "area": by_name}},
    )


def check_corrections(corrections: Mapping[str, str], table: Mapping[str, Material]) -> None:
    """Raise a `MaterialError` for a correction to a row that the table does not have."""
    for name, row in corrections.items():
        try:
            find_material(row, table)
        except MaterialError as problem:
            raise MaterialError(
                problem.what, field=f"corrections.{name}", mend=problem.mend
            ) from None


def correct(scene: Scene, corrections: Mapping[str, str], table: Mapping[str, Material]) -> Scene:
    """`scene` with materials that a person knows better; they keep their names.

    Corrections of materials that the scene does not have wait in the report for one that has.
    """
    if not corrections:
        return scene
    materials = [
        _corrected(m, table[corrections[m.name]]) if m.name in corrections else m
        for m in scene.materials
    ]
    names = {m.name for m in materials}
    report = dict(scene.report)
    report["materials"] = {
        **dict(report.get("materials", {})),
        "corrections": dict(corrections),
        "corrections_unused": sorted(set(corrections) - names),
    }
    return replace(scene, materials=tuple(materials), report=report)


def _corrected(material: Material, row: Material) -> Material:
    return replace(row, name=material.name, source=f"corrected: {row.name}; {row.source}")
