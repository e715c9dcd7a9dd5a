"""Depth of single images by a network that tells metres, anchored where depth is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.capture.recordings import relative
from piavas.capture.types import Frame
from piavas.errors import CheckpointError, GeometryError
from piavas.geometry.depth.anchors import (
    FEWEST,
    SPREAD,
    Points,
    Stream,
    Together,
    anchor_depth,
    onto,
)
from piavas.geometry.depth.source import DepthMap, DepthSource
from piavas.hub import load_pretrained, need_transformers
from piavas.progress import track

MODEL = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"  # Apache-2.0
F32 = NDArray[np.float32]
ANCHORED, AS_TOLD, LEFT_OUT = "anchored", "as told", "left out"


@dataclass(frozen=True)
class Fate:
    """What became of an image.

    Args:
        kind: `ANCHORED`; `AS_TOLD`, where too little is known of it; or `LEFT_OUT`.
        why: in words.
        factor: median of what the network's depth was multiplied by.
    """

    kind: str
    why: str
    factor: float = 1.0


@dataclass(frozen=True)
class Mono:
    """A metric depth model of `transformers` (AutoModelForDepthEstimation).

    Args:
        model: what gives depth.
        processor: its picture processor.
        anchor: a source whose depth each image is scaled to; None takes the network's metres as
            they are.
        name: as in `SOURCES`.
        fates: what became of each image of the last capture, by its name.
    """

    model: Any
    processor: Any
    anchor: DepthSource | None = None
    name: str = "mono"
    fates: dict[str, Fate] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = MODEL,
        *,
        anchor: DepthSource | None = None,
        revision: str | None = None,
    ) -> Mono:
        """Load a model.

        Args:
            source: a folder, or a model of the hub; downloads are checked against their hashes.
            anchor: see the class.
            revision: of a model of the hub; None for its newest.

        Raises:
            MissingDependencyError: the extra `vision` is not installed.
            CheckpointError: no such model, no network, or another kind of model.
        """
        transformers = need_transformers("depth of single images needs", "depth", "take stereo")
        model, processor = load_pretrained(
            transformers.AutoModelForDepthEstimation,
            transformers.AutoImageProcessor,
            source,
            revision,
        )
        if getattr(model.config, "depth_estimation_type", "metric") != "metric":
            raise CheckpointError(
                "tells depth up to scale", field=str(source), mend="give a model of metric depth"
            )
        return cls(model, processor, anchor)

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """See `DepthSource`; images that contradict what is known of them are left out.

        Raises:
            GeometryError: all images contradict it.
        """
        known = None if self.anchor is None else Stream(self.anchor, capture)
        self.fates.clear()
        for frame in track(capture.frames, "depth"):
            if known is not None and known.failed is not None:
                raise known.failed
            fitted, fate = self._fitted(frame, None if known is None else known.of(frame))
            self.fates[relative(frame.image_path, capture.root)] = fate
            if fitted is not None:
                yield DepthMap(frame, fitted)
        if all(fate.kind == LEFT_OUT for fate in self.fates.values()):
            raise GeometryError(
                "the network's depth contradicts what is known in every image",
                file=capture.root,
                field="depth",
                mend="check the poses and their scale, or take another model",
            )

    def _fitted(self, frame: Frame, known: DepthMap | None) -> tuple[F32 | None, Fate]:
        """The network's depth of `frame` brought to what is known; None where it contradicts it."""
        depth = self.predict(frame.image())
        if known is None:
            why = "nothing is known of it" if self.anchor else "no anchors were asked for"
            return depth, Fate(AS_TOLD, why)
        there = onto(known.depth, depth.shape)
        count = int((np.isfinite(there) & (there > 0)).sum())
        fitted = anchor_depth(depth, there)
        if fitted is None:
            why = (
                f"contradicts the {count} pixels that are known: at the best scale half of them "
                f"are more than {100 * SPREAD:.0f} % off"
            )
            return None, Fate(LEFT_OUT, why)
        if not fitted.anchors:
            return depth, Fate(AS_TOLD, f"{count} pixels are known, {FEWEST} are needed")
        return fitted.depth, Fate(ANCHORED, f"to {fitted.anchors} pixels", fitted.factor)

    @property
    def report(self) -> dict[str, Any]:
        """What became of the images of the last capture, as plain JSON values."""
        of = {
            kind: {n: f for n, f in self.fates.items() if f.kind == kind}
            for kind in (ANCHORED, AS_TOLD, LEFT_OUT)
        }
        factors = [fate.factor for fate in of[ANCHORED].values()]
        span = [float(round(f, 4)) for f in np.quantile(factors, (0, 0.5, 1))] if factors else []
        return {
            "images": len(self.fates),
            "anchored": len(of[ANCHORED]),
            "factor": span,
            "as_told": {name: fate.why for name, fate in of[AS_TOLD].items()},
            "left_out": {name: fate.why for name, fate in of[LEFT_OUT].items()},
        }

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth `[h, w]` in metres of `[h, w, 3]` RGB."""
        import torch

        height, width = image.shape[:2]
        given = self.processor(images=image, return_tensors="pt")
        with torch.inference_mode():
            found = self.model(**given).predicted_depth
            depth = torch.nn.functional.interpolate(
                found[:, None], (height, width), mode="bilinear", align_corners=False
            )
        return depth[0, 0].float().numpy()


def known_depth() -> DepthSource:
    """What a network is anchored to: the points of a sparse model, and stereo."""
    from piavas.geometry.depth.stereo import Stereo

    return Together((Points(), Stereo(fill=False)))
