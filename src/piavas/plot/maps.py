"""The room from above: sections, sources, heads, and what is heard where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from piavas.plot.style import Plot, Theme, grid, joint_legend, themed
from piavas.scene import Mesh, Scene

Array = NDArray[np.float64]


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


def draw_section(ax: Axes, mesh: Mesh | Scene, poses: Sequence[Array], theme: Theme) -> None:
    """The outline at the heads' mean height, thick, and lower, through the furniture, thin."""
    low, high = mesh.vertices[:, 2].min(), mesh.vertices[:, 2].max()
    heads = np.concatenate([p[:, 2, 3] for p in poses]) if poses else np.array([0.5 * (low + high)])
    # A plane through a vertex would cut degenerate triangles; a millimetre off cuts none.
    levels = ((low + 0.18 * (high - low) + 1e-3, 0.35, 0.8), (float(heads.mean()) + 1e-3, 1.0, 1.4))
    for level, alpha, width in levels:
        lines = section(mesh.vertices, mesh.faces, level)
        outline = LineCollection(
            list(lines), colors=theme.ink, alpha=alpha, linewidths=width, capstyle="round"
        )
        ax.add_collection(outline)
    ax.update_datalim(mesh.vertices[:, :2])


def map_size(points: Array, beside: float = 0.9, least: float = 5.6) -> tuple[float, float]:
    """Inches of a figure that fits a map of `points` `[n, 2]`, with room for labels beside it."""
    span = np.maximum(np.ptp(points, axis=0) if len(points) else np.ones(2), 0.5)
    scale = min(6.2 / span[0], 4.8 / span[1])
    return max(float(span[0] * scale) + beside, least), float(span[1] * scale) + 1.0


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


def draw_sources(ax: Axes, sources: Mapping[str, Array], theme: Theme) -> None:
    """Stars with names, where there are not too many."""
    points = np.array([np.asarray(p, dtype=np.float64)[:2] for p in sources.values()])
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=130,
        marker="*",
        color=theme.source,
        edgecolors=theme.paper,
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
            path_effects=[withStroke(linewidth=3, foreground=theme.paper)],
        )


def room_map(
    sources: Mapping[str, Array],
    *,
    mesh: Mesh | Scene | None = None,
    train: Array | None = None,
    held_out: Array | None = None,
    dark: bool | None = None,
) -> Plot:
    """The room from above: mesh section, sources, training and evaluation heads.

    The thick outline is the section at the heads' mean height, the thin one lower, through the
    furniture. Each head has a tick in its viewing direction.

    Args:
        sources: `[3]` metres by name.
        mesh: what to cut.
        train: `[n, 4, 4]` poses of the training recordings.
        held_out: `[n, 4, 4]` poses of the evaluation recordings.
        dark: dark ground; None follows matplotlib's settings.
    """
    poses = [p for p in (train, held_out) if p is not None and len(p)]
    with themed(dark) as theme:
        corners = [] if mesh is None else [mesh.vertices[:, :2]]
        places = [np.reshape(place, (-1, 3))[:, :2] for place in sources.values()]
        heads = [p[:, :2, 3] for p in poses]
        figure = Plot(
            figsize=map_size(np.concatenate([np.empty((0, 2)), *corners, *heads, *places]))
        )
        ax = figure.subplots()
        if mesh is not None:
            draw_section(ax, mesh, poses, theme)
        if train is not None and len(train):
            _draw_poses(ax, train, theme.accent, "o", f"training poses ({len(train)})")
        if held_out is not None and len(held_out):
            _draw_poses(ax, held_out, theme.calm, "^", f"evaluation poses ({len(held_out)})")
        if sources:
            draw_sources(ax, sources, theme)
        ax.autoscale_view()
        ax.set(xlabel="x (m)", ylabel="y (m)", aspect="equal")
        ax.margins(0.06)
        grid(ax, theme)
        joint_legend(figure, [ax])
    return figure
