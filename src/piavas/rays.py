"""Rays against triangles: the one gate to Mitsuba's ray tracing for callers that think in NumPy."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.llvm import mitsuba
from piavas.scene import check_triangles

FEW = 16_384  # rays that one thread traces for less than it costs to wait for others


class RayCaster:
    """Triangles, ready for rays.

    Args:
        vertices: `[v, 3]` metres.
        faces: `[f, 3]`.

    Raises:
        GeometryError: no triangles, or broken ones.
        MissingDependencyError: Mitsuba cannot run here.
    """

    def __init__(self, vertices: ArrayLike, faces: ArrayLike) -> None:
        points = np.asarray(vertices, dtype=np.float64)
        triangles = np.asarray(faces, dtype=np.int32)
        check_triangles(points, triangles)
        self.mi = mi = mitsuba()
        import drjit

        self.dr = drjit
        self.threads = 1 if "cuda" in mi.variant() else os.cpu_count() or 1
        mesh = mi.Mesh("air", len(points), len(triangles))
        params = mi.traverse(mesh)
        params["vertex_positions"] = mi.Float(points.astype(np.float32).ravel())
        params["faces"] = mi.UInt32(triangles.astype(np.uint32).ravel())
        params.update()
        self.scene: Any = mi.load_dict({"type": "scene", "mesh": mesh})

    def _share_out(self, rays: int) -> None:
        """Trace few rays on one thread: those that wait for work burn as much time as it takes."""
        wanted = 1 if rays < FEW else self.threads
        if self.threads > 1 and self.dr.thread_count() != wanted:
            self.dr.set_thread_count(wanted)

    def _ray(self, origins: ArrayLike, directions: ArrayLike, reach: Any = None) -> Any:
        mi = self.mi
        columns = [np.asarray(c, dtype=np.float32) for c in (origins, directions)]
        if reach is not None:
            columns.append(np.asarray(reach, dtype=np.float32))
        if len(columns[0]) == 1:  # of one ray, Dr.Jit would compile kernels of their own
            columns = [np.repeat(c, 2, axis=0) for c in columns]
        ray = mi.Ray3f(mi.Point3f(columns[0].T), mi.Vector3f(columns[1].T))
        if reach is not None:
            ray.maxt = mi.Float(columns[2])
        return ray

    def closest(
        self, origins: ArrayLike, directions: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """First hits.

        Args:
            origins: `[n, 3]` metres.
            directions: `[n, 3]` unit vectors.

        Returns:
            distance `[n]` in metres (inf where the ray escapes) and face `[n]` (-1 there).
        """
        count = len(origins)  # type: ignore[arg-type]
        if not count:  # Dr.Jit aborts on rays that are none
            return np.empty(0), np.empty(0, np.int64)
        self._share_out(count)
        hit = self.scene.ray_intersect_preliminary(self._ray(origins, directions))
        self.dr.eval(hit.t, hit.prim_index)  # together, or the rays are traced twice
        distance = np.array(hit.t, dtype=np.float64)[:count]
        face = np.array(hit.prim_index, dtype=np.int64)[:count]
        return distance, np.where(np.isfinite(distance), face, -1)

    def visible(
        self, origins: ArrayLike, targets: ArrayLike, margin: float = 1e-4
    ) -> NDArray[np.bool_]:
        """Whether nothing lies between `origins` `[n, 3]` and `targets` `[n, 3]`.

        Both ends are drawn in by `margin` metres, so that points on a surface see out of it.
        """
        start, end = np.broadcast_arrays(
            np.asarray(origins, dtype=np.float64), np.asarray(targets, dtype=np.float64)
        )
        if not len(start):
            return np.empty(0, np.bool_)
        self._share_out(len(start))
        way = end - start
        length = np.linalg.norm(way, axis=-1)
        ahead = way / np.maximum(length, 1e-12)[:, None]
        ray = self._ray(start + margin * ahead, ahead, np.maximum(length - 2 * margin, 0.0))
        blocked = np.array(self.scene.ray_test(ray), dtype=bool)[: len(start)]
        return ~blocked | (length <= 2 * margin)
