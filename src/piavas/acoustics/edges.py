"""Edges that sound bends round: straight, sharp, and with free air about them.

Where two faces meet at more than a half turn of air (a door's jamb, a table's rim), or a sheet
ends, lies a diffracting edge. Pieces in a line are merged, and only the parts that air really
surrounds are kept: meshes made of overlapping solids have many edges that are buried. What rough
surfaces break up is put together (`piavas.acoustics.lines`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piavas.acoustics.lines import join
from piavas.acoustics.patches import Patches, face_normals, weld
from piavas.acoustics.wedges import Edges, with_rows
from piavas.rays import RayCaster
from piavas.scene import Scene

SHARPEST_FLAT = np.radians(20.0)  # faces that turn by less are a curve, not an edge
PARALLEL = np.cos(np.radians(2.0))
SAME_FACE = np.cos(np.radians(5.0))
STRAIGHT = 0.01  # metres by which the pieces of one edge may leave its line
SHORTEST = 0.15  # metres
PIECE = 0.05  # metres of the shortest piece that longer edges may be put together from
STEP = 0.02  # metres between the places at which an edge's air is felt
FEEL = 0.01  # metres off the edge at which that is done
LIFT = 2e-3  # metres off the edge, into the air, to which rays are sent

Array = NDArray[np.float64]


def find_edges(scene: Scene, patches: Patches, caster: RayCaster) -> Edges:
    """The diffracting edges of `scene`, longest first.

    Faces that turn by less than 20 degrees make no edge, so that curved surfaces made of flat
    pieces are not taken for wedges; edges shorter than 15 cm are left out.
    """
    edges = join(_exposed(_merged(*_pieces(scene, patches)), caster))
    edges = edges.take(np.flatnonzero(edges.length >= SHORTEST))
    return edges.take(np.argsort(-edges.length, kind="stable"))


def _pairs(faces: NDArray[np.int32]) -> tuple[NDArray, NDArray, NDArray]:
    """Directed edges `[n, 2]` with the face that runs along and the one that runs back, or -1."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    owner = np.repeat(np.arange(len(faces)), 3)
    size = faces.max() + 1
    forth, back = edges @ [size, 1], edges @ [1, size]
    order = np.argsort(back, kind="stable")
    low, high = (np.searchsorted(back[order], forth, side) for side in ("left", "right"))
    alone = high == low
    count = np.where(alone, 1, high - low)
    row = np.repeat(np.arange(len(edges)), count)
    step = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    other = np.where(alone[row], -1, owner[order[np.minimum(low[row] + step, len(order) - 1)]])
    # Each pair is met from both sides: keep the one that runs along the rising vertex.
    kept = alone[row] | (edges[row, 0] < edges[row, 1])
    return edges[row[kept]], owner[row[kept]], other[kept]


def _pieces(scene: Scene, patches: Patches) -> tuple[Edges, NDArray[np.int64]]:
    """Every sharp mesh edge as an edge of its own, with the welded vertices `[n, 2]` it joins."""
    faces = weld(scene)
    place = np.zeros((faces.max() + 1, 3))
    place[faces] = scene.vertices[scene.faces]
    normals = face_normals(scene)
    ends, one, two = _pairs(faces)
    way = place[ends[:, 1]] - place[ends[:, 0]]
    length = np.linalg.norm(way, axis=1)
    good = (length > 1e-6) & normals[one].any(axis=1) & ((two < 0) | normals[two].any(axis=1))
    ends, one, two, way, length = (v[good] for v in (ends, one, two, way, length))
    along = way / length[:, None]
    tangent = np.cross(normals[one], along)
    normal = normals[one]
    other = np.where((two < 0)[:, None], tangent, np.cross(along, normals[np.maximum(two, 0)]))
    angle = np.arctan2((other * normal).sum(1), (other * tangent).sum(1)) % (2 * np.pi)
    # The other side of the faces has the rest of the turn; the wedge is where it is the larger.
    turned = angle < np.pi
    normal = np.where(turned[:, None], -normal, normal)
    angle = np.where(turned, 2 * np.pi - angle, angle)
    angle = np.where(two < 0, 2 * np.pi, angle)
    patch = np.stack([patches.of_face[one], patches.of_face[np.where(two < 0, one, two)]], axis=1)
    lift = np.full(len(length), LIFT)
    pieces = Edges(place[ends[:, 0]], along, length, tangent, normal, angle, patch, lift)
    sharp = np.flatnonzero((angle > np.pi + SHARPEST_FLAT) & ((two < 0) | (angle < 1.99 * np.pi)))
    return _one_way(pieces.take(sharp), ends[sharp])


