"""A picture of a room without a renderer: faces sorted by depth, as in a doll's house."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from piavas.evaluate.plots import PALETTE, STYLE
from piavas.scene import Mesh, Scene

Array = NDArray[np.float64]
LONGEST_EDGE = 0.3
MOST_TRIANGLES = 60_000


def split_long(corners: Array, longest: float) -> tuple[Array, NDArray[np.intp]]:
    """Halve triangles `[t, 3, 3]` at their longest edge until none is longer than `longest`.

    Large triangles have no one depth to be sorted by. Stops at `MOST_TRIANGLES`.

    Returns:
        triangles `[n, 3, 3]`, and the index `[n]` of the one that each comes from.
    """
    parent = np.arange(len(corners))
    while True:
        edges = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
        long = edges.max(axis=1) > longest
        if not long.any() or len(corners) + long.sum() > MOST_TRIANGLES:
            return corners, parent
        first = edges[long].argmax(axis=1)[:, None] + np.arange(3)
        a, b, c = np.moveaxis(np.take_along_axis(corners[long], first[..., None] % 3, axis=1), 1, 0)
        half = 0.5 * (a + b)
        parts = [np.stack([a, half, c], axis=1), np.stack([half, b, c], axis=1)]
        corners = np.concatenate([corners[~long], *parts])
        parent = np.concatenate([parent[~long], parent[long], parent[long]])


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
    palette = 0.3 + 0.7 * np.array([mpl.colors.to_rgb(c) for c in PALETTE])
    used = np.unique(mesh.face_material)
    rank = np.searchsorted(used, mesh.face_material) % len(palette)
    names = {
        int(m): (mesh.materials[m].name, palette[i % len(palette)]) for i, m in enumerate(used)
    }
    return palette[rank], names


def mesh_picture(mesh: Mesh | Scene, *, azimuth: float = 225.0, elevation: float = 40.0) -> Figure:
    """The room seen from outside; faces that look away from the viewer are left out.

    Faces of a `Scene` are coloured by material.

    Args:
        mesh: what to draw, normals into the air.
        azimuth: degrees from +x, counter-clockwise, where the viewer stands.
        elevation: degrees above the horizon.
    """
    toward, axes = _view(azimuth, elevation)
    corners = mesh.vertices[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    seen = np.nonzero(normal @ toward > 0)[0]
    drawn, parent = split_long(corners[seen], LONGEST_EDGE)
    order = np.argsort(drawn.mean(axis=1) @ toward)
    face = seen[parent[order]]
    base, names = _colors(mesh)
    light = 0.5 + 0.5 * np.abs(normal[face] @ np.array([0.36, 0.48, 0.8]))
    colors = np.clip(base[face] * light[:, None], 0, 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 4.4), dpi=130)
        ax = figure.subplots()
        # Edges in the face's colour close the hairline gaps that antialiasing leaves.
        painted = PolyCollection(
            list(drawn[order] @ axes),
            facecolors=colors,
            edgecolors=colors,
            linewidths=0.4,
            rasterized=True,
        )
        ax.add_collection(painted)
        ax.autoscale_view()
        ax.set_aspect("equal")
        ax.set_axis_off()
        shown = {int(m) for m in mesh.face_material[face]} if isinstance(mesh, Scene) else set()
        if 0 < len(shown) <= len(PALETTE):
            for material in sorted(shown):
                name, color = names[material]
                ax.scatter([], [], marker="s", s=60, color=color, label=name)
            figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
