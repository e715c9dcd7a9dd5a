"""Furniture from parts. Each piece stands on z = 0, centred, with its back at -y.

A maker draws its sizes and gives an `Item`; metres throughout.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from piavas.twin.finishes import BRIGHTS, FABRICS, Palette, RoomLook
from piavas.twin.solids import SUNK, Kit, cushion, cylinder, ellipsoid, rounded, slanted


@dataclass(frozen=True)
class Item:
    """A piece of furniture and the floor it takes.

    Args:
        name: what it is.
        kit: its solids.
        width: along x.
        depth: along y.
        height: of its highest point.
        bulbs: `(x, y, z, power)` of lamps in it.
    """

    name: str
    kit: Kit
    width: float
    depth: float
    height: float
    bulbs: tuple[tuple[float, float, float, float], ...] = ()


def sofa(palette: Palette, look: RoomLook, rng: Generator, *, seats: int | None = None) -> Item:
    """A sofa (or with one seat an armchair) of soft blocks, with loose cushions."""
    count = int(rng.integers(2, 4)) if seats is None else seats
    leather = rng.random() < 0.35
    cloth = (
        palette.make("leather sofa", "leather", ("4a2f24", "2b2725", "7a4a2c", "8c7b6a"), gloss=0.2)
        if leather
        else look.fabric
    )
    arm, depth, seat = rng.uniform(0.15, 0.22), rng.uniform(0.85, 0.98), rng.uniform(0.4, 0.46)
    width = 2 * arm + count * rng.uniform(0.62, 0.72)
    back, half = rng.uniform(0.72, 0.88), width / 2
    y0, y1 = -depth / 2, depth / 2
    kit = Kit()
    kit.legs(width - 0.1, depth - 0.1, 0.14, 0.05, look.wood)
    kit.add(rounded((-half, y0, 0.1), (half, y1 - 0.03, seat - 0.12), 0.03), cloth)
    kit.add(rounded((-half, y0, 0.1), (half, y0 + 0.24, back), 0.07), cloth)
    for side in (-1, 1):
        x0, x1 = sorted((side * half, side * (half - arm)))
        kit.add(rounded((x0, y0, 0.1), (x1, y1, seat + 0.18), 0.06), cloth)
    each = (width - 2 * arm) / count
    for i in range(count):
        x = -half + arm + i * each
        low, high = (x + 0.005, y0 + 0.2, seat - 0.14), (x + each - 0.005, y1, seat)
        kit.add(rounded(low, high, 0.05), cloth)
        low, high = (x + 0.01, y0 + 0.18, seat - 0.02), (x + each - 0.01, y0 + 0.36, back - 0.04)
        kit.add(rounded(low, high, 0.07), cloth)
    pillow = palette.fabric(codes=BRIGHTS)
    for side in rng.permutation((-1, 1))[: int(rng.integers(0, 3))]:
        x = side * (half - arm - 0.24)
        kit.add(cushion((x, y0 + 0.42, seat + 0.19), (0.42, 0.15, 0.4), 18), pillow)
    return Item("armchair" if count == 1 else "sofa", kit, width, depth, back)


def chair(palette: Palette, look: RoomLook, rng: Generator) -> Item:
    """A dining chair with a slanted back, with or without a padded seat."""
    w, d, seat = rng.uniform(0.4, 0.46), rng.uniform(0.42, 0.48), rng.uniform(0.44, 0.47)
    top = rng.uniform(0.82, 0.98)
    kit = Kit()
    kit.legs(w, d, seat - 0.02, 0.04, look.wood)
    kit.box((-w / 2, -d / 2, seat - 0.04), (w / 2, d / 2, seat), look.wood)
    if rng.random() < 0.5:
        low, high = (-w / 2 + 0.02, -d / 2 + 0.04, seat - 0.03), (w / 2 - 0.02, d / 2 - 0.01, seat)
        kit.add(rounded(low, (high[0], high[1], seat + 0.035), 0.03), look.fabric)
    for x in (-w / 2, w / 2 - 0.04):
        kit.add(slanted((x, -d / 2, seat - 0.03), (x + 0.04, -d / 2 + 0.03, top), -0.06), look.wood)
    for k in range(int(rng.integers(2, 5))):
        z = top - 0.1 - 0.11 * k
        y = -d / 2 - 0.06 * (z - seat) / (top - seat)
        kit.box((-w / 2 + 0.02, y, z), (w / 2 - 0.02, y + 0.022, z + 0.07), look.wood)
    return Item("chair", kit, w, d + 0.12, top)


def table(
    look: RoomLook, rng: Generator, *, width: float, depth: float, height: float, name: str
) -> Item:
    """A table with an apron and four legs, or a round one on a column."""
    kit = Kit()
    if abs(width - depth) < 0.05:
        kit.add(cylinder(0, 0, height - 0.035, height, width / 2, sides=40), look.wood)
        kit.add(cylinder(0, 0, 0.02, height - 0.01, 0.05), look.wood)
        kit.add(cylinder(0, 0, SUNK, 0.035, width * 0.3, width * 0.26, 32), look.wood)
        return Item(name, kit, width, depth, height)
    kit.legs(width - 0.06, depth - 0.06, height - 0.02, rng.uniform(0.04, 0.08), look.wood)
    kit.box((-width / 2, -depth / 2, height - 0.035), (width / 2, depth / 2, height), look.wood)
    rim = 0.06
    for s in (-1, 1):
        y, x = sorted((s * (depth / 2 - rim), s * (depth / 2 - rim - 0.02))), width / 2 - rim
        kit.box((-x, y[0], height - 0.12), (x, y[1], height - 0.02), look.wood)
    if height < 0.6:
        low, high = (
            (-width / 2 + 0.04, -depth / 2 + 0.04, 0.13),
            (width / 2 - 0.04, depth / 2 - 0.04),
        )
        kit.box(low, (*high, 0.155), look.wood)
    return Item(name, kit, width, depth, height)


def clutter(
    palette: Palette, rng: Generator, w: float, d: float, z: float, count: int, sunk: float = 0.01
) -> Kit:
    """Books, bowls and vases on a top of `w` x `d` at height `z`."""
    kit = Kit()
    spots = np.linspace(-w / 2, w / 2, count + 2)[1:-1]
    for spot in spots:
        x, y = float(spot + rng.uniform(-0.02, 0.02)), float(rng.uniform(-0.2, 0.2) * d)
        pick = rng.integers(3)
        if pick == 0:
            for k in range(int(rng.integers(1, 4))):
                cover = palette.make("bookshelf with books", "paint", BRIGHTS)
                low = (x - 0.085, y - 0.115, z - sunk + 0.03 * k)
                stack = Kit()
                stack.box(np.subtract(low, (x, y, 0)), (0.085, 0.115, z + 0.03 * (k + 1)), cover)
                kit += stack.placed(x, y, float(rng.uniform(-25, 25)))
        elif pick == 1:
            glaze = palette.make("ceramic tile", "paint", BRIGHTS, gloss=0.4)
            kit.add(cylinder(x, y, z - sunk, z + 0.07, 0.05, 0.12, 28), glaze)
        else:
            glaze = palette.make("ceramic tile", "paint", BRIGHTS, gloss=0.4)
            kit.add(ellipsoid((x, y, z + 0.09), (0.075, 0.075, 0.1), (0, 0, 0), 24), glaze)
            kit.add(cylinder(x, y, z + 0.15, z + 0.24, 0.03, 0.045), glaze)
    return kit


def bookshelf(palette: Palette, look: RoomLook, rng: Generator) -> Item:
    """An open shelf, a board deep, with rows of books of differing height."""
    width, depth = rng.uniform(0.8, 1.6), rng.uniform(0.28, 0.34)
    rows = int(rng.integers(4, 7))
    height = rows * rng.uniform(0.32, 0.36) + 0.08
    kit, t = Kit(), 0.022
    w, y0, y1 = width / 2, -depth / 2, depth / 2
    # Boards stand back a little from the panels they meet: faces in one plane would leave slits.
    inner, front = w - 0.005, y1 - 0.004
    kit.box((-inner, y0 - 0.02, SUNK), (inner, y0 + 0.012, height - 0.008), look.wood)
    for x in (-w, w - t):
        kit.box((x, y0, SUNK), (x + t, y1, height - 0.004), look.wood)
    levels = np.linspace(0.06, height - t, rows + 1)
    for z in levels:
        kit.box((-inner, y0 + 0.003, z), (inner, front, z + t), look.wood)
    kit.box((-inner, y0 + 0.003, SUNK), (inner, y1 - 0.02, 0.07), look.wood)
    books = palette.make("bookshelf with books", "books", FABRICS, contrast=1.2)
    for z, above in itertools.pairwise(levels):
        _books(
            kit,
            rng,
            (-w + t - 0.003, w - t + 0.003),
            (y0 + 0.006, y1),
            (float(z + t), float(above)),
            books,
        )
    return Item("bookshelf", kit, width, depth, height)


def _books(
    kit: Kit,
    rng: Generator,
    span: tuple[float, float],
    deep: tuple[float, float],
    level: tuple[float, float],
    finish: int,
) -> None:
    """A row of blocks of books between two boards, with a gap here and there."""
    x = span[0]
    while x < span[1] - 0.08:
        run = min(rng.uniform(0.06, 0.3), span[1] - x)
        if rng.random() < 0.85:
            top = level[0] + (level[1] - level[0]) * rng.uniform(0.6, 0.92)
            front = deep[1] - rng.uniform(0.03, 0.07)
            kit.box((x, deep[0], level[0] - 0.005), (x + run, front, top), finish)
        x += run


def cupboard(
    look: RoomLook, rng: Generator, *, width: float, depth: float, height: float, name: str
) -> Item:
    """A closed body on a plinth, its doors or drawers parted by grooves, with handles."""
    kit = Kit()
    w, y0, y1 = width / 2, -depth / 2, depth / 2
    kit.box((-w, y0 - 0.02, 0.08), (w, y1 - 0.02, height), look.wood)
    kit.box((-w + 0.02, y0, SUNK), (w - 0.02, y1 - 0.07, 0.09), look.wood)
    across = max(1, round(width / rng.uniform(0.42, 0.6)))
    down = 1 if height > 1.2 else int(rng.integers(1, 4))
    xs, zs = np.linspace(-w, w, across + 1), np.linspace(0.09, height, down + 1)
    gap = 0.004
    for i in range(across):
        for k in range(down):
            low = (xs[i] + gap, y1 - 0.03, zs[k] + gap)
            kit.box(low, (xs[i + 1] - gap, y1, zs[k + 1] - gap), look.wood)
            _handle(kit, look, (xs[i], xs[i + 1]), (zs[k], zs[k + 1]), y1, i, down)
    return Item(name, kit, width, depth, height)


def _handle(
    kit: Kit,
    look: RoomLook,
    xs: tuple[float, float],
    zs: tuple[float, float],
    y: float,
    index: int,
    down: int,
) -> None:
    """A bar upright beside a door's edge, or level across a drawer."""
    if down > 1:
        x, z = (xs[0] + xs[1]) / 2, zs[1] - 0.06
        low, high = (x - 0.07, y - 0.005, z - 0.008), (x + 0.07, y + 0.025, z + 0.008)
    else:
        x = xs[1] - 0.05 if index % 2 == 0 else xs[0] + 0.05
        z = min((zs[0] + zs[1]) / 2, 1.1)
        low, high = (x - 0.008, y - 0.005, z - 0.09), (x + 0.008, y + 0.025, z + 0.09)
    kit.box(low, high, look.metal)


