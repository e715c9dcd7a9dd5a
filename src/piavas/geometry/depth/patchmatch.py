"""Stereo by slanted patches: each pixel holds a plane, good ones spread to their neighbours.

PatchMatch stereo (Bleyer, Rhemann & Rother 2011) between several views (Galliani, Lasinger &
Schindler 2015): what a plane costs in one view is one less the normalised cross-correlation of a
window that the plane carries there. No view costs more than `DEAR`, so a plane must please many
views and is forgiven those that see something else; two views that happen to look alike, which
among many planes there always are, do not outweigh the rest. Once every image has depth, a plane
also pays for lying where another image's depth does not (Xu & Tao 2019, geometric consistency).
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

RADIUS, STEP = 4, 2  # pixels of the window, and between its samples
SIDE = 2 * RADIUS // STEP + 1
FLAT = 2.5  # grey levels (of 255) of standard deviation under which a window tells nothing
DEAR = 0.5  # most that one view counts
ASTRAY, PIXELS = 0.3, 2.0  # most that its depth counts, and pixels off at which it does
WORST = 2.0  # cost of a plane that no other image can speak of
NEAREST, FARTHEST = 0.3, 200.0  # metres; what windows show has its match far outside
STEEPEST = -0.02  # most of normal times ray: planes seen edge-on are not tried
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


@njit(cache=True, fastmath=True, error_model="numpy")
def _window(reference, u, v, out):  # type: ignore[no-untyped-def]
    """Grey values about a pixel less their mean to `out`; their mean square is returned."""
    mean, n = 0.0, SIDE * SIDE
    for i in range(SIDE):
        for j in range(SIDE):
            value = reference[v + STEP * i - RADIUS, u + STEP * j - RADIUS]
            out[i, j] = value
            mean += value / n
    power = 0.0
    for i in range(SIDE):
        for j in range(SIDE):
            out[i, j] -= mean
            power += out[i, j] ** 2 / n
    return power


@njit(cache=True, fastmath=True, error_model="numpy")
def _homography(normal, offset, lens, turn, place, other, out):  # type: ignore[no-untyped-def]
    """What carries rays (x, y, 1) by a plane to another image's pixels, times their depth there."""
    for j in range(3):
        x = turn[0, j] + place[0] * normal[j] / offset
        y = turn[1, j] + place[1] * normal[j] / offset
        z = turn[2, j] + place[2] * normal[j] / offset
        out[0, j] = other[0] * x + other[2] * z
        out[1, j] = other[1] * y + other[3] * z
        out[2, j] = z


