"""Places in the air of a scan, where the head may have been that scanned it.

Devices mesh what they see from where they see it, so places that meet hardly any back of a face
are in the air. Where sides are mixed, it is the places that the scan is all round. Heights are
those of heads: from under a table, of which the top alone was scanned, one would see through it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import cKDTree

from piavas.errors import GeometryError
from piavas.rays import RayCaster
from piavas.scene import Mesh

F64 = NDArray[np.float64]
STEP = 0.3  # metres between candidates
HEAD, HEADS = 1.5, 0.5  # metres of a place over the lowest of the scan, and either way
CLEAR = 0.3  # metres about a place in which there is no surface
PLACES = 24
ROUND = 96  # rays that tell whether a place is enclosed
HIGHEST = 0.5  # most that those rays rise or fall: a scan may lack its ceiling
ENCLOSED = 0.8  # share of them that must meet the scan
PARTLY = 0.3  # likewise where the sides of the faces tell the air
BEHIND = 0.1  # most of the hits that may be on backs of faces there
REACH = 12.0  # metres within which they must
ROOM = 0.1  # least share of the places of the largest room that make a room of its own


def find_places(points: F64, mesh: Mesh, caster: RayCaster) -> tuple[F64, str]:
    """At most 24 places `[n, 3]`, spread far from one another over all rooms.

    Args:
        points: `[m, 3]` on the surface of the scan, metres.
        mesh: the scan.
        caster: of the scan.

    Returns:
        the places, and what told them: "enclosed" by the scan, or the "sides" of its faces.

    Raises:
        GeometryError: neither tells any.
    """
    lower, upper = np.quantile(points, [0.002, 0.998], axis=0)
    shape = np.maximum(np.floor((upper - lower) / STEP).astype(int), 1)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    at = lower + STEP * (grid.reshape(-1, 3) + 0.5)
    clear = cKDTree(points).query(at, distance_upper_bound=2 * CLEAR)[0] > CLEAR
    clear &= np.abs(at[:, 2] - lower[2] - HEAD) < HEADS
    met, backs = np.zeros((2, len(at)))
    met[clear], backs[clear] = _looks(at[clear], mesh, caster)
    enclosed, before = met >= ENCLOSED, backs <= BEHIND * met
    # Where most enclosed places see backs, the sides of the faces tell nothing.
    if (enclosed & before).sum() >= 0.5 * enclosed.sum():
        good, told = (met >= PARTLY) & before, "sides"
    else:
        good, told = enclosed, "enclosed"
    if good.any():
        return _spread(at[_rooms(good.reshape(shape)).ravel()], PLACES), told
    raise GeometryError(
        "encloses no place: it is open on most sides",
        field="scan",
        mend="give `places` in its air, or a scan of a whole room",
    )


def _rooms(good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The places that hang together in rooms, not in small hollows."""
    rooms, number = label(good)
    size = np.bincount(rooms.ravel(), minlength=number + 1)
    size[0] = 0
    return np.asarray((size >= ROOM * size.max())[rooms])


def _looks(at: F64, mesh: Mesh, caster: RayCaster) -> tuple[F64, F64]:
    """Shares `[n]` of the about level rays from each place that meet the scan, and its backs."""
    rise = HIGHEST * (2 * (np.arange(ROUND) + 0.5) / ROUND - 1)
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(ROUND)  # Fibonacci's lattice on a belt
    way = np.stack([np.cos(turn), np.sin(turn), rise], axis=1)
    way[:, :2] *= np.sqrt(1 - rise**2)[:, None]
    ways = np.tile(way, (len(at), 1))
    distance, face = caster.closest(np.repeat(at, ROUND, axis=0), ways)
    back = np.einsum("ij,ij->i", face_normals(mesh)[face], ways) > 0
    met = distance < REACH
    share = met.reshape(-1, ROUND).mean(axis=1)
    return share, (met & back).reshape(-1, ROUND).mean(axis=1)


def face_normals(mesh: Mesh) -> F64:
    """Unit normals `[f, 3]`; 0 of faces without area."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    normal = np.cross(b - a, c - a)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20))


def _spread(at: F64, count: int) -> F64:
    """Farthest points first (Gonzalez 1985), from the one nearest the middle."""
    chosen = [int(np.argmin(np.linalg.norm(at - at.mean(axis=0), axis=1)))]
    far = np.linalg.norm(at - at[chosen[0]], axis=1)
    while len(chosen) < min(count, len(at)):
        chosen.append(int(np.argmax(far)))
        far = np.minimum(far, np.linalg.norm(at - at[chosen[-1]], axis=1))
    return at[chosen]
