"""All discrete paths of one source: direct, mirrored and diffracted, for any number of heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.corners import Corners
from piavas.acoustics.diffraction import Lit, lit_by
from piavas.acoustics.paths import Paths, direct_paths, join, reflected_paths
from piavas.scene import Source


@dataclass(frozen=True)
class Discrete:
    """What becomes of one source's sound along discrete paths.

    Args:
        corners: of the room.
        source: the source.
        sequences: `[n, order]` mirror chains worth a look.
        order: highest order of reflections.
        lit: what it can send round edges; None for straight paths only.
        speed: of sound, m/s.
    """

    corners: Corners
    source: Source
    sequences: NDArray[np.int32]
    order: int
    lit: Lit | None
    speed: float

    def paths(self, heads: NDArray[np.float64]) -> Paths:
        """All paths to `heads` `[l, 3]`."""
        corners = self.corners
        parts = [direct_paths(corners.caster, self.source, heads, self.order)]
        if len(self.sequences):
            mirrored = reflected_paths(
                corners.scene,
                corners.patches,
                corners.caster,
                source=self.source,
                heads=heads,
                sequences=self.sequences,
            )
            parts.append(mirrored)
        straight = join(*parts)
        if self.lit is None:
            return straight
        return join(straight, self.lit.paths(heads, straight, self.speed))


def discrete(
    corners: Corners,
    source: Source,
    sequences: NDArray[np.int32],
    *,
    order: int,
    diffraction: int,
    speed: float,
) -> Discrete:
    """Make ready what all heads share.

    Args:
        corners: of the room.
        source: the source.
        sequences: `[n, order]` mirror chains worth a look.
        order: highest order of reflections.
        diffraction: edges that a path may bend round: 0, 1 or 2.
        speed: of sound, m/s.
    """
    lit = None
    if diffraction:
        lit = lit_by(corners, source, reflected=order > 0, double=diffraction > 1)
    return Discrete(corners, source, sequences, order, lit, speed)
