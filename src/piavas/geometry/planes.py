"""Planes of the room along its own axes, from where the fused field crosses zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from piavas.geometry.fusion import Box, Fused

ALIGNED = 0.9  # least cosine between a surface and a plane's normal
FINE = 0.01  # metres of a histogram bin
APART = 0.06  # metres between two planes that face the same way


@dataclass(frozen=True)
class Crossings:
    """Places where the field changes sign along one axis.

    Args:
        at: `[n, 3]` metres in the turned frame.
        facing: `[n]` 1 where air lies on the side of rising coordinates, -1 on the other.
        area: `[n]` square metres of surface that each stands for.
    """

    at: NDArray[np.float64]
    facing: NDArray[np.int8]
    area: NDArray[np.float64]

    def only(self, mask: NDArray[np.bool_]) -> Crossings:
        """Those of `mask` `[n]`."""
        return Crossings(self.at[mask], self.facing[mask], self.area[mask])


@dataclass(frozen=True)
class Plane:
    """A plane across one axis.

    Args:
        axis: 0, 1 or 2.
        offset: metres along the axis in the turned frame.
        facing: 1 if the air is on the side of rising coordinates.
        area: square metres seen of it.
    """

    axis: int
    offset: float
    facing: int
    area: float


def crossings(fused: Fused, box: Box, axis: int) -> Crossings:
    """Where seen surfaces lie square to `axis`, to a fraction of a voxel."""
    value = np.moveaxis(fused.distance, axis, 0)
    weight = np.moveaxis(fused.weight, axis, 0)
    one, two = value[:-1], value[1:]
    hit = (weight[:-1] > 0) & (weight[1:] > 0) & ((one > 0) != (two > 0))
    # A surface square to the axis changes by one voxel a voxel.
    hit &= np.abs(two - one) > ALIGNED * 0.8 * box.voxel
    where = np.stack(np.nonzero(hit), axis=1)
    a, b = one[hit].astype(float), two[hit].astype(float)
    index = where.astype(float)
    index[:, 0] += a / (a - b)
    order = [1, 2] if axis == 0 else [0, 2] if axis == 1 else [0, 1]
    full = np.empty_like(index)
    full[:, axis], full[:, order[0]], full[:, order[1]] = index.T
    return Crossings(
        box.lower + box.voxel * full,
        np.where(b > a, 1, -1).astype(np.int8),
        np.full(len(full), box.voxel**2),
    )


def find_planes(found: Crossings, axis: int, least_area: float) -> list[Plane]:
    """Peaks of the area histogram along `axis`, each side on its own, largest first."""
    planes = []
    for facing in (1, -1):
        chosen = found.facing == facing
        offset, area = found.at[chosen, axis], found.area[chosen]
        while len(offset):
            low = offset.min() - 0.1
            bins = int((offset.max() - low + 0.1) / FINE) + 1
            count = np.bincount(((offset - low) / FINE).astype(int), area, bins)
            peak = low + FINE * (np.argmax(gaussian_filter1d(count, 1.5)) + 0.5)
            near = np.abs(offset - peak) < APART / 2
            if area[near].sum() < least_area:
                break
            middle = float(np.median(offset[near]))
            planes.append(Plane(axis, middle, facing, float(area[near].sum())))
            away = np.abs(offset - middle) > APART
            offset, area = offset[away], area[away]
    return sorted(planes, key=lambda plane: -plane.area)
