"""What pictures said of every face of a scene, on disk beside its materials."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import MaterialError
from piavas.files import atomic
from piavas.materials.recognition import Recognition

FACES = "materials.safetensors"
FORMAT = "piavas-face-materials-1"
WHOLE = 255  # parts of which a distribution is made on disk


@dataclass(frozen=True)
class FaceMaterials:
    """Distributions over rows of the table on the `f` faces of a scene.

    Args:
        rows: names of the rows.
        probability: `[f, rows]`, summing to 1.
        entropy: `[f]` nats, the mean over the face of how much is left open at one place of it.
        views: `[f]` how many views voted, the mean over the face; 0 where nobody saw it.
    """

    rows: tuple[str, ...]
    probability: NDArray[np.float64]
    entropy: NDArray[np.float64]
    views: NDArray[np.float64]

    @classmethod
    def of(cls, found: Recognition, whole: NDArray[np.int64]) -> FaceMaterials:
        """Means over the small faces, weighted by area.

        Args:
            found: distributions on `n` small faces.
            whole: `[n]` the face of the scene that each is in.
        """
        area, count = found.room.area, int(whole.max()) + 1
        weight = area / np.bincount(whole, area, count)[whole]
        share = np.zeros((count, len(found.rows)))
        np.add.at(share, whole, weight[:, None] * found.probability)
        return cls(
            found.rows,
            share,
            np.bincount(whole, weight * found.entropy, count).astype(np.float64),
            np.bincount(whole, weight * found.votes.views, count).astype(np.float64),
        )


def save_face_materials(found: FaceMaterials, path: str | os.PathLike[str]) -> Path:
    """Write them: a byte a probability, in 255ths that sum to 255; rows that get none are left out.

    A probability is off by less than 1/255, entropy and views by half a thousandth of themselves.
    """
    from safetensors.numpy import save_file

    share = in_parts(found.probability)
    used = np.flatnonzero(share.any(axis=0))
    names = json.dumps([found.rows[k] for k in used])
    tensors: dict[str, NDArray[Any]] = {
        "probability": np.ascontiguousarray(share[:, used]),
        "entropy": found.entropy.astype(np.float16),
        "views": found.views.astype(np.float16),
    }
    with atomic(path) as part:
        save_file(tensors, part, metadata={"format": FORMAT, "rows": names})
    return Path(path)


def in_parts(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    """`[f, rows]` in whole 255ths: rounded down, what is left goes to the largest remainders."""
    exact = WHOLE * share
    parts = np.floor(exact)
    left = np.round(WHOLE - parts.sum(axis=1, keepdims=True))
    rank = np.argsort(np.argsort(parts - exact, axis=1, kind="stable"), axis=1)
    return np.asarray(parts + (rank < left), np.uint8)


def load_face_materials(path: str | os.PathLike[str]) -> FaceMaterials:
    """Read `materials.safetensors`, or that of a scene folder; face k is face k of its `mesh.ply`.

    Raises:
        MaterialError: missing, truncated, of another kind, or no distributions; the path is named.
    """
    from safetensors import SafetensorError, safe_open

    file = Path(path)
    file = file / FACES if file.is_dir() else file
    if not file.is_file():
        raise MaterialError(
            "no such file", file=file, mend="recognise the materials: `piavas materials`"
        )
    try:
        with safe_open(file, "np") as data:
            about = data.metadata() or {}
            if about.get("format") != FORMAT:
                raise ValueError(f"it is not of format {FORMAT}")
            share, entropy, views = (
                data.get_tensor(name) for name in ("probability", "entropy", "views")
            )
        rows = json.loads(about["rows"])
        _check(rows, share, entropy, views)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as problem:
        raise MaterialError(
            f"holds no materials of faces: {problem}", file=file, mend="write it anew"
        ) from None
    return FaceMaterials(
        tuple(rows), share / float(WHOLE), entropy.astype(np.float64), views.astype(np.float64)
    )


def _check(
    rows: object, share: NDArray, entropy: NDArray[np.floating], views: NDArray[np.floating]
) -> None:
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        raise ValueError("rows are no names")
    if share.dtype != np.uint8 or share.ndim != 2 or share.shape[1] != len(rows):
        raise ValueError(f"probability is {share.dtype} {share.shape} for {len(rows)} rows")
    if (share.sum(axis=1, dtype=np.int64) != WHOLE).any():
        raise ValueError(f"probability does not sum to {WHOLE}")
    for name, value in (("entropy", entropy), ("views", views)):
        if value.shape != share.shape[:1] or not (np.isfinite(value) & (value >= 0)).all():
            raise ValueError(f"{name} is {value.shape} for {len(share)} faces, or out of range")
