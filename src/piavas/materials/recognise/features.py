"""What can be measured of a segment: its colour, its texture at several scales, its place."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.materials.recognise.types import View

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
SEGMENTS = 160  # of a frame
NORMALS = 12.0  # units of Lab that a turn of the surface by a radian counts for
AROUND = 10.0  # pixels: the width of what is around a pixel
SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)  # pixels: bands of texture lie between these
LEAST = 1e-4  # variance of log luminance that noise has
BRIGHT = 250  # of a byte: burnt out


@dataclass(frozen=True)
class Segments:
    """Superpixels of one view.

    Args:
        index: `[h, w]` of each pixel.
        features: `[segments, NAMES]`.
        area: `[segments]` square metres seen, about.
    """

    index: NDArray[np.int32]
    features: F32
    area: F64


def measure(view: View, image: NDArray[np.uint8] | None = None) -> Segments:
    """Cut a view into superpixels (SLIC, Achanta et al. 2012, in Lab and normals) and measure.

    Args:
        view: the frame and the room it shows.
        image: `[h, w, 3]` instead of the frame's own.
    """
    image = view.image if image is None else image
    face, distance = view.rays
    hit = face >= 0
    normal = np.where(hit[..., None], view.room.normal[face], 0)
    lab = _lab(image)
    index = _superpixels(np.concatenate([lab, NORMALS * normal], axis=2))
    channels, kinds = _channels(image, lab)
    count = int(index.max()) + 1
    mean = _means(channels, index, count)
    columns = _look(mean, kinds)
    place, area = _place(view, face, distance, normal, index, count)
    table = np.concatenate([columns, place], axis=1)
    return Segments(index, np.nan_to_num(table).astype(np.float32), area)


def _lab(image: NDArray[np.uint8]) -> F32:
    import cv2

    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def _superpixels(channels: F64) -> NDArray[np.int32]:
    from skimage.segmentation import slic

    found = slic(
        channels,
        n_segments=SEGMENTS,
        compactness=8.0,
        max_num_iter=5,
        convert2lab=False,
        channel_axis=2,
        start_label=0,
        enforce_connectivity=True,
    )
    return np.asarray(np.unique(found, return_inverse=True)[1].reshape(found.shape), np.int32)


def _channels(image: NDArray[np.uint8], lab: F32) -> tuple[F32, dict[str, int]]:
    """Everything whose mean over a segment counts, `[h, w, c]`, and the number of each by name."""
    from scipy.ndimage import gaussian_filter

    light, red, yellow = np.moveaxis(lab, 2, 0)
    log = np.log(((light + 16) / 116) ** 3 + 0.01).astype(np.float32)
    blurred = [log if s == 0 else gaussian_filter(log, s, truncate=3) for s in SCALES]
    found: dict[str, F32] = {"L": light, "a": red, "b": yellow}
    found |= {f"{k}{k}": v**2 for k, v in (("L", light), ("a", red), ("b", yellow))}
    for k, (fine, coarse) in enumerate(itertools.pairwise(blurred)):
        band = fine - coarse
        found[f"band{k}"] = band**2
        found[f"skew{k}"] = band**3
    for k, s in enumerate(SCALES[1:3]):
        dy, dx = np.gradient(blurred[1 + k])
        found[f"xx{k}"], found[f"yy{k}"], found[f"xy{k}"] = dx * dx * s, dy * dy * s, dx * dy * s
    found["burnt"] = (image.min(axis=2) >= BRIGHT).astype(np.float32)
    around = [k for k in found if not k.startswith("skew")]
    found |= {f"{k} around": gaussian_filter(found[k], AROUND, truncate=2) for k in around}
    return np.stack(list(found.values()), axis=2), {k: i for i, k in enumerate(found)}


def _means(channels: F32, index: NDArray[np.int32], count: int) -> F64:
    flat, of = channels.reshape(-1, channels.shape[2]), index.ravel()
    size = np.maximum(np.bincount(of, minlength=count), 1)
    return np.stack([np.bincount(of, c, count) / size for c in flat.T], axis=1)


def _look(mean: F64, kinds: dict[str, int]) -> F64:
    """Colours, their spread, energies and skews of bands, how far a texture has a direction."""

    def of(name: str) -> F64:
        return np.asarray(mean[:, kinds[name]])

    columns = []
    for where in ("", " around"):
        for k in ("L", "a", "b"):
            columns.append(of(k + where))
            columns.append(np.sqrt(np.maximum(of(k + k + where) - of(k + where) ** 2, 0)))
        columns.extend(0.5 * np.log(of(f"band{s}{where}") + LEAST) for s in range(4))
        for s in range(2):
            xx, yy, xy = (of(f"{n}{s}{where}") for n in ("xx", "yy", "xy"))
            total = xx + yy + LEAST
            columns += [(xx - yy) / total, np.hypot(xx - yy, 2 * xy) / total]
        columns.append(of("burnt" + where))
    for s in range(4):
        columns.append(np.clip(of(f"skew{s}") / (of(f"band{s}") + LEAST) ** 1.5, -4, 4))
    for k in ("L", "a", "b"):
        columns.append(of(k) - mean[:, kinds[k]].mean())
        columns.append(np.full(len(mean), mean[:, kinds[k]].mean()))
    return np.stack(columns, axis=1)


def _place(
    view: View,
    face: NDArray[np.int64],
    distance: F64,
    normal: F64,
    index: NDArray[np.int32],
    count: int,
) -> tuple[F64, F64]:
    """What is around each segment, and the square metres of it."""
    around, of, hit = view.room.surroundings, index.ravel(), (face >= 0).ravel()
    row = np.where(hit, face.ravel(), 0)
    far = np.where(hit, np.minimum(distance.ravel(), 10), 10.0)
    turn = normal.reshape(-1, 3)
    way = view.frame.pose[:3, 2]
    cosine = np.clip(turn @ way, 0.1, 1)
    lens = view.frame.intrinsics
    pixel = far**2 / cosine / (lens.fx * lens.fy * view.scale**2)
    values = [
        turn[:, 2],
        np.abs(turn[:, 2]),
        cosine,
        np.log(np.maximum(far, 0.1)),
        around.height[row],
        around.gap[row],
        around.drop[row],
        around.ahead[row],
        around.flat[row],
        np.log(around.breadth[row] + 1e-3),
        *(turn.T**2),
        hit,
    ]
    size = np.maximum(np.bincount(of, minlength=count), 1)
    mean = np.stack([np.bincount(of, np.where(hit, v, 0), count) / size for v in values], axis=1)
    mean_normal = np.stack([np.bincount(of, n, count) / size for n in turn.T], axis=1)
    bend = 1 - np.linalg.norm(mean_normal, axis=1)
    out = np.concatenate([np.delete(mean, [10, 11, 12], axis=1), bend[:, None]], axis=1)
    area = np.bincount(of, np.where(hit, pixel, 0.0), count)
    return out, area.astype(np.float64)
