"""A scene as binary glTF: the room coloured by material, the source and the listeners as nodes.

The node `room` carries our axes (+z up) into those of glTF (+y up); below it every position is that
of the scene in metres. Each material is one mesh named after it, whose extras hold its coefficients
and their source. Listener nodes have the axes of their pose: +x right, +y up, -z ahead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.colors import HELD_OUT, SOURCE, material_colors, rgb
from piavas.errors import DataError
from piavas.files import atomic
from piavas.scene import OCTAVE_BANDS, Material, Scene, as_point, as_poses

ROOM = "room"
Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From +z up to +y up."""


def export_gltf(
    scene: Scene,
    path: str | os.PathLike[str],
    *,
    sources: Mapping[str, ArrayLike] | ArrayLike | None = None,
    listeners: Any = None,
    markers: float = 0.12,
) -> Path:
    """Write `scene` as a `.glb` file, whole or not at all.

    Faces are single-sided, so viewers that cull show the room from outside as a doll's house.

    Args:
        scene: the room; its normals point into the air.
        path: ends in `.glb`.
        sources: one position `[3]` in metres, or positions by name.
        listeners: whatever `piavas.scene.as_poses` takes, or None.
        markers: metres that the balls of sources and the cones of listeners measure; 0 leaves them
            out, and the nodes bear no mesh.

    Returns:
        `path`.

    Raises:
        DataError: another suffix.
        SimulationError: a source or listener that is no place.
    """
    path = Path(path)
    if path.suffix.lower() != ".glb":
        raise DataError("is no name of a binary glTF", file=path, mend="end the name in .glb")
    world = _room(scene)
    for name, place in _sources(sources).items():
        matrix = np.eye(4)
        matrix[:3, 3] = place
        _add(world, name, matrix, _ball(markers), {"piavas": "source", "position": place.tolist()})
    poses = np.empty((0, 4, 4)) if listeners is None else as_poses(listeners)
    for i, pose in enumerate(poses):
        extras = {"piavas": "listener", "index": i, "pose": pose.tolist()}
        _add(world, f"listener-{i:04d}", pose, _cone(markers), extras)
    with atomic(path) as part:
        part.write_bytes(world.export(file_type="glb"))
    return path


def _sources(sources: Mapping[str, ArrayLike] | ArrayLike | None) -> dict[str, NDArray[np.float64]]:
    if sources is None:
        return {}
    named = sources if isinstance(sources, Mapping) else {"source": sources}
    return {name: as_point(place, f"sources[{name!r}]") for name, place in named.items()}


def _room(scene: Scene) -> Any:
    import trimesh

    world = trimesh.Scene(base_frame="world")
    world.metadata.update({"piavas": "scene", "units": "metre", "bands_hz": list(OCTAVE_BANDS)})
    world.graph.update(frame_to=ROOM, frame_from="world", matrix=Y_UP)
    used = np.unique(scene.face_material)
    for index, color in zip(used, material_colors(len(used)), strict=True):
        faces = scene.faces[scene.face_material == index]
        corners, joined = np.unique(faces, return_inverse=True)
        mesh = trimesh.Trimesh(
            scene.vertices[corners],
            joined.reshape(faces.shape),
            process=False,
            metadata=_facts(scene.materials[index]),
            visual=_paint(scene.materials[index].name, color),
        )
        name = f"{index:03d} {scene.materials[index].name}"
        world.add_geometry(mesh, node_name=name, geom_name=name, parent_node_name=ROOM)
    return world


def _facts(material: Material) -> dict[str, Any]:
    return {
        "material": material.name,
        "absorption": material.absorption.tolist(),
        "scattering": material.scattering.tolist(),
        "transmission": material.transmission.tolist(),
        "source": material.source,
    }


def _paint(name: str, color: NDArray[np.float64]) -> Any:
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    # glTF takes base colours as linear light.
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    factor = [*linear.tolist(), 1.0]
    return TextureVisuals(
        material=PBRMaterial(
            name=name, baseColorFactor=factor, metallicFactor=0.0, roughnessFactor=0.9
        )
    )


def _ball(size: float) -> Any:
    import trimesh

    if not size:
        return None
    ball = trimesh.creation.icosphere(subdivisions=2, radius=size)
    ball.visual = _paint("source", rgb(SOURCE))
    return ball


def _cone(size: float) -> Any:
    """A cone whose tip points ahead (-z)."""
    import trimesh

    if not size:
        return None
    turned = np.diag([1.0, -1.0, -1.0, 1.0])
    turned[2, 3] = 0.5 * size
    cone = trimesh.creation.cone(radius=0.5 * size, height=1.5 * size, sections=16)
    cone.apply_transform(turned)
    cone.visual = _paint("listener", rgb(HELD_OUT))
    return cone


def _add(world: Any, name: str, matrix: NDArray[np.float64], mesh: Any, extras: Any) -> None:
    if mesh is None:
        world.graph.update(frame_to=name, frame_from=ROOM, matrix=matrix, metadata=extras)
        return
    world.geometry.setdefault(mesh.visual.material.name, mesh)
    world.graph.update(
        frame_to=name,
        frame_from=ROOM,
        matrix=matrix,
        geometry=mesh.visual.material.name,
        metadata=extras,
    )
