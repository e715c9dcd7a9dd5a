"""Rays from the source, bounce by bounce, kept as a cache of path segments for every listener.

Each ray carries a share of the source's energy. At a surface it loses what the material absorbs
and goes on either mirrored or in a Lambert direction (`piavas.acoustics.bounce`).

Rays come in independent batches, so that their spread tells the error of everything made of them.
With age they are thinned by Russian roulette: ear and echogram resolve time in proportion to age,
so that of rays older than `FULL` metres only the share `FULL` over age lives on, each standing for
correspondingly more. That keeps the mean, and the number of rays in the window of resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.bounce import BANDS, bounce_rays
from piavas.acoustics.patches import Patches, face_normals
from piavas.rays import RayCaster
from piavas.scene import Scene, Source

CUT = 1e-8  # a ray ends when every band has lost 80 dB
FULL = 70.0  # metres that rays travel before they are thinned: a fifth of a second
OLD = 20.0  # metres after which sound differs little from place to place
BATCHES = 16

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
        weight: `[s]` how many rays the piece stands for, since others of its age were dropped.
        ray: `[s]` index of the ray.
        young: number of segments that start less than `OLD` metres from the source; they lead.
        launch: `[rays, 3]` unit vectors in which the rays left.
        batch: `[rays]` batch of each ray, from 0 to `BATCHES` - 1.
        sequences: `[n, order]` patches met by mirrored-only paths, -1 after their end.
        escaped: share of rays that left the scene.
        mean_free_path: metres between bounces.
    """

    origin: F32
    direction: F32
    length: F32
    travelled: F32
    energy: F32
    weight: F32
    ray: NDArray[np.int32]
    young: int
    launch: F32
    batch: NDArray[np.int16]
    sequences: NDArray[np.int32]
    escaped: float
    mean_free_path: float

    def __len__(self) -> int:
        return len(self.length)

    @property
    def rays(self) -> int:
        """Number of rays traced."""
        return len(self.launch)

    @cached_property
    def space(self) -> float:
        """Cubic metres of the box around the segments."""
        return float(np.ptp(self.origin, axis=0).prod()) if len(self) else 0.0

    @property
    def share(self) -> NDArray[np.float64]:
        """Share `[BATCHES]` of the rays in each batch."""
        return np.bincount(self.batch, minlength=BATCHES) / self.rays

    def join(self, more: Segments) -> Segments:
        """These and `more`, of other rays of the same source, as if traced at once."""
        share = self.rays / (self.rays + more.rays)
        launch = np.concatenate([self.launch, more.launch])
        columns = [
            np.concatenate([getattr(self, name), getattr(more, name)])
            for name in ("origin", "direction", "length", "travelled", "energy", "weight")
        ]
        ray = np.concatenate([self.ray, more.ray + np.int32(self.rays)])
        old = columns[3] >= OLD
        order = np.argsort(old, kind="stable")
        return _arranged(
            [column[order] for column in (*columns, ray)],
            young=int(len(old) - old.sum()),
            launch=launch,
            batch=np.concatenate([self.batch, more.batch]),
            sequences=np.unique(np.concatenate([self.sequences, more.sequences]), axis=0),
            escaped=share * self.escaped + (1 - share) * more.escaped,
            mean_free_path=share * self.mean_free_path + (1 - share) * more.mean_free_path,
        )


def _arranged(columns: list[NDArray], **rest: Any) -> Segments:
    """Segments with points and directions by coordinate, as kernels read them."""
    origin, direction, length, travelled, energy, weight, ray = columns
    return Segments(
        origin=np.asfortranarray(origin),
        direction=np.asfortranarray(direction),
        length=length,
        travelled=travelled,
        energy=energy,
        weight=weight,
        ray=ray,
        **rest,
    )


def launch_directions(rays: int, *seed: int) -> NDArray[np.float64]:
    """Nearly uniform directions `[rays, 3]`: a Fibonacci spiral, jittered and turned at random."""
    generator = np.random.default_rng([*seed, 1])
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
    weight: F32
    hero: NDArray[np.int32]
    pure: NDArray[np.bool_]

    def keep(self, mask: NDArray[np.bool_]) -> _Wave:
        return _Wave(*(value[mask] for value in vars(self).values()))


