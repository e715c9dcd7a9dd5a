"""Discrete paths as samples: each its own filter, at its own instant, from its own direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.bands import interpolation, minimum_phase
from piavas.acoustics.paths import Paths
from piavas.acoustics.utd import diffract

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
    paths: Paths, air_db: NDArray[np.float64], size: int, sample_rate: int, speed: float
) -> NDArray[np.complex128]:
    """Spectra `[p, size // 2 + 1]` of the paths without their delay.

    Band gains and air have minimum phase; diffraction has the phase of its coefficients.

    Args:
        paths: the paths.
        air_db: `[size // 2 + 1]` attenuation of air in dB/m at each bin.
        size: of the FFT.
        sample_rate: hertz.
        speed: of sound, m/s.
    """
    between = interpolation(size, sample_rate)
    log_gain = np.log(np.maximum(np.abs(paths.gain), QUIET)) @ between
    log_air = -np.log(10) / 20 * paths.length[:, None] * air_db
    # A directivity may be negative behind its null; the sign of the loudest band stands for all.
    loudest = np.abs(paths.gain).argmax(axis=1)
    sign = np.sign(np.take_along_axis(paths.gain, loudest[:, None], axis=1))
    out = np.asarray(sign * minimum_phase(log_gain + log_air))
    bent = np.flatnonzero(paths.bend >= 0)
    if len(bent):
        row, part = paths.bend[bent], out[bent]
        bends = paths.bends
        diffract(part, bends.wedge[row], bends.face[row], sample_rate=sample_rate, speed=speed)
        out[bent] = part
    return out


def _fades(size: int) -> NDArray[np.float64]:
    window = np.ones(size)
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
    f = np.fft.rfftfreq(size, 1 / sample_rate)
    spectra = path_spectra(paths, air_db(f), size, sample_rate, speed)
    delay = paths.length / speed * sample_rate - receiver.lead
    whole = np.floor(delay).astype(np.int64)
    shift = delay - whole + PREROLL
    spectra *= np.exp(-2j * np.pi * shift[:, None] * f / sample_rate)
    pieces = np.fft.irfft(spectra[:, None] * receiver.spectra(toward), size)
    pieces *= _fades(size)
    for start, piece in zip(whole, pieces.astype(np.float32), strict=True):
        first, last = max(start, 0), min(start + size, out.shape[1])
        if last > first:
            out[:, first:last] += piece[:, first - start : last - start]
    return out[:, PREROLL:]
