"""The notebooks of `examples/` run from top to bottom, and are kept without outputs."""

from __future__ import annotations

import json

import pytest

from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("[0-9]*.ipynb"))
LONGEST = 600  # seconds a cell may take on a busy machine


def test_they_are_numbered_without_gaps():
    assert [int(path.name[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))
    assert len(NOTEBOOKS) >= 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_kept_clean(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["cells"][0]["source"][0].startswith(f"# {int(path.name[:2])}. ")
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="the dev extra has nbformat")
    nbclient = pytest.importorskip("nbclient", reason="the dev extra has nbclient")
    pytest.importorskip("ipykernel", reason="the dev extra has ipykernel")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        book,
        kernel_name="python3",
        timeout=LONGEST,
        startup_timeout=LONGEST,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    drawn = [
        output
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type != "stream"
    ]
    assert drawn, "a notebook shows something"
