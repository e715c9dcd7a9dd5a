"""Metrics over a swept number, a curve for each way."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.ticker import MaxNLocator

from piavas.evaluate.bootstrap import Interval
from piavas.plot.style import Plot, grid, joint_legend, themed

Curves = Mapping[str, Mapping[int, Interval]]
MARKS = "osD^v*"


def sweep(
    metrics: Mapping[str, Curves],
    reference: Mapping[str, Interval] | None = None,
    *,
    xlabel: str = "function evaluations",
    dark: bool | None = None,
) -> Plot:
    """Means with their 95 % intervals, a panel for each metric.

    Args:
        metrics: by metric, then by curve, then by the swept number.
        reference: by metric, what no curve depends on: physics alone.
        xlabel: of the swept number.
        dark: dark ground; None follows matplotlib's settings.
    """
    with themed(dark) as theme:
        figure = Plot(figsize=(3.1 * len(metrics) + 0.3, 3.2))
        axes = figure.subplots(1, len(metrics), squeeze=False)[0]
        for ax, (metric, curves) in zip(axes, metrics.items(), strict=True):
            if reference and metric in reference:
                ax.axhline(reference[metric].mean, color=theme.ink, ls="--", lw=1, label="physics")
            for k, (name, curve) in enumerate(curves.items()):
                x = sorted(curve)
                mean, low, high = (
                    [getattr(curve[n], part) for n in x] for part in ("mean", "low", "high")
                )
                color = theme.palette[k % len(theme.palette)]
                mark = MARKS[k % len(MARKS)]
                ax.fill_between(x, low, high, color=color, alpha=0.1, lw=0)
                ax.plot(x, mean, color=color, marker=mark, ms=4, lw=1.4, label=name)
            ax.set(title=metric, xlabel=xlabel)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            grid(ax, theme)
        axes[0].set_ylabel("error (lower is better)")
        joint_legend(figure, axes, ncols=6)
    return figure
