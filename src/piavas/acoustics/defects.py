"""What is wrong with a mesh that should hold sound: holes, flat faces, faces turned over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piavas.acoustics.patches import weld
from piavas.errors import GeometryError, MaterialError
from piavas.scene import Scene, triangle_areas

NO_AREA = 1e-10  # square metres
SMALLEST_HOLE = 1e-6  # square metres; smaller ones are seams

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hole:
    """An opening of a mesh: a loop of edges that only one face has.

    Args:
        place: `[3]` its middle, metres.
        area: square metres of the surface that would close it.
    """

    place: Array
    area: float

    def __str__(self) -> str:
        return f"{self.area:.3g} m² at {np.round(self.place, 2).tolist()}"


def _edges(scene: Scene) -> tuple[NDArray, NDArray]:
    """Directed edges `[3 f, 2]` over welded vertices, and the vertex count."""
    faces = weld(scene)
    return faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64), faces


def find_holes(scene: Scene) -> list[Hole]:
    """The openings of `scene`, largest first. Vertices nearer than .1 mm count as one."""
    edges, faces = _edges(scene)
    size = int(faces.max()) + 1
    low, high = edges.min(axis=1), edges.max(axis=1)
    _, index, count = np.unique(low * size + high, return_inverse=True, return_counts=True)
    rim = edges[count[index] == 1]
    if not len(rim):
        return []
    point = np.empty((size, 3))
    point[faces.ravel()] = scene.vertices[scene.faces.ravel()]
    graph = coo_array((np.ones(len(rim), bool), rim.T), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    _, loop = np.unique(label[rim[:, 0]], return_inverse=True)
    number = np.bincount(loop)
    start, end = point[rim[:, 0]], point[rim[:, 1]]
    sums = np.stack([np.bincount(loop, 0.5 * (start + end)[:, k]) for k in range(3)], 1)
    middle = sums / number[:, None]
    fans = 0.5 * np.cross(start - middle[loop], end - middle[loop])
    areas = np.linalg.norm([np.bincount(loop, fans[:, k]) for k in range(3)], axis=0)
    order = np.argsort(-areas)
    return [Hole(middle[i], float(areas[i])) for i in order if areas[i] > SMALLEST_HOLE]


def leaving_through(
    holes: list[Hole], origins: Array, directions: Array, lower: Array, upper: Array
) -> str:
    """Where rays `origins`, `directions` `[n, 3]` that meet nothing leave, in words.

    The hole that most of them pass nearest to; without holes, where they cross the scene's box.
    """
    if holes:
        places = np.stack([hole.place for hole in holes])
        way = places[None] - origins[:, None]
        along = np.einsum("nhk,nk->nh", way, directions)
        off = np.linalg.norm(way - along[..., None] * directions[:, None], axis=2)
        reach = np.sqrt([hole.area for hole in holes])
        best = np.where(along > 0, off / reach, np.inf).argmin(axis=1)
        hole = holes[int(np.bincount(best).argmax())]
        return f"most through a hole of {hole}"
    with np.errstate(divide="ignore", invalid="ignore"):
        exits = np.where(directions > 0, upper - origins, lower - origins) / directions
    steps = np.where(np.isfinite(exits), exits, np.inf).min(axis=1)
    place = np.median(origins + steps[:, None] * directions, axis=0)
    return f"most near {np.round(place, 2).tolist()}"


def check_faces(scene: Scene) -> None:
    """Refuse faces that carry no sound.

    Raises:
        GeometryError: faces without area, or a closed mesh some faces of which are turned over.
        MaterialError: a material whose faces have no area together.
    """
    areas = triangle_areas(scene.vertices, scene.faces)
    flat = np.flatnonzero(areas < NO_AREA)
    by_material = np.bincount(scene.face_material, areas, len(scene.materials))
    used = np.bincount(scene.face_material, minlength=len(scene.materials)) > 0
    for i in np.flatnonzero(used & (by_material < NO_AREA)):
        raise MaterialError(
            f"material {scene.materials[i].name!r} is given to faces without area",
            field="face_material",
            mend="give it to faces that have some, or leave it out",
        )
    if len(flat):
        place = np.round(scene.vertices[scene.faces[flat[0]]].mean(axis=0), 3).tolist()
        raise GeometryError(
            f"{len(flat)} faces have no area, the first is face {flat[0]} at {place}",
            field="scene",
            mend="drop them, or allow leaks",
        )
    over = turned_over(scene)
    if len(over):
        place = np.round(scene.vertices[scene.faces[over[0]]].mean(axis=0), 3).tolist()
        raise GeometryError(
            f"{len(over)} faces are turned over, the first is face {over[0]} at {place}",
            field="scene",
            mend="turn them as their neighbours are, or allow leaks",
        )


def turned_over(scene: Scene) -> NDArray[np.int64]:
    """Faces of a closed mesh that run the other way than most of their neighbours.

    Empty for a mesh with holes or with edges of more than two faces: there is no telling.
    """
    edges, _ = _edges(scene)
    size = int(edges.max()) + 1
    owner = np.repeat(np.arange(len(scene.faces)), 3)
    key = edges.min(axis=1) * size + edges.max(axis=1)
    order = np.argsort(key, kind="stable")
    if len(order) % 2 or (key[order][::2] != key[order][1::2]).any():
        return np.empty(0, np.int64)
    if (key[order][2::2] == key[order][1:-1:2]).any():
        return np.empty(0, np.int64)
    one, two = order[::2], order[1::2]
    same = edges[one, 0] == edges[two, 0]  # both run along the edge in one way: one is wrong
    count = len(scene.faces)
    agree = coo_array((np.ones((~same).sum(), bool), (owner[one[~same]], owner[two[~same]])),
                      shape=(count, count))  # fmt: skip
    pieces, label = connected_components(agree, directed=False)
    if pieces == 1 or not same.any():
        return np.empty(0, np.int64)
    # Pieces that touch each other with the wrong way about: the larger area is right.
    area = np.bincount(label, triangle_areas(scene.vertices, scene.faces), pieces)
    a, b = label[owner[one[same]]], label[owner[two[same]]]
    wrong = np.where(area[a] < area[b], a, b)
    return np.flatnonzero(np.isin(label, wrong))
