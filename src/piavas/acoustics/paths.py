"""Discrete paths: the direct sound and validated image sources, with delay, direction and loss.

Candidates are the patch sequences that mirrored rays of the source met; the image method
(Allen & Berkley 1979; Borish 1984 for any polyhedron) gives their exact geometry for each
listener, and rays confirm that every reflection point lies on its patch and nothing is between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piavas.acoustics.patches import Patches
from piavas.acoustics.transmission import Walls
from piavas.acoustics.utd import WIDTH, band_coefficients
from piavas.scene import OCTAVE_BANDS, Scene, Source

ON_PATCH = 2e-3  # metres by which a confirmed point may miss its place
EDGE = 1e-7  # metres within which a point lies on two mirrors
SAME_IMAGE = 1e-3  # metres within which two sequences have the same image
MIRRORS_TO_PAIR = 48  # with no more mirrors than this, every pair is a candidate


@dataclass(frozen=True)
class Bends:
    """What edges do to paths, at any frequency; see `piavas.acoustics.utd`.

    Args:
        wedge: `[b, 2, WIDTH]` the one or two bends of a path.
        face: `[b, 2, 2, 9]` pressure factors of the faces o and n of each bend.
    """

    wedge: NDArray[np.float64]
    face: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.wedge)


NO_BENDS = Bends(np.zeros((0, 2, WIDTH)), np.zeros((0, 2, 2, len(OCTAVE_BANDS))))


@dataclass(frozen=True)
class Paths:
    """Discrete paths of one source to many listeners.

    Args:
        listener: `[p]` index, rising.
        order: `[p]` number of reflections; 0 is the direct sound.
        length: `[p]` metres.
        arrival: `[p, 3]` unit vectors of propagation at the listener, world.
        leaving: `[p, 3]` unit vectors of propagation at the source.
        gain: `[p, 9]` pressure at the listener without air absorption, its spreading included;
            a diffracted path has its coefficients, in sqrt(m) each, on top.
        sequence: `[p, order]` patches met, -1 after the end.
        bend: `[p]` row of `bends` for diffracted paths, -1 for straight ones.
        bends: of all paths.
    """

    listener: NDArray[np.int32]
    order: NDArray[np.int32]
    length: NDArray[np.float64]
    arrival: NDArray[np.float64]
    leaving: NDArray[np.float64]
    gain: NDArray[np.float64]
    sequence: NDArray[np.int32]
    bend: NDArray[np.int32]
    bends: Bends = NO_BENDS

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: NDArray | slice) -> Paths:
        """Those of `rows`."""
        columns = {name: value[rows] for name, value in vars(self).items() if name != "bends"}
        return Paths(**columns, bends=self.bends)

    def of(self, listener: int) -> Paths:
        """The paths of one listener."""
        low, high = np.searchsorted(self.listener, [listener, listener + 1])
        return self.take(slice(low, high))

    def split(self, listeners: int) -> list[Paths]:
        """The paths of each of `listeners`."""
        return [self.of(i) for i in range(listeners)]

    def backwards(self, sources: list[Source]) -> Paths:
        """These paths of an omnidirectional source, run from their listeners, `sources`, to it.

        Sound takes the same ways with the same losses in either direction. The result's `listener`
        still counts the `sources`; its sequences are those of the paths as they were.
        """
        leaving = -self.arrival
        pressure = [
            source.pressure(leaving[slice(*np.searchsorted(self.listener, [i, i + 1]))])
            for i, source in enumerate(sources)
        ]
        gain = self.gain * np.concatenate(pressure)
        return replace(self, arrival=-self.leaving, leaving=leaving, gain=gain)

    def magnitude(self, speed: float) -> NDArray[np.float64]:
        """Pressure `[p, 9]` at the listener, diffraction included, without air absorption."""
        out = np.abs(self.gain)
        bent = np.flatnonzero(self.bend >= 0)
        row = self.bend[bent]
        out[bent] *= band_coefficients(self.bends.wedge[row], self.bends.face[row], speed)
        return out


def candidates(found: NDArray[np.int32], patches: Patches, order: int) -> NDArray[np.int32]:
    """Sequences `[n, order]` worth a look: the beginnings of those found by rays.

    All single mirrors and, in a simple room, all pairs of them are looked at too, so that nothing
    of low order hangs on a ray.
    """
    if order == 0:
        return np.empty((0, 1), np.int32)
    rows = []
    for n in range(1, order + 1):
        begun = found[(found[:, n - 1] >= 0)].copy()
        begun[:, n:] = -1
        rows.append(begun)
    mirrors = np.flatnonzero(patches.mirror).astype(np.int32)
    single = np.full((len(mirrors), order), -1, np.int32)
    single[:, 0] = mirrors
    rows.append(single)
    if order > 1 and len(mirrors) <= MIRRORS_TO_PAIR:
        a, b = (m.ravel() for m in np.meshgrid(mirrors, mirrors))
        pair = np.full((int((a != b).sum()), order), -1, np.int32)
        pair[:, 0], pair[:, 1] = a[a != b], b[a != b]
        rows.append(pair)
    return np.unique(np.concatenate(rows), axis=0)


def images(sequences: NDArray[np.int32], patches: Patches, source: NDArray) -> NDArray[np.float64]:
    """Image sources `[n, order + 1, 3]`: the source, then its image after each mirror."""
    steps = [np.tile(source, (len(sequences), 1))]
    for column in sequences.T:
        plane = np.maximum(column, 0)
        gap = np.einsum("ij,ij->i", steps[-1], patches.normal[plane]) - patches.offset[plane]
        mirrored = steps[-1] - 2 * gap[:, None] * patches.normal[plane]
        steps.append(np.where((column >= 0)[:, None], mirrored, steps[-1]))
    return np.stack(steps, axis=1)


@njit(cache=True)
def _unfold(head, image, sequence, count, normal, offset, lower, upper, slack, points, kept):  # type: ignore[no-untyped-def]
    """Reflection points of every sequence for one head; how many sequences could be paths."""
    found = 0
    for s in range(sequence.shape[0]):
        at = head.copy()
        good = True
        for k in range(count[s] - 1, -1, -1):
            patch = sequence[s, k]
            a, b = -offset[patch], -offset[patch]
            for j in range(3):
                a += normal[patch, j] * at[j]
                b += normal[patch, j] * image[s, k + 1, j]
            # The listener side and the image must lie on either side of the mirror. A path may
            # run into an edge, where the next mirror is met on the spot.
            if (a * b > 0 and abs(a) > EDGE) or abs(b) < EDGE:
                good = False
                break
            t = max(a / (a - b), 0.0) if a != b else 0.0
            for j in range(3):
                at[j] += t * (image[s, k + 1, j] - at[j])
                if at[j] < lower[patch, j] - slack or at[j] > upper[patch, j] + slack:
                    good = False
                points[found, k, j] = at[j]
            if not good:
                break
        if good:
            kept[found] = s
            found += 1
    return found


@dataclass(frozen=True)
class _Unfolded:
    """Sequences that could be paths, for all listeners."""

    listener: NDArray[np.int32]
    sequence: NDArray[np.int32]
    points: NDArray[np.float64]


def _unfold_all(
    heads: NDArray, image: NDArray, sequences: NDArray, count: NDArray, patches: Patches
) -> _Unfolded:
    listener, sequence, points = [], [], []
    space, kept = (
        np.zeros((len(sequences), sequences.shape[1], 3)),  # its spare places are read too
        np.empty(len(sequences), np.int32),
    )
    for i, head in enumerate(heads):
        found = _unfold(
            head, image, sequences, count, patches.normal, patches.offset, patches.lower,
            patches.upper, ON_PATCH, space, kept,
        )  # fmt: skip
        listener.append(np.full(found, i, np.int32))
        sequence.append(kept[:found].copy())
        points.append(space[:found].copy())
    return _Unfolded(np.concatenate(listener), np.concatenate(sequence), np.concatenate(points))


def _confirm(
    walls: Walls, source: NDArray, heads: NDArray, sequences: NDArray, todo: _Unfolded
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which unfolded sequences are paths, and `[n, 9]` the energy that walls on the way leave.

    Each leg reaches its point, through walls where they may be passed, and the last the source.
    What a leg reaches is one of the path's own mirrors; on an edge it may be the next one.
    """
    good = np.ones(len(todo.listener), np.bool_)
    left = np.ones((len(good), len(OCTAVE_BANDS)))
    allowed = np.full(len(good), walls.most)
    at = heads[todo.listener]
    mirrors = sequences[todo.sequence]
    number = (mirrors >= 0).sum(axis=1)
    for k in range(mirrors.shape[1], -1, -1):
        ends = todo.points[:, k - 1] if k else np.broadcast_to(source, at.shape)
        # A path may run into an edge, where the next mirror is met on the spot.
        moves = np.linalg.norm(ends - at, axis=1) > ON_PATCH if k else True
        row = np.flatnonzero(good & (number >= k) & moves)
        met = mirrors[row] if k else None
        good[row], passed, energy = walls.through(at[row], ends[row], allowed[row], met)
        left[row] *= energy
        allowed[row] -= passed
        at = np.where((number >= k)[:, None], ends, at)
    return good, left


