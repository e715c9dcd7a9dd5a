"""The folder of the experiments: a step is done when its file is there, and is never done twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from piavas import __version__
from piavas.errors import DataError
from piavas.experiments.recipe import Recipe
from piavas.files import read_json, write_json

MANIFEST, LOG = "experiments.json", "log.jsonl"
FORMAT = "piavas-experiments-1"


@dataclass(frozen=True)
class Bench:
    """Where experiments of one recipe lie.

    Args:
        folder: of everything.
        recipe: what is done.
        inner: seconds that the steps inside each step that is under way took.
    """

    folder: Path
    recipe: Recipe
    inner: list[NDArray[np.float64]] = field(default_factory=list, compare=False)

    def at(self, *parts: str) -> Path:
        """A path inside."""
        return self.folder.joinpath(*parts)

    def step(self, what: str, path: Path, make: Callable[[], object]) -> Path:
        """Do `make`, which writes `path` last, unless it is there; note what it cost."""
        if path.exists():
            return path
        console = Console(stderr=True)
        console.print(f"{what} ...", markup=False, highlight=False)
        started = _now()
        self.inner.append(np.zeros(2))
        try:
            make()
        finally:
            spent, nested = _now() - started, self.inner.pop()
            if self.inner:
                self.inner[-1] += spent
        seconds, cpu = np.round(spent - nested, 2).tolist()
        entry = {"step": what, "seconds": seconds, "cpu_seconds": cpu}
        console.print(f"    {seconds:.1f} s", highlight=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.at(LOG).open("a", encoding="utf-8") as log:
            # The line before may be half a line of a run that was killed.
            log.write("\n" + json.dumps(entry) + "\n")
        return path

    def costs(self) -> list[dict[str, Any]]:
        """What each step that was finished cost, in order."""
        if not self.at(LOG).is_file():
            return []
        return list(_whole_lines(self.at(LOG).read_text(encoding="utf-8")))


def _now() -> NDArray[np.float64]:
    """Seconds of the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def _whole_lines(text: str) -> Iterator[dict[str, Any]]:
    """A run that was killed may have left half a line."""
    for line in filter(None, text.splitlines()):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def open_bench(folder: str | os.PathLike[str], recipe: Recipe) -> Bench:
    """Claim `folder` for a recipe, or go on where an earlier run of the same one stopped.

    Raises:
        DataError: it holds something else, or experiments of another recipe or version.
    """
    folder = Path(folder)
    manifest = {"format": FORMAT, "version": __version__, "recipe": _plain(recipe.to_json())}
    path = folder / MANIFEST
    if path.is_file():
        if read_json(path) != manifest:
            raise DataError(
                "holds experiments of other sizes or of another version",
                file=path,
                mend="give a new folder",
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError("holds something else", file=folder, mend="give a new folder")
    else:
        write_json(path, manifest)
    return Bench(folder, recipe)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
