"""The table of materials: published values, and the rules that fill what was not published."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import MaterialError
from piavas.files import read_json
from piavas.scene import OCTAVE_BANDS, Material

TABLE = Path(__file__).with_name("table.json")
FORMAT = "piavas-materials-1"
DEFAULT = "default"
"""The row for surfaces of which nothing is known."""

BANDS = np.array(OCTAVE_BANDS)


def load_table(path: str | os.PathLike[str] | None = None) -> dict[str, Material]:
    """Materials by name.

    Args:
        path: a table of the same format; None for the one that comes with the package. Its rules
            say how bands that no source has were filled.

    Raises:
        MaterialError: missing, not of the format, or a row that is not physical; the path is named.
    """
    file = Path(path) if path is not None else TABLE
    data = read_json(file, error=MaterialError)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise MaterialError(
            f"is no table of format {FORMAT}", file=file, field="format", mend="see the docs"
        )
    found: dict[str, Material] = {}
    for i, row in enumerate(data.get("materials", [])):
        try:
            found[row["name"]] = _material(row)
        except (KeyError, TypeError, ValueError) as problem:
            raise MaterialError(
                f"lacks or spoils {problem}",
                file=file,
                field=f"materials[{i}]",
                mend="see the docs",
            ) from None
        except MaterialError as problem:
            raise MaterialError(
                problem.what, file=file, field=problem.field, mend=problem.mend
            ) from None
    if not found:
        raise MaterialError("holds no materials", file=file, mend="give at least one row")
    return found


def _material(row: Mapping[str, Any]) -> Material:
    absorption = fill_bands(row["absorption"])
    return Material(
        name=str(row["name"]),
        absorption=absorption,
        scattering=spread_scattering(row["scattering"]),
        transmission=np.minimum(mass_law(row.get("mass")), absorption),
        source=f"{row['source']}; scattering: {row.get('scattering_source', 'estimate')}",
    )


def fill_bands(values: Iterable[float]) -> NDArray[np.float64]:
    """Nine octave values from nine, or from those from 125 Hz up.

    63 Hz takes the value at 125 Hz, bands above the last published one take its value.
    """
    given = np.asarray(list(values), dtype=np.float64)
    if given.size == BANDS.size:
        return given
    if not 5 <= given.size <= 8:
        raise ValueError(f"{given.size} octave values, 5 to 9 needed")
    return np.concatenate([given[:1], given, np.repeat(given[-1:], BANDS.size - 1 - given.size)])


def spread_scattering(value: float | Iterable[float]) -> NDArray[np.float64]:
    """Nine scattering coefficients from nine, or from one at 707 Hz: it grows as root frequency."""
    given = np.asarray(value, dtype=np.float64)
    if given.ndim:
        return fill_bands(given)
    if given == 0:
        return np.zeros(BANDS.size)
    return np.asarray(np.clip(given * np.sqrt(BANDS / 707.0), 0.02, 0.95))


def mass_law(mass: float | None) -> NDArray[np.float64]:
    """Transmitted share of the energy, `[9]`, through a leaf of `mass` kg/m2; zero for None.

    Field incidence: R = 20 log10(m f) - 47 dB (Fahy & Gardonio 2007, section 5.2.2).
    """
    if mass is None:
        return np.zeros(BANDS.size)
    index = np.maximum(20 * np.log10(mass * BANDS) - 47, 0)
    return np.asarray(10 ** (-index / 10))


def find_material(name: str, table: Mapping[str, Material]) -> Material:
    """The row of that name.

    Raises:
        MaterialError: there is none; the message suggests near names.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, 3, 0.4)
    mend = f"did you mean {' or '.join(map(repr, near))}?" if near else "see `load_table()`"
    raise MaterialError(f"no material {name!r} in the table", field="material", mend=mend)
