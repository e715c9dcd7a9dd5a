"""Diffracting wedges, and places about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Edges:
    """Diffracting wedges. Angles about an edge count from its face o through the air to face n.

    Args:
        start: `[e, 3]` metres.
        along: `[e, 3]` unit vector.
        length: `[e]` metres.
        tangent: `[e, 3]` unit vector in face o, away from the edge.
        normal: `[e, 3]` unit normal of face o, into the air.
        angle: `[e]` of the air, radians, above pi; 2 pi for the end of a sheet.
        patch: `[e, 2]` patches of the faces o and n.
        lift: `[e]` metres off the edge, into the air, to which rays are sent.
    """

    start: Array
    along: Array
    length: Array
    tangent: Array
    normal: Array
    angle: Array
    patch: NDArray[np.int32]
    lift: Array

    def __len__(self) -> int:
        return len(self.length)

    def take(self, index: NDArray) -> Edges:
        """Those of `index`."""
        return Edges(*(value[index] for value in vars(self).values()))

    def first(self, most: int) -> Edges:
        """The first `most` of them, all if there are fewer."""
        return self.take(np.arange(min(len(self), most)))

    @property
    def end(self) -> Array:
        """`[e, 3]` metres."""
        return np.asarray(self.start + self.length[:, None] * self.along)

    @property
    def outward(self) -> Array:
        """`[e, 3]` unit vectors half-way through the air."""
        half = self.angle[:, None] / 2
        return np.asarray(np.cos(half) * self.tangent + np.sin(half) * self.normal)

    def points(self, share: Array) -> Array:
        """Points `[e, s, 3]` just off each edge, at the shares `[s]` of its length."""
        lift = self.lift[:, None]
        inner = np.maximum(self.length[:, None] - 2 * lift, 0)
        return self.lifted(np.arange(len(self))[:, None], lift + share * inner)

    def lifted(self, edge: NDArray[np.int64], at: Array) -> Array:
        """Points `[..., 3]` just off edges `edge`, into the air, `at` metres along them."""
        lift, length = self.lift[edge], self.length[edge]
        inner = np.clip(at, lift, np.maximum(length - lift, lift))
        off = inner[..., None] * self.along[edge] + lift[..., None] * self.outward[edge]
        return np.asarray(self.start[edge] + off)

    def around(self, points: Array) -> Array:
        """Angles `[p, e]` in [0, 2 pi) of `points` `[p, 3]` about each edge."""
        way = points[:, None] - self.start
        return np.asarray(
            np.arctan2((way * self.normal).sum(-1), (way * self.tangent).sum(-1)) % (2 * np.pi)
        )


def with_rows(edges: Edges, rows: list[tuple]) -> Edges:
    """`edges` and those of `rows`, one tuple of the values of `Edges` each."""
    if not rows:
        return edges
    more = [np.stack(column) for column in zip(*rows, strict=True)]
    return Edges(*(np.concatenate(pair) for pair in zip(vars(edges).values(), more, strict=True)))
