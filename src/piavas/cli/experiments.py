"""The verb that repeats the paper's experiments: experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from piavas.cli.tell import tell


def experiments(
    out: tyro.conf.Positional[Path],
    size: Literal["tiny", "small", "main", "default"] = "small",
    benchmark: Path | None = None,
    tables: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Generate the benchmark, run all experiments on it, and write tables and figures.

    What an interrupted run left is kept; started again, it goes on.

    Args:
        out: folder of everything; tables.md and figures/ are what to read.
        size: "tiny" to see that it runs, "small" in under an hour on two cores, "main" for
            the main table on the whole set, "default" for everything on it.
        benchmark: a set in the layout of RWAVS that `piavas twin-benchmark` made with the options
            of this size; it is linked instead of being generated anew.
        tables: only write tables and figures of the results that are there.
        dry_run: only say what it will cost in time and disk.
        json: print JSON for scripts.
    """
    from piavas.experiments import SIZES, run
    from piavas.experiments.bench import open_bench
    from piavas.experiments.estimate import estimate
    from piavas.experiments.run import show

    recipe = SIZES[size]
    if dry_run:
        tell(estimate(recipe), json)
        return
    page = show(open_bench(out, recipe)) if tables else run(out, recipe, benchmark=benchmark)
    tell({"wrote": str(page), "size": size}, json)
