"""Room acoustic parameters of impulse responses (ISO 3382-1), broadband and in octave bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from piavas.errors import AudioError, DataError
from piavas.evaluate.bands import Filter, band_energies, filter_octave, usable_bands
from piavas.evaluate.decay import (
    DecayCurve,
    crossing_time,
    decay_curve,
    direct_onset,
    fit_time,
)

Array = NDArray[np.float64]

JND = {"EDT": 0.05, "T20": 0.05, "T30": 0.05, "C50": 1.0, "C80": 1.0, "D50": 0.05, "Ts": 0.010}
"""Just noticeable differences (ISO 3382-1, table A.1); of T and EDT relative, else absolute."""

UNITS = {"EDT": "s", "T20": "s", "T30": "s", "C50": "dB", "C80": "dB", "D50": "", "Ts": "s"}

RANGES = {"EDT": (0.0, -10.0), "T20": (-5.0, -25.0), "T30": (-5.0, -35.0)}


@dataclass(frozen=True)
class RoomMetrics:
    """ISO 3382-1 parameters.

    Args:
        bands: nominal octave centres in hertz; 0 stands for broadband.
        values: name (EDT, T20, T30, C50, C80, D50, Ts) to `[..., band]`; seconds, decibels or a
            share. NaN where a response does not reach the range of that parameter.
        meta: filter, onset rule and noise rule, in words.
    """

    bands: tuple[float, ...]
    values: Mapping[str, Array]
    meta: Mapping[str, str]

    def __getitem__(self, name: str) -> Array:
        return self.values[name]


def check_response(response: NDArray[np.floating], field: str = "response") -> Array:
    """`[..., time]` as float64.

    Raises:
        AudioError: empty, not finite, or silent.
    """
    checked: Array = np.asarray(response, dtype=np.float64)
    if checked.ndim < 1 or not checked.size:
        raise AudioError("holds no samples", field=field, mend="give [..., time]")
    if not np.isfinite(checked).all():
        raise AudioError("holds NaN or infinity", field=field, mend="repair the response")
    if not checked.any():
        raise AudioError("is silent", field=field, mend="give a response with sound")
    return checked


def early_late(
    response: Array, sample_rate: int, at: float, bands: Sequence[float] = (0.0,)
) -> tuple[Array, Array]:
    """Energies `[band]` before and after `at` seconds of a response from its direct sound on.

    Args:
        response: `[time]` from the direct sound.
        sample_rate: hertz.
        at: seconds.
        bands: nominal octave centres in hertz, 0 for broadband.
    """
    cut = round(at * sample_rate)
    early, late = (
        band_energies(part, bands, sample_rate) for part in (response[:cut], response[cut:])
    )
    return early, late


def clarity(early: Array, late: Array) -> Array:
    """C_t = 10 log10(early / late) in decibels; infinite where nothing is late."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10 * np.log10(early) - 10 * np.log10(late))


def definition(early: Array, late: Array) -> Array:
    """D_t = early / (early + late), a share; NaN where there is no energy."""
    with np.errstate(invalid="ignore"):
        return np.asarray(early / (early + late))


def centre_time(response: Array, sample_rate: int, band: float = 0.0) -> float:
    """Ts in seconds: the centre of gravity of the energy of `[time]` from the direct sound.

    In a band the filter has zero phase, so what it rings before and after cancels out.
    """
    pad = 0
    if band:
        pad = min(int(8 * sample_rate / band), 4 * sample_rate)
        response = filter_octave(np.pad(response, pad), band, sample_rate, "zero-phase")
    energy = response**2
    total = energy.sum()
    times = (np.arange(energy.size) - pad) / sample_rate
    return float((times * energy).sum() / total) if total > 0 else float("nan")


def _one(
    response: Array, sample_rate: int, bands: Sequence[float], kind: Filter
) -> dict[str, Array]:
    onset = direct_onset(response)
    from_direct = response[onset:]
    curves = [
        decay_curve(
            filter_octave(response, band, sample_rate, kind) if band else response,
            sample_rate,
            onset,
        )
        for band in bands
    ]
    at_50, at_80 = (early_late(from_direct, sample_rate, at, bands) for at in (0.05, 0.08))
    return {
        **{n: np.array([fit_time(c, *limits) for c in curves]) for n, limits in RANGES.items()},
        "C50": clarity(*at_50),
        "C80": clarity(*at_80),
        "D50": definition(*at_50),
        "Ts": np.array([centre_time(from_direct, sample_rate, band) for band in bands]),
    }


