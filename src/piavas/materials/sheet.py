"""A contact sheet: for each material pieces of pictures, how sure it is, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.files import atomic
from piavas.materials.assign import Assignment
from piavas.scene import OCTAVE_BANDS, Material

CROPS = 6  # of a material
PART = 5  # crops across a picture
MOST = 16  # materials shown, the largest first
SHOWN = (125, 500, 2000, 8000)  # hertz


def save_sheet(found: Assignment, capture: Capture, path: str | os.PathLike[str]) -> Path | None:
    """Draw the sheet; None, and no file, where nothing was recognised.

    Each row is a material: its name, area, mean confidence, and expected absorption; then pieces
    of the pictures around faces of it, far from each other, as the view that counted most saw
    them, with the most probable row of the table there and its probability.

    Args:
        found: what was assigned.
        capture: whose pictures are shown.
        path: of the PNG.
    """
    if found.recognition is None or found.groups is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    area = np.bincount(found.groups.index, found.recognition.room.area)
    order = np.argsort(-area)[:MOST]
    figure = Figure(figsize=(11, 1.35 * len(order)), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(order), CROPS + 1, squeeze=False)
    pictures: dict[int, NDArray[np.uint8]] = {}
    for row, k in zip(axes, order, strict=True):
        for one in row:
            one.axis("off")
        row[0].text(
            0, 0.5, _caption(found, int(k), float(area[k])), fontsize=7.5, va="center",
            transform=row[0].transAxes,
        )  # fmt: skip
        faces = _faces(found, int(k))
        if not len(faces):
            row[1].text(0, 0.5, "seen by no camera", fontsize=7.5, va="center")
        for one, face in zip(row[1:], faces, strict=False):
            _show(one, found, capture, int(face), pictures)
    with atomic(path) as part:
        figure.savefig(part)
    return Path(path)


def _caption(found: Assignment, k: int, area: float) -> str:
    assert found.groups is not None
    assert found.recognition is not None
    material: Material = found.scene.materials[k]
    of = found.groups.index == k
    sure = found.recognition.probability[of].max(axis=1)
    weight = found.recognition.room.area[of]
    values = [material.absorption[OCTAVE_BANDS.index(hz)] for hz in SHOWN]
    lines = [
        material.name,
        f"{area:.1f} m², confidence {100 * float((sure * weight).sum() / weight.sum()):.0f} %",
        "absorption " + " ".join(f"{v:.2f}" for v in values),
        "at " + " ".join(f"{hz / 1000:g}" for hz in SHOWN) + " kHz",
    ]
    if material.source.startswith("corrected"):
        lines.insert(1, material.source.split(";")[0])
    return "\n".join(lines)


def _faces(found: Assignment, k: int) -> NDArray[np.int64]:
    """Faces of a group that were seen best, each the farthest from those before it."""
    assert found.groups is not None
    assert found.recognition is not None
    votes, centre = found.recognition.votes, found.recognition.room.centre
    row = np.flatnonzero((found.groups.index == k) & (votes.best >= 0))
    if not len(row):
        return row
    mass = votes.mass[row].sum(axis=1)
    row, mass = row[mass >= np.median(mass)], mass[mass >= np.median(mass)]
    chosen = [int(row[mass.argmax()])]
    gap = np.full(len(row), np.inf)
    while len(chosen) < min(CROPS, len(row)):
        gap = np.minimum(gap, np.linalg.norm(centre[row] - centre[chosen[-1]], axis=1))
        chosen.append(int(row[gap.argmax()]))
    return np.array(chosen)


def _show(
    axes: Any,
    found: Assignment,
    capture: Capture,
    face: int,
    pictures: dict[int, NDArray[np.uint8]],
) -> None:
    assert found.recognition is not None
    recognition = found.recognition
    number = int(recognition.votes.best[face])
    if number not in pictures:
        pictures[number] = capture.frames[number].image()
    image = pictures[number]
    half = max(4, image.shape[1] // PART // 2)
    u, v = recognition.votes.spot[face]
    left = int(np.clip(u - half, 0, max(0, image.shape[1] - 2 * half)))
    top = int(np.clip(v - half, 0, max(0, image.shape[0] - 2 * half)))
    axes.imshow(image[top : top + 2 * half, left : left + 2 * half])
    axes.plot(u - left, v - top, "+", color="#e11", markersize=7)
    probability = recognition.probability[face]
    best = int(probability.argmax())
    axes.set_title(f"{recognition.rows[best][:22]} {100 * probability[best]:.0f} %", fontsize=6)
