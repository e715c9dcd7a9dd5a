"""All discrete paths of one source: direct, mirrored and diffracted, for any number of heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.corners import Corners
from piavas.acoustics.diffraction import lit_by
from piavas.acoustics.paths import Paths, direct_paths, join, reflected_paths
from piavas.acoustics.transmission import Walls
from piavas.scene import Source


@dataclass(frozen=True)
class Ways:
    """Which ways are followed one by one.

    Args:
        order: reflections that a path may have.
        diffraction: edges that it may bend round: 0, 1 or 2.
        walls: that it may pass through.
        speed: of sound, m/s, by which edges bend.
    """

    order: int = 3
    diffraction: int = 1
    walls: int = 1
    speed: float = 343.2


@dataclass(frozen=True)
class Discrete:
    """What becomes of one source's sound along discrete paths.

    Args:
        ways: which are followed.
        corners: of the room.
        walls: of the room.
        source: the source.
        sequences: `[n, order]` mirror chains worth a look.
    """

    ways: Ways
    corners: Corners
    walls: Walls
    source: Source
    sequences: NDArray[np.int32]

    def paths(self, heads: NDArray[np.float64]) -> Paths:
        """All paths to `heads` `[l, 3]`."""
        ways = self.ways
        straight = direct_paths(self.walls, self.source, heads, ways.order)
        if len(self.sequences):
            mirrored = reflected_paths(
                self.walls, source=self.source, heads=heads, sequences=self.sequences
            )
            straight = join(straight, mirrored)
        if not ways.diffraction:
            return straight
        lit = lit_by(
            self.corners,
            self.source,
            reflected=ways.order > 0,
            double=ways.diffraction > 1,
        )
        return join(straight, lit.paths(heads, straight, ways.speed))
