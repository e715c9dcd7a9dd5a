"""Where there is nothing: the sky over a court, or what a picture of one wall tells nothing of.

The air is always closed (`piavas.geometry.air`), with faces invented where nobody saw any. Where
such faces stand for nothing, sound must not come back from them: they are marked `OPEN`, and take
the material of an opening, that absorbs all (`piavas.materials.opened`). This is decided for the
top and for the sides as a whole, by two things: the share of directions about the cameras that end
on what was seen, or on a plane seen elsewhere; and, where a sensor tells depth, whether cameras
looked there and got none. Without the latter an unseen ceiling is a ceiling that nobody
photographed, as in most captures of rooms. Walls that meet at a corner are taken for a room's,
whose others nobody photographed either; one wall alone tells of no room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture.doubts import Doubt
from piavas.errors import GeometryError
from piavas.geometry.compare import sample_surface
from piavas.geometry.views import View
from piavas.rays import RayCaster
from piavas.scene import INVENTED, OBSERVED, OPEN, Mesh, triangle_areas

F64 = NDArray[np.float64]
WAYS = ("auto", "never", "unseen")
RAYS = 4000
LOW, STEEP = np.sin(np.radians([-5.0, 30.0]))
"""Sines of the elevations between which a direction is of the sides, and from which of the top:
farther down it is of the ground, which outdoors is known too."""
KNOWN = 0.5
"""Share of directions below which the sides, or the top, are not known."""
EMPTY = 0.5
"""Share of the invented faces there that cameras looked at without meeting anything."""
POINTS, VIEWS = 300, 60
LOOKS = 2
"""Cameras that must have looked at a place."""
UPRIGHT = 0.3
"""Largest vertical part of the normal of a wall."""
CORNER = 0.15
"""Least share of the area of walls that must face across the rest."""


@dataclass(frozen=True)
class Openness:
    """What was found.

    Args:
        origin: `[f]` with `OPEN` where there is nothing.
        report: plain JSON values.
        doubts: to be told.
    """

    origin: NDArray[np.uint8]
    report: dict[str, Any]
    doubts: tuple[Doubt, ...]


def find_open(
    vertices: F64,
    faces: NDArray[np.int32],
    origin: NDArray[np.uint8],
    views: list[View],
    *,
    sensor: bool,
    way: str = "auto",
    seed: int = 0,
) -> Openness:
    """Mark the invented faces that stand for nothing.

    Args:
        vertices: `[v, 3]` world.
        faces: `[f, 3]`, normals into the air.
        origin: `[f]` OBSERVED, INFERRED or INVENTED.
        views: that the mesh was made of.
        sensor: whether a pixel without depth says that nothing was met.
        way: "auto", "never", or "unseen" for all that is invented.
        seed: of the rays.

    Raises:
        GeometryError: no such way.
    """
    if way not in WAYS:
        raise GeometryError(f"{way!r} is no way", field="open", mend=f"choose of {', '.join(WAYS)}")
    generator = np.random.default_rng(seed)
    caster = RayCaster(vertices, faces)
    cameras = np.stack([view.pose[:3, 3] for view in views])
    sides, top = _known(caster, origin, cameras, generator)
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    normal = np.cross(b - a, c - a)
    rise = normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-20)
    above = vertices[faces][..., 2].mean(axis=1) > np.median(cameras[:, 2])
    invented = origin == INVENTED
    of = {"top": invented & (rise < -0.5) & above}
    of["sides"] = invented & ~of["top"] & ((rise <= 0.5) | above)  # not the ground
    known = {"top": top, "sides": sides}
    empty = {
        name: _empty(vertices, faces, chosen, views, caster, seed) if sensor else 0.0
        for name, chosen in of.items()
    }
    chosen = [name for name in of if known[name] < KNOWN and of[name].any()]
    # Where most of the sides are unknown and no two walls meet, no room is known at all.
    wall = (np.abs(rise) < UPRIGHT) & (origin == OBSERVED)
    no_room = "sides" in chosen and _across(normal[wall, :2] / 2) < CORNER
    opened = {
        "auto": [n for n in chosen if no_room or empty[n] > EMPTY],
        "never": [],
        "unseen": [n for n in of if of[n].any()],
    }[way]
    out = origin.copy()
    for name in opened:
        out[of[name]] = OPEN
    report = {
        "sides_known": round(sides, 3),
        "top_known": round(top, 3),
        "looked_at_nothing": {name: round(value, 3) for name, value in empty.items()},
        "opened": sorted(opened),
        "way": way,
    }
    area = float(triangle_areas(vertices, faces)[out == OPEN].sum())
    return Openness(out, report, _doubts(known, opened, way, no_room, area))


def _doubts(
    known: dict[str, float], opened: list[str], way: str, no_room: bool, area: float
) -> tuple[Doubt, ...]:
    shares = (
        f"{100 * known['sides']:.0f} % of the level directions about the cameras and "
        f"{100 * known['top']:.0f} % of the upward ones end on what is known"
    )
    if opened and way == "auto":
        what = "no closed room can be known" if no_room else "the place is open to the sky"
        return (
            Doubt(
                "open",
                f"{what}: {shares}; {area:.1f} m2 of invented {' and '.join(sorted(opened))} are "
                "simulated as open, no sound comes back from there",
                "take images all round and up, or give --open never for a room",
            ),
        )
    if way == "auto" and known["sides"] < KNOWN:
        return (
            Doubt(
                "sides-unseen",
                f"a part of a room was seen and the rest is invented: {shares}",
                "take images all round, or give --open unseen if there is nothing else",
            ),
        )
    if way == "auto" and known["top"] < KNOWN:
        return (
            Doubt(
                "ceiling-unseen",
                f"hardly any ceiling was seen and one is invented: {shares}",
                "take images of the ceiling, or give --open unseen if there is none",
            ),
        )
    return ()


def _across(walls: F64) -> float:
    """Share of the area of walls that faces across most of it.

    Args:
        walls: `[w, 2]` horizontal normals, as long as the area of each.
    """
    size = np.linalg.norm(walls, axis=1)
    if not size.sum() > 0:
        return 0.0
    unit = walls / np.maximum(size, 1e-20)[:, None]
    spread = np.linalg.eigvalsh(np.einsum("w,wi,wj->ij", size, unit, unit))
    return float(spread[0] / spread.sum())


def _known(
    caster: RayCaster, origin: NDArray[np.uint8], cameras: F64, generator: np.random.Generator
) -> tuple[float, float]:
    """Shares of the level and of the upward directions that end on what is not invented."""
    rise = np.concatenate(
        [generator.uniform(LOW, STEEP, RAYS), generator.uniform(STEEP, 1.0, RAYS)]
    )
    turn = generator.uniform(0, 2 * np.pi, len(rise))
    flat = np.sqrt(1 - rise**2)
    way = np.column_stack([flat * np.cos(turn), flat * np.sin(turn), rise])
    start = cameras[generator.integers(len(cameras), size=len(way))]
    _, face = caster.closest(start, way)
    good = (face >= 0) & (origin[face] != INVENTED)
    return float(good[:RAYS].mean()), float(good[RAYS:].mean())


def _empty(
    vertices: F64,
    faces: NDArray[np.int32],
    chosen: NDArray[np.bool_],
    views: list[View],
    caster: RayCaster,
    seed: int,
) -> float:
    """Share of the area of `chosen` faces that cameras looked at and met nothing."""
    if not chosen.any():
        return 0.0
    points, _ = sample_surface(Mesh(vertices, faces), POINTS, seed, chosen)
    looks, nothing = np.zeros(POINTS, int), np.zeros(POINTS, int)
    for view in views[:: -(-len(views) // VIEWS)]:
        place = view.pose[:3, 3]
        local = (points - place) @ view.pose[:3, :3]
        z = np.maximum(-local[:, 2], 1e-6)
        i = np.round(-local[:, 1] / z * view.focal[1] + view.centre[1])
        j = np.round(local[:, 0] / z * view.focal[0] + view.centre[0])
        height, width = view.depth.shape
        inside = (local[:, 2] < -0.05) & (i >= 0) & (j >= 0) & (i < height) & (j < width)
        at = np.flatnonzero(inside)
        if not len(at):
            continue
        gap = points[at] - place
        far = np.linalg.norm(gap, axis=1)
        met, _ = caster.closest(np.tile(place, (len(at), 1)), gap / far[:, None])
        at = at[met > far - 0.1]
        depth = view.depth[i[at].astype(int), j[at].astype(int)]
        looks[at] += 1
        nothing[at] += (depth == 0) | (depth > z[at] + 0.3)
    return float(((looks >= LOOKS) & (nothing > 0.7 * looks)).mean())
