"""Energy decay curves: compared band by band, or all bands of one response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from piavas.evaluate.bands import usable_bands
from piavas.evaluate.decay import DecayCurve, fit_time
from piavas.evaluate.rooms import RANGES, octave_decay
from piavas.plot.style import Plot, Theme, band_name, grid, joint_legend, themed
from piavas.scene import ImpulseResponses

BANDS = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
POINTS = 400  # of a curve, in a figure


def decay(
    response: ImpulseResponses | NDArray[np.floating],
    sample_rate: int | None = None,
    *,
    listener: int = 0,
    channel: int = 0,
    bands: Sequence[float] | None = None,
    floor: float = -65.0,
    dark: bool | None = None,
) -> Plot:
    """Energy decay curves (ISO 3382-1) of one response, one for each octave band, with its T30.

    Args:
        response: responses, or one response `[time]`.
        sample_rate: hertz, of a response that is an array.
        listener: of the responses.
        channel: of that listener's response.
        bands: nominal octave centres in hertz; None takes 125 Hz to 8 kHz as far as they fit.
        floor: decibels at the bottom.
        dark: dark ground; None follows matplotlib's settings.
    """
    if isinstance(response, ImpulseResponses):
        samples, rate = response.samples[listener, channel], response.sample_rate
    elif sample_rate is None:
        raise TypeError("decay() needs the sample_rate of an array")
    else:
        samples, rate = np.asarray(response), sample_rate
    chosen = usable_bands(rate, BANDS if bands is None else bands)
    with themed(dark) as theme:
        figure = Plot(figsize=(6.4, 3.6))
        ax = figure.subplots()
        shades = _shades(len(chosen), theme)
        end = 0.0
        for band, color in zip((0.0, *chosen), (theme.ink, *shades), strict=True):
            curve = octave_decay(samples, rate, band)
            if curve is not None:
                width = 1.3 if band else 2.2
                _draw(ax, curve, color=color, lw=width, label=_with_time(band, curve))
                end = max(end, float(curve.times[curve.level > floor][-1]))
        ax.set(
            xlim=(0, end or 1),
            ylim=(floor, 2),
            xlabel="time after the direct sound (s)",
            ylabel="energy left (dB)",
        )
        grid(ax, theme)
        figure.legend(loc="outside right upper", frameon=False, title="band, T30", alignment="left")
    return figure


def _shades(count: int, theme: Theme) -> list[Any]:
    """Colours from low to high bands that stand out from the ground."""
    ends = (0.25, 0.95) if theme.paper < theme.ink else (0.05, 0.82)
    return list(mpl.colormaps["plasma"](np.linspace(*ends, count)))


def _with_time(band: float, curve: DecayCurve) -> str:
    t30 = fit_time(curve, *RANGES["T30"])
    return f"{band_name(band)}, " + (f"{t30:.2f} s" if np.isfinite(t30) else "not reached")


def _draw(ax: Axes, curve: DecayCurve, **how: Any) -> None:
    shown = slice(None, None, max(curve.level.size // POINTS, 1))
    ax.plot(curve.times[shown], curve.level[shown], **how)


def decay_curves(
    curves: Mapping[float, Mapping[str, DecayCurve | None]],
    *,
    floor: float = -60.0,
    dark: bool | None = None,
) -> Plot:
    """Energy decay curves compared, one panel for each octave band.

    Args:
        curves: by nominal octave centre in hertz (0: broadband), then by title, e.g.
            "recorded" and "simulated".
        floor: decibels at the bottom.
        dark: dark ground; None follows matplotlib's settings.
    """
    columns = min(len(curves), 4)
    rows = -(-len(curves) // max(columns, 1))
    with themed(dark) as theme:
        figure = Plot(figsize=(2.3 * columns + 0.6, 1.9 * rows + 0.5))
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        styles = {
            "recorded": (theme.ink, "-"),
            "simulated": (theme.accent, "--"),
            "refined": (theme.source, "-."),
        }
        end = 0.0
        for ax, (band, named) in zip(axes.flat, curves.items(), strict=False):
            for k, (name, curve) in enumerate(named.items()):
                if curve is None:
                    continue
                color, line = styles.get(name, (theme.palette[k % len(theme.palette)], "-"))
                _draw(ax, curve, linestyle=line, color=color, lw=1.6, label=name)
                inside = curve.level > floor
                end = max(end, float(curve.times[inside][-1]))
            ax.set_title(band_name(band))
            grid(ax, theme)
        for k in range(len(curves), axes.size):
            axes.flat[k].set_visible(False)
            axes.flat[k - columns].tick_params(labelbottom=True)
        axes[0, 0].set(ylim=(floor, 2), xlim=(0, end or 1))
        figure.supxlabel("time after the direct sound (s)", fontsize=9)
        figure.supylabel("energy left (dB)", fontsize=9)
        joint_legend(figure, axes.flat)
    return figure
