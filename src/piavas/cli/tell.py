"""What a verb says when it is done: words for people, JSON for scripts; and verbs of verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

import tyro
from rich.console import Console

console = Console()
Verb = Callable[..., None]


def tell(facts: Mapping[str, Any], json: bool) -> None:
    """Print `facts` on one line, or as JSON."""
    if json:
        console.print_json(data=dict(facts))
    else:
        words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
        console.print(words, highlight=False, soft_wrap=True)


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
    return chosen
