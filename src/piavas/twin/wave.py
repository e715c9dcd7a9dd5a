"""Sound as waves, for low frequencies: finite differences in time on the exact air of a scene.

The seven-point leapfrog scheme in its finite-volume form, with locally reacting walls (Bilbao,
Hamilton, Botts, Savioja, "Finite volume time domain room acoustics simulation under general
impedance boundary conditions", IEEE/ACM TASLP 24, 2016):

    (1 + q) p+ = 2 p + lambda^2 sum over open sides (p_side - p) - (1 - q) p-,
    q = lambda / 2 * sum over walled sides of the wall's admittance.

A side of a cell is walled where the way to the next cell's centre meets the mesh, so thin boards
and cloths stand as they do in the scene. Frequencies beyond `HIGHEST` are too short for the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.optimize import brentq

from piavas.errors import SimulationError
from piavas.rays import RayCaster
from piavas.scene import OCTAVE_BANDS, Scene, triangle_areas

Array = NDArray[np.float64]
HIGHEST = 350.0  # hertz
LOWEST = 20.0  # hertz below which the pulse has nothing
WIDTH = 1.1e-3  # seconds of the pulse
SPACING = 0.1  # metres, a tenth of the shortest wave
COURANT = 0.999 / np.sqrt(3)
MEANT = (125.0, 250.0)
"""Octave bands whose absorption the walls are given."""
MOST = (
    0.95  # absorption that a locally reacting wall of real impedance can reach in a diffuse field
)
LONGEST_GRID = 20_000_000  # cells
SIDES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])


def admittance(absorption: float) -> float:
    """Specific admittance of the hard wall with this random-incidence absorption.

    Inverts Paris' integral for a real, locally reacting impedance z (Kuttruff, Room Acoustics,
    section 2.5): alpha = 8/z (1 + 1/(1 + z) - 2/z ln(1 + z)).
    """
    alpha = min(absorption, MOST)
    if alpha <= 1e-6:
        return 0.0
    return float(1 / brentq(lambda z: paris(z) - alpha, 1.57, 1e8))


def paris(z: float) -> float:
    """Random-incidence absorption of a specific impedance `z`, real."""
    return float(8 / z * (1 + 1 / (1 + z) - 2 / z * np.log1p(z)))


@dataclass(frozen=True)
class Grid:
    """The air of a scene in cells.

    Args:
        low: `[3]` centre of the first cell of the box that holds them.
        spacing: metres.
        number: `[x, y, z]` index of each cell among those of air, -1 elsewhere.
        sides: `[n, 6]` index of the cell at each side, its own where a wall is between.
        walls: `[n]` sum of the admittances of a cell's walls.
    """

    low: Array
    spacing: float
    number: NDArray[np.int32]
    sides: NDArray[np.int32]
    walls: NDArray[np.float32]

    def near(self, point: Array) -> tuple[NDArray[np.int64], Array]:
        """The eight cells about `point` (-1 where one is no air) and its place among them."""
        at = (point - self.low) / self.spacing
        first = np.floor(at).astype(int)
        corners = first + np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        inside = ((corners >= 0) & (corners < self.number.shape)).all(axis=1)
        cells = np.full(8, -1, np.int64)
        cells[inside] = self.number[tuple(corners[inside].T)]
        if (cells < 0).all():
            raise SimulationError(
                f"{np.round(point, 3).tolist()} is not in the air",
                field="point",
                mend="move it into the room",
            )
        return cells, at - first

    def probe(self, point: Array) -> tuple[NDArray[np.int64], Array]:
        """Cells `[8]` and weights `[4, 8]` that give pressure and its gradient at `point`."""
        cells, part = self.near(point)
        ends = np.stack([1 - part, part], axis=1)
        slopes = np.array([-1.0, 1.0]) / self.spacing
        weights = np.empty((4, 8))
        for k in range(4):
            lines = [slopes if k == axis + 1 else ends[axis] for axis in range(3)]
            weights[k] = np.einsum("i,j,k->ijk", *lines).ravel()
        air = cells >= 0
        weights[0] *= air
        weights[0] /= weights[0].sum()
        # Next to a wall the missing cell mirrors the one across: no slope along that line.
        for axis in range(3):
            mate = np.arange(8) ^ (4 >> axis)
            weights[axis + 1] *= air & air[mate]
        return np.where(air, cells, 0), weights


def make_grid(scene: Scene, inside: Array, spacing: float = SPACING) -> Grid:
    """Cells of the body of air that the point `inside` lies in.

    Raises:
        SimulationError: so fine a grid of so large a scene, or `inside` is not in the air.
    """
    low, high = scene.vertices.min(axis=0) + spacing / 2, scene.vertices.max(axis=0)
    shape = np.ceil((high - low) / spacing - 1e-6).astype(int) + 1
    if shape.prod() > LONGEST_GRID:
        raise SimulationError(
            f"{shape.prod()} cells are too many", field="spacing", mend="take larger cells"
        )
    blocked, wall = _walls(scene, low, shape, spacing)
    body = _body(blocked, low, inside, spacing)
    number = np.where(body, np.cumsum(body).reshape(body.shape) - 1, -1).astype(np.int32)
    places = np.argwhere(body)
    sides = np.empty((len(places), 6), np.int32)
    for k, step in enumerate(SIDES):
        there = np.clip(places + step, 0, shape - 1)
        shut = blocked[k][body]
        sides[:, k] = np.where(shut, number[body], number[tuple(there.T)])
    face = np.stack([wall[k][body] for k in range(6)], axis=1)
    return Grid(low, spacing, number, sides, _admittances(scene, face, spacing))


def _walls(
    scene: Scene, low: Array, shape: NDArray[np.int64], spacing: float
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """`[6, x, y, z]`: whether a side is walled, and by which face (-1 by none)."""
    caster = RayCaster(scene.vertices, scene.faces)
    centres = low + spacing * np.moveaxis(np.indices(tuple(shape)), 0, -1)
    wall = np.full((6, *shape), -1, np.int32)
    for k, step in enumerate(SIDES):
        flat = centres.reshape(-1, 3)
        way = np.broadcast_to(step.astype(float), flat.shape)
        distance, face = caster.closest(flat, way)
        wall[k] = np.where(distance <= spacing, face, -1).reshape(tuple(shape))
    blocked = wall >= 0
    for k in range(0, 6, 2):
        axis = k // 2
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        # A wall is one from both of its sides, rounding or not.
        both = blocked[k][tuple(behind)] | blocked[k + 1][tuple(ahead)]
        blocked[k][tuple(behind)] = blocked[k + 1][tuple(ahead)] = both
        ahead[axis], behind[axis] = slice(-1, None), slice(None, 1)
        blocked[k][tuple(ahead)] = blocked[k + 1][tuple(behind)] = True
    return blocked, wall


def _body(
    blocked: NDArray[np.bool_], low: Array, inside: Array, spacing: float
) -> NDArray[np.bool_]:
    """Cells that are joined to that of `inside` by open sides."""
    # Cells at even places of a grid twice as fine, the sides between them at odd ones.
    shape = blocked.shape[1:]
    fine = np.zeros([2 * s - 1 for s in shape], bool)
    fine[::2, ::2, ::2] = True
    fine[1::2, ::2, ::2] = ~blocked[0][:-1]
    fine[::2, 1::2, ::2] = ~blocked[2][:, :-1]
    fine[::2, ::2, 1::2] = ~blocked[4][:, :, :-1]
    parts = label(fine)[0][::2, ::2, ::2]
    at = np.clip(np.round((inside - low) / spacing).astype(int), 0, np.array(shape) - 1)
    return np.asarray(parts == parts[tuple(at)])


def _admittances(scene: Scene, face: NDArray[np.int32], spacing: float) -> NDArray[np.float32]:
    """`[n]` sums over walled sides `[n, 6]`; stairs larger than a material's area count as it does.

    Never more: area in gaps that the grid does not resolve is heard no better by low frequencies.
    """
    bands = [OCTAVE_BANDS.index(band) for band in MEANT]
    true = triangle_areas(scene.vertices, scene.faces)
    per = np.zeros(len(scene.materials))
    material = np.where(face >= 0, scene.face_material[face], -1)
    for k, row in enumerate(scene.materials):
        stairs = spacing**2 * (material == k).sum()
        if stairs:
            scale = true[scene.face_material == k].sum() / stairs
            per[k] = admittance(float(row.absorption[bands].mean())) * min(scale, 1.0)
    values = np.where(material >= 0, per[material], 0.0)
    return np.asarray(values.sum(axis=1), dtype=np.float32)


@njit(cache=True)
def _march(sides, loss, drive, at, share, cells, weights, courant, out):  # type: ignore[no-untyped-def]
    """Leapfrog from rest; `out[l, 4, t]` takes what the probes read before each step."""
    n = loss.size
    now, before = np.zeros(n, np.float32), np.zeros(n, np.float32)
    square = np.float32(courant**2)
    middle = np.float32(2 - 6 * courant**2)
    one = np.float32(1)
    for t in range(drive.size):
        for probe in range(cells.shape[0]):
            for k in range(4):
                total = 0.0
                for i in range(8):
                    total += weights[probe, k, i] * now[cells[probe, i]]
                out[probe, k, t] = total
        for i in range(n):
            around = (
                now[sides[i, 0]]
                + now[sides[i, 1]]
                + now[sides[i, 2]]
                + now[sides[i, 3]]
                + now[sides[i, 4]]
                + now[sides[i, 5]]
            )
            q = loss[i]
            before[i] = (middle * now[i] + square * around - (one - q) * before[i]) / (one + q)
        for i in range(8):
            before[at[i]] += share[i] * drive[t] / (one + loss[at[i]])
        now, before = before, now


@dataclass(frozen=True)
class WaveField:
    """What one source does to the air at low frequencies.

    Args:
        samples: `[listener, 4, time]` pressure and its gradient along x, y, z, of a source whose
            free field is 1/r, band-limited to `LOWEST` to `HIGHEST`.
        sample_rate: hertz.
        speed: of sound, m/s.
    """

    samples: Array
    sample_rate: float
    speed: float

    @cached_property
    def seconds(self) -> float:
        """Length."""
        return self.samples.shape[2] / self.sample_rate


def solve(
    grid: Grid, source: Array, points: Array, *, seconds: float, speed: float = 343.2
) -> WaveField:
    """Let a unit point source sound in `grid` and listen at `points` `[l, 3]`.

    Raises:
        SimulationError: the source or a point is not in the air.
    """
    rate = speed / (COURANT * grid.spacing)
    count = round(seconds * rate)
    # What arrives last is heard only when the whole pulse has arrived.
    drive = pulse(np.arange(count + int(10 * WIDTH * rate)) / rate)
    out = driven(grid, source, points, drive)
    return WaveField(_undriven(out, drive, rate)[..., :count], rate, speed)


def driven(grid: Grid, source: Array, points: Array, drive: Array) -> NDArray[np.float32]:
    """Pressure and its gradient `[l, 4, t]` when the source's free field is drive(t - r/c) / r."""
    at, weight = grid.probe(source)
    # The wave equation with 4 pi delta(x) s(t) on its right has the free field s(t - r/c) / r.
    strength = 4 * np.pi * COURANT**2 / grid.spacing * weight[0]
    probes = [grid.probe(point) for point in points]
    out = np.zeros((len(points), 4, drive.size), np.float32)
    _march(
        grid.sides,
        (COURANT / 2 * grid.walls).astype(np.float32),
        drive.astype(np.float32),
        at,
        strength.astype(np.float32),
        np.stack([cells for cells, _ in probes]),
        np.stack([weights for _, weights in probes]).astype(np.float32),
        COURANT,
        out,
    )
    return out


