"""What two ears hear apart: level difference and cross-correlation."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from piavas.errors import AudioError
from piavas.evaluate.bands import filter_octave
from piavas.evaluate.decay import direct_onset

Array = NDArray[np.float64]
MAX_LAG = 1e-3


def _ears(signal: NDArray[np.floating]) -> Array:
    ears: Array = np.asarray(signal, dtype=np.float64)
    if ears.ndim < 2 or ears.shape[-2] != 2:
        raise AudioError(
            f"shape {ears.shape} is not binaural", field="signal", mend="give [..., 2, time]"
        )
    return ears


def ild(signal: NDArray[np.floating], sample_rate: int, band: float = 0.0) -> Array:
    """Interaural level difference `[...]` in decibels, left over right.

    Args:
        signal: `[..., 2, time]`, left then right.
        sample_rate: hertz.
        band: nominal octave centre in hertz, 0 for broadband.

    Returns:
        infinite where one ear is silent, NaN where both are.

    Raises:
        AudioError: not two channels.
    """
    ears = _ears(signal)
    if band:
        ears = filter_octave(ears, band, sample_rate, "zero-phase")
    energy = (ears**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10 * np.log10(energy[..., 0] / energy[..., 1]))


def cross_correlation(
    signal: NDArray[np.floating], sample_rate: int, max_lag: float = MAX_LAG
) -> tuple[Array, Array]:
    """Normalised interaural cross-correlation function (ISO 3382-1, annex B).

    Args:
        signal: `[2, time]`.
        sample_rate: hertz.
        max_lag: seconds.

    Returns:
        lags `[lag]` in seconds (positive: the right ear is later) and values `[lag]`; NaN where
        an ear is silent.
    """
    left, right = _ears(signal)
    size = 1 << int(np.ceil(np.log2(2 * left.size)))
    spectrum = np.conj(np.fft.rfft(left, size)) * np.fft.rfft(right, size)
    full = np.fft.irfft(spectrum, size)
    most = round(max_lag * sample_rate)
    lags = np.arange(-most, most + 1)
    scale = np.sqrt((left**2).sum() * (right**2).sum())
    values = full[lags] / scale if scale > 0 else np.full(lags.size, np.nan)
    return lags / sample_rate, values


def iacc(
    response: NDArray[np.floating],
    sample_rate: int,
    *,
    part: Literal["A", "E", "L"] = "A",
    band: float = 0.0,
) -> float:
    """Interaural cross-correlation coefficient: the largest magnitude within 1 ms of lag.

    Args:
        response: binaural impulse response `[2, time]`.
        sample_rate: hertz.
        part: "A" all, "E" the first 80 ms after the direct sound, "L" what follows.
        band: nominal octave centre in hertz, 0 for broadband.

    Raises:
        AudioError: not two channels.
    """
    ears = _ears(response)
    onset = min(direct_onset(ear) for ear in ears)
    edge = onset + round(0.08 * sample_rate)
    if band:
        ears = filter_octave(ears, band, sample_rate, "zero-phase")
    window = {"A": slice(onset, None), "E": slice(onset, edge), "L": slice(edge, None)}[part]
    if ears[..., window].shape[-1] == 0:
        return float("nan")
    _, values = cross_correlation(ears[..., window], sample_rate)
    return float(np.abs(values).max())
