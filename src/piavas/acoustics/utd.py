"""How much sound bends round a wedge: the uniform theory of diffraction, at any frequency.

Kouyoumjian & Pathak, "A uniform geometrical theory of diffraction for an edge in a perfectly
conducting surface", Proc. IEEE 62 (1974), for the acoustically hard wedge. The two terms that
belong to reflections off the faces are weighted by what the faces reflect (Luebbers 1984), so that
the field stays whole where such a reflection ends. An edge has ends: the share of an endless edge
that it has is the Fresnel integral between them, so that the field stays whole there too.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import modfresnelm

from piavas.acoustics.bands import EXACT_BANDS, between_bands

WIDTH = 12
"""Numbers that describe one bend: 0-3 amplitudes of the four terms, 4-7 their arguments over k,
8-9 detours by the edge's ends in metres, 10 whether the path meets the edge between them, 11 used.
"""
FADE_DETOUR = (1.0, 2.0)  # metres of detour over which an end's contribution is faded out

LOWEST = 10.0  # hertz: coefficients below are those there
KNOTS = 80  # frequencies at which what varies slowly is found

_LOW, _HIGH, _STEPS = np.log(1e-9), np.log(1e3), 4096


def transition(x: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The transition function F(x) of Kouyoumjian & Pathak, from SciPy's Fresnel integrals.

    F(x) = 2j sqrt(x) e^{jx} times the integral of e^{-j t^2} from sqrt(x) to infinity.
    """
    root = np.sqrt(np.asarray(x, dtype=np.float64))
    _, k = modfresnelm(root)
    return np.asarray(2j * root * np.sqrt(np.pi) * np.exp(-0.25j * np.pi) * k)


_GRID = np.exp(np.linspace(_LOW, _HIGH, _STEPS))
_TABLE = transition(_GRID) / np.sqrt(_GRID)


@njit(cache=True)
def _over_root(x: float) -> complex:
    """F(x) / sqrt(x), from a table that is linear in log x; an asymptote beyond it."""
    if x <= 1e-9:
        return np.sqrt(np.pi) * np.exp(0.25j * np.pi)
    at = (np.log(x) - _LOW) / (_HIGH - _LOW) * (_STEPS - 1)
    i = int(at)
    if i >= _STEPS - 1:
        return (1 + 0.5j / x) / np.sqrt(x)
    part = at - i
    return (1 - part) * _TABLE[i] + part * _TABLE[i + 1]


@njit(cache=True)
def describe(angle, source, listener, sine, reach, bend):  # type: ignore[no-untyped-def]
    """Fill the eight numbers of the four terms into `bend`.

    Args:
        angle: of the wedge's air, radians; n = angle / pi.
        source: angle of the incident side about the edge, from face o, radians.
        listener: angle of the other side.
        sine: of the angle between ray and edge.
        reach: the distance parameter L, metres.
        bend: `[WIDTH]`, written in place.
    """
    n = angle / np.pi
    for i in range(4):
        beta = listener - source if i < 2 else listener + source
        sign = 1.0 if i % 2 == 0 else -1.0
        turns = np.round((beta + sign * np.pi) / (2 * np.pi * n))
        cosine = np.cos((2 * np.pi * n * turns - beta) / 2)
        half = (np.pi + sign * beta) / (2 * n)
        tangent = np.tan(half)
        if abs(tangent) < 1e-7:
            # On the boundary itself: half a light to either side, the limit from the lit one.
            tangent = 1e-7 if tangent >= 0 else -1e-7
            cosine = n * 1e-7
        bend[i] = 1 / (tangent * 2 * n * np.sqrt(2 * np.pi) * sine)
        bend[4 + i] = 2 * cosine * cosine * reach


@njit(cache=True)
def _fade(detour: float) -> float:
    low, high = FADE_DETOUR
    if detour <= low:
        return 1.0
    if detour >= high:
        return 0.0
    return float(np.cos(0.5 * np.pi * (detour - low) / (high - low)) ** 2)


@njit(cache=True)
def _end(k: float, detour: float) -> complex:
    """The share of an endless edge beyond an end that makes a detour, without that delay."""
    return _over_root(k * detour) / (2j * np.sqrt(np.pi) * np.exp(-0.25j * np.pi))


@njit(cache=True)
def _wedge(k: float, bend: NDArray, face_o: float, face_n: float) -> complex:
    """The four terms of an endless edge, in sqrt(m)."""
    total = 0j
    for i in range(4):
        weight = 1.0 if i < 2 else (face_n if i == 2 else face_o)
        if weight != 0:
            total += weight * bend[i] * np.sqrt(bend[4 + i]) * _over_root(k * bend[4 + i])
    return -np.exp(-0.25j * np.pi) * total


