"""Depth of a room trained as 3D Gaussians elsewhere (Kerbl et al. 2023), drawn on the CPU.

Each pixel gets the depth at which the light behind falls under a half: the median, which does not
smear over edges as the mean does. Where a ray passes a Gaussian it takes the depth of its densest
point on the ray (Yu, Sattler & Geiger 2024), so that flat ones are planes and not steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from piavas.capture import Capture
from piavas.capture.gravity import OPENCV_TO_OPENGL
from piavas.capture.types import Frame
from piavas.errors import GeometryError
from piavas.geometry.depth.source import DepthMap

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
FIELDS = (
    *("x", "y", "z", "opacity", "scale_0", "scale_1", "scale_2"),
    *("rot_0", "rot_1", "rot_2", "rot_3"),
)
BLUR = 0.3  # square pixels added to every footprint, as in training
FAINT = 1 / 255  # opacity under which nothing is drawn
MOST = 0.99  # opacity of one Gaussian
NEAREST = 0.1  # metres
REACH = 3.0  # standard deviations that are drawn
HALF = 0.5  # light that is left at the median
THINNEST = 1e-4  # metres of the standard deviation of a flat one
FARTHEST_OUT = 1.5  # half images beside the edge at which slopes are cut, as in training
BAND = 8  # rows drawn together
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}


@dataclass(frozen=True)
class Splat:
    """Gaussians: a `DepthSource`.

    Args:
        mean: `[n, 3]` in the unit of the training.
        turn: `[n, 3, 3]` axes as columns.
        scale: `[n, 3]` standard deviations along them.
        opacity: `[n]` 0 to 1.
        name: as in `SOURCES`.
    """

    mean: F64
    turn: F64
    scale: F64
    opacity: F64
    name: str = "splat"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Splat:
        """Read the PLY that trainers write: x y z, opacity as a logit, scales as logarithms,
        rot as a quaternion (w, x, y, z). Colours are not read.

        Raises:
            GeometryError: no such file, another format, fields missing, cut short, not finite.
        """
        table = _read(Path(path))
        quats = np.stack([table[f"rot_{k}"] for k in range(4)], axis=1)
        length = np.linalg.norm(quats, axis=1)
        if (
            not len(quats)
            or not all(np.isfinite(v).all() for v in table.values())
            or not length.all()
        ):
            raise GeometryError(
                "holds no Gaussians, or numbers that are not finite",
                file=path,
                field="vertex",
                mend="export it again",
            )
        return cls(
            np.stack([table[k] for k in "xyz"], axis=1),
            Rotation.from_quat(quats, scalar_first=True).as_matrix(),
            np.exp(np.stack([table[f"scale_{k}"] for k in range(3)], axis=1)),
            1 / (1 + np.exp(-table["opacity"])),
        )

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """See `DepthSource`; the Gaussians lie in the frame of the capture's own files."""
        world = self._in(capture)
        for frame in capture.frames:
            yield DepthMap(frame, world.draw(frame))

    def draw(self, frame: Frame) -> F32:
        """Median depth `[h, w]` in metres; 0 where more than half of the light passes."""
        camera = frame.intrinsics
        turn = OPENCV_TO_OPENGL @ frame.pose[:3, :3].T
        place = (self.mean - frame.pose[:3, 3]) @ turn.T
        # Past the nearest plane, or it would be drawn over all the image.
        seen = np.flatnonzero((place[:, 2] > NEAREST) & (self.opacity > FAINT))
        seen = seen[np.argsort(place[seen, 2], kind="stable")]
        axes, scale = turn @ self.turn[seen], np.maximum(self.scale[seen], THINNEST)
        spread = np.einsum("nij,nj,nkj->nik", axes, scale**2, axes)
        inverse = np.einsum("nij,nj,nkj->nik", axes, scale**-2.0, axes)
        lens = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        size = (camera.height, camera.width)
        middle, conic, reach = _footprints(place[seen], spread, lens, size)
        return np.asarray(
            _draw(
                middle, conic, reach, self.opacity[seen], place[seen], inverse,
                scale.max(axis=1), lens, *size,
            )
        )  # fmt: skip

    def _in(self, capture: Capture) -> Splat:
        """The Gaussians in the capture's world."""
        turn, move, unit = placed(capture)
        mean = unit * (self.mean @ turn.T) + move
        return Splat(mean, turn @ self.turn, unit * self.scale, self.opacity)


def placed(capture: Capture) -> tuple[F64, F64, float]:
    """How the frame of the capture's own files lies in its world, which readers turn and move:
    rotation `[3, 3]`, place `[3]` in metres, and metres a unit.
    """
    # A nerfstudio file states what was done before it was written; training saw it done.
    kept = capture.layout == "nerfstudio"
    move = np.eye(4) if kept else np.asarray(capture.transform, np.float64)
    size = float(np.cbrt(abs(np.linalg.det(move[:3, :3])))) or 1.0
    return move[:3, :3] / size, move[:3, 3], capture.unit if kept else size


