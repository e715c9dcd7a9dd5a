"""Segments of captures with label images, as samples to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.materials.recognise.features import measure
from piavas.materials.recognise.types import Room, View
from piavas.materials.subdivide import subdivide
from piavas.scene import Mesh

F32 = NDArray[np.float32]
SMALL = 0.15  # metres of the longest edge of a face that votes
SURE = 0.5  # share of a segment that must be labelled


@dataclass(frozen=True)
class Samples:
    """`n` segments.

    Args:
        features: `[n, f]`.
        share: `[n, rows]` of each segment's pixels by row of the table.
        area: `[n]` square metres seen.
        rows: names of the rows.
    """

    features: F32
    share: F32
    area: F32
    rows: tuple[str, ...]

    @classmethod
    def join(cls, parts: Sequence[Samples]) -> Samples:
        """All of them; they must name the same rows."""
        return cls(
            np.concatenate([p.features for p in parts]),
            np.concatenate([p.share for p in parts]),
            np.concatenate([p.area for p in parts]),
            parts[0].rows,
        )


def room_of(mesh: Mesh, longest: float = SMALL) -> Room:
    """`mesh` in faces small enough to be of one material."""
    cut = subdivide(mesh.vertices, mesh.faces, longest)
    return Room.of(cut.vertices, cut.faces)


def sample(capture: Capture, mesh: Mesh, rows: Sequence[str], seed: int = 0) -> Samples:
    """Segments of every labelled frame, as it is and as another camera would have taken it.

    Args:
        capture: with label images.
        mesh: its room, reconstructed.
        rows: what is told apart; labels of other names are left out.
        seed: of the other camera.
    """
    rng = np.random.default_rng(seed)
    room, parts = room_of(mesh), []
    number = {name: k for k, name in enumerate(rows)}
    index = np.full(max(capture.labels) + 2, -1)
    for k, name in capture.labels.items():
        index[k] = number.get(name, -1)
    for frame in capture.frames:
        view = View(frame, room)
        label = index[_shrunk(frame.labels(), view.shape)]
        for image in (view.image, developed_otherwise(view.image, rng)):
            found = measure(view, image)
            share = _shares(found.index, label, len(rows))
            good = (share.sum(axis=1) >= SURE) & (found.area > 0)
            share = share[good] / share[good].sum(axis=1, keepdims=True)
            area = found.area[good].astype(np.float32)
            parts.append(Samples(found.features[good], share.astype(np.float32), area, tuple(rows)))
    return Samples.join(parts)


def _shrunk(label: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int32]:
    v = (np.arange(shape[0]) + 0.5) * label.shape[0] / shape[0]
    u = (np.arange(shape[1]) + 0.5) * label.shape[1] / shape[1]
    return np.asarray(label[np.ix_(v.astype(int), u.astype(int))])


def _shares(index: NDArray[np.int32], label: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    count = int(index.max()) + 1
    size = np.bincount(index.ravel(), minlength=count)
    known = label.ravel() >= 0
    cell = index.ravel()[known] * rows + label.ravel()[known]
    return np.bincount(cell, minlength=count * rows).reshape(count, rows) / size[:, None]


def developed_otherwise(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """With another exposure, white balance, contrast, sharpness and noise."""
    from scipy.ndimage import gaussian_filter

    value = (image / 255.0) ** 2.2
    value *= np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.12, 3))
    value = np.clip(value, 0, 1) ** (rng.uniform(0.75, 1.3) / 2.2)
    blur = rng.uniform(0, 1.5)
    value = gaussian_filter(value, (blur, blur, 0))
    value += rng.normal(0, rng.uniform(0, 0.025), value.shape)
    return np.asarray(np.clip(np.round(255 * value), 0, 255), np.uint8)
