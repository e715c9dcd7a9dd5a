"""Spectrograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from piavas.evaluate.spectral import Stft
from piavas.plot.style import Plot, colorbar, themed
from piavas.scene import ImpulseResponses

Array = NDArray[np.float64]
Signals = Mapping[str, NDArray[np.floating]]


def power_db(signal: NDArray[np.floating], sample_rate: int) -> tuple[Array, float]:
    """Spectrogram `[frequency, frame]` in decibels, power averaged over channels, and its hop.

    Frames of about 23 ms (hann), hop a quarter.
    """
    size = 1 << round(np.log2(0.023 * sample_rate))
    hop = size // 4
    signal = np.atleast_2d(signal)
    if signal.shape[-1] < size:
        signal = np.pad(signal, ((0, 0), (0, size - signal.shape[-1])))
    magnitude = Stft(size, hop, size, "hann").magnitude(signal)
    power = (magnitude**2).mean(axis=0).T
    return np.asarray(10 * np.log10(power + 1e-20)), hop / sample_rate


def spectrogram(
    signals: Signals | NDArray[np.floating] | ImpulseResponses,
    sample_rate: int | None = None,
    *,
    listener: int = 0,
    span: float = 80.0,
    reference: str | None = None,
    dark: bool | None = None,
) -> Plot:
    """Spectrograms side by side on one colour scale.

    Args:
        signals: `[channel, time]` by title; or one such array, or responses, of which each channel
            gets a panel (the first four of ambisonic ones).
        sample_rate: hertz; that of the responses where those are given.
        listener: of the responses.
        span: decibels from the top of the scale to its bottom.
        reference: the title whose maximum tops the scale; None takes the largest of all but a
            signal titled "dry", whose level is another.
        dark: dark ground; None follows matplotlib's settings.
    """
    named, rate = _named(signals, sample_rate, listener)
    images = {name: power_db(signal, rate) for name, signal in named.items()}
    rated = [reference] if reference else [n for n in images if n != "dry"] or list(images)
    top = max(float(images[name][0].max()) for name in rated)
    with themed(dark) as theme:
        figure = Plot(figsize=(2.55 * len(images) + 0.9, 2.5))
        axes = figure.subplots(1, len(images), sharex=True, sharey=True, squeeze=False)[0]
        drawn: AxesImage | None = None
        for ax, (name, (level, step)) in zip(axes, images.items(), strict=True):
            shown = level - (level.max() if name == "dry" and name not in rated else top)
            drawn = ax.imshow(
                shown,
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=-span,
                vmax=0,
                extent=(0, level.shape[1] * step, 0, rate / 2000),
                interpolation="antialiased",
            )
            ax.set(title=name, xlabel="time (s)")
        axes[0].set_ylabel("frequency (kHz)")
        if drawn is not None:
            colorbar(figure, drawn, list(axes), "level (dB)", theme, aspect=18)
    return figure


def _named(
    signals: Signals | NDArray[np.floating] | ImpulseResponses,
    sample_rate: int | None,
    listener: int,
) -> tuple[dict[str, NDArray[np.floating]], int]:
    if isinstance(signals, ImpulseResponses):
        names = {"binaural": ["left ear", "right ear"], "mono": ["pressure"]}.get(
            signals.output, ["W", "Y", "Z", "X"]
        )
        heard = signals.samples[listener]
        return dict(zip(names, heard, strict=False)), signals.sample_rate
    if sample_rate is None:
        raise TypeError("spectrogram() needs the sample_rate of signals")
    if isinstance(signals, Mapping):
        return dict(signals), sample_rate
    channels = np.atleast_2d(signals)
    names = ["left", "right"] if len(channels) == 2 else [f"{i}" for i in range(len(channels))]
    return dict(zip(names if len(channels) > 1 else [""], channels, strict=True)), sample_rate