def pulse(time: Array) -> Array:
    """The slope of a Gaussian: without a mean, which would pump air into a closed room."""
    t = time / WIDTH - 5
    return np.asarray(-t * np.exp(-0.5 * t**2))


def _undriven(out: NDArray[np.float32], drive: Array, rate: float) -> Array:
    """Responses to a unit impulse from those to `drive`, in the band of `band_window`."""
    # A second more, in which what the lower edge rings after the end dies away and comes not round.
    size = 2 * drive.size + round(rate)
    f = np.fft.rfftfreq(size, 1 / rate)
    spectrum = np.fft.rfft(drive, size)
    window = band_window(f)
    sounds = np.abs(window) > 0
    gain = np.where(sounds, window / np.where(sounds, spectrum, 1), 0)
    return np.asarray(np.fft.irfft(np.fft.rfft(out, size) * gain, size)[..., : drive.size])


def band_window(f: NDArray[np.floating]) -> NDArray[np.complex128]:
    """About 1 from `LOWEST` to above `HIGHEST`, 0 outside.

    The lower edge is a causal high-pass (Butterworth, second order at half of `LOWEST`): without
    phase, its slow swell would come tens of milliseconds before the sound.
    """
    high = np.clip((1.6 * HIGHEST - f) / (0.5 * HIGHEST), 0, 1)
    s = 2j * f / LOWEST
    return np.asarray(s**2 / (s**2 + np.sqrt(2) * s + 1) * np.sin(0.5 * np.pi * high) ** 2)