def bed(palette: Palette, look: RoomLook, rng: Generator) -> Item:
    """A bed with headboard, mattress, a duvet that hangs over, and pillows."""
    width, length = float(rng.choice((1.0, 1.4, 1.6, 1.8))), 2.08
    w, y0, y1 = width / 2, -length / 2, length / 2
    sheet = palette.make("mattress", "weave", ("ece8df", "e3e6e8", "efe6da"), contrast=0.5)
    cover = palette.make("mattress", "weave", BRIGHTS + FABRICS, contrast=1.0)
    kit = Kit()
    kit.legs(width, length, 0.2, 0.07, look.wood)
    kit.box((-w, y0, 0.16), (w, y1, 0.32), look.wood)
    head = rng.uniform(0.85, 1.15)
    if rng.random() < 0.5:
        kit.add(rounded((-w, y0 - 0.02, 0.2), (w, y0 + 0.1, head), 0.03), look.fabric)
    else:
        kit.box((-w, y0 - 0.02, SUNK), (w, y0 + 0.05, head), look.wood)
    kit.add(rounded((-w + 0.02, y0 + 0.04, 0.3), (w - 0.02, y1 - 0.02, 0.52), 0.05), sheet)
    edge = y0 + rng.uniform(0.6, 0.85)
    kit.add(rounded((-w - 0.02, edge, 0.36), (w + 0.02, y1 + 0.01, 0.58), 0.06), cover)
    count = 1 if width < 1.2 else 2
    for i in range(count):
        x = (i - (count - 1) / 2) * 0.72
        kit.add(cushion((x, y0 + 0.34, 0.58), (0.62, 0.42, 0.17), 14), sheet)
    return Item("bed", kit, width + 0.04, length + 0.02, head)


