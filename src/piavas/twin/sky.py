"""What one sees through a window: a bright sky, trees along the horizon, a lawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.twin.finishes import srgb
from piavas.twin.textures import SIZE, noise

F64 = NDArray[np.float64]
HAZE, ZENITH = np.array(srgb("f4f7f9")), np.array(srgb("a9c6ea"))
HILLS, LEAVES, LAWN = (np.array(srgb(code)) for code in ("b9c7c4", "7f9468", "a5b184"))
BRIGHT = 1.9
"""Radiance of the hazy horizon, relative to white paper in a lit room."""


def outside(way: F64, seed: int) -> F64:
    """Radiance `[n, 3]` along unit vectors `[n, 3]` that leave through a pane."""
    generator = np.random.default_rng([seed, 41])
    azimuth = np.arctan2(way[:, 1], way[:, 0])
    level = way[:, 2] / np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-6)
    colour = HAZE + np.clip(level / 1.2, 0, 1)[:, None] * (ZENITH - HAZE)
    hills = _skyline(azimuth, 0.07, (2, 30), generator)
    colour = _cover(colour, HILLS[None], hills - level, 0.008)
    mottle = _mottle(azimuth, level, int(generator.integers(10_000)))
    trees = LEAVES * (1 + 0.28 * mottle + 1.5 * np.clip(level, -0.1, 0.2))[:, None]
    crowns = _skyline(azimuth, 0.06, (9, 240), generator) + 0.012 * mottle
    colour = _cover(colour, trees, crowns - level, 0.015)
    lawn = LAWN * (1 + 0.05 * mottle)[:, None]
    colour = _cover(colour, lawn, -0.1 - level, 0.02)
    return np.asarray(BRIGHT * np.clip(colour, 0.03, None))


def _cover(under: F64, over: F64, inside: F64, soft: float) -> F64:
    """`over` where `inside` is above zero, with an edge of width `soft`."""
    return np.asarray(under + np.clip(inside / soft + 0.5, 0, 1)[:, None] * (over - under))


def _skyline(
    azimuth: F64, height: float, waves: tuple[int, int], generator: np.random.Generator
) -> F64:
    """A ragged edge about an elevation, waves falling off as 1/k from the lowest to the highest."""
    edge = np.full(azimuth.shape, height)
    for k in np.unique(np.geomspace(*waves, 24).astype(int)):
        edge += 0.4 * height * waves[0] / k * np.sin(k * azimuth + generator.uniform(0, 2 * np.pi))
    return edge


def _mottle(azimuth: F64, level: F64, seed: int) -> F64:
    tile = noise(seed, 1.0)
    i = np.mod(np.floor(level * 380), SIZE).astype(int)
    j = np.mod(np.floor(azimuth * 250), SIZE).astype(int)
    return np.asarray(tile[i, j])
