"""Puts tables and figures of `piavas experiments` into the docs.

    python docs/make_experiments.py FOLDER [FOLDER ...]

Each folder gives `docs/results/SIZE.inc`; the first one also gives the figures.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
THEMES = ("light", "dark")


def put(folder: Path) -> str:
    """Copy the tables of one folder; the name of its size."""
    size = str(json.loads((folder / "experiments.json").read_text())["recipe"]["name"])
    (HERE / "results").mkdir(exist_ok=True)
    shutil.copyfile(folder / "tables.md", HERE / "results" / f"{size}.inc")
    return size


def put_figures(folder: Path) -> None:
    """Copy Fig. 1 of every environment, and Fig. 2."""
    for path in sorted((folder / "figures").glob("fig1-*.png")):
        shutil.copyfile(path, HERE / "figures" / path.name)
    for theme in THEMES:
        shutil.copyfile(
            folder / "results" / "ablations" / "solver" / f"fig2-{theme}.png",
            HERE / "figures" / f"fig2-{theme}.png",
        )


if __name__ == "__main__":
    folders = [Path(word) for word in sys.argv[1:]]
    for one in folders:
        print(put(one))
    put_figures(folders[0])
