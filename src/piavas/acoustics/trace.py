"""Rays from the source, bounce by bounce, kept as a cache of path segments for every listener.

Each ray carries a share of the source's energy. At a surface it loses what the material absorbs
and goes on either mirrored or in a Lambert direction. Scattering differs between octave bands but
a ray can only go one way: it follows a hero band drawn per ray, and the other bands are weighted
by the balance heuristic over hero bands, which keeps every weight at or below nine and every band
unbiased (Wilkie et al., "Hero wavelength spectral sampling", 2014, for the same problem in light).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from piavas.acoustics.patches import Patches, face_normals
from piavas.rays import RayCaster
from piavas.scene import OCTAVE_BANDS, Scene, Source

BANDS = len(OCTAVE_BANDS)
CUT = 1e-8  # a ray ends when every band has lost 80 dB
LIFT = 1e-4  # metres a bounced ray starts off its surface

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Segments:
    """Straight pieces of ray paths after their first bounce, without air absorption.

    Args:
        origin: `[s, 3]` metres.
        direction: `[s, 3]` unit vectors.
        length: `[s]` metres.
        travelled: `[s]` metres from the source to `origin`.
        energy: `[s, 9]` share of the ray's energy that is left in each band.
        ray: `[s]` index of the ray.
        rays: number of rays traced.
        sequences: `[n, order]` patches met by mirrored-only paths, -1 after their end.
        escaped: share of rays that left the scene.
        mean_free_path: metres between bounces.
    """

    origin: F32
    direction: F32
    length: F32
    travelled: F32
    energy: F32
    ray: NDArray[np.int32]
    rays: int
    sequences: NDArray[np.int32]
    escaped: float
    mean_free_path: float

    def __len__(self) -> int:
        return len(self.length)


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
def _lambert(n: NDArray, u: float, v: float, out: NDArray) -> None:
    """A cosine-distributed direction about the unit normal `n`, into `out`."""
    r, phi = np.sqrt(u), 2 * np.pi * v
    sign = 1.0 if n[2] >= 0 else -1.0  # Duff et al., "Building an orthonormal basis, revisited"
    a = -1.0 / (sign + n[2])
    b = n[0] * n[1] * a
    x, y, z = r * np.cos(phi), r * np.sin(phi), np.sqrt(max(0.0, 1.0 - u))
    out[0] = x * (1 + sign * n[0] * n[0] * a) + y * b + z * n[0]
    out[1] = x * sign * b + y * (sign + n[1] * n[1] * a) + z * n[1]
    out[2] = -x * sign * n[0] - y * n[1] + z * n[2]


@njit(parallel=True, cache=True)
def _bounce(  # type: ignore[no-untyped-def]
    bounce, seed, ray, distance, face, face_normal, face_patch, patch_normal, patch_material,
    patch_mirror, absorption, scattering, order, position, direction, travelled, energy, ratio,
    hero, pure, sequence, reach, alive,
):  # fmt: skip
    """One interaction of every ray that lives, in place."""
    for i in prange(ray.shape[0]):
        patch = face_patch[face[i]]
        material = patch_material[patch]
        g = face_normal[face[i]]
        p = patch_normal[patch]
        facing = (
            -1.0
            if g[0] * direction[i, 0] + g[1] * direction[i, 1] + g[2] * direction[i, 2] > 0
            else 1.0
        )
        n = np.empty(3)
        for k in range(3):
            position[i, k] += distance[i] * direction[i, k]
            n[k] = facing * g[k]
        travelled[i] += distance[i]
        turn = np.empty(3)
        scatter = _uniform(seed, ray[i], 4 * bounce) < scattering[material, hero[i]]
        if scatter:
            _lambert(
                n,
                _uniform(seed, ray[i], 4 * bounce + 1),
                _uniform(seed, ray[i], 4 * bounce + 2),
                turn,
            )
        else:
            along = p[0] * direction[i, 0] + p[1] * direction[i, 1] + p[2] * direction[i, 2]
            for k in range(3):
                turn[k] = direction[i, k] - 2 * along * p[k]
            if turn[0] * n[0] + turn[1] * n[1] + turn[2] * n[2] <= 0:
                along = g[0] * direction[i, 0] + g[1] * direction[i, 1] + g[2] * direction[i, 2]
                for k in range(3):
                    turn[k] = direction[i, k] - 2 * along * g[k]
        mean = 0.0
        for b in range(energy.shape[1]):
            s = scattering[material, b]
            ratio[i, b] *= s if scatter else 1.0 - s
            mean += ratio[i, b]
        mean /= energy.shape[1]
        loudest = 0.0
        for b in range(energy.shape[1]):
            ratio[i, b] /= mean
            energy[i, b] *= 1.0 - absorption[material, b]
            loudest = max(loudest, energy[i, b])
        for k in range(3):
            direction[i, k] = turn[k]
            position[i, k] += LIFT * n[k]
        pure[i] = pure[i] and not scatter and patch_mirror[patch] and bounce < order
        if pure[i]:
            sequence[ray[i], bounce] = patch
        alive[i] = loudest > CUT and travelled[i] < reach


def launch_directions(rays: int, seed: int) -> NDArray[np.float64]:
    """Nearly uniform directions `[rays, 3]`: a Fibonacci spiral, jittered and turned at random."""
    generator = np.random.default_rng([seed, 1])
    i = np.arange(rays) + generator.random(rays)
    z = 1 - 2 * i / rays
    phi = (np.arange(rays) * (np.pi * (3 - np.sqrt(5)))) % (2 * np.pi)
    r = np.sqrt(np.maximum(0, 1 - z * z))
    spiral = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    return np.asarray(spiral @ turn.T)


@dataclass
class _Wave:
    """The state of the rays that live."""

    ray: NDArray[np.int32]
    position: F32
    direction: F32
    travelled: F32
    energy: F32
    ratio: F32
    hero: NDArray[np.int32]
    pure: NDArray[np.bool_]

    def keep(self, mask: NDArray[np.bool_]) -> _Wave:
        return _Wave(*(value[mask] for value in vars(self).values()))


def _launch(source: Source, rays: int, seed: int) -> _Wave:
    direction = launch_directions(rays, seed)
    hero = np.random.default_rng([seed, 2]).permutation(rays).astype(np.int32) % BANDS
    return _Wave(
        ray=np.arange(rays, dtype=np.int32),
        position=np.tile(source.position, (rays, 1)).astype(np.float32),
        direction=direction.astype(np.float32),
        travelled=np.zeros(rays, np.float32),
        energy=source.energy(direction).astype(np.float32),
        ratio=np.ones((rays, BANDS), np.float32),
        hero=hero.astype(np.int32),
        pure=np.ones(rays, np.bool_),
    )


def _pieces(wave: _Wave, length: NDArray[np.float64]) -> tuple[NDArray, ...]:
    """Columns of `Segments` for the ways that lie ahead, but those the image sources carry."""
    kept = ~wave.pure
    return (
        wave.position[kept],
        wave.direction[kept],
        length[kept].astype(np.float32),
        wave.travelled[kept],
        (wave.energy * wave.ratio)[kept],
        wave.ray[kept],
    )


def trace(
    scene: Scene,
    patches: Patches,
    caster: RayCaster,
    source: Source,
    *,
    rays: int,
    reach: float,
    order: int,
    seed: int,
) -> Segments:
    """Trace `rays` rays from `source`.

    Pieces that mirrored-only paths of up to `order` bounces off mirrors run are left out: the
    image sources carry them. So is the way to the first bounce: the direct sound carries that.

    Args:
        scene: the room.
        patches: its mirrors.
        caster: its ray caster.
        source: where the sound comes from, and how strong to each side.
        rays: how many rays.
        reach: metres after which a path is of no interest.
        order: highest order of mirrored-only paths to leave out.
        seed: the same seed gives the same segments.
    """
    normals = face_normals(scene)
    absorption = np.stack([m.absorption for m in scene.materials])
    scattering = np.stack([m.scattering for m in scene.materials])
    wave = _launch(source, rays, seed)
    sequence = np.full((rays, max(order, 1)), -1, np.int32)
    key = np.random.default_rng([seed, 3]).integers(2**63, dtype=np.uint64)
    pieces = [_pieces(wave.keep(np.zeros(rays, np.bool_)), np.empty(0))]
    escaped, lengths, legs = 0, 0.0, 0
    far, bounce = float(np.ptp(scene.vertices, axis=0).sum()), 0
    while len(wave.ray):
        distance, face = caster.closest(wave.position, wave.direction)
        hit = face >= 0
        if bounce:
            pieces.append(_pieces(wave, np.where(hit, distance, far)))
        escaped += int((~hit).sum())
        if not hit.all():
            wave, distance, face = wave.keep(hit), distance[hit], face[hit]
        lengths, legs = lengths + float(distance.sum()), legs + len(distance)
        alive = np.empty(len(wave.ray), np.bool_)
        _bounce(
            bounce, key, wave.ray, distance, face, normals, patches.of_face, patches.normal,
            patches.material, patches.mirror, absorption, scattering, order, wave.position,
            wave.direction, wave.travelled, wave.energy, wave.ratio, wave.hero, wave.pure,
            sequence, reach, alive,
        )  # fmt: skip
        wave = wave if alive.all() else wave.keep(alive)
        bounce += 1
    origin, ahead, length, travelled, energy, ray = (
        np.concatenate(column) for column in zip(*pieces, strict=True)
    )
    return Segments(
        origin=origin,
        direction=ahead,
        length=length,
        travelled=travelled,
        energy=energy,
        ray=ray,
        rays=rays,
        sequences=np.unique(sequence[sequence[:, 0] >= 0], axis=0),
        escaped=escaped / rays,
        mean_free_path=lengths / max(legs, 1),
    )
