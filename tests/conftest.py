"""What tests share: the folder of measurements outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from piavas.capture import load_capture
from piavas.scene import Mesh
from rooms import photograph, two_rooms, walk

ROOT = Path(__file__).resolve().parents[1]


def shared(name: str) -> Path:
    """The path `name` under `PIAVAS_SHARED`; skips the test by that name where it is absent.

    With `PIAVAS_DEMAND_SHARED=1` (continuous integration) its absence is a failure.
    """
    path = Path(os.environ.get("PIAVAS_SHARED", ROOT.parent / "shared")) / name
    if not path.exists():
        if os.environ.get("PIAVAS_DEMAND_SHARED") == "1":
            pytest.fail(f"PIAVAS_SHARED lacks {name}")
        pytest.skip(f"PIAVAS_SHARED lacks {name}")
    return path


@pytest.fixture(scope="session")
def visit(tmp_path_factory):
    """The two rooms, and a capture of four frames of them."""
    world = two_rooms()
    folder = photograph(tmp_path_factory.mktemp("visit"), world, walk(4))
    return Mesh(world.vertices, world.faces), load_capture(folder)
