"""Where sound bends: the shortest ways over one edge or two (Fermat), in compiled loops.

About one edge the way unfolds to a straight line, which gives the point in closed form (Keller,
"Geometrical theory of diffraction", JOSA 52, 1962). Over two edges the length is a convex function
of the two places, and Newton's method finds them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from piavas.acoustics.utd import WIDTH, describe, loudness

GRAZING = 1e-3  # radians within which a point counts as lying in the wedge's face
IN_FACE = 0.02  # radians within which two edges share a face
ITERATIONS = 20
NEAREST = 0.01  # metres: an edge nearer to an end of its path than this bends nothing


@njit(inline="always")
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _about(start, along, tangent, normal, point):  # type: ignore[no-untyped-def]
    """Place along the edge, distance from it and angle about it of a point."""
    x = np.empty(3)
    for j in range(3):
        x[j] = point[j] - start[j]
    u, v = _dot(x, tangent), _dot(x, normal)
    angle = np.arctan2(v, u)
    if angle < -GRAZING:
        angle += 2 * np.pi
    return _dot(x, along), np.hypot(u, v), angle


@njit(cache=True)
def _ends(place, length, radius_a, at_a, radius_b, at_b, shortest, bend):  # type: ignore[no-untyped-def]
    """The place cut down to the edge; what its two ends cost, into `bend`."""
    first = np.hypot(radius_a, at_a) + np.hypot(radius_b, at_b) - shortest
    last = np.hypot(radius_a, length - at_a) + np.hypot(radius_b, length - at_b) - shortest
    inside = 0 <= place <= length
    bend[8] = max(first if inside or place < 0 else last, 0.0)
    bend[9] = max(last if inside or place < 0 else first, 0.0)
    bend[10] = 1.0 if inside else 0.0
    bend[11] = 1.0
    return min(max(place, 0.0), length)


@njit(cache=True)
def _meet_edge(start, along, length, tangent, normal, angle, source, listener, about, point):  # type: ignore[no-untyped-def]
    """Where the shortest way over an edge meets it, into `point`; False where there is none.

    Both ends' places along the edge, distances from it and angles about it go into `about` `[6]`,
    and the place along it of an endless edge is its last, `[6]`.
    """
    about[0], about[1], about[2] = _about(start, along, tangent, normal, source)
    about[3], about[4], about[5] = _about(start, along, tangent, normal, listener)
    if max(about[2], about[5]) > angle + GRAZING or min(about[1], about[4]) < NEAREST:
        return False
    about[6] = about[0] + (about[3] - about[0]) * about[1] / (about[1] + about[4])
    place = min(max(about[6], 0.0), length)
    for j in range(3):
        point[j] = start[j] + place * along[j]
    return True


@njit(cache=True)
def _bend(angle, length, about, bend):  # type: ignore[no-untyped-def]
    """What the edge that `_meet_edge` met does, into `bend` `[WIDTH]`; the two legs' lengths."""
    at_s, r_s, at_l, r_l = about[0], about[1], about[3], about[4]
    phi_s, phi_l = min(max(about[2], 0.0), angle), min(max(about[5], 0.0), angle)
    shortest = np.hypot(r_s + r_l, at_l - at_s)
    place = _ends(about[6], length, r_s, at_s, r_l, at_l, shortest, bend)
    one, two = np.hypot(r_s, place - at_s), np.hypot(r_l, place - at_l)
    sine = (r_s + r_l) / shortest
    describe(angle, phi_s, phi_l, sine, one * two / (one + two) * sine * sine, bend)
    return one, two


