"""Faces small enough to carry one material, and back to large ones where all agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Triangles = tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int64]]


def subdivide(vertices: NDArray[np.float64], faces: NDArray[np.int32], longest: float) -> Triangles:
    """Halve the longest edges until none exceeds `longest` metres.

    An edge's middle depends on its ends alone, so both faces at it are cut in the same place: cut
    faces meet without gaps.

    Returns:
        vertices, faces, and for each face the face it came from.
    """
    parent = np.arange(len(faces))
    while True:
        length = np.linalg.norm(vertices[faces] - vertices[np.roll(faces, -1, axis=1)], axis=2)
        long = length.max(axis=1) > longest
        if not long.any():
            return vertices, faces, parent
        turn = length[long].argmax(axis=1)
        rows = np.arange(long.sum())
        a, b, c = (faces[long][rows, (turn + k) % 3] for k in range(3))
        ends = np.sort(np.stack([a, b], axis=1), axis=1)
        edge, index = np.unique(ends, axis=0, return_inverse=True)
        middle = (len(vertices) + index.reshape(-1)).astype(np.int32)
        vertices = np.concatenate([vertices, vertices[edge].mean(axis=1)])
        halves = [np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)]
        faces = np.concatenate([faces[~long], *halves]).astype(np.int32)
        parent = np.concatenate([parent[~long], parent[long], parent[long]])


def merge_agreeing(
    whole: NDArray[np.int32],
    small: NDArray[np.int32],
    parent: NDArray[np.int64],
    label: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Faces, labels and parents with every face of `whole` restored whose parts all agree.

    Where a restored face meets a cut one, vertices of the cut lie on its edge: the surfaces touch
    to within rounding, and no sound gets through.
    """
    low = np.full(len(whole), np.iinfo(np.int64).max)
    high = np.full(len(whole), -1)
    np.minimum.at(low, parent, label)
    np.maximum.at(high, parent, label)
    agree = low == high
    cut = ~agree[parent]
    restored = np.flatnonzero(agree)
    return (
        np.concatenate([whole[agree], small[cut]]).astype(np.int32),
        np.concatenate([low[agree], label[cut]]),
        np.concatenate([restored, parent[cut]]),
    )
