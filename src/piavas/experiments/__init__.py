"""The paper's experiments on a generated benchmark: one command, one folder, always resumable."""

from piavas.experiments.recipe import SIZES, Recipe
from piavas.experiments.run import run

__all__ = ["SIZES", "Recipe", "run"]
