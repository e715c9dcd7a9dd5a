"""Discrete paths as samples: each its own filter, at its own instant, from its own direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.fft import irfft

from piavas.acoustics.bands import band_logarithms, minimum_phase_log
from piavas.acoustics.paths import Paths
from piavas.acoustics.utd import diffract

F32 = np.float32
PREROLL = 32  # samples before an arrival over which its band limit may ring
FADE_IN = 16  # of them faded in
FADE_OUT = 128  # samples at the end that hold nothing but ringing wrapped around
QUIET = 1e-12  # gain below which a band counts as gone

Receive = Callable[[NDArray[np.float64]], NDArray[np.complexfloating]]
"""From arrival directions in the head's frame, unit vectors `[p, 3]` towards the source, to spectra
`[p, channel, f]`, time 0 at the head's centre delayed by the receiver's `lead`."""


@dataclass(frozen=True)
class Receiver:
    """What listens: a microphone, an ambisonic array or a head.

    Args:
        spectra: see `Receive`.
        channels: how many it gives.
        lead: samples by which its spectra are late.
        taps: samples that its responses last.
    """

    spectra: Receive
    channels: int
    lead: int
    taps: int


def filter_size(taps: int) -> int:
    """Size of the FFT for paths into a receiver whose responses last `taps` samples."""
    return 1 << int(np.ceil(np.log2(taps + 384)))


def path_spectra(
    paths: Paths,
    air_db: NDArray[np.float64],
    size: int,
    sample_rate: int,
    speed: float,
    delay: NDArray[np.float64] | None = None,
) -> NDArray[np.complex64]:
    """Spectra `[p, size // 2 + 1]` of the paths, without the delay of their length.

    Band gains and air have minimum phase, whose logarithm is a sum over bands; diffraction has the
    phase of its coefficients.

    Args:
        paths: the paths.
        air_db: `[size // 2 + 1]` attenuation of air in dB/m at each bin.
        size: of the FFT.
        sample_rate: hertz.
        speed: of sound, m/s.
        delay: `[p]` samples by which each is delayed all the same; 0 if not given.
    """
    loudest = np.abs(paths.gain).max(axis=1, keepdims=True)
    terms = np.empty((len(paths), 11))
    terms[:, :9] = np.log(np.maximum(np.abs(paths.gain), QUIET))
    terms[:, 9] = paths.length
    terms[:, 10] = 0.0 if delay is None else delay
    turn = -2j * np.pi * np.fft.rfftfreq(size)
    air = minimum_phase_log(-np.log(10) / 20 * air_db)
    basis = np.concatenate([band_logarithms(size, sample_rate), air[None], turn[None]])
    real, imaginary = (terms.astype(F32) @ part.astype(F32) for part in (basis.real, basis.imag))
    # A directivity may be negative behind its null; the sign of the loudest band stands for all.
    sign = np.where((paths.gain == -loudest).any(axis=1), -1, 1).astype(F32)
    magnitude = sign[:, None] * np.exp(real)
    out = np.empty(magnitude.shape, np.complex64)
    out.real, out.imag = magnitude * np.cos(imaginary), magnitude * np.sin(imaginary)
    bent = np.flatnonzero(paths.bend >= 0)
    if len(bent):
        row, part = paths.bend[bent], out[bent]
        bends = paths.bends
        diffract(part, bends.wedge[row], bends.face[row], sample_rate=sample_rate, speed=speed)
        out[bent] = part
    return out


@lru_cache(maxsize=8)
def _fades(size: int) -> NDArray[np.float32]:
    window = np.ones(size, F32)
    window[:FADE_IN] = np.sin(0.5 * np.pi * np.arange(FADE_IN) / FADE_IN) ** 2
    window[-FADE_OUT:] = np.cos(0.5 * np.pi * np.arange(FADE_OUT) / FADE_OUT) ** 2
    return window


def early(
    paths: Paths,
    toward: NDArray[np.float64],
    receiver: Receiver,
    *,
    air_db: Callable[[NDArray[np.floating]], NDArray[np.float64]],
    speed: float,
    sample_rate: int,
    length: int,
) -> NDArray[np.float32]:
    """Early part `[channel, length]` of one listener's response.

    Args:
        paths: the listener's paths.
        toward: `[p, 3]` unit vectors, in the head's frame, to where each path comes from.
        receiver: what listens.
        air_db: attenuation of air in dB/m at frequencies in hertz.
        speed: of sound, m/s.
        sample_rate: hertz.
        length: samples.
    """
    out = np.zeros((receiver.channels, length + PREROLL), np.float32)
    if not len(paths):
        return out[:, PREROLL:]
    size = filter_size(receiver.taps)
    air = air_db(np.fft.rfftfreq(size, 1 / sample_rate))
    delay = paths.length / speed * sample_rate - receiver.lead
    whole = np.floor(delay).astype(np.int64)
    shift = delay - whole + PREROLL
    spectra = path_spectra(paths, air, size, sample_rate, speed, shift)
    pieces = irfft(spectra[:, None] * receiver.spectra(toward).astype(np.complex64), size)
    _add(pieces, _fades(size), whole, out)
    return out[:, PREROLL:]


@njit(cache=True)
def _add(pieces, window, start, out):  # type: ignore[no-untyped-def]
    """Add `pieces` `[p, channel, n]` under `window` to `out` `[channel, t]`, from `start` on."""
    for p in range(pieces.shape[0]):
        first, last = max(-start[p], 0), min(pieces.shape[2], out.shape[1] - start[p])
        for c in range(pieces.shape[1]):
            for n in range(first, last):
                out[c, start[p] + n] += window[n] * pieces[p, c, n]
