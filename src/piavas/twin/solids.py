"""Solids that furniture is made of, and the air that is left between them.

Every solid carries the finish of its surface through the booleans of manifold3d: a solid's
original identity survives union and difference, so each face of the air knows what it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import manifold3d as m3
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piavas.twin.clean import without_slivers

Finishes = tuple[int, int, int, int, int, int]
"""A finish for the sides that face -x, +x, -y, +y, -z, +z."""


@dataclass
class Kit:
    """Solids and their finishes, gathered in one frame of reference.

    Args:
        pieces: solids, each an original of manifold3d, with the finish of its six sides.
    """

    pieces: list[tuple[Any, Finishes]] = field(default_factory=list)

    def add(self, solid: Any, finish: int | Finishes) -> None:
        """Put `solid` in with one finish, or with one a side."""
        sides = (finish,) * 6 if isinstance(finish, int) else finish
        self.pieces.append((solid, sides))

    def box(self, low: ArrayLike, high: ArrayLike, finish: int | Finishes) -> None:
        """A box between two corners."""
        self.add(box(low, high), finish)

    def legs(self, w: float, d: float, top: float, thick: float, finish: int) -> None:
        """Four square legs inside a footprint `w` x `d`, from the floor to `top`."""
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = sx * (w - thick) / 2, sy * (d - thick) / 2
                half = thick / 2
                self.box((x - half, y - half, SUNK), (x + half, y + half, top), finish)

    def placed(self, x: float, y: float, turn: float = 0.0, z: float = 0.0) -> Kit:
        """The same turned by `turn` degrees about z, then moved; finishes follow the sides."""
        moved = Kit()
        quarter = round(turn / 90) % 4
        for solid, sides in self.pieces:
            moved.add(solid.rotate((0, 0, turn)).translate((x, y, z)), _turned(sides, quarter))
        return moved

    def __iadd__(self, other: Kit) -> Kit:
        self.pieces += other.pieces
        return self


SUNK = -0.02
"""What stands on the floor reaches a little into it, so that no sheet of air is left below."""


def _turned(sides: Finishes, quarters: int) -> Finishes:
    for _ in range(quarters):
        sides = (sides[3], sides[2], sides[0], sides[1], sides[4], sides[5])
    return sides


def box(low: ArrayLike, high: ArrayLike) -> Any:
    """A box between two corners."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    return m3.Manifold.cube(tuple(high - low)).translate(tuple(low))


def cylinder(
    x: float, y: float, z0: float, z1: float, radius: float, top: float = -1.0, sides: int = 20
) -> Any:
    """An upright cylinder, or a cone frustum of upper radius `top`."""
    return m3.Manifold.cylinder(z1 - z0, radius, top, sides).translate((x, y, z0))


def rounded(low: ArrayLike, high: ArrayLike, radius: float, sides: int = 12) -> Any:
    """A box with rounded edges: the hull of eight balls."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    radius = min(radius, float((high - low).min()) / 2 - 1e-3)
    corners = [
        [(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]]
        for i in (0, 1)
        for j in (0, 1)
        for k in (0, 1)
    ]
    ball = m3.Manifold.sphere(radius, sides)
    inward = [np.where(np.array(c) == low, radius, -radius) for c in corners]
    balls = [ball.translate(tuple(c + d)) for c, d in zip(corners, inward, strict=True)]
    return m3.Manifold.batch_hull(balls)


def cushion(centre: ArrayLike, size: ArrayLike, tilt: float = 0.0, sides: int = 20) -> Any:
    """A pillow: a ball drawn towards a box (superellipsoid), tilted by `tilt` degrees about x."""

    def swell(points: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = np.sign(points) * np.abs(points) ** 0.6
        return drawn * np.asarray(size, float) / 2

    ball = m3.Manifold.sphere(1.0, sides).warp_batch(swell)
    return ball.rotate((tilt, 0, 0)).translate(tuple(np.asarray(centre, float)))


def ellipsoid(centre: ArrayLike, radii: ArrayLike, turn: ArrayLike, sides: int = 8) -> Any:
    """An ellipsoid turned by Euler angles in degrees."""
    ball = m3.Manifold.sphere(1.0, sides).scale(tuple(np.asarray(radii, float)))
    moved = ball.rotate(tuple(np.asarray(turn, float)))
    return moved.translate(tuple(np.asarray(centre, float)))


def wavy_sheet(
    x0: float, x1: float, z0: float, z1: float, folds: int, depth: float, thick: float
) -> Any:
    """A hanging cloth along x: a sine of `folds` folds, `depth` deep, centred on y = 0."""
    x = np.linspace(x0, x1, 6 * folds + 1)
    y = depth / 2 * np.sin(np.linspace(0, 2 * np.pi * folds, len(x)))
    outline = np.concatenate(
        [np.stack([x, y - thick / 2], 1), np.stack([x, y + thick / 2], 1)[::-1]]
    )
    sheet = m3.CrossSection([outline], m3.FillRule.NonZero)
    return m3.Manifold.extrude(sheet, z1 - z0).translate((0, 0, z0))


def slanted(low: ArrayLike, high: ArrayLike, lean: float) -> Any:
    """A box whose top is moved by `lean` metres along y: a chair's back."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    rise = lean / (high[2] - low[2])
    shear = np.array([[1.0, 0, 0, 0], [0, 1, rise, -rise * low[2]], [0, 0, 1, 0]])
    return box(low, high).transform(shear)


