"""Measured directivities: balloons of octave-band levels, read from SOFA (AES69)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.acoustics.bands import EXACT_BANDS
from piavas.acoustics.sphere_grid import barycentric
from piavas.errors import SimulationError
from piavas.source import OCTAVE_BANDS, Source

STEP = 3.0  # degrees of the grid that directions are looked up in
FEWEST = 6  # directions
HALF_OCTAVE = 2**0.5
CONVENTION = "FreeFieldDirectivityTF"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Balloon:
    """A directivity measured about a source or a microphone, normalised to 1 on its axis.

    Between directions the pressure runs linearly over the triangle of the three around (the convex
    hull of the measured directions, which is exact for the cardioid family), found once on a grid
    of 3 degrees and bilinear within it. Phase is not kept.

    Args:
        directions: `[n, 3]` unit vectors: x ahead, y left, z up.
        magnitude: `[n, 9]` pressure in each octave band, to any scale.
        name: what it is of.

    Raises:
        SimulationError: wrong shapes, values that are not finite or below 0, too few directions or
            all in one plane, or silence on the axis.
    """

    directions: Array
    magnitude: Array
    name: str = ""

    def __post_init__(self) -> None:
        directions = np.asarray(self.directions, dtype=np.float64)
        magnitude = np.asarray(self.magnitude, dtype=np.float64)
        if directions.ndim != 2 or directions.shape[1] != 3 or not np.isfinite(directions).all():
            raise _bad("directions", f"of shape {directions.shape} are none", "give [n, 3]")
        if magnitude.shape != (len(directions), len(OCTAVE_BANDS)):
            raise _bad("magnitude", f"has shape {magnitude.shape}", "give [directions, 9]")
        if not (np.isfinite(magnitude) & (magnitude >= 0)).all():
            raise _bad("magnitude", "is negative or not finite", "give pressures of 0 or above")
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        if len(directions) < FEWEST or not length.all() or np.linalg.matrix_rank(directions) < 3:
            raise _bad("directions", "do not surround the source", f"give {FEWEST} or more")
        object.__setattr__(self, "directions", directions / length)
        index, weight = barycentric(self.directions, np.array([[1.0, 0.0, 0.0]]))
        axis = np.einsum("qk,qkb->qb", weight, magnitude[index])[0]
        if not (axis > 1e-6 * magnitude.max()).all():
            raise _bad("magnitude", "is silent on the axis", "turn the axis to where it is loud")
        object.__setattr__(self, "magnitude", magnitude / axis)

    @cached_property
    def _grid(self) -> Array:
        """Pressures `[elevation, azimuth, 9]` from -90 and -180 degrees on, azimuth closed."""
        elevation = np.radians(np.linspace(-90, 90, round(180 / STEP) + 1))
        azimuth = np.radians(np.linspace(-180, 180, round(360 / STEP) + 1))
        e, a = np.meshgrid(elevation, azimuth, indexing="ij")
        way = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1)
        index, weight = barycentric(self.directions, way.reshape(-1, 3))
        pressure = np.einsum("qk,qkb->qb", weight, self.magnitude[index])
        return pressure.reshape(*e.shape, len(OCTAVE_BANDS))

    def pressure(self, toward: ArrayLike) -> Array:
        """Pressure re the axis, `[n, 9]`, towards unit vectors `[n, 3]`: x ahead, y left, z up."""
        x, y, z = np.asarray(toward, dtype=np.float64).T
        grid = self._grid
        v = (np.degrees(np.arcsin(np.clip(z, -1, 1))) + 90) / STEP
        u = (np.degrees(np.arctan2(y, x)) + 180) / STEP
        i = np.minimum(v.astype(np.int64), grid.shape[0] - 2)
        j = np.minimum(u.astype(np.int64), grid.shape[1] - 2)
        v, u = (v - i)[:, None], (u - j)[:, None]
        low = (1 - u) * grid[i, j] + u * grid[i, j + 1]
        high = (1 - u) * grid[i + 1, j] + u * grid[i + 1, j + 1]
        return np.asarray((1 - v) * low + v * high)


def _bad(field: str, what: str, mend: str, file: Path | None = None) -> SimulationError:
    return SimulationError(what, field=field, mend=mend, file=file)


def load_directivity(path: str | os.PathLike[str]) -> Balloon:
    """The balloon in a SOFA file of the convention FreeFieldDirectivityTF.

    Several measurements of one direction are averaged in energy; an octave band is the mean energy
    of the frequencies within it. A band without any takes the nearest frequency. The axis is the
    file's SourceView, up its SourceUp.

    Args:
        path: the file.

    Raises:
        SimulationError: no such file, not SOFA, another convention, or a broken balloon.
    """
    path = Path(path)
    if not path.is_file():
        raise SimulationError("no such file", file=path, mend="check the path")
    sofa = _read(path)
    spectra = np.asarray(sofa.Data_Real) + 1j * np.asarray(sofa.Data_Imag)
    frequency = np.atleast_1d(np.asarray(sofa.N, dtype=np.float64))
    if spectra.ndim != 3 or spectra.shape[2] != len(frequency):
        raise _bad("Data.Real", f"has shape {spectra.shape}", "give [m, r, n]", path)
    energy = (np.abs(spectra) ** 2).mean(axis=0)
    directions = _directions(sofa, spectra.shape[1], path)
    try:
        return Balloon(directions, np.sqrt(_in_octaves(energy, frequency)), path.stem)
    except SimulationError as problem:
        raise SimulationError(
            problem.what, file=path, field=problem.field, mend=problem.mend
        ) from None


def _read(path: Path) -> Any:
    import sofar

    try:
        sofa = sofar.read_sofa(str(path), verify=False, verbose=False)
    except (ValueError, OSError, RuntimeError, AttributeError, KeyError) as problem:
        text = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise SimulationError(
            f"cannot be read as SOFA: {text}", file=path, mend="fetch the file anew"
        ) from None
    if sofa.GLOBAL_SOFAConventions != CONVENTION:
        raise _bad(
            "SOFAConventions", f"is {sofa.GLOBAL_SOFAConventions}", f"give {CONVENTION}", path
        )
    return sofa


def _directions(sofa: Any, count: int, path: Path) -> Array:
    """Unit vectors `[r, 3]` to the receivers in the source's own axes."""
    place = np.asarray(sofa.ReceiverPosition, dtype=np.float64)
    place = place[..., 0] if place.ndim == 3 else place
    if place.shape != (count, 3):
        raise _bad("ReceiverPosition", f"has shape {place.shape}", f"give [{count}, 3]", path)
    if str(sofa.ReceiverPosition_Type).lower() == "spherical":
        azimuth, elevation = np.radians(place[:, 0]), np.radians(place[:, 1])
        level = np.cos(elevation)
        place = np.stack(
            [level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=1
        )
    ahead = np.atleast_2d(getattr(sofa, "SourceView", (1, 0, 0)))[0]
    up = np.atleast_2d(getattr(sofa, "SourceUp", (0, 0, 1)))[0]
    frame = Source(np.zeros(3), np.asarray(ahead), up=np.asarray(up)).frame
    return np.asarray(place @ frame.T)


def _in_octaves(energy: Array, frequency: Array) -> Array:
    """`[r, n]` energies at `frequency` `[n]` as means over the octave bands, `[r, 9]`."""
    out = np.empty((len(energy), len(EXACT_BANDS)))
    for b, middle in enumerate(EXACT_BANDS):
        within = (frequency >= middle / HALF_OCTAVE) & (frequency < middle * HALF_OCTAVE)
        if not within.any():
            distance = np.abs(np.log(np.maximum(frequency, 1e-3) / middle))
            within = np.arange(len(frequency)) == distance.argmin()
        out[:, b] = energy[:, within].mean(axis=1)
    return out
