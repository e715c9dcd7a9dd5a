"""What nobody saw is like the nearest seen place: a cupboard is solid, a dark corner is air.

Near the floor a place is sooner like what is beside it than like what is above or below: under a
sofa on legs the gap that was seen at its front goes on to the wall, and the seat, whose underside
is never seen, lies over the gap, not in it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
LEGS = 0.4  # metres above the floor up to which furniture may stand on legs
TALL = 4  # steps aside that one up or down counts as there
FAR = 32_000


def fill_unseen(
    distance: F32,
    seen: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    full: float,
    low: NDArray[np.bool_],
) -> tuple[F32, NDArray[np.bool_]]:
    """Signed distance everywhere, and where it is a guess.

    Args:
        distance: `[x, y, z]` metres to surfaces, positive in air.
        seen: `[x, y, z]` where that is known.
        inside: `[x, y, z]` where the rest is to be guessed; elsewhere it is solid.
        full: metres of a guess, either way.
        low: `[z]` levels at which furniture may stand on legs.
    """
    filled = np.where(seen, distance, -full).astype(np.float32)
    guessed = inside & ~seen
    tall = np.where(low, TALL, 1)
    _spread(distance, seen, guessed, np.float32(full), tall, filled)
    return filled, guessed


@njit(cache=True)
def _spread(distance, seen, guessed, full, tall, filled):  # type: ignore[no-untyped-def]
    """Guesses to `filled`, by steps through what is unseen (Dial 1969: one list a distance)."""
    nx, ny, nz = distance.shape
    ways = ((0, -1, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0), (0, 0, -1), (0, 0, 1))
    ring = np.empty((TALL + 1, guessed.sum() + 1), np.int64)
    count = np.zeros(TALL + 1, np.int64)
    level = np.full(distance.shape, FAR, np.int16)
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                if not guessed[i, j, k]:
                    continue
                beside, above, sides, ends = 0.0, 0.0, 0, 0
                for di, dj, dk in ways:
                    a, b, c = i + di, j + dj, k + dk
                    if seen[a, b, c] and (dk == 0 or tall[k] == 1):
                        beside += distance[a, b, c]
                        sides += 1
                    elif seen[a, b, c]:
                        above += distance[a, b, c]
                        ends += 1
                if sides or ends:
                    filled[i, j, k] = full if (beside if sides else above) > 0 else -full
                    cost = 1 if sides else tall[k]
                    level[i, j, k] = cost
                    ring[cost % (TALL + 1), count[cost % (TALL + 1)]] = (i * ny + j) * nz + k
                    count[cost % (TALL + 1)] += 1
    step, empty = 0, 0
    while empty <= TALL:
        step += 1
        here = step % (TALL + 1)
        empty = 0 if count[here] else empty + 1
        for n in range(count[here]):
            i, j, k = ring[here, n] // (ny * nz), ring[here, n] // nz % ny, ring[here, n] % nz
            if level[i, j, k] != step:  # reached sooner by another way
                continue
            for di, dj, dk in ways:
                a, b, c = i + di, j + dj, k + dk
                if a < 0 or b < 0 or c < 0 or a >= nx or b >= ny or c >= nz:
                    continue
                cost = step + (tall[k] if dk else 1)
                if guessed[a, b, c] and cost < level[a, b, c]:
                    level[a, b, c] = cost
                    filled[a, b, c] = filled[i, j, k]
                    there = cost % (TALL + 1)
                    ring[there, count[there]] = (a * ny + b) * nz + c
                    count[there] += 1
        count[here] = 0