@dataclass(frozen=True)
class Air:
    """The surface of a volume of air.

    Args:
        vertices: `[v, 3]` float32-exact metres.
        faces: `[f, 3]`; normals point into the air.
        finish: `[f]` finish of each face.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    finish: NDArray[np.int32]


def carve(rooms: Kit, furniture: Kit) -> Air:
    """The union of `rooms` less `furniture`; faces keep the finish of the solid they came from.

    Of several bodies of air (the inside of a hollow thing) the largest is kept.
    """
    table: dict[int, Finishes] = {}
    shells, things = (_originals(kit, table) for kit in (rooms, furniture))
    hollow = m3.Manifold.batch_boolean(shells, m3.OpType.Add)
    air = m3.Manifold.batch_boolean([hollow, *things], m3.OpType.Subtract) if things else hollow
    return _surface(air.to_mesh(), table)


def _originals(kit: Kit, table: dict[int, Finishes]) -> list[Any]:
    solids = [solid.as_original() for solid, _ in kit.pieces]
    for solid, (_, sides) in zip(solids, kit.pieces, strict=True):
        table[solid.original_id()] = sides
    return solids


def _surface(mesh: Any, table: dict[int, Finishes]) -> Air:
    vertices = np.asarray(mesh.vert_properties, np.float32)[:, :3].astype(np.float64)
    out = np.asarray(mesh.tri_verts, np.int32)
    starts = np.asarray(mesh.run_index, np.int64)
    runs = (starts[1:] - starts[:-1]) // 3
    sides = np.array([table[i] for i in mesh.run_original_id], np.int32)
    owner = np.repeat(np.arange(len(runs)), runs)
    # manifold3d's normals point out of the air; a mesh for sound has them point into it.
    faces = np.ascontiguousarray(out[:, ::-1])
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    finish = sides[owner, _side(np.cross(b - a, c - a))]
    kept = _of_room(vertices, out)
    return Air(*without_slivers(vertices, faces[kept], finish[kept]))


def _of_room(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Faces `[f]` of the largest body of air and of what hangs free (negative volume)."""
    edges = faces[:, [[0, 1], [1, 2]]].reshape(-1, 2)
    ones = np.ones(len(edges), bool)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), (len(vertices), len(vertices)))
    part = connected_components(graph, directed=False)[1][faces[:, 0]]
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    volume = np.bincount(part, np.einsum("ij,ij->i", a, np.cross(b, c)))
    return np.asarray((volume[part] < 0) | (part == volume.argmax()))


def _side(normals: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into `Finishes` of the side that faces along each normal."""
    axis = np.abs(normals).argmax(axis=1)
    return 2 * axis + (np.take_along_axis(normals, axis[:, None], 1)[:, 0] > 0)
