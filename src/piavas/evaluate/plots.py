"""Figures of the report. Importing this module imports matplotlib; it never opens a window.

Text and axes are drawn in `INK` and halos in `PAPER`; the report turns these into the colours of
the page, so one figure reads well on light and on dark.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from piavas.evaluate.decay import DecayCurve
from piavas.evaluate.spectral import Stft
from piavas.scene import Mesh, Scene

Array = NDArray[np.float64]

INK, PAPER = "#1b1f25", "#fdfdfe"
TRAIN, HELD_OUT, SOURCE = "#d55e00", "#009e73", "#0072b2"
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008)."""

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#56b4e9", "#999999")

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "svg.hashsalt": "piavas",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    **{
        key: INK
        for key in (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
        )
    },
}


def _grid(ax: Axes) -> None:
    ax.grid(True, color=INK, alpha=0.15, linewidth=0.6)
    ax.set_axisbelow(True)


def section(vertices: Array, faces: NDArray[np.int32], height: float) -> Array:
    """Where triangles cut the plane z = `height`: segments `[s, 2, 2]` in x, y."""
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    above = corners[..., 2] - height > 0
    cut = corners[above.any(axis=1) & ~above.all(axis=1)]
    side = cut[..., 2] - height > 0
    # Roll the corner that is alone on its side to the front: both cut edges start there.
    lone = np.where(side.sum(axis=1) == 1, side.argmax(axis=1), (~side).argmax(axis=1))
    rolled = np.take_along_axis(cut, ((lone[:, None] + np.arange(3)) % 3)[..., None], axis=1)
    apex, ends = rolled[:, :1], rolled[:, 1:]
    share = (height - apex[..., 2:]) / (ends[..., 2:] - apex[..., 2:])
    return np.asarray((apex + share * (ends - apex))[..., :2])


def _draw_section(ax: Axes, mesh: Mesh | Scene, poses: Sequence[Array]) -> None:
    low, high = mesh.vertices[:, 2].min(), mesh.vertices[:, 2].max()
    heads = np.concatenate([p[:, 2, 3] for p in poses]) if poses else np.array([0.5 * (low + high)])
    # A plane through a vertex would cut degenerate triangles; a millimetre off cuts none.
    levels = ((low + 0.18 * (high - low) + 1e-3, 0.35, 0.8), (float(heads.mean()) + 1e-3, 1.0, 1.4))
    for level, alpha, width in levels:
        lines = section(mesh.vertices, mesh.faces, level)
        outline = LineCollection(
            list(lines), colors=INK, alpha=alpha, linewidths=width, capstyle="round"
        )
        ax.add_collection(outline)
    ax.update_datalim(mesh.vertices[:, :2])


def _draw_poses(ax: Axes, poses: Array, color: str, marker: str, label: str) -> None:
    at, ahead = poses[:, :2, 3], -poses[:, :2, 2]
    ends = at + 0.18 * ahead
    many = len(poses) > 400
    lines = LineCollection(
        list(np.stack([at, ends], axis=1)), colors=color, linewidths=1.1, rasterized=many
    )
    ax.add_collection(lines)
    ax.scatter(
        at[:, 0],
        at[:, 1],
        s=20,
        marker=marker,
        color=color,
        linewidths=0,
        label=label,
        rasterized=many,
        zorder=3,
    )


def _label_sides(points: Array, across: tuple[float, float]) -> list[tuple[int, int]]:
    """The side, (-1 or 1, -1 or 1), on which each source carries its label.

    Away from the nearest other source where one is near, else into the room.
    """
    middle = np.mean(across)
    sides = []
    for i, point in enumerate(points):
        others = np.delete(points, i, axis=0)
        way = np.array([middle - point[0], 1.0])
        if len(others):
            nearest = others[np.argmin(np.linalg.norm(others - point, axis=1))]
            if np.linalg.norm(nearest - point) < 0.2 * (across[1] - across[0]):
                way = point - nearest
        sides.append((1 if way[0] >= 0 else -1, 1 if way[1] >= 0 else -1))
    return sides


def _draw_sources(ax: Axes, sources: Mapping[str, Array]) -> None:
    points = np.array([np.asarray(p, dtype=np.float64)[:2] for p in sources.values()])
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=130,
        marker="*",
        color=SOURCE,
        edgecolors=PAPER,
        linewidths=0.6,
        label="source",
        zorder=4,
    )
    if len(sources) > 12:
        return
    ax.autoscale_view()
    sides = _label_sides(points, ax.get_xlim())
    for name, point, (right, up) in zip(sources, points, sides, strict=True):
        ax.annotate(
            name,
            (float(point[0]), float(point[1])),
            xytext=(8 * right, 8 * up),
            textcoords="offset points",
            ha="left" if right > 0 else "right",
            va="bottom" if up > 0 else "top",
            fontsize=9,
            fontweight="bold",
            zorder=5,
            path_effects=[withStroke(linewidth=3, foreground=PAPER)],
        )