@njit(cache=True)
def coefficient(k: float, bend: NDArray, face_o: float, face_n: float) -> complex:
    """Diffraction coefficient in sqrt(m) at wave number `k`; time runs as e^{+j omega t}.

    Args:
        k: 1/m.
        bend: `[WIDTH]`.
        face_o: pressure factor of a reflection off face o.
        face_n: pressure factor of a reflection off face n.
    """
    whole, near, far = _shares(k, bend)
    share = whole - near * np.exp(-1j * k * bend[8]) - far * np.exp(-1j * k * bend[9])
    if bend[10] == 0:
        # The path runs by the near end: its own detour is in the path's length already.
        share *= np.exp(1j * k * bend[8])
    return _wedge(k, bend, face_o, face_n) * share


@njit(cache=True)
def _shares(k: float, bend: NDArray) -> tuple[float, complex, complex]:
    """The share of an endless edge that this one has: in all, less what lies beyond either end.

    Both of the latter are without the delays that the detours over the ends make.
    """
    near, far = bend[8], bend[9]
    if bend[10] > 0:
        return 1.0, _fade(near) * _end(k, near), _fade(far) * _end(k, far)
    return 0.0, -_end(k, near), _fade(far - near) * _end(k, far)


@njit(cache=True)
def loudness(k: float, bends: NDArray) -> float:
    """Magnitude of the coefficients of all of `bends` `[b, WIDTH]` with hard faces."""
    total = 1.0
    for i in range(bends.shape[0]):
        if bends[i, 11] > 0:
            total *= abs(coefficient(k, bends[i], 1.0, 1.0))
    return total


@njit(cache=True)
def _exact(bends, faces, wave_number, out):  # type: ignore[no-untyped-def]
    for p in range(bends.shape[0]):
        for b in range(bends.shape[1]):
            if bends[p, b, 11] > 0:
                for i in range(wave_number.shape[0]):
                    out[p, i] *= coefficient(
                        wave_number[i], bends[p, b], faces[p, b, 0, i], faces[p, b, 1, i]
                    )


@njit(cache=True)
def _smooth(bends, faces, knot, place, step, out):  # type: ignore[no-untyped-def]
    """As `_exact` on a comb of wave numbers `step` apart; what is smooth is found at `knot` only.

    `place` `[f]` says where between the knots each wave number lies.
    """
    value = np.empty((3, knot.shape[0]), np.complex128)
    for p in range(bends.shape[0]):
        for b in range(bends.shape[1]):
            bend = bends[p, b]
            if bend[11] == 0:
                continue
            for j in range(knot.shape[0]):
                wedge = _wedge(knot[j], bend, faces[p, b, 0, j], faces[p, b, 1, j])
                whole, near, far = _shares(knot[j], bend)
                value[0, j], value[1, j], value[2, j] = wedge * whole, wedge * near, wedge * far
            first = bend[8] if bend[10] > 0 else 0.0
            last = bend[9] if bend[10] > 0 else bend[9] - bend[8]
            turn_near, turn_far = np.exp(-1j * step * first), np.exp(-1j * step * last)
            near, far = 1 + 0j, 1 + 0j
            for i in range(place.shape[0]):
                j = int(place[i])
                part = place[i] - j
                whole = (1 - part) * value[0, j] + part * value[0, j + 1]
                whole -= near * ((1 - part) * value[1, j] + part * value[1, j + 1])
                whole -= far * ((1 - part) * value[2, j] + part * value[2, j + 1])
                out[p, i] *= whole
                near *= turn_near
                far *= turn_far


def band_coefficients(
    bends: NDArray[np.float64], faces: NDArray[np.float64], speed: float
) -> NDArray[np.float64]:
    """Magnitudes `[p, 9]` of all bends `[p, b, WIDTH]` of each path at the mid-band frequencies.

    Args:
        bends: of each path.
        faces: `[p, b, 2, 9]` pressure factors of the faces o and n.
        speed: of sound, m/s.
    """
    out = np.ones((len(bends), len(EXACT_BANDS)), np.complex128)
    _exact(bends, faces, 2 * np.pi * EXACT_BANDS / speed, out)
    return np.abs(out)


def diffract(
    spectra: NDArray[np.complexfloating],
    bends: NDArray[np.float64],
    faces: NDArray[np.float64],
    *,
    sample_rate: int,
    speed: float,
) -> None:
    """Multiply `spectra` `[p, f]` of a real FFT by the coefficients of all bends of each path.

    Args:
        spectra: in place.
        bends: `[p, b, WIDTH]`.
        faces: `[p, b, 2, 9]` pressure factors of the faces o and n.
        sample_rate: hertz.
        speed: of sound, m/s.
    """
    frequency = np.linspace(0, sample_rate / 2, spectra.shape[1])
    knot = np.geomspace(LOWEST, sample_rate / 2 * 1.001, KNOTS)
    place = np.log(np.maximum(frequency, LOWEST) / LOWEST) / np.log(knot[1] / knot[0])
    at_knots = faces @ between_bands(knot)
    wave = 2 * np.pi / speed
    _smooth(bends, at_knots, wave * knot, place, wave * frequency[1], spectra)
