"""What is to be expected at some heads, before noise is drawn: T30, C50, direct to reverberant.

A simulated response is noise shaped by expected energies, and each draw has chance of its own,
often more than the difference that is looked for. Here the energies themselves are compared. What
chance is left is that of the rays: two seeds on one scene tell it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.acoustics.confidence import EARLY, MIDDLE, STEP, energies, reverberation_times
from piavas.acoustics.hearing import Pairs
from piavas.acoustics.room import ready
from piavas.scene import Scene, Source, as_poses
from piavas.twin.world import World

HEADS = 8
RAYS, AT_ONCE = 120_000, 30_000  # traced in stages, so that memory stays small

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sound:
    """Of the octave bands of 500 Hz and 1 kHz together, at each of some heads.

    Args:
        t30: `[n]` seconds.
        c50: `[n]` dB.
        drr: `[n]` direct sound over all else, dB; NaN where the source is not seen.
    """

    t30: Array
    c50: Array
    drr: Array

    def mean(self, other: Sound) -> Sound:
        """Of two simulations of one scene."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Sound(*((a + b) / 2 for a, b in pairs))

    def off(self, true: Sound) -> dict[str, float]:
        """Means over heads of absolute differences from `true`; T30 is relative, `bias` signed."""
        longer = self.t30 / true.t30 - 1
        return {
            "t30_error": round(float(np.nanmean(np.abs(longer))), 4),
            "t30_bias": round(float(np.nanmean(longer)), 4),
            "c50_error_db": round(float(np.nanmean(np.abs(self.c50 - true.c50))), 2),
            "c50_bias_db": round(float(np.nanmean(self.c50 - true.c50)), 2),
            "drr_error_db": round(float(np.nanmean(np.abs(self.drr - true.drr))), 2),
            "drr_bias_db": round(float(np.nanmean(self.drr - true.drr)), 2),
        }


def places_in(world: World) -> Array:
    """Places `[1 + HEADS, 3]` in an apartment, off all that stands there: source, and heads."""
    return world.free_points(1 + HEADS, 1, height=1.5, clearance=0.5)


def expected(
    scene: Scene, source: Array, heads: Array, *, rays: int = RAYS, seed: int = 0
) -> Sound:
    """What comes from `source` `[3]` to `heads` `[n, 3]` in `scene`."""
    simulator = Simulator(output="mono", rays=AT_ONCE, seed=seed, allow_leaks=True)
    room, origin = ready(scene), Source(source)
    hearing = simulator.prepare(room, Pairs.of([origin], as_poses(heads)))
    how, paths = hearing.how, None
    curves = 0.0
    stages = rays // AT_ONCE
    for stage in range(stages):
        field = simulator.shoot(room, origin, reach=hearing.reach, rays=AT_ONCE, stage=stage)
        reaching = field.reaching(heads, paths)
        paths = [one.paths for one in reaching]
        found = [
            energies(one, field.segments.share, duration=how.duration, speed=how.speed, air=how.air)
            for one in reaching
        ]
        traced = np.stack([one.curve.sum(axis=0) for one in found])
        early = np.stack([one.early_curve for one in found])
        first = [one.first for one in found]
        curves = curves + (traced + early) / stages
    assert paths is not None and isinstance(curves, np.ndarray)
    from_first = np.zeros_like(curves)
    for row, start in enumerate(first):
        from_first[row, : curves.shape[1] - start] = curves[row, start:]
    split = round(EARLY / STEP)
    direct = np.full(len(heads), np.nan)
    for row in np.flatnonzero(room.caster.visible(np.broadcast_to(source, heads.shape), heads)):
        way = paths[row]
        straight = (way.order == 0) & (way.bend < 0)
        energy = way.magnitude(how.speed) ** 2 * np.exp(-how.air * way.length[:, None])
        direct[row] = energy[straight][:, MIDDLE].sum()
    return Sound(
        reverberation_times(from_first),
        10 * np.log10(from_first[:, :split].sum(axis=1) / from_first[:, split:].sum(axis=1)),
        10 * np.log10(direct / (curves.sum(axis=1) - direct)),
    )
