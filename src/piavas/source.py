"""Where sound comes from: a place, a direction it faces, and how strong it is to each side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.errors import MaterialError, SimulationError

OCTAVE_BANDS = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
"""Centre frequencies in hertz of the nine octave bands (IEC 61260-1, nominal)."""

Array = NDArray[np.float64]


def band_values(value: ArrayLike, name: str, owner: str) -> Array:
    """`value` as read-only `[9]` in [0, 1]; one value stands for all bands.

    Raises:
        MaterialError: another count, or a value outside [0, 1].
    """
    values = np.asarray(value, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(len(OCTAVE_BANDS), float(values))
    if values.shape != (len(OCTAVE_BANDS),):
        raise MaterialError(
            f"{owner} has {values.size} values",
            field=name,
            mend=f"give one value, or one for each of the {len(OCTAVE_BANDS)} octave bands",
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise MaterialError(f"{owner} leaves [0, 1]", field=name, mend="give values in [0, 1]")
    values.setflags(write=False)
    return values


def as_point(value: ArrayLike, name: str) -> Array:
    """`value` as a finite float64 `[3]`, or a `SimulationError` that names `name`."""
    try:
        point = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        point = np.empty(0)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise SimulationError(
            f"{value!r} is no point", field=name, mend="give three finite numbers in metres"
        )
    return point


def source_of_each(source: ArrayLike, responses: int) -> Array:
    """`source` as `[3]`, or as `[responses, 3]` where it moves."""
    places = np.asarray(source)
    if places.ndim != 2:
        return as_point(source, "source")
    if len(places) != responses:
        raise SimulationError(
            f"{len(places)} sources for {responses} responses",
            field="source",
            mend="give one source, or one for each response",
        )
    return np.stack([as_point(place, f"source[{i}]") for i, place in enumerate(places)])


class Pattern(Protocol):
    """A directivity: `Directivity`, or a measured `piavas.acoustics.directivity.Balloon`."""

    def pressure(self, toward: ArrayLike) -> Array:
        """Pressure re the axis, `[n, 9]`, towards unit vectors `[n, 3]`: x ahead, y left, z up."""


@dataclass(frozen=True)
class Directivity:
    """The cardioid family, band by band: pressure (1 - a) + a cos(angle to the axis).

    Args:
        pattern: a in [0, 1], `[9]` or one value: 0 omnidirectional, 0.5 cardioid, 1 dipole.

    Raises:
        MaterialError: values outside [0, 1].
    """

    pattern: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", band_values(self.pattern, "pattern", "directivity"))

    def pressure(self, toward: ArrayLike) -> Array:
        """See `Pattern`."""
        return 1 - self.pattern + self.pattern * np.asarray(toward, dtype=np.float64)[:, :1]


@dataclass(frozen=True)
class Source:
    """A sound source of unit strength: its free-field pressure on the axis is 1/r.

    Args:
        position: `[3]` metres.
        axis: `[3]` the way it faces; of no effect without a directivity.
        directivity: None for omnidirectional.
        up: `[3]` its upward side; only what of it is square to the axis counts.

    Raises:
        SimulationError: no point, or an axis without length.
    """

    position: Array
    axis: Array = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    directivity: Pattern | None = None
    up: Array = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))

    def __post_init__(self) -> None:
        axis, up = as_point(self.axis, "source.axis"), as_point(self.up, "source.up")
        if not axis.any():
            raise SimulationError("has no length", field="source.axis", mend="give a direction")
        object.__setattr__(self, "position", as_point(self.position, "source"))
        object.__setattr__(self, "axis", axis / np.linalg.norm(axis))
        object.__setattr__(self, "up", up)

    @property
    def frame(self) -> Array:
        """Unit vectors ahead, left and up as rows `[3, 3]`, right-handed.

        Where `up` lies along the axis, the world's axis least along it stands in.
        """
        left = np.cross(self.up, self.axis)
        if np.linalg.norm(left) < 1e-6:
            left = np.cross(np.eye(3)[np.abs(self.axis).argmin()], self.axis)
        left /= np.linalg.norm(left)
        return np.stack([self.axis, left, np.cross(self.axis, left)])

    def pressure(self, directions: ArrayLike) -> Array:
        """Pressure re the axis, `[n, 9]`, towards the unit vectors `[n, 3]`."""
        directions = np.asarray(directions, dtype=np.float64)
        if self.directivity is None:
            return np.ones((len(directions), len(OCTAVE_BANDS)))
        return self.directivity.pressure(directions @ self.frame.T)

    def energy(self, directions: ArrayLike) -> Array:
        """Squared pressure re the axis, `[n, 9]`, towards the unit vectors `[n, 3]`."""
        return self.pressure(directions) ** 2
