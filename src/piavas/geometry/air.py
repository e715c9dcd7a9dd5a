"""Shell and what was seen inside it, combined to one field: positive where there is air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from piavas.errors import GeometryError
from piavas.geometry.fusion import BAND, Box, Fused
from piavas.geometry.shell import Shell, wall_zones

SURE = 2  # views that must have looked through a place to reopen a wall
HOLE = 0.05  # cubic metres of free space in a wall from which it is a doorway
SMALLEST = 0.02  # cubic metres of a solid that hangs in the air unseen from most sides


@dataclass(frozen=True)
class Air:
    """The volume of air.

    Args:
        field: `[x, y, z]` metres, positive in air.
        guessed: `[x, y, z]` where the contents of the shell were inferred, not seen.
    """

    field: NDArray[np.float32]
    guessed: NDArray[np.bool_]


def carve(fused: Fused, shell: Shell, box: Box, cameras: NDArray[np.float64]) -> Air:
    """The air that the cameras stand in.

    Seen places keep what was seen. An unseen one is what the nearest seen one is, so the inside
    of a sofa is solid and a dark corner is air. Walls between rooms open where views passed them.

    Args:
        fused: the field.
        box: its grid.
        shell: the closed shell.
        cameras: `[n, 3]` positions in the turned frame.

    Raises:
        GeometryError: no camera stands in the air.
    """
    inside = shell.distance > 0
    stuff, guessed = _contents(fused, inside, box)
    # Within a voxel and a half of the shell its exact planes speak, not the noisy field.
    near = np.abs(shell.distance) < 1.5 * box.voxel
    wall_like = near & (stuff < 0.7 * box.voxel) & (stuff > -2.0 * box.voxel)
    inner = np.where(
        wall_like & (stuff > shell.distance - 1.5 * box.voxel), BAND * box.voxel, stuff
    )
    field = np.minimum(shell.distance, inner)
    field = np.maximum(field, _doorways(fused, shell, box))
    return Air(_component(_tidy(field, box), box, cameras), guessed & inside)


def _contents(
    fused: Fused, inside: NDArray[np.bool_], box: Box
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Signed distance to furniture, and where it is a guess."""
    known = fused.known
    seen_through = (fused.free >= SURE) & (fused.distance > -box.voxel)
    value = np.where(seen_through, np.maximum(fused.distance, 0.5 * box.voxel), fused.distance)
    index = distance_transform_edt(~known, return_distances=False, return_indices=True)
    nearest = value[tuple(index)]
    full = BAND * box.voxel
    filled = np.where(known, value, np.where(nearest > 0, full, -full)).astype(np.float32)
    # Borders between guesses are steps of voxels, and what was seen has the sensor's noise.
    filled = np.where(known, gaussian_filter(filled, 0.6), gaussian_filter(filled, 1.0))
    return filled.astype(np.float32), ~known & inside


def _doorways(fused: Fused, shell: Shell, box: Box) -> NDArray[np.float32]:
    """The seen free space inside walls between rooms."""
    zone = wall_zones(shell, box)[:, :, None]
    zone = (
        zone
        & (box.axis(2) > shell.floor - 0.5 * box.voxel)
        & (box.axis(2) < max(shell.ceilings) + 0.5 * box.voxel)
    )
    opened = zone & ((fused.free >= SURE) | (fused.distance > 0.5 * box.voxel))
    hole, count = label(opened)
    size = np.bincount(hole.ravel(), minlength=count + 1) * box.voxel**3
    real = opened & (size > HOLE)[hole]
    level = np.minimum(fused.distance, box.axis(2) - shell.floor)
    return np.where(real, level, -0.5).astype(np.float32)


def _tidy(field: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    """Turn small solids that hang in the air to air, and keep values off zero."""
    solid, count = label(field <= 0)
    size = np.bincount(solid.ravel(), minlength=count + 1)
    small = size * box.voxel**3 < SMALLEST
    small[0] = False
    out = np.where(small[solid], 0.5 * box.voxel, field)
    tiny = 1e-3 * box.voxel
    return np.where(np.abs(out) < tiny, np.where(out > 0, tiny, -tiny), out).astype(np.float32)


def _component(
    field: NDArray[np.float32], box: Box, cameras: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Only the air that holds cameras."""
    air, _ = label(field > 0)
    at = box.index(cameras)
    found = np.unique(air[at[:, 0], at[:, 1], at[:, 2]])
    found = found[found > 0]
    if not len(found):
        raise GeometryError(
            "no camera stands in the air that was found",
            field="depth",
            mend="check the unit of the depth and the poses",
        )
    keep = np.isin(air, found)
    return np.where((field > 0) & ~keep, -0.5 * box.voxel, field).astype(np.float32)
