"""Scans from devices to closed meshes of the air: welded, without floating pieces, holes closed.

A scan is a surface with holes, doubled skins, and normals of either side. It is not mended as a
surface: places are found in its air, the scan is looked at from them by ray casting, and those
depth views go the way of any capture (`piavas.geometry.reconstruct`), which closes the air by the
planes that were seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.capture import Capture, Frame, Intrinsics
from piavas.errors import GeometryError
from piavas.geometry.depth import DepthMap
from piavas.geometry.files import weld
from piavas.geometry.places import face_normals, find_places
from piavas.geometry.reconstruct import reconstruct
from piavas.rays import RayCaster
from piavas.scene import Mesh, Pose, triangle_areas

F64 = NDArray[np.float64]
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
APART = 2e-3  # metres between vertices of a scan that are one
REACH = 0.1  # metres between pieces of a scan that belong together
FLOATING = 0.4  # square metres under which a piece that touches nothing is dropped
SAMPLES = 400  # points a square metre that say where pieces are
SMALLEST, LARGEST = 1.0, 200.0  # metres across that a scan of rooms may have
SIDE = 160  # pixels of a view
FIELD = 50.0  # degrees of half a view's field: a little more than the face of a cube
GOLDEN = 137.508  # degrees that each place is turned from the one before
VIEWS = ((0, 0), (90, 0), (180, 0), (270, 0), (0, -90), (0, 90))  # yaw, pitch
MIXED = 0.1  # share of faces of the other side from which the sides of a scan tell nothing
RAYS = 1000  # a place, to tell the side that faces the air


@dataclass(frozen=True)
class Rays:
    """Depth by ray casting against a mesh: a `DepthSource`.

    Args:
        mesh: metres.
        sided: whether the backs of faces tell nothing: a table of which only the top was scanned
            is solid to those who stand over it, and must not be seen through from below.
    """

    mesh: Mesh
    sided: bool = False
    name: str = "scan"

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """z-depth of each frame; not finite where a ray meets nothing that tells."""
        caster, normals = RayCaster(self.mesh.vertices, self.mesh.faces), face_normals(self.mesh)
        for frame in capture.frames:
            camera = frame.intrinsics
            v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
            ahead = np.stack(
                [(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones_like(u)], -1
            ).reshape(-1, 3)
            length = np.linalg.norm(ahead, axis=1)
            way = (ahead / length[:, None]) @ frame.pose[:3, :3].T
            distance, face = caster.closest(np.tile(frame.pose[:3, 3], (len(way), 1)), way)
            if self.sided:
                distance[np.einsum("ij,ij->i", normals[face], way) > 0] = np.inf
            depth = (distance / length).astype(np.float32)
            yield DepthMap(frame, depth.reshape(camera.height, camera.width))


@dataclass(frozen=True)
class Looks:
    """A scan looked at from inside it.

    Args:
        rays: what gives the depth of the frames.
        capture: frames without images at places in its air.
        report: of the cleaning, as plain JSON values.
    """

    rays: Rays
    capture: Capture
    report: dict[str, object]


def clean_scan(
    scan: Mesh,
    *,
    voxel: float = 0.05,
    triangles: int = 20_000,
    places: ArrayLike | None = None,
    seed: int = 0,
) -> Mesh:
    """A closed mesh of the air in a scanned room.

    Args:
        scan: metres, +z up, e.g. from `load_mesh(path, up="y")`.
        voxel: metres of the grid.
        triangles: most that the mesh may have.
        places: `[n, 3]` in the air from which the scan is looked at; None finds them.
        seed: of the samples and rays.

    Returns:
        the mesh, normals into the air; `report` is that of `reconstruct`, and `scan` in it holds
        faces, area in m², vertices welded, floating pieces dropped and their area, places and
        what told them (see `piavas.geometry.places`), and the share of the looks that met the
        back of a face of the scan.

    Raises:
        GeometryError: a scan of another unit, no place enclosed by it, or as `reconstruct`.
    """
    looks = look_round(scan, places, seed)
    mesh = reconstruct(looks.capture, depth=looks.rays, voxel=voxel, triangles=triangles, seed=seed)
    return Mesh(mesh.vertices, mesh.faces, mesh.origin, {**mesh.report, "scan": looks.report})


def is_scan(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a mesh file by its name."""
    return Path(path).suffix.lower() in SUFFIXES