def plant(palette: Palette, rng: Generator) -> Item:
    """A pot with leaves on stems."""
    pot = palette.make("ceramic tile", "paint", (*BRIGHTS, "e8e4da", "5a5a5a"), gloss=0.25)
    leaf = palette.make("plant", "leaf", ("3f6b35", "557a3c", "2f5a3a", "6c8f4e"), gloss=0.08)
    radius, rim, height = rng.uniform(0.12, 0.18), rng.uniform(0.22, 0.38), rng.uniform(0.9, 1.6)
    kit = Kit()
    kit.add(cylinder(0, 0, SUNK, rim, radius * 0.75, radius, 28), pot)
    kit.add(cylinder(0, 0, rim - 0.02, rim + height * 0.35, 0.015, 0.01, 8), leaf)
    for k in range(int(rng.integers(14, 24))):
        turn, rise = k * 137.5, float(rng.uniform(-60, 5))
        reach = rng.uniform(0.16, 0.26)
        z = rim + (height - rim - 0.2) * rng.uniform(0.15, 1.0)
        a = np.radians(turn)
        centre = (reach * 0.8 * np.cos(a), reach * 0.8 * np.sin(a), z)
        kit.add(ellipsoid(centre, (reach, 0.055, 0.012), (0, rise, turn)), leaf)
    kit.add(cylinder(0, 0, rim - 0.02, height - 0.15, 0.012, 0.006, 8), leaf)
    return Item("plant", kit, 0.62, 0.62, height + 0.1)


