"""Straight ways through walls: what of the sound comes out behind, band by band.

A wall in a mesh of the air has a face on either side and solid between: its share is the geometric
mean of what the two faces' materials transmit, so that the table's transmission loss counts once.
A face that is met alone is a sheet and counts as a wall of its own. The way is not bent, nor the
sound delayed, and the table's value, of a diffuse field, stands for every angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.patches import Patches
from piavas.rays import RayCaster
from piavas.scene import OCTAVE_BANDS, Scene

SKIN = 1e-4  # metres behind a face from which the way goes on
NEAR = 2e-3  # metres by which its end may be missed
SILENT = 1e-8  # share of the energy below which nothing is left

Array = NDArray[np.float64]


@dataclass
class _Walk:
    """Ways that are being walked; all `[n]` but as said.

    Args:
        at: `[n, 3]` metres.
        energy: `[n, 9]` share that is left.
        pending: material of a face behind which the way still is; -1 in free air.
        walls: passed so far.
        state: 0 on its way, 1 arrived, -1 lost.
    """

    at: Array
    energy: Array
    pending: NDArray[np.int64]
    walls: NDArray[np.int64]
    state: NDArray[np.int8]


@dataclass(frozen=True)
class Walls:
    """What lets sound through.

    Args:
        scene: the room.
        patches: its patches.
        caster: its ray caster.
        normals: `[f, 3]` of the faces, into the air; those of a scene that has them the other way
            round are to be turned.
        most: walls that one path may pass.
    """

    scene: Scene
    patches: Patches
    caster: RayCaster
    normals: Array
    most: int

    @cached_property
    def transmission(self) -> Array:
        """`[materials, 9]` share of the incident energy; 0 where no wall may be passed."""
        share = np.stack([material.transmission for material in self.scene.materials])
        return share if self.most else np.zeros_like(share)

    def through(
        self, start: Array, end: Array, walls: NDArray, mirrors: NDArray | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], Array]:
        """Walk the straight ways from `start` `[n, 3]` to `end` `[n, 3]`.

        Args:
            start: metres.
            end: metres.
            walls: `[n]` that each way may still pass.
            mirrors: `[n, k]` patches of which one must be met at the end; None for ends in the air.

        Returns:
            whether each way arrives, how many walls it passed, and `[n, 9]` the share of the
            energy that comes through.
        """
        n = len(start)
        walk = _Walk(
            np.array(start, dtype=np.float64),
            np.ones((n, len(OCTAVE_BANDS))),
            np.full(n, -1),
            np.zeros(n, np.int64),
            np.zeros(n, np.int8),
        )
        for _ in range(2 * self.most + 1):
            row = np.flatnonzero(walk.state == 0)
            if not len(row):
                break
            self._step(walk, row, end[row], walls[row], None if mirrors is None else mirrors[row])
        self._leave(walk, np.flatnonzero((walk.state == 1) & (walk.pending >= 0)))
        good = (walk.state == 1) & (walk.walls <= walls)
        good &= walk.energy.max(axis=1) > SILENT
        return good, walk.walls, walk.energy

    def _step(
        self, walk: _Walk, row: NDArray, end: Array, walls: NDArray, mirrors: NDArray | None
    ) -> None:
        """To the next face, or to the end."""
        way = end - walk.at[row]
        far = np.linalg.norm(way, axis=1)
        ahead = way / np.maximum(far, 1e-12)[:, None]
        lift = np.minimum(SKIN, 0.5 * far)
        distance, face = self.caster.closest(walk.at[row] + lift[:, None] * ahead, ahead)
        distance = distance + lift
        face = np.maximum(face, 0)
        if mirrors is None:
            ends = distance > far - NEAR
            walk.state[row[ends]] = 1
        else:
            ends = np.abs(distance - far) < NEAR
            ends &= (self.patches.of_face[face][:, None] == mirrors).any(axis=1)
            walk.state[row[ends]] = 1
            beyond = ~ends & (distance > far - NEAR)
            walk.state[row[beyond]] = -1
            ends |= beyond
        row, face, ahead, distance = row[~ends], face[~ends], ahead[~ends], distance[~ends]
        walk.at[row] += distance[:, None] * ahead
        self._cross(walk, row, face, (self.normals[face] * ahead).sum(axis=1) < 0)
        lost = (walk.walls[row] > walls[~ends]) | (walk.energy[row].max(axis=1) <= SILENT)
        walk.state[row[lost]] = -1

    def _cross(self, walk: _Walk, row: NDArray, face: NDArray, front: NDArray) -> None:
        """Through faces: into a solid at its front, out of one or through a sheet at its back."""
        material = self.scene.face_material[face].astype(np.int64)
        share = self.transmission
        self._leave(walk, row[front & (walk.pending[row] >= 0)])
        walk.pending[row[front]] = material[front]
        back = row[~front]
        other = walk.pending[back]
        mine = share[material[~front]]
        solid = np.sqrt(mine * share[np.maximum(other, 0)])
        walk.energy[back] *= np.where((other >= 0)[:, None], solid, mine)
        walk.walls[back] += 1
        walk.pending[back] = -1

    def _leave(self, walk: _Walk, row: NDArray) -> None:
        """What was taken for a solid's front was a sheet."""
        walk.energy[row] *= self.transmission[walk.pending[row]]
        walk.walls[row] += 1
        walk.pending[row] = -1
