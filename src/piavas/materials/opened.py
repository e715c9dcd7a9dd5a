"""The material of what is no surface: sound that meets it is gone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from piavas.scene import OCTAVE_BANDS, OPEN, Material, Scene, triangle_areas

NAME = "open"


def opened(scene: Scene) -> Scene:
    """`scene` whose faces of origin `OPEN` absorb all, by a material of their own."""
    if scene.origin is None or not (scene.origin == OPEN).any():
        return scene
    bands = len(OCTAVE_BANDS)
    nothing = Material(
        NAME, np.ones(bands), np.zeros(bands), np.zeros(bands), source="open: nothing is there"
    )
    gone = scene.origin == OPEN
    index = np.where(gone, len(scene.materials), scene.face_material).astype(np.int32)
    report = dict(scene.report)
    told = dict(report.get("materials", {}))
    if "area" in told:
        area = triangle_areas(scene.vertices, scene.faces)
        rows = np.bincount(index, area, len(scene.materials) + 1)
        names = [row.name for row in scene.materials] + [NAME]
        told["area"] = {n: round(float(a), 3) for n, a in zip(names, rows, strict=True)}
        report["materials"] = told
    return replace(scene, face_material=index, materials=(*scene.materials, nothing), report=report)
