"""A scene in Steam Audio's terms: its axes, its winding, its three bands, its air."""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.acoustics.backends.steam_library import Session
from piavas.acoustics.backends.steam_structs import (
    BANDS,
    SCENE_DEFAULT,
    Material,
    SceneSettings,
    StaticMeshSettings,
    Vector3,
)
from piavas.scene import OCTAVE_BANDS, Scene

SPEED = 340.0
"""Steam Audio's speed of sound, m/s; it cannot be set."""
EDGES = np.array([800.0, 8000.0])
"""Hertz, between its three bands (`bands.cpp`)."""
SCATTERING_BANDS = slice(2, 7)  # 250 Hz to 4 kHz
AIR = np.array([0.0002, 0.0017, 0.0182])
"""Energy attenuation of its default air, 1/m (`air_absorption.cpp`)."""
SIDES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
"""World (x, y, z up) to its axes (+x right, +y up, -z ahead): the world's +x is ahead, so that its
ambisonics (x ahead, y left, z up) come out in the world's own axes. A rotation: winding stays."""


def band_weights() -> NDArray[np.float64]:
    """Share `[3, 9]` of each octave band in each of the three bands; rows sum to 1.

    An octave band counts by the part of it, in octaves, that lies in the band: the 1 kHz octave
    (707 to 1414 Hz) is split 18 : 82 at 800 Hz, the 8 kHz octave in halves.
    """
    octave = np.log2(np.array(OCTAVE_BANDS))
    edges = np.log2(np.concatenate([[OCTAVE_BANDS[0] / 2], EDGES, [2 * OCTAVE_BANDS[-1]]]))
    low = np.maximum(octave[None] - 0.5, edges[:-1, None])
    high = np.minimum(octave[None] + 0.5, edges[1:, None])
    overlap = np.maximum(high - low, 0.0)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))


def band_middles() -> NDArray[np.float64]:
    """Geometric middles `[3]` of the three bands, hertz; the outer ones end with the octaves."""
    edges = np.concatenate([[OCTAVE_BANDS[0] / 2**0.5], EDGES, [OCTAVE_BANDS[-1] * 2**0.5]])
    return np.sqrt(edges[:-1] * edges[1:])


def to_steam(points: ArrayLike, scale: float = 1.0) -> NDArray[np.float32]:
    """World points or vectors `[..., 3]` in Steam Audio's axes, times `scale`."""
    turned = np.asarray(points, dtype=np.float64) @ SIDES.T
    return np.ascontiguousarray(scale * turned, dtype=np.float32)


def vector(point: ArrayLike, scale: float = 1.0) -> Vector3:
    """One world point or vector `[3]` as a struct."""
    return Vector3(*(float(x) for x in to_steam(point, scale)))


@dataclass(frozen=True)
class SteamMesh:
    """Arrays as `IPLStaticMeshSettings` wants them.

    Args:
        vertices: `[v, 3]` float32.
        triangles: `[f, 3]` int32, counter-clockwise seen from the air.
        material_index: `[f]` int32.
        materials: `[m, 7]` float32: absorption (3), scattering, transmission (3).
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    material_index: NDArray[np.int32]
    materials: NDArray[np.float32]


def convert(scene: Scene, *, inward: float, scale: float) -> SteamMesh:
    """`scene` for Steam Audio.

    Args:
        scene: the room.
        inward: 1 if its normals point into the air, else -1.
        scale: of lengths; `SPEED` / c makes sound travel at c, as only times count.
    """
    weights = band_weights()
    rows = [
        np.concatenate(
            [
                weights @ m.absorption,
                [float(m.scattering[SCATTERING_BANDS].mean())],
                weights @ m.transmission,
            ]
        )
        for m in scene.materials
    ]
    faces = scene.faces if inward > 0 else scene.faces[:, ::-1]
    return SteamMesh(
        to_steam(scene.vertices, scale),
        np.ascontiguousarray(faces, dtype=np.int32),
        np.ascontiguousarray(scene.face_material, dtype=np.int32),
        np.ascontiguousarray(rows, dtype=np.float32),
    )


def _address(array: NDArray) -> int:
    return int(array.ctypes.data)


def put(session: Session, mesh: SteamMesh) -> c.c_void_p:
    """A committed scene that holds `mesh`, for the life of `session`.

    Raises:
        SimulationError: the library refuses it.
    """
    assert mesh.materials.shape[1] * 4 == c.sizeof(Material) == 4 * (2 * BANDS + 1)
    scene = session.create("Scene", session.phonon.context, SceneSettings(type=SCENE_DEFAULT))
    settings = StaticMeshSettings(
        numVertices=len(mesh.vertices),
        numTriangles=len(mesh.triangles),
        numMaterials=len(mesh.materials),
        vertices=_address(mesh.vertices),
        triangles=_address(mesh.triangles),
        materialIndices=_address(mesh.material_index),
        materials=_address(mesh.materials),
    )
    static = session.create("StaticMesh", scene, settings)
    session.phonon.StaticMeshAdd(static, scene)
    session.phonon.SceneCommit(scene)
    return scene
