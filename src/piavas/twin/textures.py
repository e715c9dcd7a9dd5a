"""Procedural textures: filtered noise and patterns, looked up by place on a surface.

Noise is filtered in the Fourier domain, so that every tile repeats without a seam.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIZE = 512
F64 = NDArray[np.float64]


def noise(seed: int, slope: float, stretch: tuple[float, float] = (1.0, 1.0)) -> F64:
    """Noise `[SIZE, SIZE]` of unit variance with spectrum f^-slope, drawn out along its axes."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((SIZE, SIZE)))
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]
    radius = np.hypot(fx * stretch[0], fy * stretch[1])
    radius[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * radius**-slope, (SIZE, SIZE))
    return np.asarray(field / field.std())


def _grid() -> tuple[F64, F64]:
    v, u = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    return u, v


def _joints(columns: int, rows: int, width: float, shift: float) -> tuple[F64, NDArray[np.int64]]:
    """Dark lines between blocks, rows shifted against each other; and the number of each block."""
    u, v = _grid()
    row = np.floor(v * rows).astype(np.int64)
    across = np.mod(u * columns + shift * row, columns)
    column = np.floor(across).astype(np.int64)
    edge = np.minimum(
        np.abs(across - np.round(across)) / columns, np.abs(v * rows - np.round(v * rows)) / rows
    )
    return np.clip(edge / width, 0, 1), row * columns + column


def _tones(number: NDArray[np.int64], seed: int, spread: float) -> F64:
    tone = np.random.default_rng([seed, 5]).normal(1, spread, int(number.max()) + 1)
    return np.asarray(tone[number])


def _plain(seed: int) -> F64:
    return 1 + 0.01 * noise(seed, 0.5)


def _plaster(seed: int) -> F64:
    return 1 + 0.05 * noise(seed, 1.2) + 0.025 * noise(seed + 1, 0.2)


def _wood(seed: int) -> F64:
    u, v = _grid()
    rings = np.sin(2 * np.pi * (6 * v + 0.35 * noise(seed, 2.0, (3.0, 1.0))))
    return 1 + 0.12 * rings + 0.09 * noise(seed + 1, 0.8, (12.0, 1.0)) + 0 * u


def _planks(seed: int) -> F64:
    gap, number = _joints(2, 8, 0.002, 0.37)
    return _wood(seed) * _tones(number, seed, 0.13) * (0.45 + 0.55 * gap)


