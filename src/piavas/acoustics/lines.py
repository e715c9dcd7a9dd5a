"""Broken edges put together: what a scan leaves of one edge is many short pieces.

A reconstructed surface is rounded by its voxels and rough: where a door has one edge of two metres,
its mesh has pieces of a few decimetres, side by side along bevels and a centimetre or two off a
line, which at the lengths of sound waves is one edge. Piece by piece it would bend too little: each
alone falls below the level at which paths are dropped, and its neighbours stand in its way.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from piavas.acoustics.wedges import Edges, with_rows

WHOLE = 1.0  # metres from which an edge is no piece
REACH = 0.04  # metres off a line within which pieces belong to it
GAP = 0.2  # metres between pieces of one line
TURN = np.cos(np.radians(25.0))  # between a piece and its line
FOLD = np.cos(np.radians(70.0))  # between the ways out into the air of a piece and of its line
LONGER = 1.25  # times its longest piece that a line must be, or its pieces stay as they are
FLATTEST, SHARPEST = np.radians(20.0), np.radians(178.0)  # turns of a line's faces
TOP = 0.9  # quantile of the pieces' ends that the line runs beside: all of it in the air
ROUGH = 0.02  # metres off such a line, into the air, to which rays are sent
STEP = 0.03  # metres between the places at which pieces feel for each other
ROUNDS = 3  # of growing a line: each with the line of all that the one before found

Array = NDArray[np.float64]


def join(edges: Edges) -> Edges:
    """`edges`, those that continue each other along a line as one edge each.

    Edges of a metre stay as they are, and so do clean ones side by side, as of a board: a line
    that is not longer than its longest piece by a quarter is none. The faces of a line turn by as
    much as those of its pieces do together, a piece counting by its share of the line.
    """
    short = np.flatnonzero(edges.length < WHOLE)
    lines: list[tuple] = []
    kept = np.ones(len(edges), np.bool_)
    for group in _groups(edges.take(short)) if len(short) else ():
        line = _line(edges, short[group])
        if line is not None:
            lines.append(line)
            kept[short[group]] = False
    return with_rows(edges.take(np.flatnonzero(kept)), lines)


def _groups(pieces: Edges) -> list[NDArray[np.int64]]:
    """Which of `pieces` lie along one line, two at least."""
    start, beside = _beside(pieces)
    label = _grow(
        np.argsort(-pieces.length, kind="stable"), start, beside, pieces.start, pieces.end,
        pieces.along, np.ascontiguousarray(pieces.outward), pieces.length,
    )  # fmt: skip
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _beside(edges: Edges) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Edges within `GAP` of each: those of `e` are `beside[start[e] : start[e + 1]]`."""
    count = np.maximum(2, np.ceil(edges.length / STEP).astype(np.int64) + 1)
    which = np.repeat(np.arange(len(edges)), count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    share = step / (count - 1)[which]
    places = edges.start[which] + (share * edges.length[which])[:, None] * edges.along[which]
    a, b = which[cKDTree(places).query_pairs(GAP, output_type="ndarray").T]
    a, b = a[a != b], b[a != b]
    table = coo_array(
        (np.ones(2 * len(a), np.bool_), (np.concatenate([a, b]), np.concatenate([b, a]))),
        shape=(len(edges), len(edges)),
    ).tocsr()
    return table.indptr.astype(np.int32), table.indices.astype(np.int32)


@njit(cache=True)
def _off(point, middle, along):  # type: ignore[no-untyped-def]
    """Metres from a point to a line."""
    way = point - middle
    way = way - (way @ along) * along
    return np.sqrt(way @ way)


@njit(cache=True)
def _grow(order, start, beside, first, last, along, outward, length):  # type: ignore[no-untyped-def]
    """Number of the line of each edge: grown from the longest, by what lies beside and along it."""
    number = len(length)
    label, seen = np.full(number, -1, np.int32), np.full(number, -1, np.int32)
    wave = np.empty(number, np.int64)
    count = 0
    for seed in order:
        if label[seed] >= 0:
            continue
        middle, way, out = (first[seed] + last[seed]) / 2, along[seed].copy(), outward[seed].copy()
        size = 1
        for turn in range(ROUNDS):
            total, square, outs = np.zeros(3), np.zeros((3, 3)), np.zeros(3)
            weight, done, mark = 0.0, 0, ROUNDS * count + turn
            wave[0], seen[seed], size = seed, mark, 1
            while done < size:
                e = wave[done]
                done += 1
                weight += length[e]
                outs += length[e] * outward[e]
                for end in (first[e], last[e]):
                    total += 0.5 * length[e] * end
                    square += 0.5 * length[e] * np.outer(end, end)
                for n in range(start[e], start[e + 1]):
                    other = beside[n]
                    if label[other] >= 0 or seen[other] == mark:
                        continue
                    if abs(along[other] @ way) < TURN or outward[other] @ out < FOLD:
                        continue
                    if max(_off(first[other], middle, way), _off(last[other], middle, way)) < REACH:
                        seen[other] = mark
                        wave[size] = other
                        size += 1
            if size == 1:
                break
            middle = total / weight
            way = np.linalg.eigh(square / weight - np.outer(middle, middle))[1][:, 2].copy()
            out = outs / (np.sqrt(outs @ outs) + 1e-9)
        for n in range(size):
            label[wave[n]] = count
        count += 1
    return label


def _line(edges: Edges, group: NDArray[np.int64]) -> tuple | None:
    """The pieces of `group` as one edge; None where it is not longer than the longest of them."""
    pieces = edges.take(group)
    weight: Array = pieces.length
    longest = int(weight.argmax())
    ends = np.concatenate([pieces.start, pieces.end])
    both = np.concatenate([weight, weight]) / 2
    middle = both @ ends / float(weight.sum())
    along = np.linalg.eigh((ends - middle).T @ ((ends - middle) * both[:, None]))[1][:, 2]
    along = along if along @ pieces.along[longest] > 0 else -along
    at = ((ends - middle) @ along).reshape(2, -1)
    covered = _union(at.min(axis=0), at.max(axis=0))
    if covered < LONGER * float(weight.max()):
        return None
    turn = pieces.angle - np.pi
    outward = (weight * turn) @ pieces.outward
    outward -= (outward @ along) * along
    outward /= np.linalg.norm(outward)
    angle = np.pi + np.clip(weight @ turn / covered, FLATTEST, SHARPEST)
    start = middle + at.min() * along + np.quantile((ends - middle) @ outward, TOP) * outward
    # Face o stays on the side on which the longest piece has it.
    aside = np.cross(along, outward)
    aside = aside if pieces.tangent[longest] @ aside > 0 else -aside
    cosine, sine = np.cos(angle / 2), np.sin(angle / 2)
    return (
        start, along, at.max() - at.min(), cosine * outward + sine * aside,
        sine * outward - cosine * aside, angle, pieces.patch[longest], ROUGH,
    )  # fmt: skip


def _union(low: Array, high: Array) -> float:
    """Length that intervals cover together."""
    order = np.argsort(low)
    low, high = low[order], high[order]
    reached = np.concatenate([[-np.inf], np.maximum.accumulate(high)[:-1]])
    return float(np.maximum(high - np.maximum(low, reached), 0).sum())