def _once(listener: NDArray, image: NDArray) -> NDArray[np.bool_]:
    """Keep one of several paths to one listener that share an image, as two do on a room's edge."""
    key = np.concatenate([listener[:, None], np.round(image / SAME_IMAGE)], axis=1).astype(np.int64)
    _, first = np.unique(key, axis=0, return_index=True)
    keep = np.zeros(len(listener), np.bool_)
    keep[first] = True
    return keep


def reflected_paths(
    walls: Walls,
    *,
    source: Source,
    heads: NDArray[np.float64],
    sequences: NDArray[np.int32],
) -> Paths:
    """The specular reflections at `heads` `[l, 3]` along `sequences` `[n, order]` of patches."""
    patches = walls.patches
    count = (sequences >= 0).sum(axis=1)
    image = images(sequences, patches, source.position)
    todo = _unfold_all(heads, image, sequences, count, patches)
    good, left = _confirm(walls, source.position, heads, sequences, todo)
    rows = np.flatnonzero(good)
    rows = rows[_once(todo.listener[rows], image[todo.sequence[rows], -1])]
    listener, which, points = todo.listener[rows], todo.sequence[rows], todo.points[rows]
    way = heads[listener] - image[which, -1]
    length = np.linalg.norm(way, axis=1)
    leaving = points[:, 0] - source.position if len(points) else np.empty((0, 3))
    leaving = leaving / np.linalg.norm(leaving, axis=1, keepdims=True)
    gain = mirror_loss(walls.scene, patches, sequences[which]) * np.sqrt(left[rows])
    return Paths(
        listener,
        count[which].astype(np.int32),
        length,
        way / length[:, None],
        leaving,
        gain * source.pressure(leaving) / length[:, None],
        sequences[which],
        np.full(len(which), -1, np.int32),
    )


