"""Stereo by slanted patches: each pixel holds a plane, good ones spread to their neighbours.

PatchMatch stereo (Bleyer, Rhemann & Rother 2011) between several views (Galliani, Lasinger &
Schindler 2015): the cost of a plane is one less the normalised cross-correlation of a window that
the plane carries into the other image, the mean of the two best views.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

RADIUS, STEP = 4, 2  # pixels of the window, and between its samples
FLAT = 2.5  # grey levels (of 255) of standard deviation under which a window tells nothing
WORST = 2.0  # cost of a plane that no other image can speak of
NEAREST, FARTHEST = 0.3, 8.0  # metres
STEEPEST = -0.02  # most of normal times ray: planes seen edge-on are not tried
HOPELESS = 0.3  # by how much more a neighbour's plane may cost and still be tried
PROPOSALS = 4
# Near and farther pixels of the other colour of a chessboard: no two that change see each other.
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (5, 0), (-5, 0), (0, 5), (0, -5))


@njit(cache=True, inline="always")
def bilinear(image, u, v):  # type: ignore[no-untyped-def]
    """`image` at column `u`, row `v`, between its pixels."""
    i, j = int(v), int(u)
    a, b = u - j, v - i
    return (1 - b) * ((1 - a) * image[i, j] + a * image[i, j + 1]) + b * (
        (1 - a) * image[i + 1, j] + a * image[i + 1, j + 1]
    )


@njit(cache=True, fastmath=True)
def _cost(reference, other, u, v, x, y, depth, normal, lens, turn, place, other_lens):  # type: ignore[no-untyped-def]
    """Cost of one plane in one other image; OpenCV axes within (x right, y down, z ahead)."""
    offset = depth * (normal[0] * x + normal[1] * y + normal[2])
    if offset > -1e-6:
        return np.float32(WORST)
    height, width = other.shape
    n, sa, sb, saa, sbb, sab = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for dv in range(-RADIUS, RADIUS + 1, STEP):
        for du in range(-RADIUS, RADIUS + 1, STEP):
            rx, ry = x + du / lens[0], y + dv / lens[1]
            slope = normal[0] * rx + normal[1] * ry + normal[2]
            if slope > -1e-3:
                return np.float32(WORST)
            z = offset / slope
            px = turn[0, 0] * rx * z + turn[0, 1] * ry * z + turn[0, 2] * z + place[0]
            py = turn[1, 0] * rx * z + turn[1, 1] * ry * z + turn[1, 2] * z + place[1]
            pz = turn[2, 0] * rx * z + turn[2, 1] * ry * z + turn[2, 2] * z + place[2]
            if pz < 0.05:
                return np.float32(WORST)
            s = px / pz * other_lens[0] + other_lens[2]
            t = py / pz * other_lens[1] + other_lens[3]
            if s < 0 or t < 0 or s >= width - 1 or t >= height - 1:
                return np.float32(WORST)
            a, b = reference[v + dv, u + du], bilinear(other, s, t)
            n += 1
            sa += a
            sb += b
            saa += a * a
            sbb += b * b
            sab += a * b
    va, vb = saa / n - (sa / n) ** 2, sbb / n - (sb / n) ** 2
    if va < 0.1 or vb < 0.1:
        return np.float32(1.0)
    return np.float32(1 - (sab / n - sa / n * sb / n) / np.sqrt(va * vb))


@njit(cache=True)
def _mean_of_best(reference, others, u, v, x, y, depth, normal, lens, turns, places, lenses):  # type: ignore[no-untyped-def]
    """Mean cost in the two images where it is least."""
    one, two = np.float32(WORST), np.float32(WORST)
    for k in range(len(others)):
        c = _cost(
            reference, others[k], u, v, x, y, depth, normal, lens, turns[k], places[k], lenses[k]
        )
        if c < one:
            one, two = c, one
        elif c < two:
            two = c
    return 0.5 * (one + two) if two < WORST else 0.5 * (one + np.float32(1.0))


@njit(cache=True, inline="always")
def _normal(state):  # type: ignore[no-untyped-def]
    """Next number of near-normal spread: the sum of four uniform ones (Knuth's MMIX generator)."""
    total = 0.0
    for _ in range(4):
        state[0] = state[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        total += (state[0] >> np.uint64(11)) / 9007199254740992.0
    return (total - 2.0) * 1.7320508


@njit(cache=True)
def _turned(normal, size, state):  # type: ignore[no-untyped-def]
    """Turn `normal` at random in place; its length becomes 1."""
    for k in range(3):
        normal[k] += size * _normal(state)
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    for k in range(3):
        normal[k] /= length


@njit(cache=True)
def _proposal(k, shrink, held, z, upright, tried, state):  # type: ignore[no-untyped-def]
    """Change the held plane in way `k`: its normal goes to `tried`, its depth is returned."""
    tried[:] = held
    if k == 0:  # another depth
        return 1 / (1 / z + shrink * 0.1 * _normal(state))
    if k == 1:  # another tilt
        _turned(tried, 0.5 * shrink, state)
        return z
    if k == 2:  # both, a little
        _turned(tried, 0.1 * shrink, state)
        return z * (1 + 0.02 * shrink * _normal(state))
    # A floor, a ceiling or a wall through here.
    rise = held[0] * upright[0] + held[1] * upright[1] + held[2] * upright[2]
    for m in range(3):
        flat = upright[m] * np.sign(rise)
        tried[m] = flat if abs(rise) > 0.7 else held[m] - rise * upright[m]
    _turned(tried, 0.0, state)
    return z


@njit(cache=True)
def _carried(normal, depth, xi, yi, x, y):  # type: ignore[no-untyped-def]
    """Depth at the ray (x, y, 1) of the plane that has `depth` at (xi, yi, 1); 0 behind it."""
    slope = normal[0] * x + normal[1] * y + normal[2]
    if slope > STEEPEST:
        return 0.0
    return depth * (normal[0] * xi + normal[1] * yi + normal[2]) / slope


@njit(cache=True, parallel=True)
def spread(  # type: ignore[no-untyped-def]
    reference, others, lens, turns, places, lenses, upright, depth, normal, cost, rounds, seed
):
    """Improve the planes of one image in place.

    Args:
        reference: `[h, w]` grey.
        others: `[n, h', w']` grey images to match with.
        lens: `[4]` fx, fy, cx, cy of the image.
        turns: `[n, 3, 3]` from its camera to the others'.
        places: `[n, 3]` metres, likewise.
        lenses: `[n, 4]` of the others.
        upright: `[3]` the way up in its camera: floors and walls are likelier than the rest.
        depth: `[h, w]` z-depth in metres.
        normal: `[h, w, 3]` towards the camera.
        cost: `[h, w]`, 0 best.
        rounds: how often.
        seed: of chance.
    """
    height, width = reference.shape
    for turn in range(2 * rounds):
        shrink = 0.5 ** (turn // 2)
        for v in prange(RADIUS, height - RADIUS):
            state = np.full(1, seed + 7919 * turn + 104_729 * v, np.uint64)
            tried, held = np.empty(3, np.float32), np.empty(3, np.float32)
            y = (v - lens[3]) / lens[1]
            for u in range(RADIUS + (v + turn) % 2, width - RADIUS, 2):
                x = (u - lens[2]) / lens[0]
                best, z = cost[v, u], depth[v, u]
                held[:] = normal[v, u]
                for k in range(len(NEIGHBOURS) + PROPOSALS):
                    if k < len(NEIGHBOURS):
                        i, j = v + NEIGHBOURS[k][0], u + NEIGHBOURS[k][1]
                        if min(i, j) < RADIUS or i >= height - RADIUS or j >= width - RADIUS:
                            continue
                        if cost[i, j] > best + HOPELESS:
                            continue
                        tried[:] = normal[i, j]
                        xi, yi = (j - lens[2]) / lens[0], (i - lens[3]) / lens[1]
                        there = _carried(tried, depth[i, j], xi, yi, x, y)
                    else:
                        there = _proposal(
                            k - len(NEIGHBOURS), shrink, held, z, upright, tried, state
                        )
                        there = _carried(tried, there, x, y, x, y)
                    if there < NEAREST or there > FARTHEST:
                        continue
                    c = _mean_of_best(
                        reference, others, u, v, x, y, there, tried, lens, turns, places, lenses
                    )
                    if c < best:
                        best, z = c, there
                        held[:] = tried
                cost[v, u], depth[v, u] = best, z
                normal[v, u] = held
