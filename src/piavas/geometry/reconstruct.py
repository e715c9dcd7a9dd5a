"""RGB-D frames to the volume of air in the room: one screen.

Not a surface with its holes filled, but the air itself: what the views say of it, a closed shell
of the planes they saw, and the furniture in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from piavas.capture import Capture
from piavas.errors import GeometryError
from piavas.geometry.air import carve
from piavas.geometry.depth import DepthSource, make_depth_source
from piavas.geometry.flats import flatten
from piavas.geometry.frame import bounding_box, manhattan_yaw
from piavas.geometry.fusion import fuse
from piavas.geometry.openness import find_open
from piavas.geometry.report import area_by_origin, face_origin, leak, measured_places, volume
from piavas.geometry.shell import build_shell
from piavas.geometry.slivers import flip_flat, part_flat
from piavas.geometry.surface import extract, fair, simplify, snap
from piavas.geometry.views import load_views
from piavas.scene import Mesh

LEAST_TRIANGLES = 100
MEETS = ("sensor",)
"""Sources of depth of which a pixel without any says that nothing was met there; a hole in a scan
says only that nobody scanned it."""
FINE = ("sensor", "stereo")
"""Sources that tell curtains from the walls behind them."""
NOISY = ("stereo",)
"""Sources by which what was seen is rough: it is smoothed like what was not."""


class _Clock(dict[str, float]):
    """Seconds of each step."""

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self[step] = round(time.perf_counter() - started, 2)


def usual(depth: str, voxel: float | None = None) -> tuple[tuple[float, float], int]:
    """Finest and coarsest voxel in metres, and triangles, for depth of the source `depth`.

    Both voxels are `voxel` where that is given.
    """
    voxels, triangles = ((0.02, 0.03), 80_000) if depth in FINE else ((0.05, 0.05), 20_000)
    return (voxels if voxel is None else (voxel, voxel)), triangles


def reconstruct(
    capture: Capture,
    *,
    depth: str | DepthSource = "sensor",
    voxel: float | None = None,
    triangles: int | None = None,
    max_frames: int | None = None,
    openings: str = "auto",
    seed: int = 0,
) -> Mesh:
    """A closed mesh of the air that the cameras stood in.

    Args:
        capture: with depth for every frame, or images that overlap for `depth="stereo"`.
        depth: "sensor", "stereo", or any `DepthSource`.
        voxel: metres of the grid; None for 2 to 3 cm, by the size of the room, with depth of a
            sensor or of stereo, else 5 cm.
        triangles: most that the mesh may have; None for 80,000 with a sensor or stereo, else
            20,000.
        max_frames: thin the frames to so many.
        openings: whether invented faces stand for nothing, see `piavas.geometry.openness`:
            "auto", "never", or "unseen" for all of them.
        seed: of the rays that look for leaks.

    Returns:
        the mesh; `report` holds depth source and what it reports, what the metres come from,
        frames, voxel and voxels along each axis, triangles, area by origin in m², volume in m³,
        leak (share of rays from the cameras that escape), planes, heights of level ceilings,
        slopes of slanted ones (degrees from level, lowest and highest metres seen, square metres
        seen), yaw, seconds by step.

    Raises:
        GeometryError: no depth, too few frames, no closed air, lengths that are no metres, or
            options out of range.
    """
    source = make_depth_source(depth) if isinstance(depth, str) else depth
    voxels, many = usual(source.name, voxel)
    triangles = many if triangles is None else triangles
    if voxel is not None and not 0.01 <= voxel <= 0.5:
        raise GeometryError(f"{voxel!r} m is no voxel", field="voxel", mend="give 0.01 to 0.5 m")
    if triangles < LEAST_TRIANGLES:
        raise GeometryError(
            f"{triangles} are too few", field="triangles", mend=f"give at least {LEAST_TRIANGLES}"
        )
    if not capture.metric:
        raise GeometryError(
            "its lengths are no metres",
            file=capture.root,
            field="metric",
            mend="give --metres, --camera-height or --by-sound, or `piavas.capture.rescale` it",
        )
    clock = _Clock()
    with clock("read"):
        views = load_views(capture, source, max_frames)
    with clock("fuse"):
        box = bounding_box(views, voxels, manhattan_yaw(views))
        voxel = box.voxel
        fused = fuse(views, box)
    cameras = np.stack([view.pose[:3, 3] for view in views])
    sensor = source.name in MEETS
    with clock("shell"):
        shell = build_shell(fused, box, box.to_grid(cameras))
    with clock("air"):
        air = carve(fused, shell, box, box.to_grid(cameras), sheets=source.name in FINE)
    with clock("surface"):
        vertices, faces = extract(air.field, box)
        guessed = air.guessed[tuple(box.index(vertices).T)]
        vertices = fair(vertices, faces, guessed | (source.name in NOISY))
        planes, slopes = shell.planes, shell.slopes
        vertices = snap(vertices, faces, planes, voxel, slopes)
        if source.name in FINE:
            vertices = flatten(vertices, faces, voxel)
        vertices, faces = simplify(vertices, faces, triangles)
        vertices = snap(vertices, faces, planes, voxel, slopes)
        faces = flip_flat(vertices, faces)
        vertices = part_flat(vertices, faces)
    with clock("report"):
        origin = face_origin(
            vertices, faces, fused, air, planes, box, slopes, measured_places(views, box)
        )
        world = box.to_world(vertices)
        opened = find_open(world, faces, origin, views, sensor=sensor, way=openings, seed=seed)
        origin = opened.origin
        report = {
            "depth": source.name,
            "scale": {"by": capture.scale_by or "not told", "metres": capture.unit},
            "frames": len(views),
            "voxel": voxel,
            "grid": list(box.shape),
            "triangles": len(faces),
            "area": area_by_origin(vertices, faces, origin),
            "volume": round(volume(vertices, faces), 3),
            "leak": leak(world, faces, cameras, seed),
            "openness": opened.report,
            "planes": len(planes) + len(slopes),
            "floor": round(shell.floor, 4),
            "ceilings": sorted({round(height, 3) for height in shell.ceilings}),
            "slopes": [slope.to_json() for slope in slopes],
            "floor_seen": shell.seen_floor,
            "ceiling_seen": shell.seen_ceiling,
            "yaw_degrees": round(float(np.degrees(box.yaw)), 3),
        }
    told = getattr(source, "report", None)
    if told:
        report["depth_report"] = dict(told)
    if opened.doubts:
        report["warnings"] = [doubt.to_json() for doubt in opened.doubts]
    return Mesh(world, faces, origin, {**report, "seconds": dict(clock)})