def room_metrics(
    response: NDArray[np.floating],
    sample_rate: int,
    *,
    bands: Sequence[float] | None = None,
    broadband: bool = True,
    kind: Filter = "time-reversed",
) -> RoomMetrics:
    """EDT, T20, T30, C50, C80, D50 and Ts of impulse responses.

    Each response (each channel) starts at its own direct sound: the first sample within 20 dB of
    the peak. Early and late energies are windowed before they are filtered.

    Args:
        response: `[..., time]`.
        sample_rate: hertz.
        bands: nominal octave centres in hertz; None takes all that fit the sample rate.
        broadband: also give the unfiltered values, under band 0, first.
        kind: octave filter of the decay curves, "time-reversed" or "zero-phase".

    Raises:
        AudioError: empty, not finite or silent.
        DataError: a band that does not fit the sample rate.
    """
    response = check_response(response)
    octaves = usable_bands(sample_rate) if bands is None else tuple(float(b) for b in bands)
    columns = ((0.0,) if broadband else ()) + octaves
    lead = response.shape[:-1]
    rows = response.reshape(-1, response.shape[-1])
    found = [_one(row, sample_rate, columns, kind) for row in rows]
    values = {
        name: np.array([row[name] for row in found]).reshape(*lead, len(columns)) for name in UNITS
    }
    meta = {
        "standard": "ISO 3382-1",
        "filter": f"octave, Butterworth order 6 (IEC 61260-1), {kind}; Ts zero-phase",
        "onset": "first sample within 20 dB of the peak, broadband, for each channel",
        "noise": "cut at the knee (after Lundeby), exponential tail put back, 10 dB of headroom",
    }
    return RoomMetrics(columns, values, meta)


def octave_decay(
    response: NDArray[np.floating],
    sample_rate: int,
    band: float = 0.0,
    kind: Filter = "time-reversed",
) -> DecayCurve | None:
    """The decay curve of one response `[time]` in one octave band (0: broadband)."""
    response = check_response(response)
    filtered = filter_octave(response, band, sample_rate, kind) if band else response
    return decay_curve(filtered, sample_rate, direct_onset(response))


def t60_iso(response: Array, sample_rate: int) -> float:
    """T30 of `[time]`, or T20 where the range of T30 is not reached (ISO 3382-1), in seconds."""
    curve = decay_curve(response, sample_rate)
    t30 = fit_time(curve, *RANGES["T30"])
    return t30 if np.isfinite(t30) else fit_time(curve, *RANGES["T20"])


def highpass(response: Array, sample_rate: int, cutoff: float = 200.0) -> Array:
    """Second-order Butterworth high-pass of the audio-EQ cookbook (Q = 0.707), `[..., time]`."""
    w = 2 * np.pi * cutoff / sample_rate
    alpha, c = np.sin(w) / (2 * 0.707), np.cos(w)
    b = np.array([(1 + c) / 2, -(1 + c), (1 + c) / 2]) / (1 + alpha)
    return np.asarray(lfilter(b, [1.0, -2 * c / (1 + alpha), (1 - alpha) / (1 + alpha)], response))


def t60_raf(response: Array, sample_rate: int) -> float:
    """Six times the time from -5 to -15 dB after a 200 Hz high-pass, as RAF measures it."""
    return crossing_time(highpass(response, sample_rate), sample_rate, 10.0, 5.0)


def t60_naf(response: Array, sample_rate: int) -> float:
    """Twice the time from -5 to -35 dB, as NAF measures it, in seconds."""
    return crossing_time(response, sample_rate, 30.0, 5.0)


def edt_raf(response: Array, sample_rate: int) -> float:
    """Six times the time from the first sample of `[time]` to -10 dB, as RAF measures it."""
    return crossing_time(response, sample_rate, 10.0, 0.0)


def c50_raf(response: Array, sample_rate: int) -> float:
    """Clarity of `[time]` split 50 ms (and one sample) after its first sample, as RAF does."""
    cut = int(0.05 * sample_rate + 1)
    return float(clarity((response[:cut] ** 2).sum(), (response[cut:] ** 2).sum()))


T60_VARIANTS: Mapping[str, Callable[[Array, int], float]] = {
    "t60_iso": t60_iso,
    "t60_raf": t60_raf,
    "t60_naf": t60_naf,
}


def t60(response: NDArray[np.floating], sample_rate: int, variant: str = "t60_iso") -> Array:
    """Reverberation times `[...]` of `[..., time]` in seconds; NaN where not reached.

    Raises:
        AudioError: empty, not finite or silent.
        DataError: no such variant.
    """
    if variant not in T60_VARIANTS:
        raise DataError(
            f"no reverberation time {variant!r}",
            field="variant",
            mend=f"choose one of {', '.join(T60_VARIANTS)}",
        )
    response = check_response(response)
    rows = response.reshape(-1, response.shape[-1])
    return np.array([T60_VARIANTS[variant](row, sample_rate) for row in rows]).reshape(
        response.shape[:-1]
    )


def direct_to_reverberant(
    response: NDArray[np.floating], sample_rate: int, *, before: float = 1e-3, after: float = 2.5e-3
) -> Array:
    """Energy of the direct sound over the rest, in decibels.

    The direct sound is the window from `before` ahead of the largest sample to `after` behind it
    (Zahorik 2002 takes 2.5 ms).

    Args:
        response: `[..., time]`.
        sample_rate: hertz.
        before: seconds.
        after: seconds.

    Returns:
        `[...]`; infinite where nothing follows the direct sound.
    """
    response = check_response(response)
    out = []
    for one in response.reshape(-1, response.shape[-1]):
        peak = int(np.argmax(np.abs(one)))
        window = slice(
            max(peak - round(before * sample_rate), 0), peak + round(after * sample_rate) + 1
        )
        out.append(float(clarity((one[window] ** 2).sum(), (one[window.stop :] ** 2).sum())))
    return np.array(out).reshape(response.shape[:-1])
