"""The capture's pictures on the mesh: each texel looks at the cameras that see it best."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, minimum_filter
from scipy.spatial import cKDTree

from piavas.capture import Capture, Frame
from piavas.listen.page_atlas import Atlas, make_atlas
from piavas.progress import track
from piavas.rays import RayCaster
from piavas.scene import Mesh, triangle_areas

MARGIN = 0.03  # metres by which a picture's surface may lie off the mesh
SHARPNESS = 6.0  # the higher, the more the best camera outweighs the others
RIM = 0.15  # of the picture's height: nearer to its edge a texel counts less
FLATTEST = 0.12  # cosine of the angle to the surface's normal from which a camera counts
LARGEST = 2048  # texels along the sides of the picture, about
HIDDEN = 0.04  # metres, head-on at 1 m, by which the sensor may see a surface nearer
CELL = 0.05  # metres within which unseen texels share a colour
FINEST = 0.015  # metres
Array = NDArray[np.float64]
F32 = NDArray[np.float32]


def photograph(mesh: Mesh, capture: Capture) -> tuple[Atlas, NDArray[np.uint8], NDArray[np.bool_]]:
    """Colour `mesh` from `capture`.

    Texels that no camera saw take the colour of the nearest that looks the same way.

    Returns:
        the atlas, its picture `[height, width, 3]` RGB, and which faces `[f]` some camera saw.
    """
    area = triangle_areas(mesh.vertices, mesh.faces).sum()
    atlas = make_atlas(mesh, max(FINEST, float(np.sqrt(1.25 * area)) / LARGEST))
    rows = np.nonzero(atlas.face >= 0)
    place, face = atlas.place[rows], atlas.face[rows]
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    caster, facing = RayCaster(mesh.vertices, mesh.faces), normal[face].astype(np.float32)
    colour, weight = np.zeros((len(place), 3)), np.zeros(len(place))
    for frame in track(capture.frames, "colour"):
        seen, share, found = _seen(frame, caster, place, facing)
        colour[seen] += share[:, None] * found
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


@njit(cache=True)
def _project(place, normal, pose, lens, column, row, good):  # type: ignore[no-untyped-def]
    """Where each texel lies in a picture, and how well it would show there: 0 outside of it.

    Near, head-on and far from the picture's edge is good. `lens` is fx, fy, cx, cy, width, height.
    """
    fx, fy, cx, cy, width, height = lens
    for i in range(place.shape[0]):
        good[i] = 0
        x, y, z = place[i, 0] - pose[0, 3], place[i, 1] - pose[1, 3], place[i, 2] - pose[2, 3]
        ahead = -(x * pose[0, 2] + y * pose[1, 2] + z * pose[2, 2])
        if ahead < 0.05:
            continue
        u = fx * (x * pose[0, 0] + y * pose[1, 0] + z * pose[2, 0]) / ahead + cx
        v = -fy * (x * pose[0, 1] + y * pose[1, 1] + z * pose[2, 1]) / ahead + cy
        rim = min(u, width - 1 - u, v, height - 1 - v) / (RIM * height)
        far = max(np.sqrt(x * x + y * y + z * z), 0.05)
        slant = -(x * normal[i, 0] + y * normal[i, 1] + z * normal[i, 2]) / far
        if rim > 0 and slant > FLATTEST:
            column[i], row[i], good[i] = u, v, slant / far * min(rim, 1.0)


def _seen(
    frame: Frame, caster: RayCaster, place: F32, normal: F32
) -> tuple[NDArray[np.int64], Array, Array]:
    """Which texels a camera sees, the share of each there, and its colour `[n, 3]`."""
    lens = frame.intrinsics
    column, row, good = (np.empty(len(place), np.float32) for _ in range(3))
    about = (lens.fx, lens.fy, lens.cx, lens.cy, float(lens.width), float(lens.height))
    _project(place, normal, frame.pose, about, column, row, good)
    if frame.depth_path is not None:
        _leave_hidden(frame, place, column, row, good)
    index = np.flatnonzero(good)
    eye = np.broadcast_to(frame.pose[:3, 3], (len(index), 3))
    index = index[caster.visible(eye, place[index] + 0.01 * normal[index], MARGIN)]
    share = np.maximum(good[index].astype(np.float64), 1e-3) ** SHARPNESS
    return index, share, _looked_up(frame.image(), column[index], row[index])


def _leave_hidden(frame: Frame, place: F32, column: F32, row: F32, good: F32) -> None:
    """Set `good` to 0 where the sensor saw something nearer than the texel.

    What is too thin for the mesh hides what is behind it all the same; and where depth jumps, a
    pixel may show either side.
    """
    depth = frame.depth()
    nearest = minimum_filter(np.where(np.isfinite(depth), depth, np.inf), 5)
    index = np.flatnonzero(good)
    pixel = np.round(row[index]).astype(int), np.round(column[index]).astype(int)
    ahead = (frame.pose[:3, 3] - place[index]) @ frame.pose[:3, 2]
    slack = HIDDEN * np.maximum(ahead, 1.0) / np.maximum(good[index] * ahead, 0.2)
    good[index[nearest[pixel] < ahead - slack]] = 0


def _looked_up(picture: NDArray[np.uint8], column: F32, row: F32) -> Array:
    """Colours `[n, 3]` between the pixels."""
    import cv2

    out = np.empty((len(column), 3))
    # OpenCV samples at most 32767 places in a row.
    for start in range(0, len(column), 30_000):
        at = slice(start, start + 30_000)
        found = cv2.remap(
            picture, column[None, at], row[None, at], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        out[at] = found[0]
    return out


def _nearest(
    colour: Array, place: F32, facing: NDArray[np.int64], known: NDArray[np.bool_]
) -> Array:
    """Colours of the texels not `known`: a mean of those nearest that look the same way.

    Found once for each cell of `CELL` metres, for there are many texels.
    """
    apart = np.column_stack([place, 20.0 * facing])
    cells, of = np.unique(
        np.round(apart[~known] / (CELL, CELL, CELL, 20.0)).astype(np.int32),
        axis=0,
        return_inverse=True,
    )
    every = max(int(known.sum()) // 60_000, 1)
    source = np.flatnonzero(known)[::every]
    middle = cells * np.array([CELL, CELL, CELL, 20.0])
    near = cKDTree(apart[source]).query(middle, k=min(6, len(source)))[1]
    return np.asarray(colour[source][near.reshape(len(cells), -1)].mean(axis=1)[of.reshape(-1)])
