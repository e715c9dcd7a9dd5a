"""How every figure looks: one style, in light and in dark, without a state of pyplot."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from piavas.colors import HELD_OUT, INK, PALETTE, PAPER, SOURCE, TRAIN

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "svg.hashsalt": "piavas",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "auto",
    "savefig.edgecolor": "auto",
}
COLORED = (
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "axes.titlecolor",
    "xtick.color",
    "ytick.color",
)
DOTS = 130  # per inch


@dataclass(frozen=True)
class Theme:
    """Colours of one mode.

    Args:
        ink: of text, axes and outlines.
        paper: of the ground.
        source: of sources.
        accent: of what stands out.
        calm: of what stands beside it.
        palette: of further curves.
    """

    ink: str
    paper: str
    source: str
    accent: str
    calm: str
    palette: tuple[str, ...] = PALETTE


LIGHT = Theme(INK, PAPER, SOURCE, TRAIN, HELD_OUT)
DARK = Theme("#e8eaed", "#14171c", "#56b4e9", "#ff8a3d", "#2fc796")


class Plot(Figure):
    """A matplotlib figure that shows itself in a notebook and keeps its colours in files."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save as `Figure.savefig` does, on the ground it was drawn for."""
        with mpl.rc_context(STYLE):
            super().savefig(fname, **{"dpi": DOTS, **options})

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format="png")
        return out.getvalue()


def prefers_dark() -> bool:
    """Whether matplotlib's settings have a dark ground, as `dark_background` gives."""
    red, green, blue = mpl.colors.to_rgb(mpl.rcParams["figure.facecolor"])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4


@contextmanager
def themed(dark: bool | None) -> Iterator[Theme]:
    """The style in force inside the block; `dark` None follows matplotlib's settings."""
    theme = DARK if (prefers_dark() if dark is None else dark) else LIGHT
    ground = {"figure.facecolor": theme.paper, "axes.facecolor": theme.paper}
    settings: dict[Any, Any] = {**STYLE, **ground, **{name: theme.ink for name in COLORED}}
    with mpl.rc_context(settings):
        yield theme


def grid(ax: Axes, theme: Theme) -> None:
    """Faint lines behind everything."""
    ax.grid(True, color=theme.ink, alpha=0.15, linewidth=0.6)
    ax.set_axisbelow(True)


def colorbar(
    figure: Figure, drawn: Any, axes: Any, label: str, theme: Theme, **options: Any
) -> Any:
    """A colour bar in the theme's ink."""
    bar = figure.colorbar(drawn, ax=axes, **{"pad": 0.01, "aspect": 22, **options})
    bar.set_label(label)
    bar.outline.set_edgecolor(theme.ink)  # type: ignore[operator]
    return bar


def joint_legend(figure: Figure, axes: Any, **options: Any) -> None:
    """One legend above all panels, each label once."""
    handles: Mapping[str, Any] = {
        label: handle
        for ax in axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    if handles:
        where = {"loc": "outside upper center", "ncols": 3, "frameon": False, **options}
        figure.legend(handles.values(), handles.keys(), **where)


def band_name(band: float) -> str:
    """An octave band in words."""
    if not band:
        return "broadband"
    return f"{band / 1000:g} kHz" if band >= 1000 else f"{band:g} Hz"


def to_svg(figure: Figure) -> str:
    """The figure as SVG text without a ground, the same for the same figure."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, dpi=DOTS, metadata={"Date": None})
    return out.getvalue().decode("utf-8")


def to_png(figure: Figure, dpi: int = DOTS) -> bytes:
    """The figure as PNG on its ground."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()