@njit(cache=True)
def _places(start, along, length, source, listener, place):  # type: ignore[no-untyped-def]
    """Newton for the two places of the shortest way over two edges, held within the edges."""
    p, q = np.empty(3), np.empty(3)
    for _ in range(ITERATIONS):
        for j in range(3):
            p[j] = start[0, j] + place[0] * along[0, j]
            q[j] = start[1, j] + place[1] * along[1, j]
        a, b, c = p - source, q - p, listener - q
        la, lb, lc = np.sqrt(_dot(a, a)), np.sqrt(_dot(b, b)), np.sqrt(_dot(c, c))
        if la < NEAREST or lb < NEAREST or lc < NEAREST:
            return False
        ea, eb = _dot(a, along[0]) / la, _dot(b, along[0]) / lb
        fb, fc = _dot(b, along[1]) / lb, _dot(c, along[1]) / lc
        g0, g1 = ea - eb, fb - fc
        h00 = (1 - ea * ea) / la + (1 - eb * eb) / lb
        h11 = (1 - fb * fb) / lb + (1 - fc * fc) / lc
        h01 = -(_dot(along[0], along[1]) - eb * fb) / lb
        # A place held at an end stays there as long as the slope pushes it out.
        held0 = (place[0] <= 0 and g0 > 0) or (place[0] >= length[0] and g0 < 0)
        held1 = (place[1] <= 0 and g1 > 0) or (place[1] >= length[1] and g1 < 0)
        if held0 or held1:
            h01 = 0.0
        determinant = max(h00 * h11 - h01 * h01, 1e-12)
        d0 = 0.0 if held0 else -(h11 * g0 - h01 * g1) / determinant
        d1 = 0.0 if held1 else -(h00 * g1 - h01 * g0) / determinant
        d0 = min(max(place[0] + d0, 0.0), length[0]) - place[0]
        d1 = min(max(place[1] + d1, 0.0), length[1]) - place[1]
        place[0] += d0
        place[1] += d1
        if abs(d0) + abs(d1) < 1e-9:
            break
    return True


@njit(cache=True)
def over_two(start, along, length, tangent, normal, angle, source, listener, points, bends):  # type: ignore[no-untyped-def]
    """The way over two edges: its three legs, 0 where there is none, and the face it runs in.

    The face is 1 for face o of the second edge, 2 for its face n, where it is one of the first
    edge's too, and 0 in free air.

    Arguments as in `Edges`, each for both edges: `points` `[2, 3]`, `bends` `[2, WIDTH]`.

    The distance parameters follow Pierce, "Diffraction of sound around corners and over wide
    barriers", JASA 55 (1974): the bend that is nearer to its shadow boundary sees only the way to
    the other edge.
    """
    place = 0.5 * length
    if not _places(start, along, length, source, listener, place):
        return 0.0, 0.0, 0.0, 0
    for e in range(2):
        for j in range(3):
            points[e, j] = start[e, j] + place[e] * along[e, j]
    one = np.sqrt(((points[0] - source) ** 2).sum())
    two = np.sqrt(((points[1] - points[0]) ** 2).sum())
    three = np.sqrt(((listener - points[1]) ** 2).sum())
    total = one + two + three
    phi = np.empty((2, 2))
    sine = np.empty(2)
    for e in range(2):
        before = source if e == 0 else points[0]
        after = points[1] if e == 0 else listener
        at_s, r_s, phi[e, 0] = _about(start[e], along[e], tangent[e], normal[e], before)
        at_l, r_l, phi[e, 1] = _about(start[e], along[e], tangent[e], normal[e], after)
        if max(phi[e, 0], phi[e, 1]) > angle[e] + IN_FACE or min(r_s, r_l) < NEAREST:
            return 0.0, 0.0, 0.0, 0
        for side in range(2):
            phi[e, side] = min(max(phi[e, side], 0.0), angle[e])
        shortest = np.hypot(r_s + r_l, at_l - at_s)
        free = at_s + (at_l - at_s) * r_s / (r_s + r_l)
        # The other edge stays where it is while the cost of this one's ends is found.
        _ends(free, length[e], r_s, at_s, r_l, at_l, shortest, bends[e])
        sine[e] = (r_s + r_l) / shortest
    near = np.array([one * two / (one + two), two * three / (two + three)])
    far = np.array([one * (two + three) / total, (one + two) * three / total])
    depth = np.abs(np.abs(phi[:, 1] - phi[:, 0]) - np.pi) * np.sqrt(far)
    first = 0 if depth[0] < depth[1] else 1
    for e in range(2):
        reach = (near[e] if e == first else far[e]) * sine[e] * sine[e]
        describe(angle[e], phi[e, 0], phi[e, 1], sine[e], reach, bends[e])
    leaves = min(phi[0, 1], angle[0] - phi[0, 1])
    face = 1 if phi[1, 0] < IN_FACE else (2 if angle[1] - phi[1, 0] < IN_FACE else 0)
    return one, two, three, face if leaves < IN_FACE else 0


