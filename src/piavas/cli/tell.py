"""What a verb says when it is done: words for people, JSON for scripts; and verbs of verbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from json import dumps
from typing import Annotated, Any, Union

import tyro
from rich.console import Console

from piavas.errors import PiavasError

console = Console()
ON_A_LINE = 8  # facts
Verb = Callable[..., None]


def tell(facts: Mapping[str, Any], json: bool) -> None:
    """Print `facts` on one line, or one a line where they are many, or as JSON."""
    if json:
        console.print_json(data=dict(facts))
    else:
        words = [f"{name.replace('_', ' ')} {value}" for name, value in facts.items()]
        between = ", " if len(words) <= ON_A_LINE else "\n"
        console.print(between.join(words), highlight=False, soft_wrap=True, markup=False)


def complain(problem: PiavasError, *, as_json: bool) -> None:
    """Print what went wrong on standard error, on one line or as JSON."""
    if as_json:
        facts = {"what": problem.what, "file": problem.file, "field": problem.field}
        error = {"kind": type(problem).__name__, **facts, "mend": problem.mend}
        print(dumps({"error": error}), file=sys.stderr)
    else:
        print(f"piavas: {problem}", file=sys.stderr)


def group(verbs: Mapping[str, Verb], description: str) -> Verb:
    """One verb that holds others, e.g. `piavas export sofa`.

    Args:
        verbs: by name.
        description: for its help page.
    """
    members = tuple(
        Annotated[Any, tyro.conf.subcommand(name=name, constructor=verb)]
        for name, verb in verbs.items()
    )

    def chosen(verb: Any) -> None:
        """Tyro has run the verb by now."""

    together: Any = Union[members]  # noqa: UP007 # a union made at run time
    plain: Any = Annotated[
        together, tyro.conf.OmitSubcommandPrefixes, tyro.conf.arg(name="", help="")
    ]
    chosen.__annotations__ = {"verb": plain, "return": None}
    chosen.__doc__ = description
    chosen.verbs = verbs  # type: ignore[attr-defined] # for help and suggestions
    return chosen