def room_map(
    sources: Mapping[str, Array],
    *,
    mesh: Mesh | Scene | None = None,
    train: Array | None = None,
    held_out: Array | None = None,
) -> Figure:
    """The room from above: mesh section, sources, training and evaluation heads.

    The thick outline is the section at the heads' mean height, the thin one lower, through the
    furniture. Each head has a tick in its viewing direction.

    Args:
        sources: `[3]` metres by name.
        mesh: what to cut.
        train: `[n, 4, 4]` poses of the training recordings.
        held_out: `[n, 4, 4]` poses of the evaluation recordings.
    """
    poses = [p for p in (train, held_out) if p is not None and len(p)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 5.4))
        ax = figure.subplots()
        if mesh is not None:
            _draw_section(ax, mesh, poses)
        if train is not None and len(train):
            _draw_poses(ax, train, TRAIN, "o", f"training poses ({len(train)})")
        if held_out is not None and len(held_out):
            _draw_poses(ax, held_out, HELD_OUT, "^", f"evaluation poses ({len(held_out)})")
        if sources:
            _draw_sources(ax, sources)
        ax.autoscale_view()
        ax.set(xlabel="x (m)", ylabel="y (m)", aspect="equal")
        ax.margins(0.06)
        _grid(ax)
        if ax.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


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
    signals: Mapping[str, NDArray[np.floating]],
    sample_rate: int,
    *,
    span: float = 80.0,
    reference: str | None = None,
) -> Figure:
    """Spectrograms side by side on one colour scale.

    Args:
        signals: `[channel, time]` by title.
        sample_rate: hertz.
        span: decibels from the top of the scale to its bottom.
        reference: the title whose maximum tops the scale; None takes the largest of all but a
            signal titled "dry", whose level is another.
    """
    images = {name: power_db(signal, sample_rate) for name, signal in signals.items()}
    rated = [reference] if reference else [n for n in images if n != "dry"] or list(images)
    top = max(float(images[name][0].max()) for name in rated)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.55 * len(images) + 0.9, 2.5))
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
                extent=(0, level.shape[1] * step, 0, sample_rate / 2000),
                interpolation="antialiased",
            )
            ax.set(title=name, xlabel="time (s)")
        axes[0].set_ylabel("frequency (kHz)")
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=list(axes), pad=0.01, aspect=18)
            bar.set_label("level (dB)")
            bar.outline.set_edgecolor(INK)  # type: ignore[operator]
    return figure


def decay_curves(
    curves: Mapping[float, Mapping[str, DecayCurve | None]], *, floor: float = -60.0
) -> Figure:
    """Energy decay curves, one panel for each octave band.

    Args:
        curves: by nominal octave centre in hertz (0: broadband), then by title, e.g.
            "recorded" and "simulated".
        floor: decibels at the bottom.
    """
    columns = min(len(curves), 4)
    rows = -(-len(curves) // max(columns, 1))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * columns + 0.6, 1.9 * rows + 0.5))
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        styles = {"recorded": (INK, "-"), "simulated": (TRAIN, "--"), "refined": (SOURCE, "-.")}
        end = 0.0
        for ax, (band, named) in zip(axes.flat, curves.items(), strict=False):
            for k, (name, curve) in enumerate(named.items()):
                if curve is None:
                    continue
                color, line = styles.get(name, (PALETTE[k % len(PALETTE)], "-"))
                shown = slice(None, None, max(curve.level.size // 300, 1))
                ax.plot(
                    curve.times[shown], curve.level[shown], line, color=color, lw=1.6, label=name
                )
                inside = curve.level > floor
                end = max(end, float(curve.times[inside][-1]))
            ax.set_title(band_name(band))
            _grid(ax)
        for k in range(len(curves), axes.size):
            axes.flat[k].set_visible(False)
            axes.flat[k - columns].tick_params(labelbottom=True)
        axes[0, 0].set(ylim=(floor, 2), xlim=(0, end or 1))
        figure.supxlabel("time after the direct sound (s)", fontsize=9)
        figure.supylabel("energy left (dB)", fontsize=9)
        handles = {
            label: handle
            for ax in axes.flat
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False
        )
    return figure


def band_name(band: float) -> str:
    """An octave band in words."""
    if not band:
        return "broadband"
    return f"{band / 1000:g} kHz" if band >= 1000 else f"{band:g} Hz"


def to_svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same figure."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, dpi=130, metadata={"Date": None})
    return out.getvalue().decode("utf-8")


def to_png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as PNG on white."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="png", dpi=dpi, facecolor="white")
    return out.getvalue()
