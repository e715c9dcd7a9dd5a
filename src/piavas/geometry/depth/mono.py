"""Depth of single images by a network that tells metres, anchored where depth is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.errors import CheckpointError, GeometryError, MissingDependencyError
from piavas.geometry.depth.anchors import anchor_depth
from piavas.geometry.depth.source import DepthMap, DepthSource
from piavas.hub import load_pretrained
from piavas.progress import track

MODEL = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"  # Apache-2.0


@dataclass(frozen=True)
class Mono:
    """A metric depth model of `transformers` (AutoModelForDepthEstimation).

    Args:
        model: what gives depth.
        processor: its picture processor.
        anchor: a source whose depth each image is scaled to; None takes the network's metres as
            they are.
        name: as in `SOURCES`.
    """

    model: Any
    processor: Any
    anchor: DepthSource | None = None
    name: str = "mono"

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
        try:
            import transformers
        except ImportError:
            raise MissingDependencyError(
                "depth of single images needs transformers",
                field="depth",
                mend="pip install 'piavas[vision]', or take stereo",
            ) from None
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
        known = iter(()) if self.anchor is None else self.anchor.depths(capture)
        coming = next(known, None)
        kept = 0
        for frame in track(capture.frames, "depth"):
            depth = self.predict(frame.image())
            # Sources may thin their images: the frame is another then, of the same picture.
            if coming is not None and coming.frame.image_path == frame.image_path:
                fitted = anchor_depth(depth, _onto(coming.depth, depth.shape))
                coming = next(known, None)
                if fitted is None:
                    continue
                depth = fitted.depth
            kept += 1
            yield DepthMap(frame, depth)
        if not kept:
            raise GeometryError(
                "the network's depth contradicts what is known in every image",
                file=capture.root,
                field="depth",
                mend="check the poses and their scale, or take another model",
            )

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


def _onto(known: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
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
