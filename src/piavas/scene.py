"""The nouns of the whole house. Metres, seconds, hertz; world right-handed with +z up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.errors import GeometryError, MaterialError, SimulationError
from piavas.source import OCTAVE_BANDS, Directivity, Source, as_point, band_values, source_of_each

__all__ = [
    "INFERRED",
    "INVENTED",
    "OBSERVED",
    "OCTAVE_BANDS",
    "OPEN",
    "Directivity",
    "ImpulseResponses",
    "Material",
    "Mesh",
    "Pose",
    "Scene",
    "Source",
    "Trajectory",
    "as_point",
    "as_poses",
    "check_pose",
    "check_triangles",
    "triangle_areas",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """What a surface does to sound in each octave band of `OCTAVE_BANDS`.

    Args:
        name: key of the material.
        absorption: share of the incident energy that is not reflected, `[9]` or one value.
        scattering: share of the reflected energy off the specular direction (ISO 17497-1).
        transmission: share of the incident energy that leaves behind; part of `absorption`.
        source: where the values come from.
        spread: standard deviation of the log odds of the absorption, `[9]`, where it is known how
            sure it is; None where not.

    Raises:
        MaterialError: a value outside [0, 1], a wrong count, or more transmitted than absorbed.
    """

    name: str
    absorption: Array
    scattering: Array = field(default_factory=lambda: np.full(len(OCTAVE_BANDS), 0.1))
    transmission: Array = field(default_factory=lambda: np.zeros(len(OCTAVE_BANDS)))
    source: str = ""
    spread: Array | None = None

    def __post_init__(self) -> None:
        for name in ("absorption", "scattering", "transmission"):
            values = band_values(getattr(self, name), name, f"material {self.name!r}")
            object.__setattr__(self, name, values)
        if self.spread is not None:
            spread = np.asarray(self.spread, dtype=np.float64)
            if (
                spread.shape != (len(OCTAVE_BANDS),)
                or not (np.isfinite(spread) & (spread > 0)).all()
            ):
                raise MaterialError(
                    f"material {self.name!r} has no spread of nine positive values",
                    field="spread",
                    mend="give nine standard deviations of log odds, or none",
                )
            object.__setattr__(self, "spread", spread)
        if (self.transmission > self.absorption + 1e-9).any():
            raise MaterialError(
                f"material {self.name!r} transmits more than it takes from the room",
                field="transmission",
                mend="keep transmission at or below absorption",
            )


def check_pose(matrix: ArrayLike, what: str = "pose") -> Array:
    """`matrix` as a rigid camera-to-world `[4, 4]`, float64.

    Raises:
        SimulationError: another shape, not finite, or its 3x3 part is no rotation.
    """
    pose = np.asarray(matrix, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise SimulationError(
            f"shape {pose.shape} or values are no pose", field=what, mend="give a finite 4x4 matrix"
        )
    turn = pose[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
        raise SimulationError(
            "its 3x3 part is no rotation", field=what, mend="give an orthonormal, right-handed one"
        )
    return pose


@dataclass(frozen=True)
class Pose:
    """Where a head or camera is: a camera-to-world matrix with OpenGL axes.

    +x right, +y up, -z ahead, as nerfstudio writes it; a listener hears along -z.

    Args:
        matrix: `[4, 4]`.
    """

    matrix: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", check_pose(self.matrix))

    @property
    def position(self) -> Array:
        """`[3]` metres."""
        return self.matrix[:3, 3]

    @classmethod
    def at(cls, position: ArrayLike, *, yaw: float = 0.0, pitch: float = 0.0) -> Pose:
        """A level head at `position`; yaw in degrees from +x counter-clockwise, pitch upwards."""
        turn, tilt = np.radians(yaw), np.radians(pitch)
        ahead = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
        right = np.array([np.sin(turn), -np.cos(turn), 0.0])
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([right, np.cross(right, ahead), -ahead], axis=1)
        matrix[:3, 3] = as_point(position, "position")
        return cls(matrix)

    @classmethod
    def looking_at(cls, position: ArrayLike, target: ArrayLike) -> Pose:
        """A head at `position` that faces `target`, without roll."""
        way = as_point(target, "target") - as_point(position, "position")
        yaw = np.degrees(np.arctan2(way[1], way[0]))
        return cls.at(
            position, yaw=yaw, pitch=np.degrees(np.arctan2(way[2], np.hypot(way[0], way[1])))
        )


def as_poses(listeners: Any) -> Array:
    """Listeners as `[listener, 4, 4]`.

    Accepts one or many `Pose`, `[4, 4]` matrices, a `Trajectory`, or positions `[3]` / `[n, 3]`
    (heads that face +x).

    Raises:
        SimulationError: none of these, or none at all.
    """
    if isinstance(listeners, Trajectory):
        return listeners.poses
    if isinstance(listeners, Pose):
        return listeners.matrix[None]
    if isinstance(listeners, Sequence) and listeners and isinstance(listeners[0], Pose):
        return np.stack([pose.matrix for pose in listeners])
    try:
        array = np.asarray(listeners, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size and array.shape[-2:] == (4, 4) and array.ndim in (2, 3):
        array = array.reshape(-1, 4, 4)
        turn = array[:, :3, :3]
        with np.errstate(invalid="ignore"):
            off = np.abs(turn @ turn.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
            good = np.isfinite(array).all(axis=(1, 2)) & (off <= 1e-3) & (np.linalg.det(turn) > 0)
        for i in np.flatnonzero(~good)[:1]:
            check_pose(array[i], f"listeners[{i}]")  # says what is wrong
        return array
    if array.size and array.shape[-1] == 3 and array.ndim in (1, 2):
        points = array.reshape(-1, 3)
        for i in np.flatnonzero(~np.isfinite(points).all(axis=1))[:1]:
            as_point(points[i], f"listeners[{i}]")  # names it
        poses = np.tile(Pose.at((0, 0, 0)).matrix, (len(points), 1, 1))
        poses[:, :3, 3] = points
        return poses
    raise SimulationError(
        "no poses", field="listeners", mend="give Pose objects, 4x4 matrices or points [n, 3]"
    )


@dataclass(frozen=True)
class Trajectory:
    """A moving head.

    Args:
        times: `[n]` seconds, rising.
        poses: `[n, 4, 4]`.
    """

    times: Array
    poses: Array

    def __post_init__(self) -> None:
        times = np.atleast_1d(np.asarray(self.times, dtype=np.float64))
        poses = as_poses(self.poses)
        if times.shape != (len(poses),) or not (np.diff(times) > 0).all():
            raise SimulationError(
                f"{times.size} times for {len(poses)} poses, or times that do not rise",
                field="trajectory.times",
                mend="give one rising time for each pose",
            )
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "poses", poses)


OBSERVED, INFERRED, INVENTED, OPEN = 0, 1, 2, 3
"""How a face came to be: seen by a camera, continued from that, made up to close the room, or made
up where there is nothing, as over a court."""


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Args:
        vertices: `[v, 3]` metres.
        faces: `[f, 3]` vertex indices; the normal (right-hand rule) points into the air.
        origin: `[f]` of OBSERVED, INFERRED, INVENTED, OPEN; None where it is not known.
        report: how it was made: triangles, areas, leak, volume, ... as plain JSON values.

    Raises:
        GeometryError: no faces, wrong shapes, not finite, or an index out of range.
    """

    vertices: Array
    faces: NDArray[np.int32]
    origin: NDArray[np.uint8] | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vertices = np.asarray(self.vertices, dtype=np.float64)
        faces = np.asarray(self.faces, dtype=np.int32)
        check_triangles(vertices, faces)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        if self.origin is not None:
            origin = np.asarray(self.origin, dtype=np.uint8)
            if origin.shape != (len(faces),):
                raise GeometryError("one value a face needed", field="origin", mend="give [f]")
            object.__setattr__(self, "origin", origin)

    @property
    def triangles(self) -> Array:
        """`[f, 3, 3]` corner positions."""
        return self.vertices[self.faces]