@njit(cache=True)
def _meet_plane(start, end, normal, offset, lower, upper, slack, point):  # type: ignore[no-untyped-def]
    """Where the way from `start` to `end` crosses a patch's plane, if within its box."""
    a = _dot(start, normal) - offset
    b = _dot(end, normal) - offset
    if a * b >= 0:
        return False
    for j in range(3):
        point[j] = start[j] + (end[j] - start[j]) * a / (a - b)
        if point[j] < lower[j] - slack or point[j] > upper[j] + slack:
            return False
    return True


@njit(cache=True)
def once(  # type: ignore[no-untyped-def]
    pair, before, images, heads, edges, planes, slack, k, floor, found, points, legs, bends
):  # fmt: skip
    """All ways over one edge that could be paths; their number.

    Args:
        pair: `[n, 3]` image of the source, edge, and the mirror after it or -1.
        before: `[v]` mirror before the edge of each image, or -1.
        images: `[v, 3]`.
        heads: `[l, 3]`.
        edges: start, along, length, tangent, normal, angle of all edges.
        planes: normal, offset, lower, upper of all patches.
        slack: metres by which boxes are widened.
        k: wave number at which the level is felt.
        floor: `[l]` pressure at `k`, hard faces, below which a way is passed over.
        found: `[m, 2]` listener and pair; written, as far as there is room.
        points: `[m, 3, 3]` mirror before, edge, mirror after.
        legs: `[m, 2]` to the edge and from it.
        bends: `[m, 1, WIDTH]`.
    """
    start, along, length, tangent, normal, angle = edges
    plane, offset, lower, upper = planes
    number = 0
    ear, place, about = np.empty(3), np.empty((3, 3)), np.empty(7)
    bend = np.zeros((1, WIDTH))
    for i in range(heads.shape[0]):
        for n in range(pair.shape[0]):
            v, e, m = pair[n]
            far = 0.0 if m < 0 else 2 * (_dot(heads[i], plane[m]) - offset[m])
            for j in range(3):
                ear[j] = heads[i, j] - (0.0 if m < 0 else far * plane[m, j])
            if not _meet_edge(
                start[e], along[e], length[e], tangent[e], normal[e], angle[e], images[v], ear,
                about, place[1],
            ):  # fmt: skip
                continue
            b = before[v]
            if b >= 0 and not _meet_plane(
                images[v], place[1], plane[b], offset[b], lower[b], upper[b], slack, place[0]
            ):
                continue
            if m >= 0 and not _meet_plane(
                place[1], ear, plane[m], offset[m], lower[m], upper[m], slack, place[2]
            ):
                continue
            one, two = _bend(angle[e], length[e], about, bend[0])
            loud = loudness(k, bend) / np.sqrt(one * two * (one + two))
            if loud < floor[i]:
                continue
            if number < found.shape[0]:
                found[number, 0], found[number, 1] = i, n
                points[number] = place
                legs[number, 0], legs[number, 1] = one, two
                bends[number] = bend
            number += 1
    return number


@njit(cache=True)
def twice(pair, source, heads, edges, k, floor, found, points, legs, bends, shared):  # type: ignore[no-untyped-def]
    """All ways over two edges that could be paths; arguments as for `once`.

    `pair` `[n, 2]` holds the edges, `points` `[m, 2, 3]`, `legs` `[m, 3]` and
    `bends` `[m, 2, WIDTH]`; `shared` `[m]` is the face that `over_two` tells of.
    """
    start, along, length, tangent, normal, angle = edges
    number = 0
    place, bend = np.empty((2, 3)), np.zeros((2, WIDTH))
    for i in range(heads.shape[0]):
        for n in range(pair.shape[0]):
            e = pair[n]
            one, two, three, face = over_two(
                start[e], along[e], length[e], tangent[e], normal[e], angle[e], source, heads[i],
                place, bend,
            )  # fmt: skip
            if one == 0:
                continue
            total = one + two + three
            loud = loudness(k, bend) / np.sqrt(one * two * three * total)
            if face:
                loud *= 0.5
            if loud < floor[i]:
                continue
            if number < found.shape[0]:
                found[number, 0], found[number, 1] = i, n
                points[number] = place
                legs[number, 0], legs[number, 1], legs[number, 2] = one, two, three
                bends[number] = bend
                shared[number] = face
            number += 1
    return number
