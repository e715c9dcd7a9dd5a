"""The `raf` family: impulse responses as the Real Acoustic Fields benchmark compares them.

Chen et al., Real Acoustic Fields, CVPR 2024. Written from the definitions in published evaluation
code; responses are cut to .32 s, and 48 kHz and 16 kHz have their own spectrograms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError
from piavas.evaluate.rooms import c50_raf, edt_raf, t60_raf
from piavas.evaluate.spectral import Stft

Response = NDArray[np.floating]

RAF_SECONDS = 0.32
RAF_STFT = {
    48_000: Stft(n_fft=1024, hop=256, win=512, window="hann", pad="reflect"),
    16_000: Stft(n_fft=512, hop=128, win=256, window="hann", pad="reflect"),
}


def raf_stft(sample_rate: int) -> Stft:
    """The spectrogram of the benchmark at this rate.

    Raises:
        DataError: neither 48 nor 16 kHz.
    """
    if sample_rate not in RAF_STFT:
        raise DataError(
            f"the raf family has no spectrogram for {sample_rate} Hz",
            field="sample_rate",
            mend="resample to 48,000 or 16,000 Hz",
        )
    return RAF_STFT[sample_rate]


def stft_error(predicted: Response, recorded: Response, sample_rate: int) -> float:
    """Mean absolute difference of ln(magnitude + 1e-3) of responses `[channel, time]`."""
    stft = raf_stft(sample_rate)
    logs = [np.log(stft.magnitude(x) + 1e-3) for x in (predicted, recorded)]
    return float(np.abs(logs[0] - logs[1]).mean())


def t60_error(predicted: Response, recorded: Response, sample_rate: int) -> float:
    """Relative difference of `t60_raf` in per cent; 100 where either has none."""
    errors = []
    for ours, theirs in zip(predicted, recorded, strict=True):
        times = np.array([t60_raf(np.asarray(x, np.float64), sample_rate) for x in (ours, theirs)])
        valid = np.isfinite(times).all() and times[1] > 0
        errors.append(100 * abs(times[0] - times[1]) / times[1] if valid else 100.0)
    return float(np.mean(errors))


def edt_error(predicted: Response, recorded: Response, sample_rate: int) -> float:
    """Absolute difference of `edt_raf` in milliseconds, mean over channels; NaN without one."""
    pairs = zip(predicted, recorded, strict=True)
    times = [[edt_raf(np.asarray(x, np.float64), sample_rate) for x in pair] for pair in pairs]
    return float(np.mean([1000 * abs(ours - theirs) for ours, theirs in times]))


def c50_error(predicted: Response, recorded: Response, sample_rate: int) -> float:
    """Absolute difference of `c50_raf` in decibels, mean over channels."""
    pairs = zip(predicted, recorded, strict=True)
    ratios = [[c50_raf(np.asarray(x, np.float64), sample_rate) for x in pair] for pair in pairs]
    return float(np.mean([abs(ours - theirs) for ours, theirs in ratios]))
