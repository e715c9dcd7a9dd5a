"""What pieces a picture is cut into before a model of words looks at them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from piavas.errors import CheckpointError
from piavas.hub import load_pretrained, need_transformers

SUPERPIXELS = "superpixels"
MODEL = "facebook/sam-vit-base"  # Apache-2.0
COUNT = 48  # superpixels of a picture
GRID = 16  # points across a picture at each of which a model is asked for a mask
BATCH = 64
SMALLEST = 60  # pixels of a mask that is worth a look
SURE = 0.8  # overlap with the truth that a model must expect of a mask
STEADY = 0.9  # overlap of a mask with itself at a higher and a lower threshold
HALF = 1.0  # by which those thresholds lie above and below that of the mask, log odds
ALIKE = 0.7  # overlap of masks that are of one thing

Index = NDArray[np.int32]


class Cutter(Protocol):
    """What cuts pictures."""

    def __call__(self, image: NDArray[np.uint8]) -> Index:
        """Number of each pixel's piece `[h, w]` of a picture `[h, w, 3]`; all from 0 up occur."""


def superpixels(image: NDArray[np.uint8]) -> Index:
    """Pieces of like colour (SLIC, Achanta et al. 2012)."""
    from skimage.segmentation import slic

    return numbered(slic(image, n_segments=COUNT, compactness=15.0, start_label=0, channel_axis=2))


def numbered(index: NDArray[Any]) -> Index:
    """`index` with numbers that all occur."""
    return np.unique(index, return_inverse=True)[1].reshape(index.shape).astype(np.int32)


@dataclass(frozen=True)
class Masks:
    """A model that finds things by points in them (SAM, Kirillov et al. 2023).

    Args:
        model: of `transformers`.
        pictures: its picture processor.
        sure: overlap with the truth that the model must expect of a mask.
        steady: overlap of a mask with itself at a higher and a lower threshold.
    """

    model: Any
    pictures: Any
    sure: float = SURE
    steady: float = STEADY

    @classmethod
    def load(cls, source: str | os.PathLike[str] = MODEL, *, revision: str | None = None) -> Masks:
        """Load a model.

        Args:
            source: a folder, or a model of the hub; downloads are checked against their hashes.
            revision: of a model of the hub; None for its newest.

        Raises:
            MissingDependencyError: the extra `vision` is not installed.
            CheckpointError: no such model, no network, or another kind of model.
        """
        transformers = need_transformers(
            "models that cut pictures into things need", "segments", f"choose {SUPERPIXELS}"
        )
        model, pictures = load_pretrained(
            transformers.AutoModelForMaskGeneration,
            transformers.AutoImageProcessor,
            source,
            revision,
        )
        if model.config.model_type != "sam":
            raise CheckpointError(
                "makes no masks of points", field=str(source), mend=f"give one such as {MODEL}"
            )
        return cls(model, pictures)

    def __call__(self, image: NDArray[np.uint8]) -> Index:
        """Small things before large ones; what is in none is cut into superpixels."""
        index = superpixels(image).astype(np.int64)
        start = int(index.max()) + 1
        masks = sorted(self.masks(image), key=lambda mask: -int(mask.sum()))
        for k, mask in enumerate(masks):
            index[mask] = start + k
        return numbered(index)

    def masks(self, image: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
        """Masks `[h, w]` of things, the surest first; of those that nearly agree, one."""
        import torch

        ready = self.pictures(images=image, return_tensors="pt")
        high, wide = (int(n) for n in ready["reshaped_input_sizes"][0])
        v, u = np.mgrid[0.5:GRID, 0.5:GRID].reshape(2, -1) / GRID
        points = torch.tensor(np.stack([u * wide, v * high], axis=1), dtype=torch.float32)
        found: list[tuple[float, NDArray[np.bool_]]] = []
        with torch.no_grad():
            seen = self.model.get_image_embeddings(ready["pixel_values"])
            for some in points.split(BATCH):
                out = self.model(image_embeddings=seen, input_points=some[None, :, None])
                score = out.iou_scores.flatten()
                logit = out.pred_masks.flatten(0, 2)
                inner, outer = ((logit > t).sum(dim=(1, 2)) for t in (HALF, -HALF))
                good = (score >= self.sure) & (inner >= self.steady * outer)
                for k in torch.nonzero(good).flatten():
                    mask = _spread(logit[k], (high, wide), image.shape[:2])
                    if mask.sum() >= SMALLEST:
                        found.append((float(score[k]), mask))
        found.sort(key=lambda pair: -pair[0])
        kept: list[NDArray[np.bool_]] = []
        for _, mask in found:
            if all((mask & one).sum() < ALIKE * (mask | one).sum() for one in kept):
                kept.append(mask)
        return kept


def _spread(logit: Any, seen: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A coarse mask at the size of the picture, of which the model saw the padded square."""
    import torch

    def resized(value: Any, size: Any) -> Any:
        return torch.nn.functional.interpolate(value, size, mode="bilinear", align_corners=False)

    whole = resized(logit[None, None], (max(seen), max(seen)))[..., : seen[0], : seen[1]]
    return np.asarray(resized(whole, tuple(shape))[0, 0].numpy() > 0)


def cutter(segments: str | os.PathLike[str]) -> Cutter:
    """What `segments` names: "superpixels", or a model of `Masks`."""
    return superpixels if str(segments) == SUPERPIXELS else Masks.load(segments)
