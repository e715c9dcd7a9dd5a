"""The paper's Fig. 1 for every environment, and what each method is worth at a glance."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from piavas.experiments import data
from piavas.experiments.ablations import GEN
from piavas.experiments.bench import Bench
from piavas.experiments.methods import Case
from piavas.files import atomic
from piavas.materials import load_scene

THEMES = ("light", "dark")


def draw_all(bench: Bench) -> None:
    """Every figure that is not there yet."""
    for place in bench.recipe.videos.places:
        path = figure_path(bench, f"fig1-{place}-dark")
        bench.step(f"Fig. 1, {place}", path, lambda place=place: draw_place(bench, place))  # type: ignore[misc]


def figure_path(bench: Bench, name: str) -> Path:
    """Where a figure lies."""
    return bench.at("figures", f"{name}.png")


def draw_place(bench: Bench, place: str) -> None:
    """Training and evaluation poses of RWAVS-Gen with the sources, over the room from above."""
    from piavas.plot import room_map

    case = Case(bench, data.protocol(bench, GEN), place)
    rows = case.clips().rows
    poses = {
        split: np.array([row["pose"] for row in rows if row["split"] == split], np.float64)
        for split in ("train", "test")
    }
    sources = {row["environment"]: np.array(row["source"], np.float64) for row in rows}
    scene = load_scene(bench.at("scenes", place, "scan"))
    for theme in THEMES:
        figure = room_map(
            sources, mesh=scene, train=poses["train"], held_out=poses["test"], dark=theme == "dark"
        )
        with atomic(figure_path(bench, f"fig1-{place}-{theme}")) as part:
            figure.savefig(part)
