"""What a vision network sees in the photographs nearest to head and source.

The network is any of `transformers` that makes a vector of an image: CLIP (Radford et al. 2021),
SigLIP (Zhai et al. 2023), DINOv2 (Oquab et al. 2023). In the mirror it sees the flipped photograph.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.capture import Capture, Frame
from piavas.errors import CaptureError, CheckpointError
from piavas.hub import load_pretrained, need_transformers
from piavas.refine.views import Sight
from piavas.scene import as_point, check_pose

MODEL = "google/siglip-base-patch16-224"  # Apache-2.0
METRES_A_RADIAN = 1.0
"""How far a photograph may be away to be as near as one that is turned by a radian."""


class Photographs:
    """Embeddings of the frames of a capture, each computed once.

    Args:
        capture: with frames.
        model: of `transformers`, with features of an image.
        processor: its picture processor.
        name: of the model, for the record.

    Raises:
        CaptureError: no frames.
    """

    def __init__(self, capture: Capture, model: Any, processor: Any, name: str = "") -> None:
        if not capture.frames:
            raise CaptureError("has no images", file=capture.root, mend="take the panorama")
        self.frames, self.model, self.processor, self.name = capture.frames, model, processor, name
        self.poses = np.stack([frame.pose for frame in capture.frames])
        self.found: dict[int, NDArray[np.float32]] = {}

    @classmethod
    def load(
        cls,
        capture: Capture,
        source: str | os.PathLike[str] = MODEL,
        *,
        revision: str | None = None,
    ) -> Photographs:
        """Load a model.

        Args:
            capture: with frames.
            source: a folder, or a model of the hub; downloads are checked against their hashes.
            revision: of a model of the hub; None for its newest.

        Raises:
            MissingDependencyError: the extra `vision` is not installed.
            CheckpointError: no such model, no network, or another kind of model.
            CaptureError: no frames.
        """
        transformers = need_transformers("models that see need", "images", "take the panorama")
        model, processor = load_pretrained(
            transformers.AutoModel, transformers.AutoImageProcessor, source, revision
        )
        return cls(capture, model, processor, str(source))

    def __call__(self, pose: ArrayLike, source: ArrayLike) -> Sight:
        """See `piavas.refine.views.Extractor`: the photograph of the head, then of the source."""
        matrix, point = check_pose(pose), as_point(source, "source")
        facts: dict[str, Any] = {}
        near, facts["head"] = self._nearest(matrix)
        shown, facts["source"] = self._showing(point)
        both = np.concatenate([self._embed(near), self._embed(shown)], axis=1)
        return Sight(both, facts)

    def _nearest(self, pose: NDArray[np.float64]) -> tuple[int, dict[str, Any]]:
        """The frame at the pose, or the nearest in place and turn."""
        away = np.linalg.norm(self.poses[:, :3, 3] - pose[:3, 3], axis=1)
        cosine = (np.einsum("nij,ij->n", self.poses[:, :3, :3], pose[:3, :3]) - 1) / 2
        turn = np.arccos(np.clip(cosine, -1, 1))
        best = int(np.argmin(away + METRES_A_RADIAN * turn))
        return best, self._fact(best, away[best], degrees=round(float(np.degrees(turn[best])), 1))

    def _showing(self, source: NDArray[np.float64]) -> tuple[int, dict[str, Any]]:
        """The nearest frame that has the source in the picture; if none has, the nearest."""
        away = np.linalg.norm(self.poses[:, :3, 3] - source, axis=1)
        shows = np.array([_shows(frame, source) for frame in self.frames])
        best = int(np.argmin(np.where(shows, away, np.inf) if shows.any() else away))
        return best, self._fact(best, away[best], shown=bool(shows[best]))

    def _fact(self, number: int, metres: float, **more: Any) -> dict[str, Any]:
        return {
            "image": self.frames[number].image_path.name,
            "metres": round(float(metres), 3),
            **more,
        }

    def _embed(self, number: int) -> NDArray[np.float32]:
        """`[2, d]` of a frame and of its mirror image, of mean square 1."""
        import torch

        if number not in self.found:
            image = self.frames[number].image()
            pair = [np.ascontiguousarray(image), np.ascontiguousarray(image[:, ::-1])]
            given = self.processor(images=pair, return_tensors="pt")
            with torch.inference_mode():
                if hasattr(self.model, "get_image_features"):
                    told = self.model.get_image_features(**given)
                else:
                    told = self.model(**given)
            told = getattr(told, "pooler_output", told)
            if not isinstance(told, torch.Tensor) or told.ndim != 2:
                raise CheckpointError(
                    "makes no vector of an image",
                    field=self.name,
                    mend="give CLIP, SigLIP or DINOv2",
                )
            vector = told.float().numpy()
            size = np.sqrt(np.square(vector).mean(axis=1, keepdims=True))
            self.found[number] = vector / np.maximum(size, 1e-12)
        return self.found[number]


def _shows(frame: Frame, point: NDArray[np.float64]) -> bool:
    """Whether `point` lies inside the picture; walls between are not asked about."""
    x, y, z = frame.pose[:3, :3].T @ (point - frame.pose[:3, 3])
    if z > -0.05:
        return False
    lens = frame.intrinsics
    u, v = lens.cx - lens.fx * x / z, lens.cy + lens.fy * y / z
    return bool(-0.5 <= u < lens.width - 0.5 and -0.5 <= v < lens.height - 0.5)
