"""The capture's pictures on the mesh: each texel looks at the cameras that see it best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from piavas.capture import Capture, Frame
from piavas.listen.page_atlas import Atlas, make_atlas
from piavas.progress import track
from piavas.rays import RayCaster
from piavas.scene import Mesh, triangle_areas

MARGIN = 0.03  # metres by which a picture's surface may lie off the mesh
SHARPNESS = 6.0  # the higher, the more the best camera outweighs the others
LARGEST = 2048  # texels along the sides of the picture, about
FINEST = 0.012  # metres
Array = NDArray[np.float64]


def photograph(mesh: Mesh, capture: Capture) -> tuple[Atlas, NDArray[np.uint8], NDArray[np.bool_]]:
    """Colour `mesh` from `capture`.

    Texels that no camera saw take the colour of the nearest that looks the same way.

    Returns:
        the atlas, its picture `[height, width, 3]` RGB, and which faces `[f]` some camera saw.
    """
    area = triangle_areas(mesh.vertices, mesh.faces).sum()
    atlas = make_atlas(mesh, max(FINEST, float(np.sqrt(1.25 * area)) / LARGEST))
    rows = np.nonzero(atlas.face >= 0)
    place, face = atlas.place[rows].astype(np.float64), atlas.face[rows]
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    caster = RayCaster(mesh.vertices, mesh.faces)
    colour, weight = np.zeros((len(place), 3)), np.zeros(len(place))
    for frame in track(capture.frames, "colour"):
        seen, share = _sees(frame, caster, place, normal[face])
        colour[seen] += share[:, None] * _looked_up(frame, place[seen])
        weight[seen] += share
    known = weight > 0
    colour[known] /= weight[known, None]
    if known.any():
        colour[~known] = _nearest(colour, place, atlas.facing[face], known)
    picture = np.zeros((*atlas.size, 3))
    picture[rows] = colour
    bare = distance_transform_edt(atlas.face < 0, return_distances=False, return_indices=True)
    shown = np.bincount(face[known], minlength=len(corners)) > 0
    return atlas, np.round(picture[tuple(bare)]).clip(0, 255).astype(np.uint8), shown


def _pixels(frame: Frame, place: Array) -> tuple[Array, Array]:
    """Column and row `[n, 2]` in the picture, and metres ahead of the camera `[n]`."""
    local = (place - frame.pose[:3, 3]) @ frame.pose[:3, :3]
    ahead = -local[:, 2]
    lens, safe = frame.intrinsics, np.maximum(ahead, 1e-6)
    column = lens.fx * local[:, 0] / safe + lens.cx
    row = -lens.fy * local[:, 1] / safe + lens.cy
    return np.stack([column, row], axis=1), ahead


def _sees(
    frame: Frame, caster: RayCaster, place: Array, normal: Array
) -> tuple[NDArray[np.int64], Array]:
    """Which texels a camera sees, and how well: near, head-on, far from the picture's edge."""
    pixel, ahead = _pixels(frame, place)
    way = frame.pose[:3, 3] - place
    far = np.maximum(np.linalg.norm(way, axis=1), 0.05)
    slant = np.einsum("ij,ij->i", way, normal) / far
    lens = frame.intrinsics
    rim = np.minimum.reduce(
        [pixel[:, 0], pixel[:, 1], lens.width - 1 - pixel[:, 0], lens.height - 1 - pixel[:, 1]]
    ) / (0.15 * lens.height)
    index = np.flatnonzero((ahead > 0.05) & (slant > 0.12) & (rim > 0))
    eye = np.broadcast_to(frame.pose[:3, 3], (len(index), 3))
    index = index[caster.visible(eye, place[index] + 0.01 * normal[index], MARGIN)]
    good = slant[index] / far[index] * np.minimum(rim[index], 1)
    return index, np.maximum(good, 1e-3) ** SHARPNESS


def _looked_up(frame: Frame, place: Array) -> Array:
    """Colours `[n, 3]` between the pixels."""
    import cv2

    pixel, _ = _pixels(frame, place)
    picture = frame.image()
    out = np.empty((len(pixel), 3))
    # OpenCV samples at most 32767 places in a row.
    for start in range(0, len(pixel), 30_000):
        part = pixel[start : start + 30_000].astype(np.float32)
        found = cv2.remap(
            picture, part[None, :, 0], part[None, :, 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        out[start : start + 30_000] = found[0]
    return out


def _nearest(
    colour: Array, place: Array, facing: NDArray[np.int64], known: NDArray[np.bool_]
) -> Array:
    """Colours of the texels not `known`: a mean of those nearest that look the same way."""
    apart = np.column_stack([place, 20.0 * facing])
    every = max(int(known.sum()) // 200_000, 1)
    source = np.flatnonzero(known)[::every]
    near = cKDTree(apart[source]).query(apart[~known], k=min(8, len(source)))[1]
    return np.asarray(colour[source][near.reshape(int((~known).sum()), -1)].mean(axis=1))
