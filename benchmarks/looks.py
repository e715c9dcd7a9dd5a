"""Other looks for generated apartments: jittered ones to train on, and textures never trained on.

`jitter` moves colours, contrasts and scales of the patterns that the generator has, and puts those
of `wild.py` in the place of most. `redress` takes other patterns, written here alone, and other
colours: what a recogniser meets in a home that nobody generated for it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from piavas.twin.finishes import Finish, srgb
from piavas.twin.textures import PATTERNS, SIZE, noise
from piavas.twin.world import World
from wild import wild

SPANS = (0.7, 1.0, 1.4)
WILD = 2 / 3  # of the finishes that are jittered
FREE = {"upholstered sofa", "mattress", "heavy curtain", "carpet on foam", "wallpaper on plaster"}
"""Materials that come in any colour."""
TINTED = {"painted plaster", "wooden door", "wooden furniture", "metal appliance", "ceramic tile"}
"""Those that may be of any muted one."""


def jitter(world: World, seed: int) -> World:
    """Colours, contrasts and scales moved at random, two patterns of three of `wild.py`."""
    rng = np.random.default_rng([seed, 77])
    return replace(world, finishes=tuple(_jittered(f, rng) for f in world.finishes))


def _jittered(finish: Finish, rng: np.random.Generator) -> Finish:
    colour = np.array(finish.colour) * np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.08, 3))
    if finish.material in FREE and rng.random() < 0.4:
        colour = rng.uniform(0.03, 0.8) * rng.dirichlet(np.full(3, 3.0)) * 2
    if finish.material in TINTED and rng.random() < 0.2:
        colour = rng.uniform(0.1, 0.8) * rng.dirichlet(np.full(3, 12.0)) * 2.5
    span = float(rng.choice(SPANS))
    name = f"{finish.pattern}@{span}"
    if finish.pattern in PATTERNS:
        make, metres = PATTERNS[finish.pattern]
        PATTERNS[name] = (make, metres * span)
    if rng.random() < WILD:
        name = wild(finish.pattern, span)
    return _with(finish, name, colour, finish.contrast * rng.uniform(0.6, 1.6))


def _with(finish: Finish, pattern: str, colour: np.ndarray, contrast: float) -> Finish:
    r, g, b = np.clip(colour, 0.01, 0.92)
    return replace(
        finish, pattern=pattern, colour=(float(r), float(g), float(b)), contrast=contrast
    )


def _grid() -> tuple[np.ndarray, np.ndarray]:
    v, u = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    return u, v


def _roughcast(seed: int) -> np.ndarray:
    return 1 + 0.04 * np.abs(noise(seed, 0.8)) + 0.03 * noise(seed + 1, 0.5)


def _streaks(seed: int) -> np.ndarray:
    return 1 + 0.16 * noise(seed, 1.1, (9.0, 1.0)) - 0.1 * (noise(seed + 1, 1.0, (20.0, 1.0)) > 1.2)


def _boards(seed: int) -> np.ndarray:
    _, v = _grid()
    row = np.floor(v * 11).astype(int)
    gap = np.abs(v * 11 - np.round(v * 11)) > 0.04
    return _streaks(seed) * np.random.default_rng(seed).normal(1, 0.1, 12)[row] * (0.5 + 0.5 * gap)


def _herringbone(seed: int) -> np.ndarray:
    u, v = _grid()
    band = np.floor(u * 8).astype(int)
    slant = v * 10 + np.where(band % 2, 1, -1) * (u * 8 - band)
    gap = np.abs(slant - np.round(slant)) > 0.05
    tone = np.random.default_rng(seed).normal(1, 0.1, 32)[(np.floor(slant).astype(int) + band) % 32]
    return (1 + 0.08 * noise(seed, 1.0)) * tone * (0.6 + 0.4 * gap)


def _mosaic(seed: int) -> np.ndarray:
    u, v = _grid()
    n = 14
    shift = 0.5 * (np.floor(v * n).astype(int) % 2)
    x = u * n + shift
    gap = np.maximum(np.abs(x % 1 - 0.5), np.abs(v * n % 1 - 0.5)) < 0.44
    number = (np.floor(x).astype(int) % n) * n + np.floor(v * n).astype(int)
    tone = np.random.default_rng(seed).normal(1, 0.06, n * n)[number]
    return np.where(gap, tone, 0.62)


def _flemish(seed: int) -> np.ndarray:
    u, v = _grid()
    rows = 10
    row = np.floor(v * rows).astype(int)
    x = (u * 4 + 0.35 * row) % 1
    joint = (np.minimum(x, np.abs(x - 0.66)) < 0.03) | (v * rows % 1 < 0.12)
    number = (np.floor(u * 4 + 0.35 * row).astype(int) * 2 + (x > 0.66)) % 16 + 16 * (row % rows)
    tone = np.random.default_rng(seed).normal(1, 0.14, 400)[number]
    return np.where(joint, 0.7, tone * (1 + 0.09 * noise(seed, 0.9)))


def _loops(seed: int) -> np.ndarray:
    u, v = _grid()
    return (
        1 + 0.12 * np.sin(2 * np.pi * 60 * u) * np.sin(2 * np.pi * 60 * v) + 0.12 * noise(seed, 0.2)
    )


def _twill(seed: int) -> np.ndarray:
    u, v = _grid()
    return 1 + 0.08 * np.sign(np.sin(2 * np.pi * 40 * (u + v))) + 0.05 * noise(seed, 0.9)


def _plaid(seed: int) -> np.ndarray:
    u, v = _grid()
    wide = np.sign(np.sin(2 * np.pi * 5 * u)) + np.sign(np.sin(2 * np.pi * 5 * v))
    return 1 + 0.1 * wide + 0.06 * noise(seed, 0.4)


def _blossom(seed: int) -> np.ndarray:
    return 1 + 0.13 * np.tanh(4 * (noise(seed, 1.6) - 0.4)) + 0.02 * noise(seed + 1, 0.4)


def _terrazzo(seed: int) -> np.ndarray:
    grain = noise(seed, 0.9)
    return 1 + 0.2 * (grain > 1.3) - 0.2 * (grain < -1.3) + 0.02 * noise(seed + 1, 0.3)


def _formwork(seed: int) -> np.ndarray:
    _, v = _grid()
    return (1 + 0.07 * noise(seed, 1.2)) * (1 - 0.2 * (np.abs(v * 5 % 1 - 0.5) > 0.48))


def _holes(seed: int) -> np.ndarray:
    u, v = _grid()
    dots = np.hypot(u * 40 % 1 - 0.5, v * 40 % 1 - 0.5) < 0.22
    return (1 - 0.35 * dots) * (1 - 0.3 * (np.minimum(u * 2 % 1, v * 2 % 1) < 0.012))


def _spines(seed: int) -> np.ndarray:
    u, v = _grid()
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.random(30))
    book = np.searchsorted(edges, u)
    return rng.normal(1, 0.4, 31)[book] * (1 - 0.3 * (np.abs(v - 0.7) < 0.05))


def _grain(seed: int) -> np.ndarray:
    return 1 + 0.08 * noise(seed, 0.6) - 0.08 * (noise(seed + 1, 1.3) > 1)


OTHER = {
    "paint": (_roughcast, 0.9), "plaster": (_roughcast, 1.1), "wood": (_streaks, 0.9),
    "planks": (_boards, 1.5), "parquet": (_herringbone, 1.0), "weave": (_twill, 0.5),
    "pile": (_loops, 0.6), "rug": (_plaid, 1.0), "tiles": (_mosaic, 1.4),
    "marble": (_terrazzo, 0.8),
    "bricks": (_flemish, 1.0), "cork": (_grain, 0.5), "acoustic": (_holes, 1.2),
    "wallpaper": (_blossom, 1.3), "concrete": (_formwork, 2.0), "brushed": (_streaks, 0.8),
    "leather": (_grain, 0.5), "leaf": (_blossom, 0.2), "books": (_spines, 0.8),
    "art": (_plaid, 0.9),
}  # fmt: skip
COLOURS = {
    "wood": ("7d4f2c", "bb9060", "94653c", "5f4330"),
    "planks": ("7d4f2c", "bb9060", "94653c"),
    "parquet": ("a9793f", "83583a"),
    "weave": ("31475e", "b5523c", "8f8a7d", "3d5b45", "c9b48f"),
    "pile": ("77808a", "857a6c", "5a5f5c"),
    "rug": ("2f4858", "a23e48", "8a8d5f", "c2a878"),
    "tiles": ("e4e2da", "8fa3ad", "c7bfae"),
    "marble": ("9aa090", "b7a78f"),
    "bricks": ("8c4a36", "b4715a", "cdbfb3"),
    "wallpaper": ("7f95a5", "b79f7c", "a58a8f", "7e9380"),
    "leather": ("4a3426", "2d2a29", "8b6b4d"),
}


def redress(world: World, seed: int) -> World:
    """Every finish with a pattern and colour that training never saw."""
    rng = np.random.default_rng([seed, 78])
    PATTERNS.update({f"{name}#": value for name, value in OTHER.items()})
    return replace(world, finishes=tuple(_redressed(f, rng) for f in world.finishes))


def _redressed(finish: Finish, rng: np.random.Generator) -> Finish:
    colour = np.array(finish.colour) * rng.uniform(0.85, 1.1, 3)
    if finish.pattern in COLOURS:
        colour = np.array(srgb(str(rng.choice(COLOURS[finish.pattern])))) * rng.uniform(
            0.85, 1.1, 3
        )
    if finish.material == "window glass" or finish.glow:
        return finish
    name = f"{finish.pattern}#" if finish.pattern in OTHER else finish.pattern
    return _with(finish, name, colour, finish.contrast * rng.uniform(0.8, 1.2))
