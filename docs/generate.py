"""Writes the pages that are made from the code: verbs, metrics, capture layouts, notebooks.

They land in `docs/_generated` at every build and are never committed, so they cannot grow stale.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import way

HERE = Path(__file__).resolve().parent
OUT = HERE / "_generated"
EXAMPLES = HERE.parent / "examples"


def write_all() -> None:
    """Write every page, and only what changed, so that a second build is quick."""
    pages = {
        "way.svg": way.draw(),
        "cli.md": cli_page(),
        "metrics.md": metrics_page(),
        "layouts.md": layouts_page(),
        **notebook_pages(),
    }
    for name, text in pages.items():
        path = OUT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for stale in {p for p in OUT.rglob("*") if p.is_file()} - {OUT / name for name in pages}:
        stale.unlink()


def cli_page() -> str:
    """One section a verb, with its help."""
    from piavas.cli import VERBS, run
    from piavas.cli.mend import help_page

    parts = ["# Verbs", "", "```{contents}", ":local:", ":depth: 1", "```", ""]
    for name, verb in VERBS.items():
        for one in [[name], *([name, inner] for inner in getattr(verb, "verbs", ()))]:
            title = f"piavas {' '.join(one)}"
            level = "##" if len(one) == 1 else "###"
            parts += [f"{level} {title}", "", "```text", help_page(one, run), "```", ""]
    return "\n".join(parts)


def metrics_page() -> str:
    """Families of metrics with their definitions."""
    from piavas.evaluate import FAMILIES, JND, T60_VARIANTS
    from piavas.evaluate.rooms import UNITS

    parts = []
    for family in FAMILIES.values():
        parts += [f"## `{family.name}`", "", f"{family.source}.", ""]
        parts += ["| metric | unit | definition |", "|---|---|---|"]
        parts += [f"| {m.name} | {m.unit or '1'} | {m.definition} |" for m in family.metrics]
        if family.optional:
            parts += ["", f"Only where they can be had: {', '.join(family.optional)}."]
        parts += [""]
    parts += ["## Room parameters (ISO 3382-1)", ""]
    parts += ["| parameter | unit | just noticeable difference |", "|---|---|---|"]
    for name, unit in UNITS.items():
        step = (
            f"{100 * JND[name]:g} %" if name in ("EDT", "T20", "T30") else f"{JND[name]:g} {unit}"
        )
        parts += [f"| {name} | {unit or '1'} | {step} |"]
    variants = ", ".join(f"`{name}`" for name in T60_VARIANTS)
    parts += ["", f"Variants of the reverberation time: {variants}.", ""]
    return "\n".join(["# Metric families", "", *parts])


def layouts_page() -> str:
    """Capture layouts, each described by the module that reads it."""
    from piavas.capture import READERS

    parts = ["# Layouts of captures", "", "| layout | marked by | module |", "|---|---|---|"]
    modules = []
    for reader in READERS:
        module = type(reader).__module__
        parts += [f"| `{reader.name}` | `{reader.sign}` | `{module}` |"]
        modules.append((reader.name, module))
    for name, module in modules:
        text = (import_module(module).__doc__ or "").strip()
        parts += ["", f"## {name}", "", "```{eval-rst}", text, "```"]
    return "\n".join([*parts, ""])


def notebook_pages() -> dict[str, str]:
    """Each notebook as a page: its words as they are, its code as code."""
    pages = {}
    for path in sorted(EXAMPLES.glob("[0-9]*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        parts = []
        for cell in cells:
            text = "".join(cell["source"])
            parts += [text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```", ""]
        note = f"*This page is the notebook `examples/{path.name}`, which the tests run.*"
        parts.insert(2, note + "\n")
        pages[f"examples/{path.stem}.md"] = "\n".join(parts)
    return pages
