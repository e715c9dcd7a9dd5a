"""The beginning of a response: its level in time, and early paths by the surfaces they met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from piavas.plot.style import Plot, Theme, grid, joint_legend, themed
from piavas.scene import ImpulseResponses, Scene, Source

Array = NDArray[np.float64]
ONE_KILOHERTZ = 100  # bin of `EXACT`
RAYS = 4000  # that look for mirrors
NAMED = 14  # paths that get a label
LONGEST = 0.04  # seconds after the first path within which the last one is drawn
SMOOTH = 0.25e-3  # seconds over which the drawn level is a mean
ORDERS = ("direct", "first order", "second order", "third order")
BENT, EDGE = -1, "round an edge"
EXACT = (4800, 48_000)  # size of an FFT and rate in hertz whose bin 100 lies at 1 kHz


@dataclass(frozen=True)
class EarlyPath:
    """One discrete path to one listener.

    Args:
        delay: seconds after the emission.
        level: decibels re the free field at 1 m, at 1 kHz, without air absorption.
        surfaces: materials met, in order; empty for the direct sound.
        bent: whether it goes round an edge.
    """

    delay: float
    level: float
    surfaces: tuple[str, ...]
    bent: bool = False

    @property
    def name(self) -> str:
        """The surfaces in words."""
        met = (*self.surfaces, EDGE) if self.bent else self.surfaces
        return " + ".join(met) if met else "direct"

    @property
    def kind(self) -> int:
        """Number of reflections, or `BENT`."""
        return BENT if self.bent else len(self.surfaces)


def early_paths(
    irs: ImpulseResponses, scene: Scene, listener: int = 0, *, order: int = 2
) -> list[EarlyPath]:
    """The discrete paths that `irs` has at `listener`, by delay: direct, mirrored, round edges.

    They are found anew from the places in `irs`, by rays that its report's seed sends out.

    Args:
        irs: responses; of them only source, listeners and report are read.
        scene: the room they were simulated in.
        listener: which.
        order: of reflections.
    """
    from piavas.acoustics import Simulator
    from piavas.acoustics.early import path_spectra
    from piavas.acoustics.field import Room

    report = dict(irs.report)
    speed = report.get("speed_of_sound")
    simulator = Simulator(
        rays=RAYS,
        seed=report.get("seed", 0),
        specular_order=order,
        duration=0.2,
        output="mono",
        speed_of_sound=speed,
        allow_leaks=True,
    )
    poses = irs.listeners[listener : listener + 1]
    field = simulator.trace(Room(scene), Source(irs.source), poses)
    paths = field.paths(poses[:, :3, 3])
    size, rate = EXACT
    gains = np.abs(
        path_spectra(paths, np.zeros(size // 2 + 1), size, rate, simulator.speed)[:, ONE_KILOHERTZ]
    )
    names = [scene.materials[m].name for m in field.room.patches.material]
    found = [
        EarlyPath(
            delay=float(paths.length[i]) / simulator.speed,
            level=float(20 * np.log10(max(float(gains[i]), 1e-9))),
            surfaces=tuple(names[patch] for patch in paths.sequence[i] if patch >= 0),
            bent=bool(paths.bend[i] >= 0),
        )
        for i in range(len(paths))
    ]
    return sorted(found, key=lambda path: path.delay)


def echogram(
    irs: ImpulseResponses,
    scene: Scene | None = None,
    *,
    listener: int = 0,
    order: int = 2,
    until: float | None = None,
    span: float = 50.0,
    dark: bool | None = None,
) -> Plot:
    """The level of a response in time, with its early paths labelled by the surfaces they met.

    The curve is the mean energy of the ears, or the pressure, over a quarter of a millisecond, re
    that of a unit impulse; a stem shows a path's level at 1 kHz.

    Args:
        irs: responses.
        scene: the room they were simulated in; without it no paths are drawn.
        listener: which.
        order: of reflections that are drawn.
        until: seconds after the emission; None ends with the last path of the first 40 ms.
        span: decibels from the top to the bottom.
        dark: dark ground; None follows matplotlib's settings.
    """
    paths = early_paths(irs, scene, listener, order=order) if scene is not None else []
    far = float(np.linalg.norm(irs.listeners[listener, :3, 3] - irs.source)) / 343.0
    start = max(0.0, (paths[0].delay if paths else far) - 0.002)
    last = max([p.delay for p in paths if p.delay < paths[0].delay + LONGEST], default=far + 0.056)
    end = until or last + 0.004
    times, level = _level(irs, listener)
    shown = (times >= start) & (times <= end)
    paths = [path for path in paths if path.delay <= end]
    top = max([level[shown].max(initial=-120), *(path.level for path in paths)]) + 3
    with themed(dark) as theme:
        figure = Plot(figsize=(8.2, 4.4 if paths else 3.2))
        ax = figure.subplots()
        ax.fill_between(
            1000 * times[shown],
            np.maximum(level[shown], top - span),
            top - span,
            color=theme.ink,
            alpha=0.28,
            linewidth=0,
            label="response",
        )
        ax.set(
            xlim=(1000 * start, 1000 * end),
            ylim=(top - span, top),
            xlabel="time after the emission (ms)",
            ylabel="level re free field at 1 m (dB)",
        )
        grid(ax, theme)
        if paths:
            _draw_paths(ax, paths, theme)
            joint_legend(figure, [ax], ncols=5)
    return figure


def _level(irs: ImpulseResponses, listener: int) -> tuple[Array, Array]:
    """Times `[n]` in seconds and running level `[n]` in decibels."""
    heard = irs.samples[listener, : 2 if irs.output == "binaural" else 1].astype(np.float64)
    energy = (heard**2).mean(axis=0)
    width = max(round(SMOOTH * irs.sample_rate), 1)
    smooth = np.convolve(energy, np.ones(width), mode="same")
    times = np.arange(energy.size) / irs.sample_rate
    return times, 10 * np.log10(smooth + 1e-12)


def _draw_paths(ax: Axes, paths: list[EarlyPath], theme: Theme) -> None:
    colors = (theme.accent, theme.source, theme.calm, *theme.palette[1::2], theme.palette[3])
    bottom, top = ax.get_ylim()
    for k in sorted({path.kind for path in paths}, key=lambda kind: (kind == BENT, kind)):
        some = [path for path in paths if path.kind == k and path.level > bottom]
        if not some:
            continue
        delay, level = 1000 * np.array([p.delay for p in some]), np.array([p.level for p in some])
        name = EDGE if k == BENT else ORDERS[k] if k < len(ORDERS) else f"order {k}"
        ax.vlines(delay, bottom, level, color=colors[k], linewidth=1.4)
        ax.scatter(delay, level, s=18, color=colors[k], zorder=3, label=name, linewidths=0)
    named = sorted(paths, key=lambda path: -path.level)[:NAMED]
    named = sorted((p for p in named if p.level > bottom), key=lambda path: path.delay)
    ax.set_ylim(bottom, top + 0.02)
    _draw_labels(ax, named, theme)


def _draw_labels(ax: Axes, paths: list[EarlyPath], theme: Theme) -> None:
    """Names upright above the axes, pushed apart, each with a line to its path."""
    low, high = ax.get_xlim()
    slots = _spread([(1000 * p.delay - low) / (high - low) for p in paths], 0.030)
    for path, slot in zip(paths, slots, strict=True):
        arrow: dict[str, Any] = {
            "arrowstyle": "-",
            "color": theme.ink,
            "alpha": 0.35,
            "linewidth": 0.6,
            "shrinkA": 0,
            "shrinkB": 2,
        }
        ax.annotate(
            path.name,
            (1000 * path.delay, path.level),
            xytext=(slot, 1.02),
            textcoords="axes fraction",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=7.5,
            arrowprops={**arrow, "relpos": (0.5, 0.0)},
            path_effects=[withStroke(linewidth=2, foreground=theme.paper)],
            annotation_clip=False,
        )


def _spread(wanted: list[float], gap: float) -> list[float]:
    """Places near `wanted` (rising), at least `gap` apart, within 0 to 1.

    Neighbours that touch form a block that sits at the mean of what its members want.
    """
    blocks: list[list[float]] = []
    for value in wanted:
        blocks.append([value])
        while len(blocks) > 1 and _left(blocks[-1], gap) < _left(blocks[-2], gap) + gap * len(
            blocks[-2]
        ):
            last = blocks.pop()
            blocks[-1] += last
    return [_left(block, gap) + gap * i for block in blocks for i in range(len(block))]


def _left(block: list[float], gap: float) -> float:
    width = gap * (len(block) - 1)
    return float(np.clip(np.mean(block) - width / 2, 0, max(1 - width, 0)))
