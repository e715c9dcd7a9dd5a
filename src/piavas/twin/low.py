"""Low frequencies by waves, all above them by rays, at the two ears of a head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from piavas.acoustics import Hrtf
from piavas.acoustics.ambisonics import to_head
from piavas.scene import ImpulseResponses, Scene
from piavas.twin.wave import COURANT, HIGHEST, SPACING, WaveField, make_grid, solve

Array = NDArray[np.float64]
CROSSOVER = 250.0  # hertz


def with_waves(
    responses: ImpulseResponses, scene: Scene, hrtf: Hrtf, speed: float
) -> ImpulseResponses:
    """Binaural responses whose frequencies below `CROSSOVER` come from the wave equation.

    The source is omnidirectional down there, whatever it is above.

    Args:
        responses: of the ray-based engine, binaural.
        scene: the same as theirs.
        hrtf: the same head as theirs, at their rate.
        speed: of sound, m/s.

    Raises:
        SimulationError: the source or a head is not in the air.
    """
    field = field_of(scene, responses, speed)
    length = responses.samples.shape[2]
    low = ears(field, responses.listeners, hrtf, length)
    samples = crossed(low, responses.samples, responses.sample_rate)
    report = {**responses.report, "waves_below": CROSSOVER, "cells_rate": field.sample_rate}
    return replace(responses, samples=samples.astype(np.float32), report=report)


def field_of(scene: Scene, responses: ImpulseResponses, speed: float) -> WaveField:
    """The low field of the source of `responses` at their heads, for as long as they last."""
    # A whole share of the rate, so that a bin of one spectrum is a bin of the other.
    share = max(1, round(responses.sample_rate * COURANT * SPACING / speed))
    spacing = speed * share / (COURANT * responses.sample_rate)
    grid = make_grid(scene, responses.source, spacing)
    seconds = responses.samples.shape[2] / responses.sample_rate
    heads = responses.listeners[:, :3, 3]
    return solve(grid, responses.source, heads, seconds=seconds, speed=speed)


def ears(field: WaveField, poses: Array, hrtf: Hrtf, length: int) -> Array:
    """Responses `[l, 2, length]` of a small head in `field`, at the rate of `hrtf`.

    A head takes of a field that is smooth over its size the pressure and the gradient: its transfer
    functions are projected on harmonics of orders 0 and 1. For a plane wave from d,
    grad p = i k d p (time dependence exp(+i w t)).
    """
    share = round(hrtf.sample_rate / field.sample_rate)
    size = 2 * int(np.ceil(length / share))
    f = np.fft.rfftfreq(size, 1 / field.sample_rate)
    f = f[f < 1.7 * HIGHEST]
    spectra = np.fft.rfft(field.samples, size)[..., : f.size]
    order0, order1 = projected(hrtf, f)
    slope = np.divide(field.speed, 2j * np.pi * f, out=np.zeros(f.size, complex), where=f > 0)
    out = np.zeros((len(poses), 2, share * size // 2 + 1), complex)
    for i, pose in enumerate(poses):
        ahead = to_head(pose, np.eye(3))  # rows: the world's axes in the head's frame
        gradient = ahead.T @ spectra[i, 1:]
        heard = order0 * spectra[i, 0] + np.einsum("eaf,af->ef", order1, slope * gradient)
        out[i, :, : f.size] = heard
    return np.asarray(np.fft.irfft(out, share * size)[..., :length])


def projected(
    hrtf: Hrtf, f: NDArray[np.floating]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Spectra of a head's orders 0 `[2, f]` and 1 `[2, 3, f]` at `f` hertz."""
    mean = np.einsum("d,det->et", hrtf.weights, hrtf.responses)
    tilt = 3 * np.einsum("d,da,det->eat", hrtf.weights, hrtf.directions, hrtf.responses)
    time = (np.arange(hrtf.responses.shape[2]) - hrtf.lead) / hrtf.sample_rate
    wave = np.exp(-2j * np.pi * time[:, None] * f)
    return mean @ wave, tilt @ wave


def crossed(low: NDArray[np.floating], high: NDArray[np.floating], rate: int) -> Array:
    """`low` below `CROSSOVER` and `high` above (Butterworth, third order).

    Of odd order, both what agrees (the direct sound) and what does not (waves and rays draw other
    late fields) keep their energy: the parts are a quarter turn apart, and their powers add to 1.
    """
    parts = [
        sosfilt(butter(3, CROSSOVER, kind, fs=rate, output="sos"), sound)
        for sound, kind in ((low, "low"), (high, "high"))
    ]
    return np.asarray(parts[0] + parts[1])
