"""Octave bands: sixth-order Butterworth band-passes (IEC 61260-1) without delay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfiltfilt, sosfreqz

from piavas.errors import DataError
from piavas.scene import OCTAVE_BANDS

Array = NDArray[np.float64]
Filter = Literal["time-reversed", "zero-phase"]

ORDER = 3
"""Of the low-pass prototype: the band-pass has order 6, as class 1 of IEC 61260-1 asks."""

OCTAVE_RATIO = 10**0.3


def exact_centre(nominal: float) -> float:
    """The exact base-ten mid-band frequency in hertz of a nominal octave band (IEC 61260-1)."""
    return float(1000.0 * OCTAVE_RATIO ** round(np.log(nominal / 1000.0) / np.log(OCTAVE_RATIO)))


def usable_bands(sample_rate: int, bands: Sequence[float] = OCTAVE_BANDS) -> tuple[float, ...]:
    """Those of `bands` whose upper edge stays below half of `sample_rate`."""
    edge = np.sqrt(OCTAVE_RATIO)
    return tuple(band for band in bands if exact_centre(band) * edge < 0.5 * sample_rate)


def octave_filter(band: float, sample_rate: int) -> Array:
    """Second-order sections `[section, 6]` of the octave band with nominal centre `band`.

    Raises:
        DataError: the band does not fit below half of `sample_rate`.
    """
    if not usable_bands(sample_rate, [band]):
        raise DataError(
            f"the {band:g} Hz octave does not fit at {sample_rate} Hz",
            field="bands",
            mend="leave the band out or give a higher sample rate",
        )
    centre, edge = exact_centre(band), np.sqrt(OCTAVE_RATIO)
    limits = [centre / edge, centre * edge]
    return np.asarray(butter(ORDER, limits, btype="bandpass", output="sos", fs=sample_rate))


def filter_octave(
    signal: NDArray[np.floating],
    band: float,
    sample_rate: int,
    kind: Filter = "time-reversed",
) -> Array:
    """`signal` `[..., time]` in one octave band.

    "time-reversed" filters backwards in time, so the filter rings before each event and not
    into the decay (ISO 3382-1 allows T down to 4 / bandwidth); "zero-phase" filters both ways
    (twice the order) and leaves the centre of gravity in time unmoved.
    """
    sos = octave_filter(band, sample_rate)
    signal = np.asarray(signal, dtype=np.float64)
    if kind == "zero-phase":
        return np.asarray(sosfiltfilt(sos, signal, axis=-1, padlen=0))
    return np.asarray(sosfilt(sos, signal[..., ::-1], axis=-1)[..., ::-1])


@lru_cache(maxsize=64)
def power_response(band: float, sample_rate: int, size: int) -> Array:
    """Power response `[size // 2 + 1]` of an octave filter on FFT frequencies; 0: all ones."""
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    if not band:
        return np.ones_like(frequencies)
    _, response = sosfreqz(octave_filter(band, sample_rate), worN=frequencies, fs=sample_rate)
    return np.asarray(np.abs(response) ** 2)


def band_energies(signal: NDArray[np.floating], bands: Sequence[float], sample_rate: int) -> Array:
    """Energies `[..., band]` of `[..., time]` after octave filters, all of their ringing included.

    Parseval's theorem with the power response of the filter, so the window that cut the signal
    is applied before the filter, as ISO 3382-1 recommends for early and late energies. Band 0
    is the unfiltered signal.
    """
    signal = np.asarray(signal, dtype=np.float64)
    if not signal.shape[-1]:
        return np.zeros((*signal.shape[:-1], len(bands)))
    # The zeros make the circular spectrum fine enough for the narrowest band's ringing.
    size = 1 << int(np.ceil(np.log2(signal.shape[-1] + sample_rate // 2)))
    power = np.abs(np.fft.rfft(signal, size, axis=-1)) ** 2 / size
    power[..., 1:-1] *= 2.0
    responses = np.stack([power_response(band, sample_rate, size) for band in bands])
    return np.asarray(power @ responses.T)
