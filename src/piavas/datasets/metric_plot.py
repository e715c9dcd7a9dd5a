"""A picture of how the unit of a video was fitted."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from piavas.datasets.metric import AGREES, MetricFit
from piavas.plot.style import Plot, grid, themed


def plot_metric(fit: MetricFit, *, speed: float = 343.2, dark: bool | None = None) -> Plot:
    """Delays and levels of the direct sound over distance, the fitted laws, and the 95 % band.

    Args:
        fit: what was found.
        speed: of sound, m/s, as it was fitted with.
        dark: dark ground; None follows matplotlib's settings.
    """
    gap = fit.delays - fit.scale * fit.distances / speed - fit.offset
    good = np.abs(gap) < AGREES
    far = np.linspace(0, 1.05 * fit.distances.max(), 100)
    with themed(dark) as theme:
        figure = Plot(figsize=(7.2, 3.2))
        left, right = figure.subplots(1, 2)
        middle = fit.distances.mean()
        level = fit.scale * middle / speed + fit.offset
        edges = [1e3 * (level + s * (far - middle) / speed) for s in fit.scale_interval]
        left.fill_between(far, *edges, color=theme.accent, alpha=0.25, lw=0, label="95 %")
        line = 1e3 * (fit.scale * far / speed + fit.offset)
        left.plot(far, line, color=theme.accent, label=f"{fit.scale:.4g} m a unit")
        left.set(ylabel="delay of the direct sound, ms", xlabel="distance, units")
        heights = fit.gain_db - 20 * np.log10(np.maximum(fit.scale * far[1:], 1e-6))
        right.semilogx(far[1:], heights, color=theme.accent, label="1/r")
        right.set(ylabel="level of the direct sound, dB", xlabel="distance, units")
        right.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.xaxis.set_major_formatter("{x:g}")
        right.xaxis.set_minor_formatter(NullFormatter())
        right.set_xlim(0.8 * fit.distances.min(), 1.2 * fit.distances.max())
        for ax, values in ((left, 1e3 * fit.delays), (right, fit.levels)):
            ax.plot(fit.distances[good], values[good], ".", color=theme.ink, label="poses")
            if not good.all():
                odd = fit.distances[~good], values[~good]
                ax.plot(*odd, "x", color=theme.calm, label="outliers")
            ax.legend(frameon=False, fontsize=8)
            grid(ax, theme)
        heights = heights[far[1:] > 0.8 * fit.distances.min()]
        low, high = min(heights.min(), fit.levels.min()), max(heights.max(), fit.levels.max())
        right.set_ylim(low - 2, high + 2)
    return figure
