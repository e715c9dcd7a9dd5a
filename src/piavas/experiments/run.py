"""The whole way, from seeds to tables and figures."""

from __future__ import annotations

import os
from pathlib import Path

from piavas.experiments import ablations, data, figures, methods, page, responses
from piavas.experiments.bench import Bench, open_bench
from piavas.experiments.recipe import Recipe


def run(
    folder: str | os.PathLike[str],
    recipe: Recipe,
    *,
    benchmark: str | os.PathLike[str] | None = None,
) -> Path:
    """All experiments of a recipe; what an interrupted run left is kept.

    Args:
        folder: of everything.
        recipe: what is done.
        benchmark: videos that were generated before with the options of the recipe.

    Returns:
        the page of tables.

    Raises:
        DataError: `folder` holds something else, or experiments of another recipe.
    """
    bench = open_bench(folder, recipe)
    ablations.require(bench)
    data.generate(bench, benchmark)
    data.import_videos(bench)
    data.make_scenes(bench)
    for name in recipe.protocols:
        methods.evaluate_all(bench, data.protocol(bench, name))
    if "responses" in recipe.parts:
        responses.evaluate_room(bench)
    if "ablations" in recipe.parts:
        ablations.run_ablations(bench)
        ablations.time_paper(bench)
    return show(bench)


def show(bench: Bench) -> Path:
    """Figures and the page of all results that there are."""
    figures.draw_all(bench)
    return page.write(bench)
