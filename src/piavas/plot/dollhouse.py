"""A picture of a room as a doll's house: faces that look away from the viewer are left out."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from piavas.colors import material_colors
from piavas.plot.style import Plot, themed
from piavas.scene import Mesh, Scene

Array = NDArray[np.float64]
WIDTH = 760
SUPERSAMPLING = 2
INCHES = 6.0
LEGEND = 16  # materials that a legend still holds


@nb.njit(cache=True)
def draw_triangles(  # type: ignore[no-untyped-def]
    corners, height, width
):  # pragma: no cover - compiled
    """The nearest triangle at each pixel's centre (z-buffer).

    Args:
        corners: `[t, 3, 3]`; column and row in pixels, and nearness (larger is nearer).
        height: pixels.
        width: pixels.

    Returns:
        index of a triangle `[height, width]`, -1 where there is none.
    """
    found = np.full((height, width), -1, np.int32)
    nearest = np.full((height, width), -np.inf)
    for t in range(corners.shape[0]):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[t, 0], corners[t, 1], corners[t, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        for row in range(max(int(min(ay, by, cy)), 0), min(int(max(ay, by, cy)) + 1, height)):
            for column in range(max(int(min(ax, bx, cx)), 0), min(int(max(ax, bx, cx)) + 1, width)):
                x, y = column + 0.5, row + 0.5
                u = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                v = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                if u < 0.0 or v < 0.0 or u + v > 1.0:
                    continue
                near = az + u * (bz - az) + v * (cz - az)
                if near > nearest[row, column]:
                    nearest[row, column] = near
                    found[row, column] = t
    return found


def _view(azimuth: float, elevation: float) -> tuple[Array, Array]:
    """The direction to the viewer `[3]`, and the picture's axes right and up `[3, 2]`."""
    turn, tilt = np.radians(azimuth), np.radians(elevation)
    toward = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
    right = np.array([-np.sin(turn), np.cos(turn), 0.0])
    return toward, np.stack([right, np.cross(toward, right)], axis=1)


def _colors(mesh: Mesh | Scene) -> tuple[Array, dict[int, tuple[str, Array]]]:
    """Colour `[f, 3]` of each face, and name and colour of each material by its index."""
    if not isinstance(mesh, Scene):
        return np.full((len(mesh.faces), 3), 0.85), {}
    used = np.unique(mesh.face_material)
    palette = material_colors(len(used))
    names = {int(m): (mesh.materials[m].name, palette[i]) for i, m in enumerate(used)}
    return palette[np.searchsorted(used, mesh.face_material)], names


def dollhouse(
    corners: Array, color: Array, *, azimuth: float, elevation: float, width: int = WIDTH
) -> tuple[Array, NDArray[np.intp]]:
    """Triangles seen from outside, without those that look away from the viewer.

    Args:
        corners: `[t, 3, 3]` metres.
        color: `[t, 3]`.
        azimuth: degrees from +x, counter-clockwise, where the viewer stands.
        elevation: degrees above the horizon.
        width: pixels of the longer side.

    Returns:
        the picture `[h, w, 4]`, and the numbers of the triangles that show in it.
    """
    toward, axes = _view(azimuth, elevation)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    seen = np.nonzero(normal @ toward > 0)[0]
    flat, near = corners[seen] @ axes, corners[seen] @ toward
    low, high = flat.min(axis=(0, 1)), flat.max(axis=(0, 1))
    scale = SUPERSAMPLING * width / max(high - low)
    wide, tall = (SUPERSAMPLING * np.ceil((high - low) * scale / SUPERSAMPLING)).astype(int)
    pixels = np.stack([flat[..., 0] - low[0], high[1] - flat[..., 1]], axis=-1) * scale
    found = draw_triangles(np.concatenate([pixels, near[..., None]], axis=-1), tall, wide)
    light = 0.5 + 0.5 * np.abs(normal[seen] @ np.array([0.36, 0.48, 0.8]))
    opaque = np.concatenate(
        [np.clip(color[seen] * light[:, None], 0, 1), np.ones((len(seen), 1))], 1
    )
    image = np.where((found >= 0)[..., None], opaque[found], 0.0)
    return _halved(image), seen[np.unique(found[found >= 0])]


def mesh_picture(
    mesh: Mesh | Scene,
    *,
    azimuth: float = 225.0,
    elevation: float = 40.0,
    dark: bool | None = None,
) -> Plot:
    """The room seen from outside; faces that look away from the viewer are left out.

    Faces of a `Scene` are coloured by material.

    Args:
        mesh: what to draw, normals into the air.
        azimuth: degrees from +x, counter-clockwise, where the viewer stands.
        elevation: degrees above the horizon.
        dark: dark ground; None follows matplotlib's settings.
    """
    base, names = _colors(mesh)
    corners = mesh.vertices[mesh.faces]
    image, used = dollhouse(corners, base, azimuth=azimuth, elevation=elevation)
    return _framed(image, mesh, used, names, dark)


def _halved(image: Array) -> Array:
    """Means of blocks of pixels, alpha-weighted, `[h, w, 4]` to `[h / 2, w / 2, 4]`."""
    height, width = (size // SUPERSAMPLING for size in image.shape[:2])
    blocks = image.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 4)
    alpha = blocks[..., 3:].sum(axis=(1, 3))
    color = (blocks[..., :3] * blocks[..., 3:]).sum(axis=(1, 3)) / np.maximum(alpha, 1e-9)
    return np.concatenate([color, alpha / SUPERSAMPLING**2], axis=-1)


def _framed(
    image: Array,
    mesh: Mesh | Scene,
    used: NDArray[np.intp],
    names: dict[int, tuple[str, Array]],
    dark: bool | None,
) -> Plot:
    """The picture with a legend of the materials of the faces `used`."""
    with themed(dark):
        shown = {int(m) for m in mesh.face_material[used]} if isinstance(mesh, Scene) else set()
        known = [names[m] for m in sorted(shown)] if len(shown) <= LEGEND else []
        longest = max((len(name) for name, _ in known), default=0)
        columns = int(np.clip(INCHES / (0.6 + 0.075 * longest), 1, 4))
        rows = -(-len(known) // columns)
        tall = INCHES * image.shape[0] / image.shape[1] + 0.2 + 0.2 * rows
        figure = Plot(figsize=(INCHES, tall))
        ax = figure.subplots()
        ax.imshow(image, interpolation="antialiased")
        ax.set_axis_off()
        for name, color in known:
            ax.scatter([], [], marker="s", s=60, color=color, label=name)
        if known:
            figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    return figure
