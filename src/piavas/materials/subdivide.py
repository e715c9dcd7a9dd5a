"""Faces small enough to carry one material, and back to the largest of which all parts agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Merged:
    """Faces of one label each, in the order of their labels.

    Args:
        faces: `[m, 3]`.
        label: `[m]`.
        parent: `[m]` the face of the mesh that each is or was cut from.
        into: `[n]` the face that each small one is in.
    """

    faces: NDArray[np.int32]
    label: NDArray[np.int64]
    parent: NDArray[np.int64]
    into: NDArray[np.int64]


@dataclass(frozen=True)
class Subdivision:
    """A mesh cut into `n` small faces.

    Args:
        vertices: `[v, 3]` those of the mesh, then middles of edges.
        faces: `[n, 3]`.
        parent: `[n]` the face of the mesh that each came from.
        steps: before each round of cuts the faces, and which of them were cut in two: after it come
            those that were not, then the first halves, then the second ones.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    parent: NDArray[np.int64]
    steps: tuple[tuple[NDArray[np.int32], NDArray[np.bool_]], ...] = ()

    def merge(self, label: NDArray[np.int64]) -> Merged:
        """Undo every cut whose halves agree on `label` `[n]`, which is not negative.

        Where a face meets smaller ones, their vertices lie on its edge: the surfaces touch to
        within rounding, and no sound gets through.
        """
        agreed = [np.asarray(label)]  # of each round's faces: the label of all parts, or -1
        for _, cut in reversed(self.steps):
            kept = np.count_nonzero(~cut)
            first, second = agreed[-1][kept:].reshape(2, -1)
            before = np.empty(len(cut), np.int64)
            before[~cut] = agreed[-1][:kept]
            before[cut] = np.where(first == second, first, -1)
            agreed.append(before)
        stages = [faces for faces, _ in self.steps] + [self.faces]
        cuts = [cut for _, cut in self.steps]
        within = np.full(len(stages[0]), -1)
        faces, labels, total = [], [], 0
        for k, (stage, told) in enumerate(zip(stages, reversed(agreed), strict=True)):
            new = (within < 0) & (told >= 0)
            count = int(np.count_nonzero(new))
            within[new] = total + np.arange(count)
            total += count
            faces.append(stage[new])
            labels.append(told[new])
            if k < len(cuts):
                cut = cuts[k]
                within = np.concatenate([within[~cut], within[cut], within[cut]])
        label = np.concatenate(labels)
        parent = np.empty(total, np.int64)
        parent[within] = self.parent
        order = np.lexsort((parent, label))
        place = np.empty(total, np.int64)
        place[order] = np.arange(total)
        return Merged(np.concatenate(faces)[order], label[order], parent[order], place[within])


def subdivide(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], longest: float
) -> Subdivision:
    """Halve the longest edges until none exceeds `longest` metres.

    An edge's middle depends on its ends alone, so both faces at it are cut in the same place: cut
    faces meet without gaps.
    """
    parent = np.arange(len(faces))
    steps: list[tuple[NDArray[np.int32], NDArray[np.bool_]]] = []
    while True:
        length = np.linalg.norm(vertices[faces] - vertices[np.roll(faces, -1, axis=1)], axis=2)
        long = length.max(axis=1) > longest
        if not long.any():
            return Subdivision(vertices, faces, parent, tuple(steps))
        steps.append((faces, long))
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
