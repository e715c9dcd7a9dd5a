"""Small worlds with known truth, and captures of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from piavas.capture.types import Frame, Intrinsics
from piavas.capture.write import write_nerfstudio
from piavas.rays import RayCaster
from piavas.scene import Pose


@dataclass(frozen=True)
class TwoRooms:
    """Rooms of 4 x 4 x 2.7 and 4 x 4 x 2.4 m, a doorway of 1 x 2 m, a table block, a cupboard."""

    vertices: np.ndarray
    faces: np.ndarray
    volume: float
    table: tuple = ((1.5, 1.0, 0.0), (2.5, 2.0, 0.75))
    cupboard: tuple = ((7.4, 1.0, 0.0), (8.2, 2.2, 2.0))


def two_rooms() -> TwoRooms:
    """Build it by booleans; normals into the air."""
    from manifold3d import Manifold

    def box(low, high):
        low, high = np.array(low), np.array(high)
        return Manifold.cube(tuple(high - low)).translate(tuple(low))

    air = (
        box((0, 0, 0), (4, 4, 2.7))
        + box((4.2, 0, 0), (8.2, 4, 2.4))
        + box((3.9, 2.6, 0), (4.3, 3.6, 2.0))
        - box(*TwoRooms.table)
        - box(*TwoRooms.cupboard)
    )
    mesh = air.to_mesh()
    faces = np.asarray(mesh.tri_verts, np.int32)[:, ::-1]
    return TwoRooms(np.asarray(mesh.vert_properties, float)[:, :3], faces, air.volume())


def carved(air, parts):
    """A world of the air `air`, with boxes `(sign, low, high)` added or taken away."""
    from manifold3d import Manifold

    for sign, low, high in parts:
        part = Manifold.cube(tuple(np.subtract(high, low))).translate(low)
        air = air + part if sign > 0 else air - part
    mesh = air.to_mesh()
    faces = np.asarray(mesh.tri_verts, np.int32)[:, ::-1]
    return SimpleNamespace(
        vertices=np.asarray(mesh.vert_properties, float)[:, :3], faces=faces, volume=air.volume()
    )


def walk(count: int = 40, seed: int = 0) -> list[np.ndarray]:
    """Poses at eye height in both rooms that look all around, up and down."""
    generator = np.random.default_rng(seed)
    places = [(1.0, 3.0), (3.0, 0.8), (3.3, 3.1), (5.0, 3.1), (5.2, 1.0), (6.8, 2.8)]
    poses = []
    for i in range(count):
        x, y = places[i % len(places)]
        height = 1.5 + generator.uniform(-0.15, 0.15)
        yaw = 360 * (i // len(places)) / (count / len(places)) + generator.uniform(-20, 20)
        poses.append(Pose.at((x, y, height), yaw=yaw, pitch=(-30, 0, 30)[i % 3]).matrix)
    return poses


def photograph(
    folder: Path,
    world: TwoRooms,
    poses: list[np.ndarray],
    *,
    noise: float = 0.001,
    turn: float = 0.0,
    face_label: np.ndarray | None = None,
    names: dict[int, str] | None = None,
) -> Path:
    """Write a capture of 160 x 120 frames; `turn` degrees rotate the world, noise grows with z²."""
    folder.mkdir(parents=True, exist_ok=True)
    camera = Intrinsics(160, 120, 90.0, 90.0, 79.5, 59.5)
    caster = RayCaster(world.vertices, world.faces)
    v, u = np.mgrid[0:120, 0:160]
    way = np.stack([(u - 79.5) / 90, -(v - 59.5) / 90, -np.ones(u.shape)], -1).reshape(-1, 3)
    length = np.linalg.norm(way, axis=1)
    generator = np.random.default_rng(1)
    around = Pose.at((0, 0, 0), yaw=turn).matrix @ np.linalg.inv(Pose.at((0, 0, 0)).matrix)
    frames = []
    for i, pose in enumerate(poses):
        start = np.tile(pose[:3, 3], (len(way), 1))
        distance, face = caster.closest(start, (way / length[:, None]) @ pose[:3, :3].T)
        depth = distance / length
        depth = depth + noise * depth**2 * generator.normal(size=depth.shape)
        image = np.round(np.where(np.isfinite(depth), depth, 0) * 1000).reshape(120, 160)
        cv2.imwrite(str(folder / f"{i:03d}.depth.png"), image.astype(np.uint16))
        cv2.imwrite(str(folder / f"{i:03d}.png"), np.full((120, 160, 3), 128, np.uint8))
        label = None
        if face_label is not None:
            label = folder / f"{i:03d}.label.png"
            cv2.imwrite(str(label), face_label[face].reshape(120, 160).astype(np.uint8))
        frames.append(
            Frame(
                folder / f"{i:03d}.png",
                camera,
                around @ pose,
                folder / f"{i:03d}.depth.png",
                label_path=label,
            )
        )
    write_nerfstudio(folder, frames, labels=names)
    return folder


def distance_to(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Exact distances `[n]` of `points` `[n, 3]` to a mesh, triangle by triangle."""
    best = np.full(len(points), np.inf)
    for a, b, c in vertices[faces]:
        best = np.minimum(best, _to_triangle(points, a, b, c))
    return best


def _to_triangle(p, a, b, c):
    """Distances to one triangle: its plane where the foot is inside, else its edges."""
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal)
    if length < 1e-14:
        return np.full(len(p), np.inf)
    normal = normal / length
    inside = np.ones(len(p), bool)
    edges = np.full(len(p), np.inf)
    for one, two in ((a, b), (b, c), (c, a)):
        side = two - one
        inside &= (p - one) @ np.cross(normal, side) >= 0
        t = ((p - one) @ side / (side @ side)).clip(0, 1)
        edges = np.minimum(edges, np.linalg.norm(p - one - t[:, None] * side, axis=1))
    return np.where(inside, np.abs((p - a) @ normal), edges)
