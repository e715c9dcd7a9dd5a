"""Names of a scan's parts on the mesh that was closed from it."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from piavas.geometry.places import face_normals
from piavas.geometry.scan import sample
from piavas.materials.parts import PARTS, Parts
from piavas.materials.subdivide import subdivide
from piavas.scene import INFERRED, Mesh

NOWHERE = "not scanned"
SMALL = 0.15  # metres of the longest edge of a face that has one name
TURN_WORTH = 1.0  # metres that opposite normals count for
FAR = 0.5  # metres from which nothing of the scan is near


def carry(parts: Parts, scan: Mesh, closed: Mesh, seed: int = 0) -> tuple[Mesh, Parts]:
    """`closed`, cut along the borders of parts, and what its faces are called.

    Every piece of 15 cm takes the part of the nearest point of the scan, near in position and in
    normal, of either side; cuts are undone as far as all pieces agree. What was invented far from
    the scan is "not scanned". The report holds the parts too: they go to disk with the mesh.

    Args:
        parts: of `scan`.
        scan: what was closed, in the same metres.
        closed: e.g. of `piavas.geometry.clean_scan`.
        seed: of the points on the scan.
    """
    points, face = sample(scan, seed)
    points = np.concatenate([points, scan.triangles.mean(axis=1)])
    face = np.concatenate([face, np.arange(len(scan.faces))])
    lean = 0.5 * TURN_WORTH * face_normals(scan)[face]
    tree = cKDTree(np.concatenate([np.hstack([points, lean]), np.hstack([points, -lean])]))
    cut = subdivide(closed.vertices, closed.faces, SMALL)
    pieces = Mesh(cut.vertices, cut.faces)
    centre = pieces.triangles.mean(axis=1)
    _, near = tree.query(np.hstack([centre, 0.5 * TURN_WORTH * face_normals(pieces)]))
    near = np.asarray(near) % len(points)
    names = list(dict.fromkeys(parts.names))
    given = dict(zip(parts.names, parts.given, strict=True))
    one = np.array([names.index(name) for name in parts.names])
    number = one[parts.index[face[near]]]
    gone = np.linalg.norm(points[near] - centre, axis=1) > FAR
    if closed.origin is not None:
        gone &= closed.origin[cut.parent] != INFERRED
    number[gone] = len(names)
    names.append(NOWHERE)
    given[NOWHERE] = False
    merged = cut.merge(number)
    used, place = np.unique(merged.faces, return_inverse=True)
    kept, index = np.unique(merged.label, return_inverse=True)
    found = Parts(
        tuple(names[k] for k in kept),
        index.reshape(-1).astype(np.int32),
        tuple(given[names[k]] for k in kept),
    )
    return Mesh(
        cut.vertices[used],
        place.reshape(-1, 3).astype(np.int32),
        None if closed.origin is None else closed.origin[merged.parent],
        {**closed.report, "triangles": len(merged.faces), PARTS: found.runs()},
    ), found
