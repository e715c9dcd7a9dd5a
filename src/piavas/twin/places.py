"""Worlds of a benchmark: one for each category of place, and the physics hidden in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from piavas.scene import OCTAVE_BANDS, Material
from piavas.twin.hidden import Hidden, draw_hidden
from piavas.twin.openings import GLASS
from piavas.twin.world import World, make_world

APART = 1000
"""Seeds of worlds from one benchmark to the next."""
FIRST = 1_000_000
"""Seed of the first world: worlds made to learn from have smaller ones."""
ROOMS = {"office": 2, "house": 4, "apartment": 3, "outdoor": 2}
"""Rooms of each category."""
LEVEL = 0.02  # metres about a ceiling's height


@dataclass(frozen=True)
class Place:
    """One environment of a benchmark.

    Args:
        name: its category.
        world: what is there.
        hidden: what sound meets there.
    """

    name: str
    world: World
    hidden: Hidden


def make_place(name: str, seed: int) -> Place:
    """The place of a category in the benchmark of `seed`.

    "outdoor" is a walled court: sky for ceilings and windows, which takes up all sound.
    """
    number = FIRST + APART * seed + list(ROOMS).index(name)
    world = make_world(number, ROOMS[name])
    hidden = draw_hidden(seed, world.seed)
    return Place(name, *_opened(world, hidden)) if name == "outdoor" else Place(name, world, hidden)


def _opened(world: World, hidden: Hidden) -> tuple[World, Hidden]:
    corners = world.mesh.triangles
    down = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] < 0
    middle = corners.mean(axis=1)
    ceiling = np.zeros(len(corners), bool)
    for room in world.plan.rooms:
        inside = ((middle[:, :2] > room.low) & (middle[:, :2] < room.high)).all(axis=1)
        ceiling |= inside & (np.abs(corners[..., 2] - room.height) < LEVEL).all(axis=1)
    name = world.finishes[GLASS].material
    bands = len(OCTAVE_BANDS)
    sky = Material(name, np.ones(bands), np.zeros(bands), np.zeros(bands), source="open; hidden")
    finish = np.where(ceiling & down, GLASS, world.finish).astype(np.int32)
    return replace(world, finish=finish), replace(hidden, materials={**hidden.materials, name: sky})
