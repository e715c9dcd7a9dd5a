"""Shell and what was seen inside it, combined to one field: positive where there is air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, label

from piavas.errors import GeometryError
from piavas.geometry.fusion import BAND, SURE, Box, Fused
from piavas.geometry.hangs import behind_sheets
from piavas.geometry.shell import Shell, wall_zones

ROUGH = 0.05  # metres of the shell within which what was seen is its noise
DOUBTED = 0.004  # weight of what was seen, of which half is taken from beside it
MATCHED = 0.1  # of a recess that they must have by measured depth, or the rest stays shut
RECESS = 0.35  # metres that a recess is deep at most
HOLE = 0.05  # cubic metres of free space in a wall from which it is a doorway
STEPS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
"""To the six neighbours of a voxel."""
SMALLEST = 0.002  # cubic metres of a solid that hangs in the air unseen from most sides


@dataclass(frozen=True)
class Air:
    """The volume of air.

    Args:
        field: `[x, y, z]` metres, positive in air.
        guessed: `[x, y, z]` where the contents of the shell were inferred, not seen.
    """

    field: NDArray[np.float32]
    guessed: NDArray[np.bool_]


def carve(
    fused: Fused, shell: Shell, box: Box, cameras: NDArray[np.float64], *, sheets: bool = False
) -> Air:
    """The air that the cameras stand in.

    Seen places keep what was seen. An unseen one is what the nearest seen one is, so the inside
    of a sofa is solid and a dark corner is air. Walls between rooms open where views passed them.

    Args:
        fused: the field.
        box: its grid.
        shell: the closed shell.
        cameras: `[n, 3]` positions in the turned frame.
        sheets: whether what hangs before walls has air behind it (`piavas.geometry.hangs`).

    Raises:
        GeometryError: no camera stands in the air.
    """
    inside = shell.distance > 0
    stuff, guessed = _contents(fused, inside, box)
    # Close to the shell its exact planes speak, not the noisy field.
    reach = max(1.5 * box.voxel, ROUGH)
    wall_like = (np.abs(shell.distance) < reach) & (np.abs(stuff) < reach)
    wall_like &= stuff > shell.distance - reach
    inner = np.where(wall_like, BAND * box.voxel, stuff)
    if sheets:
        inner = behind_sheets(inner, shell.distance, fused.weight, box.voxel)
    field = np.minimum(shell.distance, inner)
    field = np.maximum(field, _openings(fused, shell, box))
    return Air(_component(_tidy(field, box), box, cameras), guessed & inside)


def _contents(
    fused: Fused, inside: NDArray[np.bool_], box: Box
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Signed distance to furniture, and where it is a guess."""
    full = BAND * box.voxel
    filled = np.full(box.shape, -full, np.float32)
    guessed = np.zeros(box.shape, bool)
    _fill(fused.distance, fused.weight, fused.free, inside, full, filled, guessed)
    # Borders between guesses are steps, and what was seen from afar alone has the sensor's noise.
    smooth = gaussian_filter(filled, 1.0, truncate=2.0)
    sure = fused.weight / (fused.weight + np.float32(DOUBTED))
    sure[(fused.weight == 0) & (fused.free > 0)] = 1
    return smooth + sure * (filled - smooth), guessed


@njit(cache=True)
def _fill(distance, weight, free, inside, full, filled, guessed):  # type: ignore[no-untyped-def]
    """Seen values as they are, others inside the shell like the nearest seen one (by steps)."""
    nx, ny, nz = distance.shape
    wave = np.empty((inside.sum() + 1, 3), np.int32)
    first, last = 0, 0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if weight[i, j, k] > 0 or free[i, j, k] > 0:
                    filled[i, j, k] = distance[i, j, k]
                else:
                    guessed[i, j, k] = inside[i, j, k]
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                if not guessed[i, j, k]:
                    continue
                total, count = 0.0, 0
                for di, dj, dk in STEPS:
                    a, b, c = i + di, j + dj, k + dk
                    if weight[a, b, c] > 0 or free[a, b, c] > 0:
                        total += distance[a, b, c]
                        count += 1
                if count:
                    filled[i, j, k] = full if total > 0 else -full
                    wave[last, 0], wave[last, 1], wave[last, 2] = i, j, k
                    last += 1
    reached = np.zeros(distance.shape, np.bool_)
    for n in range(last):
        reached[wave[n, 0], wave[n, 1], wave[n, 2]] = True
    while first < last:
        i, j, k = wave[first]
        first += 1
        for di, dj, dk in STEPS:
            a, b, c = i + di, j + dj, k + dk
            if a < 0 or b < 0 or c < 0 or a >= nx or b >= ny or c >= nz:
                continue
            if guessed[a, b, c] and not reached[a, b, c]:
                reached[a, b, c] = True
                filled[a, b, c] = filled[i, j, k]
                wave[last, 0], wave[last, 1], wave[last, 2] = a, b, c
                last += 1


def _openings(fused: Fused, shell: Shell, box: Box) -> NDArray[np.float32]:
    """Seen free space in the walls: doorways between rooms, and recesses with windows in them.

    Where depth was only concluded it takes the plane of some wall, often of one behind the one that
    is there. So it opens nothing but the rest of a recess that was also seen by measured depth.
    """
    columns = (shell.distance > 0).any(axis=2)
    near = distance_transform_edt(~columns) * box.voxel <= RECESS
    high = (box.axis(2) > shell.floor - 0.5 * box.voxel) & (
        box.axis(2) < shell.top + 0.5 * box.voxel
    )
    between = wall_zones(shell, box)[:, :, None] & high
    beside = (near & ~columns)[:, :, None] & high
    zone, sure = between | beside, fused.sure >= SURE
    recess, size = _sizes(beside & ~between & (fused.free >= SURE))
    matched = np.bincount(recess[sure], minlength=len(size))
    through = sure | ((recess > 0) & (matched > MATCHED * size)[recess])
    opened = zone & (through | ((fused.weight > 0) & (fused.distance > 0.5 * box.voxel)))
    hole, size = _sizes(opened)
    real = opened & (size * box.voxel**3 > HOLE)[hole]
    level = np.minimum(fused.distance, box.axis(2) - shell.floor)
    # Its edges lie where they were seen, between voxels.
    rim = zone & binary_dilation(real) & (fused.weight > 0)
    return np.where(real | rim, level, -0.5 * box.voxel).astype(np.float32)


def _sizes(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Piece of `mask` `[x, y, z]` that each voxel is of, 0 for none, and voxels of each piece."""
    piece, count = label(mask)
    return piece, np.bincount(piece.ravel(), minlength=count + 1)


def _tidy(field: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    """Turn small solids that hang in the air to air, and keep values off zero."""
    solid, size = _sizes(field <= 0)
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