def check_triangles(vertices: Array, faces: NDArray[np.int32]) -> None:
    """Raise a `GeometryError` unless these are finite, non-empty, in-range triangles."""
    if (
        vertices.ndim != 2
        or vertices.shape[1:] != (3,)
        or faces.ndim != 2
        or faces.shape[1:] != (3,)
    ):
        raise GeometryError(
            "is no triangle mesh", field="mesh", mend="give vertices [v, 3], faces [f, 3]"
        )
    if not len(faces) or not len(vertices):
        raise GeometryError("has no faces", field="mesh", mend="give a mesh with triangles")
    if not np.isfinite(vertices).all():
        raise GeometryError(
            "has vertices that are not finite", field="mesh", mend="repair the mesh"
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise GeometryError(
            "has faces of vertices that do not exist", field="mesh", mend="repair the mesh"
        )


def triangle_areas(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """`[f]` square metres."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=-1))


@dataclass(frozen=True)
class Scene:
    """A room for sound: triangles, and what each is made of.

    Args:
        vertices: `[v, 3]` metres, +z up.
        faces: `[f, 3]` vertex indices; sound is reflected on both sides.
        face_material: `[f]` index into `materials`.
        materials: the materials.
        origin: `[f]` as in `Mesh`, or None.
        report: how it was made, as plain JSON values.

    Raises:
        GeometryError: as `Mesh`.
        MaterialError: no materials, or a face of a material that does not exist.
    """

    vertices: Array
    faces: NDArray[np.int32]
    face_material: NDArray[np.int32]
    materials: tuple[Material, ...]
    origin: NDArray[np.uint8] | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mesh = Mesh(self.vertices, self.faces, self.origin)
        index = np.asarray(self.face_material, dtype=np.int32)
        materials = tuple(self.materials)
        if not materials or index.shape != (len(mesh.faces),):
            raise MaterialError(
                f"{index.size} assignments for {len(mesh.faces)} faces, {len(materials)} materials",
                field="face_material",
                mend="give one material index a face",
            )
        if index.min() < 0 or index.max() >= len(materials):
            raise MaterialError(
                "a face has a material that does not exist",
                field="face_material",
                mend="check the indices",
            )
        for name, value in (
            ("vertices", mesh.vertices),
            ("faces", mesh.faces),
            ("face_material", index),
            ("materials", materials),
            ("origin", mesh.origin),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def shoebox(
        cls,
        size: ArrayLike,
        *,
        absorption: ArrayLike = 0.1,
        scattering: ArrayLike = 0.1,
    ) -> Scene:
        """A box with one corner at the origin and its walls along +x, +y, +z.

        Args:
            size: `[3]` metres.
            absorption: one value, `[9]`, or `[6, 9]` for the walls x0, x1, y0, y1, floor, ceiling.
            scattering: likewise.
        """
        size = as_point(size, "size")
        if (size <= 0).any():
            raise GeometryError(
                "a box needs three positive sides", field="size", mend="give metres > 0"
            )
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * size
        quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
        faces = [[q[i], q[j], q[k]] for q in quads for i, j, k in ((0, 1, 2), (0, 2, 3))]
        rows = [np.asarray(v, dtype=np.float64) for v in (absorption, scattering)]
        walls = [[v[i] if v.ndim == 2 or v.shape == (6,) else v for i in range(6)] for v in rows]
        names = ("x0", "x1", "y0", "y1", "floor", "ceiling")
        materials = tuple(
            Material(n, a, s, source="given") for n, a, s in zip(names, *walls, strict=True)
        )
        return cls(corners, np.array(faces, np.int32), np.repeat(np.arange(6), 2), materials)

    @property
    def mesh(self) -> Mesh:
        """The geometry alone."""
        return Mesh(self.vertices, self.faces, self.origin, self.report)

    def with_materials(self, materials: Sequence[Material]) -> Scene:
        """The same faces with other materials, index by index."""
        return replace(self, materials=tuple(materials))


@dataclass(frozen=True)
class ImpulseResponses:
    """What one source sounds like at every listener.

    Args:
        samples: `[listener, channel, time]` float32; time 0 is the emission.
        sample_rate: hertz.
        output: `"binaural"` (left, right), `"mono"`, or `"ambisonic-N"` (ambiX: ACN, SN3D,
            axes of the listener: x ahead, y left, z up).
        source: `[3]` metres; `[listener, 3]` where each response has a source of its own, as of a
            source that moves.
        listeners: `[listener, 4, 4]` poses.
        report: options, seeds, convergence and timings, as plain JSON values.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    output: str
    source: Array
    listeners: Array
    report: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        listeners = as_poses(self.listeners)
        if samples.ndim != 3 or len(samples) != len(listeners):
            raise SimulationError(
                f"samples {samples.shape} for {len(listeners)} listeners",
                field="samples",
                mend="give [listener, channel, time]",
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "source", source_of_each(self.source, len(samples)))
        object.__setattr__(self, "listeners", listeners)

    def __len__(self) -> int:
        return len(self.samples)
