"""Open vocabulary: pieces of pictures held against sentences, by a model that knows both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import CheckpointError
from piavas.hub import load_pretrained, need_transformers
from piavas.materials.recognise.segments import SUPERPIXELS, Cutter, cutter, superpixels
from piavas.materials.recognise.types import Guess, View
from piavas.materials.vocabulary import Vocabulary
from piavas.scene import Material

F64 = NDArray[np.float64]
MODEL = "google/siglip-base-patch16-224"  # Apache-2.0
MARGIN = 0.4  # of a segment's size that is shown around it
BATCH = 16


@dataclass(frozen=True)
class OpenVocabulary:
    """A model of the CLIP family (Radford et al. 2021; SigLIP: Zhai et al. 2023).

    Args:
        model: of `transformers`, with features of text and image.
        processor: its tokeniser and picture processor.
        rows: of the table.
        words: `[rows, d]` mean direction of each row's sentences, unit vectors.
        scale: what cosines are multiplied by before the softmax over rows.
        cut: what cuts pictures into the pieces that are looked at.
    """

    model: Any
    processor: Any
    rows: tuple[str, ...]
    words: F64
    scale: float
    cut: Cutter = superpixels
    name: str = "open vocabulary"

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = MODEL,
        *,
        vocabulary: Vocabulary,
        table: Mapping[str, Material],
        revision: str | None = None,
        segments: str | os.PathLike[str] = SUPERPIXELS,
    ) -> OpenVocabulary:
        """Load a model and learn the directions of its sentences.

        Args:
            source: a folder, or a model of the hub; downloads are checked against their hashes.
            vocabulary: sentences of each row.
            table: materials; rows that it lacks are left out.
            revision: of a model of the hub; None for its newest.
            segments: "superpixels", or a folder or a model of the hub that makes masks of things,
                such as `facebook/sam-vit-base` (Apache-2.0).

        Raises:
            MissingDependencyError: the extra `vision` is not installed.
            CheckpointError: no such model, no network, or another kind of model.
        """
        transformers = need_transformers(
            "models that know words and pictures need", "by", "choose the classifier"
        )
        cut = cutter(segments)
        model, processor = load_pretrained(
            transformers.AutoModel, transformers.AutoProcessor, source, revision
        )
        if not hasattr(model, "get_text_features") or not hasattr(model, "logit_scale"):
            raise CheckpointError(
                "knows no sentences", field=str(source), mend="give a CLIP or SigLIP model"
            )
        rows = tuple(row for row in vocabulary.prompts if row in table)
        found = cls(model, processor, rows, np.empty(0), float(model.logit_scale.detach().exp()))
        words = [
            found._sentences([vocabulary.template.format(p) for p in vocabulary.prompts[row]])
            for row in rows
        ]
        mean = np.stack([w.mean(axis=0) for w in words])
        return cls(model, processor, rows, _unit(mean), found.scale, cut)

    def recognise(self, view: View) -> Guess:
        """Probabilities of the pieces of one frame, each seen with a margin around it."""
        image = view.image
        index = self.cut(image)
        pieces = [_piece(image, box) for box in _boxes(index)]
        cosine = self._pictures(pieces) @ self.words.T
        logit = self.scale * cosine
        logit = np.exp(logit - logit.max(axis=1, keepdims=True))
        return Guess(index, logit / logit.sum(axis=1, keepdims=True))

    def _sentences(self, texts: list[str]) -> F64:
        import torch

        limit = getattr(self.model.config.text_config, "max_position_embeddings", 64)
        tokens = self.processor(
            text=texts, padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            return _unit(_features(self.model.get_text_features(**tokens)))

    def _pictures(self, pieces: list[NDArray[np.uint8]]) -> F64:
        import torch

        found = []
        for start in range(0, len(pieces), BATCH):
            batch = self.processor(images=pieces[start : start + BATCH], return_tensors="pt")
            with torch.no_grad():
                found.append(_unit(_features(self.model.get_image_features(**batch))))
        return np.concatenate(found)


def _features(value: Any) -> F64:
    """A tensor, or the pooled output that newer versions wrap it in."""
    return np.asarray(getattr(value, "pooler_output", value).double().numpy())


def _unit(value: F64) -> F64:
    return value / np.maximum(np.linalg.norm(value, axis=-1, keepdims=True), 1e-12)


def _boxes(index: NDArray[np.int32]) -> list[tuple[slice, slice]]:
    from scipy.ndimage import find_objects

    boxes = []
    for rows, columns in find_objects(index + 1):
        size = max(rows.stop - rows.start, columns.stop - columns.start)
        more = int(MARGIN * size)
        boxes.append(
            (
                slice(max(0, rows.start - more), rows.stop + more),
                slice(max(0, columns.start - more), columns.stop + more),
            )
        )
    return boxes


def _piece(image: NDArray[np.uint8], box: tuple[slice, slice]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[box])
