"""What hangs before a wall: curtains, blinds and screens are sheets, with air behind them.

Views from the room see the front of a curtain and nothing of the few centimetres behind, which
would be taken for solid like the inside of a cupboard. Both sides of a curtain absorb. So what was
seen to stand that near before a wall is taken for a sheet. Where its rims were seen to be closed,
as those of a chimney breast, the air behind it holds no camera and is filled again.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
FARTHEST = 0.16  # metres from a wall to the front of what hangs before it
THICK, LEAST = 1.2, 0.3  # voxels of a sheet, and of the air behind it
NONE = 32_000


def behind_sheets(contents: F32, wall: F32, weight: F32, voxel: float) -> F32:
    """`contents` with the air behind sheets.

    Args:
        contents: `[x, y, z]` metres, positive in air, as seen or guessed.
        wall: `[x, y, z]` metres to the closed shell, positive inside.
        weight: `[x, y, z]` how much was seen of each place.
        voxel: metres.
    """
    out = contents.copy()
    for axis in (0, 1):
        for way in (1, -1):
            inner, shell, seen, target = (
                np.moveaxis(a, axis, 0)[::way] for a in (contents, wall, weight, out)
            )
            front = _fronts(inner, shell, seen, voxel, FARTHEST)
            _open(front, inner, shell, target, voxel, THICK * voxel, LEAST * voxel)
    return out


@njit(cache=True)
def _fronts(contents, wall, weight, voxel, farthest):  # type: ignore[no-untyped-def]
    """Index `[x, y, z]` of the first voxel before each sheet, for all from the wall to beyond it.

    Walls lie across the first axis, the room on the side of rising coordinates.
    """
    nx, ny, nz = contents.shape
    most = int(np.ceil(farthest / voxel)) + 2
    out = np.full(contents.shape, NONE, np.int16)
    for i in range(1, nx):
        for j in range(ny):
            for k in range(nz):
                if wall[i, j, k] <= 0 or wall[i - 1, j, k] > 0:
                    continue
                begin = voxel * wall[i, j, k] / (wall[i, j, k] - wall[i - 1, j, k])
                end = i
                while end < nx and contents[end, j, k] <= 0 and end - i < most:
                    end += 1
                if end in (i, nx) or contents[end, j, k] <= 0:
                    continue
                if weight[end, j, k] <= 0 or weight[end - 1, j, k] <= 0:
                    continue
                inner, outer = contents[end - 1, j, k], contents[end, j, k]
                front = begin + voxel * (end - 1 - i - inner / (outer - inner))
                if front <= farthest:
                    out[i : min(nx, i + most), j, k] = end
    return out


@njit(cache=True)
def _open(front, contents, wall, out, voxel, thick, least):  # type: ignore[no-untyped-def]
    """Air between walls and sheets, a voxel behind the front of each place and those beside it."""
    nx, ny, nz = contents.shape
    for i in range(1, nx):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                if front[i, j, k] - 1 <= i or wall[i, j, k] <= 0 or contents[i, j, k] > 0:
                    continue
                if front[i, j, k] == NONE:
                    continue
                covered = True
                for b in range(-1, 2):
                    for c in range(-1, 2):
                        covered &= front[i, j + b, k + c] > i
                if covered:
                    end = front[i, j, k]
                    inner, outer = contents[end - 1, j, k], contents[end, j, k]
                    gap = voxel * (end - 1 - i - inner / (outer - inner)) - thick
                    out[i, j, k] = max(out[i, j, k], min(wall[i, j, k], max(gap, least)))