def floor_lamp(palette: Palette, look: RoomLook, rng: Generator) -> Item:
    """A standing lamp with a cloth shade."""
    top = rng.uniform(1.45, 1.7)
    kit = Kit()
    kit.add(cylinder(0, 0, SUNK, 0.025, 0.14, sides=28), look.metal)
    kit.add(cylinder(0, 0, 0.01, top - 0.1, 0.012, sides=10), look.metal)
    kit.add(cylinder(0, 0, top - 0.28, top, 0.2, 0.14, 28), shade(palette))
    return Item("floor lamp", kit, 0.4, 0.4, top, ((0.0, 0.0, top + 0.05, 0.8),))


def shade(palette: Palette) -> int:
    """The glowing cloth of a lamp."""
    return palette.make("light curtain", "weave", "f3e3c3", contrast=0.4, glow=1.5)


def table_lamp(palette: Palette, look: RoomLook, z: float) -> tuple[Kit, float]:
    """A small lamp to stand on a top at height `z`; its kit and the height of its light."""
    kit = Kit()
    kit.add(cylinder(0, 0, z - 0.01, z + 0.02, 0.06), look.metal)
    kit.add(ellipsoid((0, 0, z + 0.1), (0.05, 0.05, 0.09), (0, 0, 0), 20), look.metal)
    kit.add(cylinder(0, 0, z + 0.18, z + 0.36, 0.12, 0.08, 24), shade(palette))
    return kit, z + 0.42
