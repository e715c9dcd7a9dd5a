"""How the documentation is built: `make docs`, or `python -m sphinx -W docs build/docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import generate

import piavas

generate.write_all()

project = "π-AVAS"
author = "the π-AVAS authors"
version = release = piavas.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["README.md", "_generated/way.svg"]
default_role = "code"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "Array": "NDArray[float64]"}
autoclass_content = "class"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_display_short_literal_types = True
nitpicky = False

html_theme = "furo"
html_show_copyright = False
html_title = f"π-AVAS {version}"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_theme_options = {"navigation_with_keys": True}
templates_path: list[str] = []


def escape_bars(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """A bar outside of code is a bar: docstrings write magnitudes as |x|."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[i] = "`".join(parts)


def skip_inherited(app, what, name, obj, skip, options):  # type: ignore[no-untyped-def]
    """What matplotlib puts into subclasses is its own matter."""
    return skip or str(getattr(obj, "__module__", "")).startswith("matplotlib")


def setup(app):  # type: ignore[no-untyped-def]
    """Register the above."""
    app.connect("autodoc-process-docstring", escape_bars, priority=100)
    app.connect("autodoc-skip-member", skip_inherited)