@njit(cache=True, fastmath=True, error_model="numpy")
def _cost(window, power, image, x, y, map_, lens):  # type: ignore[no-untyped-def]
    """Cost in another image of the plane whose homography is `map_`."""
    height, width = image.shape
    for k in range(4):  # the image of a window has straight sides
        rx = x + (2 * (k % 2) - 1) * RADIUS / lens[0]
        ry = y + (2 * (k // 2) - 1) * RADIUS / lens[1]
        w = map_[2, 0] * rx + map_[2, 1] * ry + map_[2, 2]
        if w < 1e-3:
            return np.float32(WORST)
        s = (map_[0, 0] * rx + map_[0, 1] * ry + map_[0, 2]) / w
        t = (map_[1, 0] * rx + map_[1, 1] * ry + map_[1, 2]) / w
        if s < 0 or t < 0 or s >= width - 1.001 or t >= height - 1.001:
            return np.float32(WORST)
    step_x, step_y = np.float32(STEP / lens[0]), np.float32(STEP / lens[1])
    left, top = np.float32(x - RADIUS / lens[0]), np.float32(y - RADIUS / lens[1])
    sum_, square, product = np.float32(0), np.float32(0), np.float32(0)
    for i in range(SIDE):
        ry = top + np.float32(i) * step_y
        a = map_[0, 0] * left + map_[0, 1] * ry + map_[0, 2]
        b = map_[1, 0] * left + map_[1, 1] * ry + map_[1, 2]
        c = map_[2, 0] * left + map_[2, 1] * ry + map_[2, 2]
        for j in range(SIDE):
            go = np.float32(j) * step_x
            w = np.float32(1) / (c + go * map_[2, 0])
            s, t = (a + go * map_[0, 0]) * w, (b + go * map_[1, 0]) * w
            p, q = np.uint32(t), np.uint32(s)
            f, g = s - np.float32(q), t - np.float32(p)
            over = image[p, q] + f * (image[p, q + np.uint32(1)] - image[p, q])
            under = image[p + np.uint32(1), q]
            under += f * (image[p + np.uint32(1), q + np.uint32(1)] - under)
            value = over + g * (under - over)
            sum_ += value
            square += value * value
            product += window[i, j] * value
    n = np.float32(SIDE * SIDE)
    there = square / n - (sum_ / n) ** 2
    if power < 0.1 or there < 0.1:
        return np.float32(1.0)
    return np.float32(1 - product / n / np.sqrt(power * there))


@njit(cache=True, fastmath=True, error_model="numpy")
def _astray(x, y, z, lens, turn, place, other, depth):  # type: ignore[no-untyped-def]
    """Pixels from here to where the other image's depth puts what it sees there; most at worst."""
    px = (turn[0, 0] * x + turn[0, 1] * y + turn[0, 2]) * z + place[0]
    py = (turn[1, 0] * x + turn[1, 1] * y + turn[1, 2]) * z + place[1]
    pz = (turn[2, 0] * x + turn[2, 1] * y + turn[2, 2]) * z + place[2]
    if pz < 0.05:
        return PIXELS
    s, t = int(px / pz * other[0] + other[2] + 0.5), int(py / pz * other[1] + other[3] + 0.5)
    if s < 0 or t < 0 or t >= depth.shape[0] or s >= depth.shape[1] or depth[t, s] <= 0:
        return PIXELS
    d = depth[t, s]
    px, py, pz = px / pz * d - place[0], py / pz * d - place[1], d - place[2]
    back = turn[0, 2] * px + turn[1, 2] * py + turn[2, 2] * pz
    if back < 0.05:
        return PIXELS
    across = (turn[0, 0] * px + turn[1, 0] * py + turn[2, 0] * pz) / back - x
    down = (turn[0, 1] * px + turn[1, 1] * py + turn[2, 1] * pz) / back - y
    return min(np.sqrt((across * lens[0]) ** 2 + (down * lens[1]) ** 2), PIXELS)


@njit(cache=True, fastmath=True, error_model="numpy")
def _price(  # type: ignore[no-untyped-def]
    window, power, others, x, y, z, normal, lens, turns, places, lenses, depths, limit, map_
):
    """Mean over the views of what the plane costs; `limit` where it is no less than that."""
    offset = z * (normal[0] * x + normal[1] * y + normal[2])
    total, most = np.float32(0), limit * len(others)
    for k in range(len(others)):
        if len(depths):
            total += np.float32(ASTRAY / PIXELS) * np.float32(
                _astray(x, y, z, lens, turns[k], places[k], lenses[k], depths[k])
            )
        if total >= most:
            return limit
        _homography(normal, offset, lens, turns[k], places[k], lenses[k], map_)
        total += min(_cost(window, power, others[k], x, y, map_, lens), np.float32(DEAR))
        if total >= most:
            return limit
    return total / np.float32(len(others))


@njit(cache=True, inline="always")
def _normal(state):  # type: ignore[no-untyped-def]
    """Next number of near-normal spread: the sum of four uniform ones (Knuth's MMIX generator)."""
    total = 0.0
    for _ in range(4):
        state[0] = state[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        total += (state[0] >> np.uint64(11)) / 9007199254740992.0
    return (total - 2.0) * 1.7320508


@njit(cache=True, fastmath=True, error_model="numpy")
def _turned(normal, size, state):  # type: ignore[no-untyped-def]
    """Turn `normal` at random in place; its length becomes 1."""
    for k in range(3):
        normal[k] += size * _normal(state)
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    for k in range(3):
        normal[k] /= length


@njit(cache=True, fastmath=True, error_model="numpy")
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


@njit(cache=True, fastmath=True, error_model="numpy")
def _carried(normal, depth, xi, yi, x, y):  # type: ignore[no-untyped-def]
    """Depth at the ray (x, y, 1) of the plane that has `depth` at (xi, yi, 1); 0 behind it."""
    slope = normal[0] * x + normal[1] * y + normal[2]
    if slope > STEEPEST:
        return 0.0
    return depth * (normal[0] * xi + normal[1] * yi + normal[2]) / slope


@njit(cache=True, parallel=True, error_model="numpy")
def spread(  # type: ignore[no-untyped-def]
    reference, others, lens, turns, places, lenses, upright, depths, depth, normal, rounds, size,
    seed,
):  # fmt: skip
    """Improve the planes of one image in place.

    Args:
        reference: `[h, w]` grey.
        others: `[n, h', w']` grey images to match with.
        lens: `[4]` fx, fy, cx, cy of the image.
        turns: `[n, 3, 3]` from its camera to the others'.
        places: `[n, 3]` metres, likewise.
        lenses: `[n, 4]` of the others.
        upright: `[3]` the way up in its camera: floors and walls are likelier than the rest.
        depths: `[n, h', w']` of the others, or none: `[0, h', w']`.
        depth: `[h, w]` z-depth in metres.
        normal: `[h, w, 3]` towards the camera.
        rounds: how often.
        size: of the first changes that are tried, 1 at most.
        seed: of chance.
    """
    height, width = reference.shape
    price = np.empty((height, width), np.float32)
    for turn in range(-1, 2 * rounds):
        shrink = size * 0.5 ** (turn // 2)
        for v in prange(RADIUS, height - RADIUS):
            state = np.full(1, seed + 7919 * turn + 104_729 * v, np.uint64)
            tried, held = np.empty(3, np.float32), np.empty(3, np.float32)
            window, map_ = np.empty((SIDE, SIDE), np.float32), np.empty((3, 3), np.float32)
            y = (v - lens[3]) / lens[1]
            first, step = (RADIUS, 1) if turn < 0 else (RADIUS + (v + turn) % 2, 2)
            for u in range(first, width - RADIUS, step):
                x = (u - lens[2]) / lens[0]
                power = _window(reference, u, v, window)
                if power < FLAT**2:
                    price[v, u] = np.float32(WORST)
                    continue
                z = depth[v, u]
                held[:] = normal[v, u]
                if turn < 0:
                    price[v, u] = _price(
                        window, power, others, x, y, z, held, lens, turns, places, lenses, depths,
                        np.float32(WORST), map_,
                    )  # fmt: skip
                    continue
                best = price[v, u]
                for k in range(len(NEIGHBOURS) + PROPOSALS):
                    if k < len(NEIGHBOURS):
                        i, j = v + NEIGHBOURS[k][0], u + NEIGHBOURS[k][1]
                        if min(i, j) < RADIUS or i >= height - RADIUS or j >= width - RADIUS:
                            continue
                        if price[i, j] > WORST - 0.5:
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
                    c = _price(
                        window, power, others, x, y, there, tried, lens, turns, places, lenses,
                        depths, best, map_,
                    )  # fmt: skip
                    if c < best:
                        best, z = c, there
                        held[:] = tried
                price[v, u], depth[v, u] = best, z
                normal[v, u] = held


@njit(cache=True, parallel=True, error_model="numpy")
def likeness(reference, others, lens, turns, places, lenses, depth, normal):  # type: ignore[no-untyped-def]
    """Cost `[h, w]` of the planes of one image: the mean of the two best views, `WORST` if flat.

    Arguments as for `spread`.
    """
    height, width = reference.shape
    out = np.full((height, width), WORST, np.float32)
    for v in prange(RADIUS, height - RADIUS):
        window, map_ = np.empty((SIDE, SIDE), np.float32), np.empty((3, 3), np.float32)
        y = (v - lens[3]) / lens[1]
        for u in range(RADIUS, width - RADIUS):
            x = (u - lens[2]) / lens[0]
            power = _window(reference, u, v, window)
            if power < FLAT**2:
                continue
            held = normal[v, u]
            offset = depth[v, u] * (held[0] * x + held[1] * y + held[2])
            one, two = np.float32(WORST), np.float32(WORST)
            for k in range(len(others)):
                _homography(held, offset, lens, turns[k], places[k], lenses[k], map_)
                c = _cost(window, power, others[k], x, y, map_, lens)
                if c < one:
                    one, two = c, one
                elif c < two:
                    two = c
            out[v, u] = 0.5 * (one + two) if two < WORST else 0.5 * (one + np.float32(1.0))
    return out
