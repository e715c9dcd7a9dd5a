"""The analytic head: a rigid sphere in a plane wave, Duda and Martens (1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import eval_legendre, spherical_jn, spherical_yn

RADIUS = 0.0875
"""Metres (Algazi, Avendano and Duda 2001: the average of heads)."""
EAR_ANGLE = 100.0
"""Degrees from straight ahead (Duda and Martens 1998, after Blauert)."""
SPEED_OF_SOUND = 343.2
"""Metres a second at 20 degrees Celsius."""


def sphere_pressure(ka: ArrayLike, cosine: ArrayLike) -> NDArray[np.complex128]:
    """Pressure on a rigid sphere in a plane wave, over the pressure at its centre without it.

    Rabinowitz et al. (1993), eq. 4, in the limit of a far source: with h_m the spherical Hankel
    function of the first kind and time dependence exp(-i w t),
    H = (ka)^-2 sum_m (-i)^(m-1) (2m + 1) P_m(cos) / h'_m(ka).
    The result is conjugated to the exp(+i w t) of the discrete Fourier transform.

    Args:
        ka: `[k]` wave number times radius, > 0.
        cosine: `[n]` cosine of the angle between the source and the ear.

    Returns:
        `[n, k]`.
    """
    ka = np.asarray(ka, dtype=np.float64)
    cosine = np.asarray(cosine, dtype=np.float64)
    total = np.zeros((len(cosine), len(ka)), dtype=np.complex128)
    for m in range(_orders(float(ka.max(initial=1.0)))):
        slope = _hankel_slope(m, ka)
        term = np.zeros(len(ka), dtype=np.complex128)
        # Beyond its order a term is smaller than 1/|h'|, which overflows before it matters.
        live = np.isfinite(slope)
        term[live] = (-1j) ** (m - 1) * (2 * m + 1) / slope[live]
        total += eval_legendre(m, cosine)[:, None] * term
    return np.conj(total / ka**2)


def _orders(ka: float) -> int:
    """Terms enough for 1e-10 at the largest `ka` (the terms fall faster than any power beyond)."""
    return int(np.ceil(1.1 * ka + 4.05 * ka ** (1 / 3))) + 20


def _hankel_slope(m: int, ka: NDArray[np.float64]) -> NDArray[np.complex128]:
    with np.errstate(over="ignore", invalid="ignore"):
        slope = spherical_jn(m, ka, derivative=True) + 1j * spherical_yn(m, ka, derivative=True)
    return np.asarray(slope)


def ear_vectors(angle: float = EAR_ANGLE) -> NDArray[np.float64]:
    """Unit vectors `[2, 3]` to the left and right ear, `angle` degrees from straight ahead."""
    turn = np.radians(angle)
    return np.array([[np.cos(turn), np.sin(turn), 0.0], [np.cos(turn), -np.sin(turn), 0.0]])


def sphere_responses(
    directions: NDArray[np.float64],
    sample_rate: int,
    *,
    radius: float = RADIUS,
    ear_angle: float = EAR_ANGLE,
    lead: int = 128,
    taps: int = 512,
) -> NDArray[np.float64]:
    """Band-limited impulse responses of the two ears of a rigid sphere.

    Time 0, when the wave would reach the centre, is sample `lead`. The band ends in a raised
    cosine over the last sixth below the Nyquist frequency.

    Args:
        directions: `[n, 3]` unit vectors to the source, head frame.
        sample_rate: hertz.
        radius: metres.
        ear_angle: degrees of the ears from straight ahead.
        lead: sample of time 0.
        taps: length of the result.

    Returns:
        `[n, 2, taps]`, left and right.
    """
    frequency = np.fft.rfftfreq(taps, 1 / sample_rate)
    ka = 2 * np.pi * frequency[1:] * radius / SPEED_OF_SOUND
    spectrum = np.ones((len(directions), 2, len(frequency)), dtype=np.complex128)
    for ear, vector in enumerate(ear_vectors(ear_angle)):
        spectrum[:, ear, 1:] = sphere_pressure(ka, directions @ vector)
    spectrum *= band_edge(frequency, sample_rate / 2)
    spectrum *= np.exp(-2j * np.pi * np.arange(len(frequency)) * lead / taps)
    return np.fft.irfft(spectrum, taps)


def band_edge(frequency: NDArray[np.floating], end: float) -> NDArray[np.float64]:
    """1 up to 5/6 of `end` hertz, then a raised cosine down to 0 at `end`."""
    place = np.clip((frequency / end - 5 / 6) * 6, 0, 1)
    return 0.5 + 0.5 * np.cos(np.pi * place)
