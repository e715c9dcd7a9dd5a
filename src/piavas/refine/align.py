"""Gain and delay that all recordings of a set share, taken out before refinement.

A loudspeaker's filters, a converter or a wrong clock delay every recording alike, by fractions of
samples too. A network that may only look some milliseconds far should not spend itself on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from piavas.audio import Audio
from piavas.errors import CheckpointError
from piavas.refine.clips import Clip

LATEST = 0.02  # seconds that recordings may be late or early by
FLOOR = 1e-12
BAND = (300.0, 4000.0)  # hertz in which delays are sought
TAPS = 256  # of the delay's windowed sinc, on either side; flat to 2 % below half the rate
KAISER = 8.0  # shape of its window: side lobes below -80 dB
BLOCK = 1 << 16  # samples that are delayed at once
CLEAR = 4.0
"""Of some 300 lags of noise that are independent in `BAND`, one in a hundred curves is as high."""


@dataclass(frozen=True)
class Alignment:
    """From simulation to recording.

    Args:
        gain: amplitude factor, positive.
        delay: seconds, positive where the recording is late.

    Raises:
        CheckpointError: a value out of range.
    """

    gain: float
    delay: float

    def __post_init__(self) -> None:
        if not (0 < self.gain < np.inf and abs(self.delay) <= LATEST):
            raise CheckpointError(
                f"a gain of {self.gain} and a delay of {self.delay} s are out of range",
                field="alignment",
                mend="train anew",
            )

    def __call__(self, x_sim: NDArray[np.floating], sample_rate: int) -> Audio:
        """`[2, time]` scaled, and delayed by any fraction of a sample; silence comes in."""
        steps = self.delay * sample_rate
        late = round(steps)
        tap = np.arange(-TAPS, TAPS + 1)
        filter_ = self.gain * np.sinc(tap - (steps - late)) * np.kaiser(len(tap), KAISER)
        size, out = x_sim.shape[1], np.empty(x_sim.shape, np.float32)
        for begin in range(0, size, BLOCK):  # of long sound there is room for one copy
            end = min(begin + BLOCK, size)
            a, b = begin - late - TAPS, end - late + TAPS
            inside = x_sim[:, min(max(a, 0), size) : max(min(b, size), 0)]
            before = min(max(-a, 0), b - a - inside.shape[1])
            rest = b - a - inside.shape[1] - before
            piece = np.pad(inside, ((0, 0), (before, rest)))
            out[:, begin:end] = fftconvolve(piece, filter_[None], "valid", axes=1)
        return out


def fit_alignment(clips: Sequence[Clip]) -> Alignment:
    """The delay where the correlation of all clips and ears peaks, and the gain of energies.

    Generalised cross-correlation (Knapp & Carter 1976) with the root of the magnitude, between
    the phase transform and plain correlation, in `BAND`; summed over clips before the peak is
    sought, read between samples by a parabola. Reverberation is noise to it: a peak that does not
    stand `CLEAR` times above the curve's own root mean square may be chance, and counts as none.

    Args:
        clips: with recordings, of one rate.
    """
    rate = clips[0].sample_rate
    size = 1 << (2 * max(clip.x_sim.shape[1] for clip in clips) - 1).bit_length()
    total, ours, theirs = np.zeros(size // 2 + 1, complex), FLOOR, FLOOR
    for clip in clips:
        assert clip.x_rx is not None  # `train` refuses clips without a recording
        cross = np.fft.rfft(clip.x_rx, size) * np.conj(np.fft.rfft(clip.x_sim, size))
        total += (cross / np.sqrt(np.maximum(np.abs(cross), FLOOR))).sum(axis=0)
        ours += float(np.square(clip.x_sim, dtype=np.float64).sum())
        theirs += float(np.square(clip.x_rx, dtype=np.float64).sum())
    hertz, most = np.fft.rfftfreq(size, 1 / rate), int(LATEST * rate)
    heard = total * ((hertz >= BAND[0]) & (hertz < BAND[1]))
    curve = np.fft.irfft(heard, size)[np.arange(-most, most + 1)]
    clear = curve.max() > CLEAR * np.sqrt(np.square(curve).mean())
    delay = (_peak(curve) - most) / rate if clear else 0.0
    return Alignment(float(np.sqrt(theirs / ours)), delay)


def _peak(curve: NDArray[np.float64]) -> float:
    """Where `curve` is largest, between samples by the parabola through three."""
    at = int(curve.argmax())
    if not 0 < at < len(curve) - 1:
        return float(at)
    before, peak, after = curve[at - 1 : at + 2]
    bend = before - 2 * peak + after
    return at + (0.5 * float((before - after) / bend) if bend < 0 else 0.0)


def align_clips(clips: Sequence[Clip], alignment: Alignment) -> list[Clip]:
    """`clips` with x_sim aligned."""
    return [replace(c, x_sim=alignment(c.x_sim, c.sample_rate)) for c in clips]


def read_alignment(values: Any, file: Path) -> Alignment:
    """An alignment from a model's config.

    Raises:
        CheckpointError: a value lacks or is out of range.
    """
    try:
        return Alignment(float(values["gain"]), float(values["delay"]))
    except (TypeError, KeyError, ValueError):
        raise CheckpointError(
            f"{values!r} is no gain and delay", file=file, field="alignment", mend="train anew"
        ) from None
    except CheckpointError as problem:
        raise CheckpointError(
            problem.what, file=file, field=problem.field, mend=problem.mend
        ) from None
