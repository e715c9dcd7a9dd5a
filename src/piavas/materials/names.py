"""Names that others gave to things, as rows of the table: ScanNet, Replica, Matterport, glTF."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piavas.errors import MaterialError
from piavas.files import read_json
from piavas.scene import Material

NAMES = Path(__file__).with_name("names.json")
FORMAT = "piavas-names-1"
ANY = "*"  # in a mapping: all names that are not listed


@dataclass(frozen=True)
class Matches:
    """Rows by name, and how sure that is.

    Args:
        rows: row of the table of each name.
        exact: names that are rows of the table, or that the user mapped.
        mapped: names that the shipped mapping knows.
        guessed: names of which a part was known, such as "oak table 03" of "table".
    """

    rows: Mapping[str, str]
    exact: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    guessed: tuple[str, ...] = field(default=())

    def __add__(self, more: Matches) -> Matches:
        """All names of both, each once."""
        new = [name for name in more.rows if name not in self.rows]
        return Matches(
            {**more.rows, **self.rows},
            self.exact + tuple(n for n in more.exact if n in new),
            self.mapped + tuple(n for n in more.mapped if n in new),
            self.guessed + tuple(n for n in more.guessed if n in new),
        )

    def report(self) -> dict[str, Any]:
        """Plain JSON values."""
        kinds = {"mapped": self.mapped, "guessed": self.guessed}
        return {kind: {n: self.rows[n] for n in names} for kind, names in kinds.items()}


def load_names(path: str | os.PathLike[str] | None = None) -> dict[str, str]:
    """Row of the table by name in plain words; None for the mapping that comes with the package.

    Raises:
        MaterialError: not of the format; the path is named.
    """
    file = Path(path) if path is not None else NAMES
    data = read_json(file, error=MaterialError)
    names = data.get("names") if isinstance(data, dict) else None
    if not isinstance(names, dict) or data.get("format") != FORMAT:
        raise MaterialError(
            f"is no mapping of format {FORMAT}", file=file, field="names", mend="see the docs"
        )
    return {plain(name): str(row) for name, row in names.items()}


def plain(name: str) -> str:
    """Lower case words: "Wall_03.001" and "wall" are one."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.findall(r"[a-z]+", spaced.lower()))


def match_names(
    names: Iterable[str],
    table: Mapping[str, Material],
    own: Mapping[str, str] | None = None,
    known: Mapping[str, str] | None = None,
) -> Matches:
    """Find the row of every name: the user's mapping, the table, the mapping, then its last words.

    Args:
        names: to find.
        table: materials by name.
        own: the user's mapping; its rows must be of the table.
        known: what to fall back on; None for `load_names()`.

    Raises:
        MaterialError: names that nothing is known of; near ones are suggested.
    """
    own, known = own or {}, known if known is not None else load_names()
    known = {name: row for name, row in known.items() if row in table}
    by_plain = {plain(row): row for row in table}
    rows: dict[str, str] = {}
    kinds: dict[str, list[str]] = {"exact": [], "mapped": [], "guessed": []}
    for name in dict.fromkeys(names):
        kind, row = _match(name, table, own, known, by_plain)
        rows[name] = row
        kinds[kind].append(name)
    return Matches(rows, **{kind: tuple(found) for kind, found in kinds.items()})


def _match(
    name: str,
    table: Mapping[str, Material],
    own: Mapping[str, str],
    known: Mapping[str, str],
    by_plain: Mapping[str, str],
) -> tuple[str, str]:
    if name in own or name in table:
        row = own.get(name, name)
        if row in table:
            return "exact", row
        raise _unknown(row, table, known)
    words = plain(name)
    for kind, text in (("mapped", words), *(("guessed", part) for part in _parts(words))):
        for rows in (by_plain, known):
            if text in rows:
                return kind, rows[text]
    raise _unknown(name, table, known)


def _parts(words: str) -> list[str]:
    """Runs of words, long before short, late before early: in English the last one says what."""
    split = words.split()
    count = len(split)
    return [
        " ".join(split[end - size : end])
        for size in range(count - 1, 0, -1)
        for end in range(count, size - 1, -1)
    ]


def _unknown(name: str, table: Mapping[str, Material], known: Mapping[str, str]) -> MaterialError:
    near = difflib.get_close_matches(name, [*table, *known], 3, 0.4)
    mend = f"did you mean {' or '.join(map(repr, near))}?" if near else "see `load_table()`"
    return MaterialError(f"no material {name!r} in the table", field=name, mend=mend)