def _read(path: Path) -> dict[str, F64]:
    """The needed columns of the PLY's vertices."""

    def wrong(what: str, field: str = "header") -> GeometryError:
        mend = "give the point_cloud.ply that a trainer of 3D Gaussians exports, binary"
        return GeometryError(what, file=path, field=field, mend=mend)

    try:
        data = path.read_bytes()
    except OSError as problem:
        raise wrong(problem.strerror or "cannot be read", "file") from None
    head, end, body = data.partition(b"end_header\n")
    lines = head.decode("ascii", "replace").split("\n")
    if lines[0].strip() != "ply" or not end:
        raise wrong("is no PLY file")
    if "format binary_little_endian 1.0" not in (line.strip() for line in lines):
        raise wrong("is no binary_little_endian PLY")
    words = [line.split() for line in lines if line.startswith(("element", "property"))]
    if not words or words[0][:2] != ["element", "vertex"] or not words[0][-1].isdigit():
        raise wrong("does not begin with vertices")
    columns = []
    for word in words[1:]:
        if word[0] == "element":
            break
        if len(word) != 3 or word[1] not in TYPES:
            raise wrong(f"has a vertex property that is no number: {' '.join(word[1:])}")
        columns.append((word[2], "<" + TYPES[word[1]]))
    names = [name for name, _ in columns]
    missing = [name for name in FIELDS if name not in names]
    if missing or len(set(names)) < len(names):
        raise wrong(f"lacks {', '.join(missing) or 'distinct names'}", "vertex")
    row, count = np.dtype(columns), int(words[0][2])
    if len(body) < count * row.itemsize:
        raise wrong(f"is cut short: {len(body)} of {count * row.itemsize} bytes", "vertex")
    table = np.frombuffer(body, row, count)
    return {name: table[name].astype(np.float64) for name in FIELDS}


def _footprints(place: F64, spread: F64, lens: F64, size: tuple[int, int]) -> tuple[F64, F64, F64]:
    """Middles `[n, 2]`, inverse covariances `[n, 3]` (xx, xy, yy) and radii `[n]` in pixels.

    The projection is linearised at the middle (Zwicker et al. 2001).
    """
    x, y, z = place.T
    fx, fy, cx, cy = lens
    # Far beside the image the linear map would blow up.
    edge_x, edge_y = FARTHEST_OUT * size[1] / fx / 2, FARTHEST_OUT * size[0] / fy / 2
    slope_x, slope_y = np.clip(x / z, -edge_x, edge_x), np.clip(y / z, -edge_y, edge_y)
    zero = np.zeros_like(z)
    map_ = np.array([[fx / z, zero, -fx * slope_x / z], [zero, fy / z, -fy * slope_y / z]])
    flat = np.einsum("ijn,njk,lkn->nil", map_, spread, map_) + BLUR * np.eye(2)
    a, b, c = flat[:, 0, 0], flat[:, 0, 1], flat[:, 1, 1]
    det = np.maximum(a * c - b * b, 1e-12)
    widest = 0.5 * (a + c) + np.sqrt(np.maximum(0.25 * (a - c) ** 2 + b * b, 0))
    middle = np.stack([cx + fx * x / z, cy + fy * y / z], axis=1)
    return middle, np.stack([c / det, -b / det, a / det], axis=1), REACH * np.sqrt(widest)


@njit(cache=True, parallel=True)
def _draw(middle, conic, reach, opacity, place, inverse, largest, lens, height, width):  # type: ignore[no-untyped-def]
    """Median depth by compositing front to back, some rows at a time."""
    out = np.zeros((height, width), np.float32)
    for band in prange((height + BAND - 1) // BAND):
        top, end = band * BAND, min(height, (band + 1) * BAND)
        light = np.ones((BAND, width))
        for n in range(len(opacity)):
            low = max(top, int(np.ceil(middle[n, 1] - reach[n])))
            high = min(end - 1, int(np.floor(middle[n, 1] + reach[n])))
            left = max(0, int(np.ceil(middle[n, 0] - reach[n])))
            right = min(width - 1, int(np.floor(middle[n, 0] + reach[n])))
            s = inverse[n]
            for v in range(low, high + 1):
                for u in range(left, right + 1):
                    before = light[v - top, u]
                    if before < HALF:
                        continue
                    dx, dy = u - middle[n, 0], v - middle[n, 1]
                    power = (
                        conic[n, 0] * dx * dx + 2 * conic[n, 1] * dx * dy + conic[n, 2] * dy * dy
                    )
                    alpha = min(MOST, opacity[n] * np.exp(-0.5 * power))
                    if alpha < FAINT:
                        continue
                    light[v - top, u] = before * (1 - alpha)
                    if light[v - top, u] < HALF:
                        # The densest point of the ray (x, y, 1) z.
                        x, y = (u - lens[2]) / lens[0], (v - lens[3]) / lens[1]
                        a = s[0, 0] * x + s[0, 1] * y + s[0, 2]
                        b = s[1, 0] * x + s[1, 1] * y + s[1, 2]
                        c = s[2, 0] * x + s[2, 1] * y + s[2, 2]
                        up = a * place[n, 0] + b * place[n, 1] + c * place[n, 2]
                        z = up / (a * x + b * y + c)
                        off = REACH * largest[n]
                        out[v, u] = min(max(z, place[n, 2] - off), place[n, 2] + off)
    return out
