"""The site says what is there: its pages name functions, verbs and files that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from xml.etree import ElementTree

import pytest

from conftest import ROOT
from piavas.cli import VERBS

DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_generated" not in p.parts)
NAME = re.compile(r"\{py:\w+\}`([\w.]+)`")
VERB = re.compile(r"^\$ piavas ([a-z]+)(?: ([a-z]+))?(.*)$", re.MULTILINE)
MODULE = re.compile(r"automodule:: ([\w.]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_names_on_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in NAME.findall(text):
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name
    for module in MODULE.findall(text):
        import_module(module)
    for verb, second, _ in VERB.findall(text):
        assert verb in VERBS, verb
        inner = getattr(VERBS[verb], "verbs", {})
        assert not inner or second in inner, f"{verb} {second}"


def test_every_page_is_reached():
    """From the index, by table of contents."""
    reached, todo = set(), [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        if page in reached or not page.exists():
            continue
        reached.add(page)
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line and not line.startswith(":"):
                    todo += list(page.parent.glob(f"{line}.md"))
    assert [str(p) for p in PAGES if p not in reached] == []


def test_the_picture_of_the_way_is_whole():
    code = "import way; print(way.draw())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS, capture_output=True, text=True, check=True
    )
    picture = ElementTree.fromstring(done.stdout)
    words = " ".join(
        "".join(text.itertext()) for text in picture.iter() if text.tag.endswith("text")
    )
    for stage in ("reconstruct", "materials", "simulate", "render", "calibrate", "refine"):
        assert stage in words
