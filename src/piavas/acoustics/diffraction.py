"""Diffracted paths: round one edge or two, or round one with a reflection before or after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.bend import once, twice
from piavas.acoustics.corners import Corners, reaches
from piavas.acoustics.paths import (
    ON_PATCH,
    Bends,
    Paths,
    images,
    join,
    mirror_factors,
    mirror_loss,
)
from piavas.acoustics.utd import WIDTH
from piavas.acoustics.wedges import Edges
from piavas.rays import RayCaster
from piavas.scene import OCTAVE_BANDS, Source

FLOOR = 1e-2  # level re the loudest path of a listener below which a diffracted one is dropped
REFLECTED_FLOOR = 10**-1.5  # the same for those that are reflected, too: they are many
FELT = 250.0  # hertz at which levels are compared before rays are sent
COMPARED = slice(2, 7)  # bands 250 Hz to 4 kHz, over which they are compared at last

Array = NDArray[np.float64]
Stop = tuple[Array, NDArray[np.bool_], NDArray | None]
"""Points `[n, 3]` on ways, whether each way stops there, and on which mirror, if on any."""


@dataclass(frozen=True)
class Lit:
    """What one source can send round edges.

    Args:
        corners: the room's edges.
        source: the source.
        chain: `[v, 1]` mirror of each image of the source, -1 for the source itself.
        image: `[v, 3]`.
        pair: `[n, 3]` image, edge, and mirror after the edge or -1.
        double: `[m, 2]` two edges, met by the source itself.
        kind: whether with reflections, and whether over two edges.
    """

    corners: Corners
    source: Source
    chain: NDArray[np.int32]
    image: Array
    pair: NDArray[np.int64]
    double: NDArray[np.int64]
    kind: tuple[bool, bool]

    def paths(self, heads: Array, straight: Paths, speed: float) -> Paths:
        """The diffracted paths at `heads` `[l, 3]` that matter beside the `straight` ones."""
        k = 2 * np.pi * FELT / speed
        order = straight.sequence.shape[1]
        plain = (self.pair[:, 0] == 0) & (self.pair[:, 2] < 0)
        found = straight
        # Those alone are heard where nothing straight is: they say what else is worth a look.
        for pair, below in ((self.pair[plain], FLOOR), (self.pair[~plain], REFLECTED_FLOOR)):
            loudest = _loudest(found, speed, len(heads))
            found = join(found, self._once(pair, heads, below * loudest, k, order))
        loudest = _loudest(found, speed, len(heads))
        found = join(found, self._twice(heads, FLOOR * loudest, k, order))
        floor = np.where(found.order > 0, REFLECTED_FLOOR, FLOOR) * loudest[found.listener]
        kept = (found.bend >= 0) & (_level(found, speed) > floor)
        return found.take(np.flatnonzero(kept))

    def _once(self, pair: NDArray, heads: Array, floor: Array, k: float, order: int) -> Paths:
        edges, patches = self.corners.edges, self.corners.patches
        planes = (patches.normal, patches.offset, patches.lower, patches.upper)
        args = (pair, self.chain[:, 0], self.image, heads, _frames(edges), planes, ON_PATCH)
        found, points, legs, wedge = _room_for(
            128 * len(heads),
            lambda *out: once(*args, k, floor, *out),
            (2,),
            (3, 3),
            (2,),
            (1, WIDTH),
        )
        listener, row = found.T
        v, e, m = pair[row].T
        stops = [
            (points[:, 0], self.chain[v, 0] >= 0, self.chain[v, 0]),
            (_lifted(edges, e, points[:, 1]), np.ones(len(row), np.bool_), None),
            (points[:, 2], m >= 0, m),
        ]
        free, first, last = _clear(self.corners, self.source.position, heads[listener], stops)
        good = np.flatnonzero(free)
        sequence = np.full((len(good), order), -1, np.int32)
        sequence[:, 0] = np.maximum(self.chain[v[good], 0], m[good])
        spread = legs[good].prod(axis=1) * legs[good].sum(axis=1)
        bends = np.zeros((len(good), 2, WIDTH))
        bends[:, 0] = wedge[good, 0]
        return self._made(
            heads, listener[good], legs[good].sum(axis=1), first[good], last[good], spread,
            sequence, bends, e[good, None],
        )  # fmt: skip

    def _twice(self, heads: Array, floor: Array, k: float, order: int) -> Paths:
        edges = self.corners.edges
        args = (self.double, self.source.position, heads, _frames(edges))
        found, points, legs, wedge, shared = _room_for(
            128 * len(heads),
            lambda *out: twice(*args, k, floor, *out),
            (2,),
            (2, 3),
            (3,),
            (2, WIDTH),
            (),
        )
        listener, row = found.T
        e = self.double[row]
        yes = np.ones(len(row), np.bool_)
        stops = [(_lifted(edges, e[:, i], points[:, i]), yes, None) for i in range(2)]
        free, first, last = _clear(self.corners, self.source.position, heads[listener], stops)
        good = np.flatnonzero(free)
        paths = self._made(
            heads, listener[good], legs[good].sum(axis=1), first[good], last[good],
            legs[good].prod(axis=1) * legs[good].sum(axis=1),
            np.full((len(good), order), -1, np.int32), wedge[good], e[good],
        )  # fmt: skip
        # Along a face shared by both edges run the wave and its mirror image as one: each wedge
        # counts the image, and the second is met by the wave alone.
        along = np.flatnonzero(shared[good] > 0)
        side = shared[good][along].astype(np.int64) - 1
        paths.gain[along] /= 1 + paths.bends.face[along, 1, side]
        return paths

    def _made(
        self, heads: Array, listener: NDArray, length: Array, first: Array, last: Array,
        spread: Array, sequence: NDArray, bends: Array, edge: NDArray,
    ) -> Paths:  # fmt: skip
        """Confirmed ways as paths: `first` and `last` are the ends of their first and last legs."""
        corners = self.corners
        leaving = first - self.source.position
        leaving = leaving / np.linalg.norm(leaving, axis=1, keepdims=True)
        arrival = heads[listener] - last
        arrival = arrival / np.linalg.norm(arrival, axis=1, keepdims=True)
        factors = mirror_factors(corners.scene, corners.patches)
        face = np.zeros((len(listener), 2, 2, len(OCTAVE_BANDS)))
        face[:, : edge.shape[1]] = factors[corners.edges.patch[edge]]
        gain = self.source.pressure(leaving) / np.sqrt(spread)[:, None]
        gain = gain * mirror_loss(corners.scene, corners.patches, sequence)
        return Paths(
            listener.astype(np.int32),
            (sequence >= 0).sum(axis=1).astype(np.int32),
            length,
            arrival,
            leaving,
            gain,
            sequence,
            np.arange(len(listener), dtype=np.int32),
            Bends(bends, face),
        )


def lit_by(corners: Corners, source: Source, *, reflected: bool, double: bool) -> Lit:
    """What `source` can send round the edges of `corners`.

    Args:
        corners: the room's edges.
        source: the source.
        reflected: whether with a reflection before or after the edge, too.
        double: whether over two edges, too.
    """
    place = source.position
    for lit in corners.lit:
        same = np.array_equal(lit.source.position, place)
        if same and lit.kind == (reflected, double):
            return replace(lit, source=source)
    chain = np.array([[-1]], np.int32)
    if reflected:
        chain = np.concatenate([chain, corners.mirrors[:, None]])
    image = images(chain, corners.patches, place)[:, -1]
    pairs = [corners.seen_from(place), corners.seen_in_mirrors(place, chain, image)]
    first = pairs[0][:, 1]
    if reflected:
        e, m = corners.echoes[np.isin(corners.echoes[:, 0], first)].T
        pairs.append(np.stack([np.zeros_like(e), e, m], axis=1))
    pair = np.empty((0, 2), np.int64)
    if double:
        pair = corners.doubles[np.isin(corners.doubles[:, 0], first)]
    lit = Lit(corners, source, chain, image, np.concatenate(pairs), pair, (reflected, double))
    corners.lit.append(lit)
    return lit


def _level(paths: Paths, speed: float) -> Array:
    return np.asarray(np.sqrt((paths.magnitude(speed)[:, COMPARED] ** 2).mean(axis=1)))


def _loudest(paths: Paths, speed: float, heads: int) -> Array:
    """Level `[heads]` of the loudest of `paths` at each head."""
    out = np.zeros(heads)
    np.maximum.at(out, paths.listener, _level(paths, speed))
    return out


def _frames(edges: Edges) -> tuple[Array, ...]:
    return edges.start, edges.along, edges.length, edges.tangent, edges.normal, edges.angle


def _lifted(edges: Edges, edge: NDArray, points: Array) -> Array:
    """Points on edges moved off them into the air, so that rays do not start in the solid."""
    return edges.lifted(edge, ((points - edges.start[edge]) * edges.along[edge]).sum(axis=1))


def _room_for(room: int, fill: Callable[..., int], *shapes: tuple[int, ...]) -> list[NDArray]:
    """What `fill` writes, with as much room as it turns out to need beyond `room` rows.

    Its first array is of integers, the others, of `shapes`, and one more of levels, of floats.
    """
    while True:
        out: list[NDArray] = [np.empty((room, *shapes[0]), np.int64)]
        out += [np.empty((room, *shape)) for shape in shapes[1:]]
        number = fill(*out)
        if number <= room:
            return [part[:number] for part in out]
        room = number


def _clear(
    corners: Corners, source: Array, heads: Array, stops: Sequence[Stop]
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Which ways from `source` to `heads` `[n, 3]` over `stops` are free; first and last stops."""
    caster, patches = corners.caster, corners.patches
    good = np.ones(len(heads), np.bool_)
    at = np.tile(source, (len(heads), 1))
    first = np.full_like(at, np.nan)
    for points, stopping, mirror in stops:
        row = np.flatnonzero(good & stopping)
        if mirror is None:
            good[row] = _sees(caster, at[row], points[row])
        else:
            good[row] = reaches(caster, patches, at[row], points[row], mirror[row])
        at = np.where(stopping[:, None], points, at)
        first = np.where(np.isnan(first) & stopping[:, None], points, first)
    row = np.flatnonzero(good)
    good[row] = _sees(caster, at[row], heads[row])
    return good, first, at


def _sees(caster: RayCaster, start: Array, end: Array) -> NDArray[np.bool_]:
    return caster.visible(start, end, margin=1e-3)