def _parquet(seed: int) -> F64:
    gap, number = _joints(8, 8, 0.0015, 0.0)
    grain = np.where((number // 8 + number) % 2 == 0, _wood(seed), _wood(seed + 3).T)
    return grain * _tones(number, seed, 0.12) * (0.55 + 0.45 * gap)


def _weave(seed: int) -> F64:
    u, v = _grid()
    threads = np.sin(2 * np.pi * 96 * u) * np.sin(2 * np.pi * 96 * v)
    return 1 + 0.09 * threads + 0.07 * noise(seed, 0.6) + 0.06 * noise(seed + 1, 1.5)


def _pile(seed: int) -> F64:
    return 1 + 0.16 * noise(seed, 0.3) + 0.08 * noise(seed + 1, 1.4)


def _rug(seed: int) -> F64:
    u, v = _grid()
    stripes = np.sign(np.sin(2 * np.pi * 3 * u) * np.sin(2 * np.pi * 3 * v))
    lines = np.sign(np.sin(2 * np.pi * 12 * (u + v)))
    return _pile(seed) * (1 + 0.16 * stripes + 0.08 * lines)


def _tiles(seed: int) -> F64:
    gap, number = _joints(4, 4, 0.004, 0.0)
    return (1 + 0.04 * noise(seed, 1.3)) * _tones(number, seed, 0.04) * (0.55 + 0.45 * gap)


def _marble(seed: int) -> F64:
    u, v = _grid()
    veins = np.abs(np.sin(2 * np.pi * (u + 2 * v) + 1.4 * noise(seed, 1.8)))
    return 0.82 + 0.25 * veins**0.4 + 0.03 * noise(seed + 1, 0.6)


def _bricks(seed: int) -> F64:
    gap, number = _joints(4, 12, 0.006, 0.5)
    face = (1 + 0.12 * noise(seed, 0.7)) * _tones(number, seed, 0.16)
    return np.where(gap < 0.9, 1.35 + 0.06 * noise(seed + 1, 0.4), face)


def _cork(seed: int) -> F64:
    return 1 + 0.14 * noise(seed, 0.4) - 0.25 * (noise(seed + 1, 0.7) > 1.6)


def _acoustic(seed: int) -> F64:
    gap, _ = _joints(2, 2, 0.004, 0.0)
    return (1 - 0.3 * (noise(seed, 0.3) > 1.7)) * (0.6 + 0.4 * gap)


def _wallpaper(seed: int) -> F64:
    u, v = _grid()
    kind = seed % 3
    if kind == 0:
        figure = np.sign(np.sin(2 * np.pi * 10 * u))
    elif kind == 1:
        figure = np.sign(np.cos(2 * np.pi * 6 * u) + np.cos(2 * np.pi * 6 * v) - 0.8)
    else:
        figure = np.sign(np.sin(2 * np.pi * (5 * u + 0.3 * np.sin(2 * np.pi * 3 * v))) - 0.3)
    return 1 + 0.1 * figure + 0.02 * noise(seed, 0.5)


def _concrete(seed: int) -> F64:
    return 1 + 0.1 * noise(seed, 1.5) + 0.04 * noise(seed + 1, 0.3)


def _brushed(seed: int) -> F64:
    return 1 + 0.06 * noise(seed, 0.4, (30.0, 1.0))


def _leather(seed: int) -> F64:
    return 1 + 0.1 * noise(seed, 0.9) - 0.12 * (np.abs(noise(seed + 1, 1.0)) < 0.08)


def _leaf(seed: int) -> F64:
    return 1 + 0.25 * noise(seed, 1.0)


def _books(seed: int) -> F64:
    u, _ = _grid()
    spine = np.floor(u * 24).astype(np.int64)
    return _tones(spine, seed, 0.35) * (1 + 0.04 * noise(seed, 0.8))


def _art(seed: int) -> F64:
    shapes = np.tanh(3 * noise(seed, 2.2))
    return 1 + 0.35 * shapes + 0.12 * noise(seed + 1, 1.2)


PATTERNS: dict[str, tuple[Callable[[int], F64], float]] = {
    "paint": (_plain, 1.0),
    "plaster": (_plaster, 1.5),
    "wood": (_wood, 0.8),
    "planks": (_planks, 1.6),
    "parquet": (_parquet, 1.2),
    "weave": (_weave, 0.4),
    "pile": (_pile, 0.8),
    "rug": (_rug, 1.2),
    "tiles": (_tiles, 1.2),
    "marble": (_marble, 1.5),
    "bricks": (_bricks, 0.95),
    "cork": (_cork, 0.6),
    "acoustic": (_acoustic, 1.2),
    "wallpaper": (_wallpaper, 1.1),
    "concrete": (_concrete, 2.0),
    "brushed": (_brushed, 0.6),
    "leather": (_leather, 0.7),
    "leaf": (_leaf, 0.15),
    "books": (_books, 0.6),
    "art": (_art, 0.8),
}
"""Each pattern's maker and the metres that one tile spans."""


@lru_cache(maxsize=256)
def texture(pattern: str, seed: int) -> F64:
    """Tile `[SIZE, SIZE]` of reflectance about 1."""
    make, _ = PATTERNS.get(pattern, PATTERNS["paint"])
    return np.clip(make(seed % 10_000), 0.15, 1.9).astype(np.float32)


def look_up(pattern: str, seed: int, contrast: float, place: F64, normal: F64) -> F64:
    """Texture values `[n]` at places `[n, 3]` on surfaces of normals `[n, 3]` (box projection)."""
    tile = texture(pattern, seed)
    span = PATTERNS.get(pattern, PATTERNS["paint"])[1]
    axis = np.abs(normal).argmax(axis=1)
    u = np.where(axis == 0, place[:, 1], place[:, 0])
    v = np.where(axis == 2, place[:, 1], place[:, 2])
    i = np.mod(np.floor(v / span * SIZE), SIZE).astype(int)
    j = np.mod(np.floor(u / span * SIZE), SIZE).astype(int)
    return np.asarray(1 + contrast * (tile[i, j] - 1.0))
