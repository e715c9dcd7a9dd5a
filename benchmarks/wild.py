"""Patterns with parameters drawn at random, to train on: no two finishes have the same.

Each is drawn by a maker of one kind of thing (tiles, boards, cloth), from the finish's own seed.
`looks.py` has the patterns that benchmarks measure on; none of them is here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from piavas.twin.textures import PATTERNS, SIZE, noise

Array = np.ndarray
V, U = np.mgrid[0:SIZE, 0:SIZE] / SIZE


def _seed(rng: Generator) -> int:
    return int(rng.integers(2**31))


def _blocks(rng: Generator, columns: int, rows: int, shift: float) -> tuple[Array, Array]:
    """Distance to joints over a random width, at most 1; and the number of each block."""
    row = np.floor(V * rows).astype(int)
    across = np.mod(U * columns + shift * row, columns)
    edge = np.minimum(
        np.abs(across - np.round(across)) / columns, np.abs(V * rows - np.round(V * rows)) / rows
    )
    number = row * columns + np.floor(across).astype(int) % columns
    return np.clip(edge / rng.uniform(0.0015, 0.008), 0, 1), number


def _cloud(rng: Generator, most: float, steep: tuple[float, float] = (0.2, 1.6)) -> Array:
    return 1 + rng.uniform(0.2, 1) * most * noise(_seed(rng), rng.uniform(*steep))


def _stripes(rng: Generator) -> Array:
    """Bands of random widths along one axis, -1 to 1."""
    edges = np.sort(rng.random(int(rng.integers(3, 20))))
    tone = rng.uniform(-1, 1, len(edges) + 1)
    tone[-1] = tone[0]
    return tone[np.searchsorted(edges, (U, V)[rng.integers(2)])]


def _rings(rng: Generator) -> Array:
    """Discs or rings on a lattice, -1 to 1."""
    n = int(rng.integers(3, 12))
    x, y = U * n % 1 - 0.5, (V * n + 0.5 * (np.floor(U * n) % 2)) % 1 - 0.5
    far = np.hypot(x, y) if rng.random() < 0.5 else np.abs(x) + np.abs(y)
    return np.sign(np.cos(2 * np.pi * rng.uniform(0.8, 3) * far + rng.uniform(0, 6)))


def _blobs(rng: Generator) -> Array:
    return np.tanh(rng.uniform(1, 5) * (noise(_seed(rng), rng.uniform(1.2, 2.4)) - rng.normal()))


def _figure(rng: Generator) -> Array:
    return (_stripes, _rings, _blobs)[rng.integers(3)](rng)


def _paint(rng: Generator) -> Array:
    return _cloud(rng, 0.06) + _cloud(rng, 0.04, (0.0, 0.8)) - 1


def _tiles(rng: Generator) -> Array:
    columns, rows = (int(k) for k in rng.integers(2, 17, 2))
    if rng.random() < 0.6:
        rows = columns
    gap, number = _blocks(rng, columns, rows, float(rng.choice((0.0, 0.0, 0.25, 0.33))))
    tone = rng.normal(1, rng.uniform(0.005, 0.08), int(number.max()) + 1)[number]
    if rng.random() < 0.25:
        odd = (np.floor(U * columns) + np.floor(V * rows)) % 2
        tone = tone * (1 - rng.uniform(0.1, 0.6) * odd)
    joint = rng.uniform(0.45, 0.9) if rng.random() < 0.75 else rng.uniform(1.05, 1.3)
    return _cloud(rng, 0.05) * tone * (joint + (1 - joint) * gap)


def _grain(rng: Generator) -> Array:
    stretch = (float(rng.uniform(4, 24)), 1.0)
    bend = noise(_seed(rng), 2.0, (float(rng.uniform(2, 6)), 1.0))
    rings = np.sin(2 * np.pi * (rng.integers(2, 14) * V + rng.uniform(0.1, 0.6) * bend))
    fine = noise(_seed(rng), rng.uniform(0.5, 1.3), stretch)
    return 1 + rng.uniform(0.04, 0.14) * rings + rng.uniform(0.03, 0.14) * fine


def _boards(rng: Generator) -> Array:
    gap, number = _blocks(rng, int(rng.integers(1, 5)), int(rng.integers(3, 15)), rng.random())
    tone = rng.normal(1, rng.uniform(0.03, 0.16), int(number.max()) + 1)[number]
    dark = rng.uniform(0.4, 0.85)
    return _grain(rng) * tone * (dark + (1 - dark) * gap)


def _basket(rng: Generator) -> Array:
    n, strips = 2 * int(rng.integers(2, 8)), int(rng.integers(1, 6))
    turned = (np.floor(U * n) + np.floor(V * n)) % 2 == 1
    strip = np.floor(np.where(turned, U, V) * n * strips).astype(int)
    tone = rng.normal(1, rng.uniform(0.04, 0.15), (n, n * strips))
    cell = np.floor(np.where(turned, V, U) * n).astype(int)
    gap, _ = _blocks(rng, n, n, 0.0)
    dark = rng.uniform(0.5, 0.9)
    grain = np.where(turned, _grain(rng).T, _grain(rng))
    return grain * tone[cell, strip] * (dark + (1 - dark) * gap)


def _cloth(rng: Generator) -> Array:
    fine, strong = rng.integers(24, 140), rng.uniform(0, 0.12)
    threads = np.sin(2 * np.pi * fine * U) * np.sin(2 * np.pi * fine * V)
    if rng.random() < 0.3:
        threads = np.sin(2 * np.pi * fine * U)
    figure = rng.uniform(0.02, 0.2) * _figure(rng) if rng.random() < 0.25 else 0.0
    return _cloud(rng, 0.1) * _cloud(rng, 0.08, (0.8, 1.8)) + strong * threads + figure


def _pile(rng: Generator) -> Array:
    return _cloud(rng, 0.22, (0.0, 0.7)) * _cloud(rng, 0.12, (0.8, 1.8))


def _rug(rng: Generator) -> Array:
    figure = rng.uniform(0.05, 0.25) * _figure(rng) + rng.uniform(0, 0.15) * _figure(rng)
    return _pile(rng) * (1 + figure)


def _veins(rng: Generator) -> Array:
    a, b = rng.integers(-3, 4, 2)
    wave = np.sin(2 * np.pi * (a * U + b * V) + rng.uniform(0.8, 2.5) * noise(_seed(rng), 1.8))
    veins = np.abs(wave) ** rng.uniform(0.2, 0.8)
    return 1 + rng.uniform(0.05, 0.3) * (veins - veins.mean()) + _cloud(rng, 0.05) - 1


def _bricks(rng: Generator) -> Array:
    rows = 2 * int(rng.integers(3, 10))
    gap, number = _blocks(rng, int(rng.integers(2, 7)), rows, 0.5)
    tone = rng.normal(1, rng.uniform(0.03, 0.2), int(number.max()) + 1)[number]
    joint = rng.uniform(0.6, 1.4)
    return np.where(gap < 0.9, joint * _cloud(rng, 0.05), _cloud(rng, 0.15) * tone)


def _speckles(rng: Generator) -> Array:
    spots = noise(_seed(rng), rng.uniform(0.1, 0.9)) > rng.uniform(1.2, 2.2)
    return _cloud(rng, 0.14) - rng.uniform(0.1, 0.35) * spots


def _boarded(rng: Generator) -> Array:
    """Tiles of a ceiling: joints, fissures or grooves."""
    n = int(rng.integers(1, 4))
    gap, _ = _blocks(rng, n, n, 0.0)
    if rng.random() < 0.7:
        stretch = (1.0, float(rng.uniform(1, 6)))
        dark = noise(_seed(rng), rng.uniform(0.2, 0.8), stretch) > rng.uniform(1.2, 2)
    else:
        dark = np.abs(U * rng.integers(8, 30) % 1 - 0.5) > 0.4
    joint = rng.uniform(0.5, 0.85)
    return (1 - rng.uniform(0.1, 0.4) * dark) * (joint + (1 - joint) * gap)


def _paper(rng: Generator) -> Array:
    figure = (_stripes, _rings)[rng.integers(2)](rng)
    return _cloud(rng, 0.03) * (1 + rng.uniform(0.03, 0.2) * figure)


def _cast(rng: Generator) -> Array:
    gap, _ = _blocks(rng, int(rng.integers(1, 4)), int(rng.integers(1, 4)), 0.0)
    dark = rng.uniform(0.7, 1)
    return _cloud(rng, 0.14, (1.0, 1.8)) * _cloud(rng, 0.06) * (dark + (1 - dark) * gap)


def _metal(rng: Generator) -> Array:
    return 1 + rng.uniform(0.01, 0.08) * noise(
        _seed(rng), rng.uniform(0.2, 0.8), (float(rng.uniform(5, 40)), 1.0)
    )


def _books(rng: Generator) -> Array:
    count = int(rng.integers(14, 60))
    edges = (np.arange(1, count) + rng.uniform(-0.35, 0.35, count - 1)) / count
    tone = rng.normal(1, rng.uniform(0.15, 0.45), count)
    shelf = np.floor(V * rng.integers(1, 4)).astype(int)
    spine = (np.searchsorted(edges, U) + 7 * shelf) % len(tone)
    return tone[spine] * _cloud(rng, 0.06)


def _art(rng: Generator) -> Array:
    return 1 + rng.uniform(0.15, 0.4) * _blobs(rng) + rng.uniform(0, 0.3) * _figure(rng)


KINDS: dict[str, Callable[[Generator], Array]] = {
    "paint": _paint, "plaster": _paint, "wood": _grain, "planks": _boards, "parquet": _basket,
    "weave": _cloth, "pile": _pile, "rug": _rug, "tiles": _tiles, "marble": _veins,
    "bricks": _bricks, "cork": _speckles, "acoustic": _boarded, "wallpaper": _paper,
    "concrete": _cast, "brushed": _metal, "leather": _speckles, "leaf": _pile, "books": _books,
    "art": _art,
}  # fmt: skip


def wild(pattern: str, span: float) -> str:
    """The name of a wild pattern of the kind of `pattern`, `span` times as wide as that."""
    if pattern not in KINDS:
        return pattern
    name = f"{pattern}~{span}"
    PATTERNS[name] = (
        lambda seed: KINDS[pattern](np.random.default_rng([seed, 9])),
        PATTERNS[pattern][1] * span,
    )
    return name
