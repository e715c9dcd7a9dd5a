"""What a mistyped verb or option was meant to be."""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout

ANSI = re.compile(r"\x1b\[[0-9;]*m")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
WIDE = "96"  # columns of a help page

Verb = Callable[..., None]


def help_page(words: Sequence[str], run: Callable[[list[str]], object]) -> str:
    """What `run` prints for `WORDS --help`, in plain text.

    Args:
        words: the verb.
        run: from arguments to whatever; it may exit.
    """
    said, width = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDE
    try:
        with redirect_stdout(said), redirect_stderr(said):
            run([*words, "--help"])
    except SystemExit:
        pass
    finally:
        del os.environ["COLUMNS"]
        if width is not None:
            os.environ["COLUMNS"] = width
    return "\n".join(line.rstrip() for line in ANSI.sub("", said.getvalue()).splitlines()).strip()


def suggest(
    words: Sequence[str], verbs: Mapping[str, Verb], run: Callable[[list[str]], object]
) -> list[str]:
    """One line for each verb or option among `words` that does not exist but nearly does.

    Args:
        words: of the command line.
        verbs: by name; those that hold others have them as `.verbs`.
        run: as for `help_page`.
    """
    verb: list[str] = []
    level: Mapping[str, Verb] = verbs
    for word in words:
        if not level or word.startswith("-"):
            break
        if word not in level:
            near = difflib.get_close_matches(word, level, 1)
            said = " ".join(["piavas", *verb])
            return [f"{said} has no {word!r}, did you mean {near[0]!r}?"] if near else []
        verb.append(word)
        level = getattr(level[word], "verbs", {})
    known = sorted(set(OPTION.findall(help_page(verb, run))))
    given = [word.split("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    lines = []
    for option in given:
        near = difflib.get_close_matches(option, known, 1)
        if option not in known and near:
            lines.append(f"no option {option}, did you mean {near[0]}?")
    return lines
