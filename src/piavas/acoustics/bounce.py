"""What a surface does to rays: it takes energy, and sends them on mirrored or scattered.

Scattering differs between octave bands but a ray can only go one way: it follows a hero band drawn
per ray, and the other bands are weighted by the balance heuristic over hero bands, which keeps
every weight at or below nine and every band unbiased (Wilkie et al., "Hero wavelength spectral
sampling", 2014, for the same problem in light).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from piavas.scene import OCTAVE_BANDS

BANDS = len(OCTAVE_BANDS)
LIFT = 1e-4  # metres a bounced ray starts off its surface


@njit(inline="always")
def _uniform(seed: np.uint64, ray: int, draw: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments (SplitMix64)."""
    z = (
        seed
        + np.uint64(ray) * np.uint64(0xD1342543DE82EF95)
        + np.uint64(draw + 1) * np.uint64(0x9E3779B97F4A7C15)
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0


@njit(inline="always")
def _lambert(nx: float, ny: float, nz: float, u: float, v: float) -> tuple[float, float, float]:
    """A cosine-distributed direction about the unit normal."""
    r, phi = np.sqrt(u), 2 * np.pi * v
    sign = 1.0 if nz >= 0 else -1.0  # Duff et al., "Building an orthonormal basis, revisited"
    a = -1.0 / (sign + nz)
    b = nx * ny * a
    x, y, z = r * np.cos(phi), r * np.sin(phi), np.sqrt(max(0.0, 1.0 - u))
    return (
        x * (1 + sign * nx * nx * a) + y * b + z * nx,
        x * sign * b + y * (sign + ny * ny * a) + z * ny,
        -x * sign * nx - y * ny + z * nz,
    )


@njit(inline="always")
def _mirrored(dx: float, dy: float, dz: float, n) -> tuple[float, float, float]:  # type: ignore[no-untyped-def]
    """The direction mirrored in the plane of unit normal `n` `[3]`."""
    along = 2 * (n[0] * dx + n[1] * dy + n[2] * dz)
    return dx - along * n[0], dy - along * n[1], dz - along * n[2]


@njit(cache=True, error_model="numpy")
def bounce_rays(  # type: ignore[no-untyped-def]
    bounce, seed, ray, distance, face, face_normal, face_patch, reflecting, patch_material,
    patch_mirror, absorption, scattering, order, position, direction, travelled, energy, ratio,
    weight, hero, pure, sequence, reach, full, cut, alive,
):  # fmt: skip
    """One interaction of every ray that lives, in place; arguments are the columns of a wave.

    Beyond `full` metres a ray that is not a mirror path yet lives on with the chance that its
    `weight`, kept at travelled / full, asks for.
    """
    bands = energy.shape[1]
    for i in range(ray.shape[0]):
        patch = face_patch[face[i]]
        material = patch_material[patch]
        g = face_normal[face[i]]
        dx, dy, dz = float(direction[i, 0]), float(direction[i, 1]), float(direction[i, 2])
        facing = -1.0 if g[0] * dx + g[1] * dy + g[2] * dz > 0 else 1.0
        nx, ny, nz = facing * g[0], facing * g[1], facing * g[2]
        scatter = _uniform(seed, ray[i], 4 * bounce) < scattering[material, hero[i]]
        if scatter:
            u, v = _uniform(seed, ray[i], 4 * bounce + 1), _uniform(seed, ray[i], 4 * bounce + 2)
            tx, ty, tz = _lambert(nx, ny, nz, u, v)
        else:
            tx, ty, tz = _mirrored(dx, dy, dz, reflecting[patch])
            if tx * nx + ty * ny + tz * nz <= 0:
                tx, ty, tz = _mirrored(dx, dy, dz, g)
        mean = 0.0
        for b in range(bands):
            s = scattering[material, b]
            ratio[i, b] *= s if scatter else 1 - s
            mean += ratio[i, b]
        scale = np.float32(bands / mean)
        loudest = np.float32(0)
        for b in range(bands):
            ratio[i, b] *= scale
            energy[i, b] *= 1 - absorption[material, b]
            loudest = max(loudest, energy[i, b])
        position[i, 0] += distance[i] * dx + LIFT * nx
        position[i, 1] += distance[i] * dy + LIFT * ny
        position[i, 2] += distance[i] * dz + LIFT * nz
        direction[i, 0], direction[i, 1], direction[i, 2] = tx, ty, tz
        travelled[i] += distance[i]
        pure[i] = pure[i] and not scatter and patch_mirror[patch] and bounce < order
        if pure[i]:
            sequence[ray[i], bounce] = patch
        alive[i] = loudest > cut and travelled[i] < reach
        if not pure[i] and travelled[i] > full:
            wanted = travelled[i] / full
            alive[i] &= _uniform(seed, ray[i], 4 * bounce + 3) * wanted < weight[i]
            weight[i] = wanted