def mirror_factors(scene: Scene, patches: Patches) -> NDArray[np.float64]:
    """Pressure factor `[p, 9]` of each patch: the root of (1 - absorption)(1 - scattering)."""
    mirrored = np.stack([(1 - m.absorption) * (1 - m.scattering) for m in scene.materials])
    return np.asarray(np.sqrt(mirrored)[patches.material])


def mirror_loss(
    scene: Scene, patches: Patches, sequences: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Pressure factor `[n, 9]` of mirror chains."""
    factors = mirror_factors(scene, patches)
    factor = np.ones((len(sequences), len(OCTAVE_BANDS)))
    for column in sequences.T:
        step = factors[np.maximum(column, 0)]
        factor *= np.where((column >= 0)[:, None], step, 1.0)
    return factor


def direct_paths(walls: Walls, source: Source, heads: NDArray[np.float64], order: int) -> Paths:
    """The direct sound at those of `heads` `[l, 3]` that it reaches, through walls or not."""
    start = np.broadcast_to(source.position, heads.shape)
    arrives, _, energy = walls.through(heads, start, np.full(len(heads), walls.most))
    seen = np.flatnonzero(arrives)
    way = heads[seen] - source.position
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-3)
    arrival = way / length[:, None]
    return Paths(
        seen.astype(np.int32),
        np.zeros(len(seen), np.int32),
        length,
        arrival,
        arrival,
        np.sqrt(energy[seen]) * source.pressure(arrival) / length[:, None],
        np.full((len(seen), max(order, 1)), -1, np.int32),
        np.full(len(seen), -1, np.int32),
    )


def join(*parts: Paths) -> Paths:
    """All `parts` as one, sorted by listener and then by length."""
    first = np.cumsum([0] + [len(part.bends) for part in parts])
    moved = [
        replace(part, bend=np.where(part.bend < 0, -1, part.bend + begin).astype(np.int32))
        for part, begin in zip(parts, first, strict=False)
    ]
    columns = {
        name: np.concatenate([getattr(part, name) for part in moved])
        for name in vars(moved[0])
        if name != "bends"
    }
    wedge = np.concatenate([part.bends.wedge for part in parts])
    face = np.concatenate([part.bends.face for part in parts])
    rank = np.lexsort((columns["length"], columns["listener"]))
    return Paths(**columns, bends=Bends(wedge, face)).take(rank)