def _launch(source: Source, rays: int, seed: int, stage: int) -> tuple[_Wave, NDArray[np.int16]]:
    """Rays at the source in `BATCHES` independent batches, and the batch of each."""
    batch = (np.arange(rays) * BATCHES // max(rays, BATCHES)).astype(np.int16)
    sizes = np.bincount(batch)
    ways, heroes = [], []
    for b, size in enumerate(sizes):
        ways.append(launch_directions(size, seed, stage, b))
        heroes.append(np.random.default_rng([seed, stage, b, 2]).permutation(size) % BANDS)
    direction = np.concatenate(ways)
    wave = _Wave(
        ray=np.arange(rays, dtype=np.int32),
        position=np.tile(source.position, (rays, 1)).astype(np.float32),
        direction=direction.astype(np.float32),
        travelled=np.zeros(rays, np.float32),
        energy=source.energy(direction).astype(np.float32),
        ratio=np.ones((rays, BANDS), np.float32),
        weight=np.ones(rays, np.float32),
        hero=np.concatenate(heroes).astype(np.int32),
        pure=np.ones(rays, np.bool_),
    )
    return wave, batch


Columns = tuple[NDArray, ...]


@dataclass
class _Pieces:
    """Columns of `Segments` so far."""

    young: list[Columns]
    old: list[Columns]

    def add(self, wave: _Wave, length: NDArray[np.float64]) -> None:
        """The ways that lie ahead, but those the image sources carry."""
        old = wave.travelled >= OLD
        for rows, pieces in ((~wave.pure & ~old, self.young), (~wave.pure & old, self.old)):
            if rows.any():
                pieces.append(
                    (
                        wave.position[rows],
                        wave.direction[rows],
                        length[rows].astype(np.float32),
                        wave.travelled[rows],
                        wave.energy[rows] * wave.ratio[rows],
                        wave.weight[rows],
                        wave.ray[rows],
                    )
                )

    def segments(self, nothing: _Wave, **rest: Any) -> Segments:
        """All of them, young ones first."""
        w = nothing
        none = (w.position, w.direction, w.travelled, w.travelled, w.energy, w.weight, w.ray)
        columns = [np.concatenate(c) for c in zip(none, *self.young, *self.old, strict=True)]
        return _arranged(columns, young=sum(len(piece[0]) for piece in self.young), **rest)


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
    stage: int = 0,
    normals: NDArray[np.float64] | None = None,
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
        stage: other rays of the same seed.
        normals: `[f, 3]` of the faces, where they are at hand.
    """
    normals = face_normals(scene) if normals is None else normals
    absorption = np.stack([m.absorption for m in scene.materials]).astype(np.float32)
    scattering = np.stack([m.scattering for m in scene.materials]).astype(np.float32)
    wave, batch = _launch(source, rays, seed, stage)
    launch = wave.direction.copy()
    sequence = np.full((rays, max(order, 1)), -1, np.int32)
    key = np.random.default_rng([seed, stage, 3]).integers(2**63, dtype=np.uint64)
    pieces, nothing = _Pieces([], []), wave.keep(np.zeros(rays, np.bool_))
    escaped, lengths, legs = 0, 0.0, 0
    far, bounce = float(np.ptp(scene.vertices, axis=0).sum()), 0
    while len(wave.ray):
        distance, face = caster.closest(wave.position, wave.direction)
        hit = face >= 0
        if bounce:
            pieces.add(wave, np.where(hit, distance, far))
        if not hit.all():
            escaped += int((~hit).sum())
            wave, distance, face = wave.keep(hit), distance[hit], face[hit]
        lengths, legs = lengths + float(distance.sum()), legs + len(distance)
        alive = np.empty(len(wave.ray), np.bool_)
        bounce_rays(
            bounce, key, wave.ray, distance, face, normals, patches.of_face, patches.reflecting,
            patches.material, patches.mirror, absorption, scattering, order, wave.position,
            wave.direction, wave.travelled, wave.energy, wave.ratio, wave.weight, wave.hero,
            wave.pure, sequence, reach, FULL, CUT, alive,
        )  # fmt: skip
        wave = wave if alive.all() else wave.keep(alive)
        bounce += 1
    return pieces.segments(
        nothing,
        launch=launch,
        batch=batch,
        sequences=np.unique(sequence[sequence[:, 0] >= 0], axis=0),
        escaped=escaped / rays,
        mean_free_path=lengths / max(legs, 1),
    )
