"""Time of head-related impulse responses: onsets, fractional shifts, change of rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from piavas.acoustics.sphere_head import band_edge

Array = NDArray[np.float64]
FLOOR = 10 ** (-50 / 20)
"""Magnitudes this far under the loudest carry no phase that a minimum-phase twin should follow."""
UPSAMPLING = 8
RINGING = 4e-3
"""Seconds of silence around a response, for the ringing of a band limit to die in."""


def onsets(responses: NDArray[np.floating]) -> Array:
    """When each response begins, in samples and fractions of a sample.

    The lag at which a response best matches its own minimum-phase twin (Nam, Abel and Smith
    2008): unlike a threshold it does not jump where the first rise is weak.

    Args:
        responses: `[..., taps]`.

    Returns:
        `[...]`.
    """
    flat = np.asarray(responses).reshape(-1, responses.shape[-1])
    parts = [_lags(flat[i : i + 256]) for i in range(0, len(flat), 256)]
    return np.concatenate(parts).reshape(responses.shape[:-1])


def _lags(responses: NDArray[np.floating]) -> Array:
    size = next_fast_len(2 * responses.shape[-1], real=True)
    size += size % 2
    spectrum = np.fft.rfft(responses.astype(np.float64), size)
    cross = spectrum * np.conj(_minimum_phase(np.abs(spectrum), size))
    fine = UPSAMPLING * size
    match = np.fft.irfft(cross, fine)
    peak = np.argmax(np.abs(match), axis=-1)
    rows = np.arange(len(match))
    before, top, after = (np.abs(match[rows, (peak + k) % fine]) for k in (-1, 0, 1))
    vertex = 0.5 * (before - after) / (before - 2 * top + after)
    lag = (peak + vertex) / UPSAMPLING
    return np.where(lag > size / 2, lag - size, lag)


def _minimum_phase(magnitude: Array, size: int) -> NDArray[np.complex128]:
    """Spectrum of least delay with this magnitude (Oppenheim and Schafer, real cepstrum)."""
    floor = FLOOR * magnitude.max(axis=-1, keepdims=True)
    cepstrum = np.fft.irfft(np.log(np.maximum(magnitude, floor)), size)
    fold = np.zeros(size)
    fold[0] = fold[size // 2] = 1
    fold[1 : size // 2] = 2
    return np.asarray(np.exp(np.fft.rfft(cepstrum * fold, size)))


def first_rise(response: NDArray[np.floating]) -> float:
    """When `response` `[taps]` first reaches a tenth (-20 dB) of its peak, in samples (ISO 3382-1).

    Found at eight times the rate, since the rise of a band-limited response is steep.
    """
    size = 2 * len(response)
    fine = np.abs(np.fft.irfft(np.fft.rfft(response, size), UPSAMPLING * size))
    after = int(np.argmax(fine[: UPSAMPLING * len(response)] >= 0.1 * fine.max()))
    return after / UPSAMPLING


def shifted(responses: NDArray[np.floating], delay: Array | float, taps: int) -> Array:
    """Responses `[..., taps]` later by `delay` samples (fractions too), band-limited.

    What moves out of the window at either end is lost; `delay` broadcasts to `responses[..., 0]`.
    """
    lag = np.broadcast_to(np.asarray(delay, dtype=np.float64), responses.shape[:-1])
    reach = int(np.ceil(np.abs(lag).max(initial=0.0)))
    size = next_fast_len(max(taps, responses.shape[-1]) + 2 * reach + 64, real=True)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * lag[..., None])
    return np.fft.irfft(np.fft.rfft(responses, size) * turn, size)[..., :taps]


def resampled(
    responses: NDArray[np.floating], rate: float, to: float, delay: float, taps: int
) -> Array:
    """Impulse responses at another rate and later, their frequency response unchanged.

    Unlike a signal, an impulse response must be scaled by `rate / to` to keep its level; the
    exchange of spectra does both. Where the rate falls, the band ends in a raised cosine.

    Args:
        responses: `[..., taps]` at `rate` hertz.
        rate: hertz.
        to: hertz of the result.
        delay: seconds, may be negative.
        taps: length of the result at `to` hertz.
    """
    length = responses.shape[-1] / rate
    old, new = _periods(rate, to, int(np.ceil((length + 2 * abs(delay) + RINGING) * rate)))
    spectrum = np.fft.rfft(responses, old)
    bins = min(old, new) // 2 + 1
    frequency = np.arange(bins) * rate / old
    turn = np.exp(-2j * np.pi * frequency * delay)
    if to < rate:
        turn *= band_edge(frequency, to / 2)
    out = np.zeros((*spectrum.shape[:-1], new // 2 + 1), dtype=np.complex128)
    out[..., :bins] = spectrum[..., :bins] * turn
    kept = np.fft.irfft(out, new)[..., :taps]
    return np.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, taps - kept.shape[-1])])


def _periods(rate: float, to: float, least: int) -> tuple[int, int]:
    """Even numbers of samples, at `rate` and at `to`, that last equally long."""
    common = int(np.gcd(round(rate), round(to)))
    old, new = round(rate) // common, round(to) // common
    repeat = -(-least // old)
    repeat += repeat % 2
    return old * repeat, new * repeat