def look_round(scan: Mesh, places: ArrayLike | None = None, seed: int = 0) -> Looks:
    """`scan` without floating pieces, and views of it all round from places in its air.

    Raises:
        GeometryError: as `clean_scan`.
    """
    check_unit(scan)
    vertices, faces = weld(scan.vertices, scan.faces, APART)
    mesh, pieces = drop_floating(Mesh(vertices, faces), seed)
    caster = RayCaster(mesh.vertices, mesh.faces)
    if places is None:
        at, told = find_places(sample(mesh, seed)[0], mesh, caster)
    else:
        at, told = np.asarray(places, np.float64).reshape(-1, 3), "given"
    dropped = len(faces) - len(mesh.faces)
    area = float(triangle_areas(vertices, faces).sum())
    left = float(triangle_areas(mesh.vertices, mesh.faces).sum())
    turned = _turned(mesh, caster, at, seed)
    if turned > 1 - MIXED:
        mesh = Mesh(mesh.vertices, mesh.faces[:, ::-1])
    report = {
        "faces": len(scan.faces),
        "area": round(area, 3),
        "welded": len(scan.vertices) - len(vertices) + int(scan.report.get("welded", 0)),
        "floating": {"pieces": pieces, "faces": dropped, "area": round(area - left, 3)},
        "places": len(at),
        "places_by": told,
        "turned": round(turned, 4),
    }
    rays = Rays(mesh, sided=not MIXED <= turned <= 1 - MIXED)
    return Looks(
        rays,
        Capture(
            Path("scan"),
            "scan",
            _frames(at),
            np.eye(4),
            scale_by="taken for metres, as scans tell none",
        ),
        report,
    )


def check_unit(scan: Mesh) -> None:
    """Raise a `GeometryError` unless `scan` is as large as rooms are."""
    size = float(np.ptp(scan.vertices, axis=0).max())
    if not SMALLEST <= size <= LARGEST:
        raise GeometryError(
            f"the scan is {size:.3g} m across",
            field="scan",
            mend="give it in metres, or the metres that its unit is",
        )


def sample(mesh: Mesh, seed: int) -> tuple[F64, NDArray[np.int64]]:
    """Points `[n, 3]` spread evenly over the surface, and the face `[n]` of each."""
    generator = np.random.default_rng(seed)
    share = SAMPLES * triangle_areas(mesh.vertices, mesh.faces)
    count = np.floor(share + generator.random(len(share))).astype(np.int64)
    face = np.repeat(np.arange(len(share)), count)
    a, b = generator.random((2, len(face), 1))
    flip = a + b > 1
    a, b = np.where(flip, 1 - a, a), np.where(flip, 1 - b, b)
    p, q, r = np.moveaxis(mesh.triangles[face], 1, 0)
    return p + a * (q - p) + b * (r - p), face


def drop_floating(mesh: Mesh, seed: int = 0) -> tuple[Mesh, int]:
    """`mesh` without small pieces that touch nothing, and how many those were.

    Pieces of a scan need not share vertices: those nearer than 10 cm hang together.
    """
    from scipy.ndimage import label

    points, face = sample(mesh, seed)
    centre = mesh.triangles.mean(axis=1)
    points, face = np.concatenate([points, centre]), np.concatenate([face, np.arange(len(centre))])
    cell = np.floor((points - points.min(axis=0)) / REACH).astype(np.int64)
    grid = np.zeros(cell.max(axis=0) + 1, bool)
    grid[tuple(cell.T)] = True
    piece, count = label(grid, np.ones((3, 3, 3)))
    of_face = np.zeros(len(mesh.faces), np.int64)
    of_face[face] = piece[tuple(cell.T)]
    area = np.bincount(of_face, triangle_areas(mesh.vertices, mesh.faces), count + 1)
    small = area < FLOATING
    small[np.argmax(area)] = False
    kept = mesh.faces[~small[of_face]]
    used, compact = np.unique(kept, return_inverse=True)
    faces = compact.reshape(kept.shape).astype(np.int32)
    return Mesh(mesh.vertices[used], faces), int(small[1:].sum())


def _turned(mesh: Mesh, caster: RayCaster, places: F64, seed: int) -> float:
    """Share of the rays from `places` that meet the back of a face."""
    way = np.random.default_rng(seed).normal(size=(len(places) * RAYS, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    _, face = caster.closest(np.repeat(places, RAYS, axis=0), way)
    met = face >= 0
    return float((np.einsum("ij,ij->i", face_normals(mesh)[face[met]], way[met]) > 0).mean())


def _frames(places: F64) -> tuple[Frame, ...]:
    """Six views a place, each place turned against the others so that no edges coincide."""
    focal = 0.5 * SIDE / np.tan(np.radians(FIELD))
    camera = Intrinsics(SIDE, SIDE, focal, focal, 0.5 * (SIDE - 1), 0.5 * (SIDE - 1))
    return tuple(
        Frame(Path("scan"), camera, Pose.at(place, yaw=yaw + GOLDEN * i, pitch=pitch).matrix)
        for i, place in enumerate(places)
        for yaw, pitch in VIEWS
    )
