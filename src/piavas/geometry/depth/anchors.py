"""A network's depth held against points that are known, image by image.

Networks tell shapes well and sizes badly: a scale that is wrong by some percent in every image, and
slow errors over the image. Both are one smooth factor, fitted where stereo, a sensor or a sparse
model knows the depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.capture.types import Frame
from piavas.errors import GeometryError
from piavas.geometry.depth.source import DepthMap, DepthSource

F32 = NDArray[np.float32]

FEWEST = 30
"""Known pixels below which nothing is fitted."""
SMOOTH = 300
"""Known pixels from which the factor may bend over the image."""
SPREAD = 0.25
"""Median deviation of log ratios above which the two do not speak of the same."""
BINS = 4
"""Along each side of the image; known pixels must lie in half of the squares to bend the factor."""


@dataclass(frozen=True)
class Anchored:
    """Depth after the fit.

    Args:
        depth: `[h, w]` metres.
        factor: median of what the network's depth was multiplied by.
        spread: median deviation of the logarithms of known over fitted depth.
        anchors: pixels that were known; 0 where the network's depth stands as it was.
    """

    depth: F32
    factor: float
    spread: float
    anchors: int


def anchor_depth(depth: F32, known: F32) -> Anchored | None:
    """`depth` times the smooth factor that brings it nearest to what is `known`.

    The logarithm of the factor is a quadratic over the image where many pixels are known all over
    it, else a constant, fitted by least absolute deviations (reweighted least squares).

    Args:
        depth: `[h, w]` of the network.
        known: `[h, w]` metres; not finite or 0 where nothing is known.

    Returns:
        None where the two contradict each other.
    """
    both = np.isfinite(known) & (known > 0) & np.isfinite(depth) & (depth > 0)
    count = int(both.sum())
    if count < FEWEST:
        return Anchored(depth, 1.0, 0.0, 0)
    v, u = np.nonzero(both)
    ratio = np.log(known[both].astype(np.float64) / depth[both])
    bends = count >= SMOOTH and _covers(u, v, depth.shape)
    weights = _fit(_basis(u, v, depth.shape, bends), ratio)
    left = ratio - _basis(u, v, depth.shape, bends) @ weights
    spread = float(np.median(np.abs(left)))
    if spread > SPREAD:
        return None
    rows, columns = np.indices(depth.shape)
    factor = np.exp(_basis(columns.ravel(), rows.ravel(), depth.shape, bends) @ weights)
    scaled = depth * factor.reshape(depth.shape).astype(np.float32)
    return Anchored(scaled, float(np.median(factor)), spread, count)


def _covers(u: NDArray[np.intp], v: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    squares = BINS * (BINS * v // shape[0]) + BINS * u // shape[1]
    return len(np.unique(squares)) >= BINS * BINS // 2


def _basis(
    u: NDArray[np.intp], v: NDArray[np.intp], shape: tuple[int, ...], bends: bool
) -> NDArray[np.float64]:
    """Columns of a quadratic in image coordinates of [-1, 1], or of a constant."""
    x, y = 2 * u / max(shape[1] - 1, 1) - 1, 2 * v / max(shape[0] - 1, 1) - 1
    one = np.ones(len(x))
    return np.stack([one, x, y, x * x, x * y, y * y] if bends else [one], axis=1)


def _fit(basis: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    weight: NDArray[np.float64] = np.ones(len(wanted))
    found: NDArray[np.float64] = np.zeros(basis.shape[1])
    for _ in range(15):
        scaled = basis * weight[:, None]
        found = np.asarray(np.linalg.lstsq(scaled, wanted * weight, rcond=None)[0], np.float64)
        weight = 1 / np.sqrt(np.abs(wanted - basis @ found) + 1e-3)
    return found


class Points:
    """Depth of the single points that frames know, as those of a sparse model."""

    name = "points"

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """See `DepthSource`; frames without points are left out."""
        for frame in capture.frames:
            if frame.points is not None and len(frame.points):
                yield DepthMap(frame, _drawn(frame, frame.points))


def _drawn(frame: Frame, points: NDArray[np.float64]) -> F32:
    """`[h, w]`, NaN between the points; of two on one pixel the nearer."""
    known = np.full((frame.intrinsics.height, frame.intrinsics.width), np.nan, np.float32)
    far_first = points[np.argsort(-points[:, 2])]
    at = np.round(far_first[:, :2]).astype(int)
    known[at[:, 1], at[:, 0]] = far_first[:, 2]
    return known


@dataclass(frozen=True)
class Together:
    """What several sources know, in one: where two know a pixel, the first is taken.

    Args:
        sources: the surest first.
    """

    sources: tuple[DepthSource, ...]
    name: str = "together"

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """See `DepthSource`; maps have the size of the frames' intrinsics.

        Raises:
            GeometryError: one source fails, and no other knows anything.
        """
        streams = [Stream(source, capture) for source in self.sources]
        some = False
        for frame in capture.frames:
            found = [m for stream in streams if (m := stream.of(frame)) is not None]
            if not found:
                continue
            some = True
            shape = (frame.intrinsics.height, frame.intrinsics.width)
            known = np.full(shape, np.nan, np.float32)
            for one in found:
                placed = onto(one.depth, shape)
                known = np.where(np.isfinite(known) & (known > 0), known, placed)
            yield DepthMap(frame, known)
        for stream in streams:
            if stream.failed is not None and not some:
                raise stream.failed


class Stream:
    """The maps of a source beside the frames of its capture, in their order.

    Args:
        source: may leave frames out, and thin their images.
        capture: that it looks at.
    """

    def __init__(self, source: DepthSource, capture: Capture) -> None:
        self.failed: GeometryError | None = None
        self._maps = source.depths(capture)
        self._coming: DepthMap | None = None
        self._ahead()

    def of(self, frame: Frame) -> DepthMap | None:
        """What the source says of `frame`; frames are asked in their order, each once."""
        found = self._coming
        # Sources may thin their images: the frame is another then, of the same picture.
        if found is None or found.frame.image_path != frame.image_path:
            return None
        self._ahead()
        return found

    def _ahead(self) -> None:
        try:
            self._coming = next(self._maps, None)
        except GeometryError as problem:
            self._coming, self.failed = None, problem


def onto(known: F32, shape: tuple[int, ...]) -> F32:
    """`known` of a thinned image at the pixels of the whole one `shape`, NaN between them."""
    if known.shape == shape:
        return known
    placed = np.full(shape, np.nan, np.float32)
    rows, columns = (
        ((np.arange(n) + 0.5) * whole / n).astype(int)
        for n, whole in zip(known.shape, shape, strict=True)
    )
    placed[np.ix_(rows, columns)] = known
    return placed