def _one_way(edges: Edges, ends: NDArray) -> tuple[Edges, NDArray]:
    """The same edges, all pointing to the same half of space: faces o and n change places."""
    major = np.abs(edges.along).argmax(axis=1)
    back = edges.along[np.arange(len(edges)), major] < 0
    sine, cosine = np.sin(edges.angle)[:, None], np.cos(edges.angle)[:, None]
    other = cosine * edges.tangent + sine * edges.normal
    inward = sine * edges.tangent - cosine * edges.normal
    flip = back[:, None]
    turned = Edges(
        np.where(flip, edges.end, edges.start),
        np.where(flip, -edges.along, edges.along),
        edges.length,
        np.where(flip, other, edges.tangent),
        np.where(flip, inward, edges.normal),
        edges.angle,
        np.where(flip, edges.patch[:, ::-1], edges.patch),
        edges.lift,
    )
    return turned, np.where(flip, ends[:, ::-1], ends)


def _merged(pieces: Edges, ends: NDArray) -> Edges:
    """Pieces that continue each other in a line, as one edge each."""
    n = len(pieces)
    if not n:
        return pieces
    row = np.repeat(np.arange(n), 2)
    touch = coo_array((np.ones(2 * n), (ends.ravel(), row)), shape=(int(ends.max()) + 1, n)).tocsr()
    a, b = (touch.T @ touch).nonzero()
    alike = (
        ((pieces.along[a] * pieces.along[b]).sum(1) > PARALLEL)
        & ((pieces.tangent[a] * pieces.tangent[b]).sum(1) > SAME_FACE)
        & ((pieces.normal[a] * pieces.normal[b]).sum(1) > SAME_FACE)
        & (np.abs(pieces.angle[a] - pieces.angle[b]) < np.arccos(SAME_FACE))
    )
    graph = coo_array((np.ones(alike.sum()), (a[alike], b[alike])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    alone = pieces.take(np.array([group[0] for group in groups if len(group) == 1], np.int64))
    lines = [line for group in groups if len(group) > 1 for line in _lines(pieces, group)]
    return with_rows(alone, lines)


def _lines(pieces: Edges, group: NDArray) -> list[tuple]:
    """Straight edges through the pieces of `group`, halved where they leave the line."""
    weight = pieces.length[group]
    along = weight @ pieces.along[group]
    along /= np.linalg.norm(along)
    first = pieces.start[group]
    last = first + weight[:, None] * pieces.along[group]
    centre = weight @ (first + last) / (2 * weight.sum())
    points = np.concatenate([first, last]) - centre
    at = points @ along
    off = np.linalg.norm(points - at[:, None] * along, axis=1)
    if off.max() > STRAIGHT and len(group) > 1:
        order = group[np.argsort(at[: len(group)], kind="stable")]
        half = len(order) // 2
        return _lines(pieces, order[:half]) + _lines(pieces, order[half:])
    longest = group[weight.argmax()]
    normal = weight @ pieces.normal[group]
    normal -= (normal @ along) * along
    normal /= np.linalg.norm(normal)
    sign = np.sign(np.cross(pieces.normal[longest], along) @ pieces.tangent[longest])
    tangent = sign * np.cross(normal, along)
    length = at.max() - at.min()
    angle = weight @ pieces.angle[group] / weight.sum()
    start, patch = centre + at.min() * along, pieces.patch[longest]
    lift = LIFT + off.max()  # past what is rough about it
    return [(start, along, length, tangent, normal, angle, patch, lift)]


def _exposed(edges: Edges, caster: RayCaster) -> Edges:
    """The parts of `edges` with free air about them, felt at four angles every two centimetres."""
    edges = edges.take(np.flatnonzero(edges.length >= PIECE))
    count = np.maximum(1, np.round(edges.length / STEP)).astype(np.int64)
    which = np.repeat(np.arange(len(edges)), count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    at = (step + 0.5) * (edges.length / count)[which]
    centre = edges.start[which] + at[:, None] * edges.along[which]
    free = np.ones(len(which), np.bool_)
    turn = edges.angle[which, None] * np.array([0.2, 0.4, 0.6, 0.8])
    way = (
        np.cos(turn)[..., None] * edges.tangent[which, None]
        + np.sin(turn)[..., None] * edges.normal[which, None]
    )
    places = centre[:, None] + FEEL * way
    for k in range(3):
        free &= caster.visible(places[:, k], places[:, k + 1], margin=0.0)
    return _runs(edges, which, free, (edges.length / count)[which])


def _runs(edges: Edges, which: NDArray, free: NDArray, step: Array) -> Edges:
    """Edges cut down to their runs of free places."""
    begins = free & np.concatenate([[True], ~free[:-1] | (which[1:] != which[:-1])])
    ends = free & np.concatenate([~free[1:] | (which[1:] != which[:-1]), [True]])
    first, last = np.flatnonzero(begins), np.flatnonzero(ends)
    mine = which[first]
    origin = np.searchsorted(which, mine)
    length = (last - first + 1) * step[first]
    part = edges.take(mine)
    start = part.start + ((first - origin) * step[first])[:, None] * part.along
    cut = replace(part, start=start, length=length)
    return cut.take(np.flatnonzero(length >= PIECE))
