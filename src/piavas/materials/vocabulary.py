"""What rows of the table are called in words, and where in a room they can be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.errors import MaterialError
from piavas.files import read_json
from piavas.materials.recognise.surroundings import PLACES
from piavas.materials.table import find_material
from piavas.scene import Material

VOCABULARY = Path(__file__).with_name("recognise") / "vocabulary.json"
FORMAT = "piavas-vocabulary-1"
ELSEWHERE = 0.05
"""How likely a row is where it should not be, to where it may be."""


@dataclass(frozen=True)
class Vocabulary:
    """Words and places of rows of the table.

    Args:
        template: of a sentence, `{}` stands for a prompt.
        prompts: of each row.
        places: of each row, of `PLACES`: floor, ceiling, wall, top and underside of things.
    """

    template: str
    prompts: Mapping[str, tuple[str, ...]]
    places: Mapping[str, tuple[str, ...]]

    def prior(self, rows: Sequence[str]) -> NDArray[np.float64]:
        """`[places, rows]`: 1 where a row may be, `ELSEWHERE` where it should not: a ceiling is
        no carpet. Rows without a word here may be anywhere.
        """
        allowed = [[place in self.places.get(row, PLACES) for row in rows] for place in PLACES]
        return np.where(allowed, 1.0, ELSEWHERE)


def load_vocabulary(
    table: Mapping[str, Material], path: str | os.PathLike[str] | None = None
) -> Vocabulary:
    """Read a vocabulary; None for the one that comes with the package.

    Raises:
        MaterialError: not of the format, a row that the table does not have, one without prompts,
            or an unknown place; file and field are named.
    """
    file = Path(path) if path is not None else VOCABULARY
    data = read_json(file, error=MaterialError)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise MaterialError(
            f"is no vocabulary of format {FORMAT}", file=file, field="format", mend="see the docs"
        )
    prompts, places = {}, {}
    for name, row in dict(data.get("rows", {})).items():
        try:
            if path is not None:  # a table of the user need not have every row of the package's
                find_material(name, table)
            prompts[name] = tuple(str(p) for p in row["prompts"])
            places[name] = tuple(str(p) for p in row["places"])
            if not prompts[name] or not set(places[name]) <= set(PLACES):
                raise ValueError("prompts or places")
        except MaterialError as problem:
            raise MaterialError(problem.what, file=file, field=name, mend=problem.mend) from None
        except (KeyError, TypeError, ValueError) as problem:
            raise MaterialError(
                f"lacks or spoils {problem}",
                file=file,
                field=f"rows.{name}",
                mend=f"give prompts, and places of {PLACES}",
            ) from None
    return Vocabulary(str(data.get("template", "{}")), prompts, places)
