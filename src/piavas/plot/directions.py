"""Where sound comes from: energy by azimuth and elevation, from ambisonic responses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_legendre

from piavas.acoustics.ambisonics import harmonics, to_head
from piavas.acoustics.receivers import ambisonic_order
from piavas.errors import DataError
from piavas.evaluate.decay import direct_onset
from piavas.plot.style import Plot, colorbar, themed
from piavas.scene import ImpulseResponses

Array = NDArray[np.float64]
WINDOWS = ((0.0, 0.005), (0.005, 0.08), (0.08, None))
BEFORE = 0.001  # seconds ahead of the direct sound that belong to it
STEP = 3.0  # degrees


def beam_energy(response: NDArray[np.floating], directions: Array) -> Array:
    """Energy `[n]` that a beam to each of `directions` `[n, 3]` picks up of `[channel, time]`.

    The beam is the plane-wave decomposition with max-rE weights (Zotter & Frank 2019, section
    4.2): a plane wave of pressure p from its axis gives p. Axes x ahead, y left, z up.
    """
    order = round(len(response) ** 0.5) - 1
    weights = eval_legendre(np.arange(order + 1), np.cos(np.radians(137.9) / (order + 1.51)))
    degrees = np.arange(order + 1)
    each = np.repeat(weights * (2 * degrees + 1), 2 * degrees + 1)
    beams = harmonics(directions, order) * each / (weights * (2 * degrees + 1)).sum()
    samples = np.asarray(response, dtype=np.float64)
    return np.einsum("nc,cd,nd->n", beams, samples @ samples.T, beams)


def directions(
    irs: ImpulseResponses,
    *,
    listener: int = 0,
    windows: Sequence[tuple[float, float | None]] = WINDOWS,
    span: float = 12.0,
    dark: bool | None = None,
) -> Plot:
    """Energy by azimuth and elevation as the head sees it, in windows after the direct sound.

    Args:
        irs: ambisonic responses; the order limits how sharp a direction can be.
        listener: which.
        windows: begin and end in seconds after the direct sound, None for the end.
        span: decibels from the loudest direction of a window to the bottom of the scale.
        dark: dark ground; None follows matplotlib's settings.

    Raises:
        DataError: the responses are not ambisonic.
    """
    order = None if irs.output == "binaural" else ambisonic_order(irs.output)
    if not order:
        raise DataError(
            f"{irs.output} responses know no directions",
            field="output",
            mend='simulate with output="ambisonic-3"',
        )
    azimuth = np.arange(180 - STEP / 2, -180, -STEP)
    elevation = np.arange(-90 + STEP / 2, 90, STEP)
    way = _unit(*np.meshgrid(azimuth, elevation))
    samples = irs.samples[listener]
    onset = direct_onset(samples[0]) - round(BEFORE * irs.sample_rate)
    with themed(dark) as theme:
        figure = Plot(figsize=(3.1 * len(windows) + 0.9, 2.5))
        axes = figure.subplots(1, len(windows), sharex=True, sharey=True, squeeze=False)[0]
        drawn = None
        for ax, (begin, end) in zip(axes, windows, strict=True):
            a, b = (None if t is None else round(t * irs.sample_rate) for t in (begin, end))
            part = samples[:, max(onset + (a or 0), 0) : None if b is None else max(onset + b, 1)]
            energy = beam_energy(part, way.reshape(-1, 3)).reshape(way.shape[:2])
            level = 10 * np.log10(np.maximum(energy / max(energy.max(), 1e-30), 1e-6))
            drawn = ax.imshow(
                level,
                origin="lower",
                extent=(180, -180, -90, 90),
                vmin=-span,
                vmax=0,
                cmap="inferno",
                aspect="auto",
                interpolation="bilinear",
            )
            total = 10 * np.log10(max(float((part[0].astype(np.float64) ** 2).sum()), 1e-12))
            ax.set_title(f"{_window(begin, end)}: {total:.1f} dB".replace("-", "−"))
            ax.set_xticks([180, 90, 0, -90, -180], ["", "left", "ahead", "right", ""])
            ax.set_yticks([-90, -45, 0, 45, 90])
        _mark_source(axes, irs, listener)
        axes[0].set_ylabel("elevation (degrees)")
        colorbar(figure, drawn, list(axes), "re loudest (dB)", theme, aspect=18)
    return figure


def _window(begin: float, end: float | None) -> str:
    return f"{1000 * begin:g}–{1000 * end:g} ms" if end is not None else f"from {1000 * begin:g} ms"


def _unit(azimuth: Array, elevation: Array) -> Array:
    """Unit vectors `[..., 3]` of angles in degrees; azimuth to the left, elevation up."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1)


def _mark_source(axes: Sequence, irs: ImpulseResponses, listener: int) -> None:
    """A ring where the source is."""
    pose = irs.listeners[listener]
    x, y, z = to_head(pose, (irs.source - pose[:3, 3])[None])[0]
    azimuth, elevation = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    for ax in axes:
        ax.scatter(azimuth, elevation, s=70, facecolors="none", edgecolors="white", linewidths=1.2)
