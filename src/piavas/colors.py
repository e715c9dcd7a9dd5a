"""Colours that mean the same in every figure, page and exported scene."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

INK, PAPER = "#1b1f25", "#fdfdfe"
TRAIN, HELD_OUT, SOURCE = "#d55e00", "#009e73", "#0072b2"
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008)."""

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#56b4e9", "#999999")

GOLDEN = 0.618034


def rgb(color: str) -> NDArray[np.float64]:
    """`[3]` in 0..1 of "#rrggbb"."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def material_colors(count: int) -> NDArray[np.float64]:
    """Pale colours `[count, 3]` in 0..1: the palette, then further hues a golden angle apart."""
    known = [0.3 + 0.7 * rgb(color) for color in PALETTE[:count]]
    more = [
        np.array(colorsys.hsv_to_rgb(GOLDEN * i % 1, 0.25 + 0.15 * (i % 3), 0.92 - 0.12 * (i % 2)))
        for i in range(len(PALETTE), count)
    ]
    return np.stack(known + more) if count else np.empty((0, 3))
