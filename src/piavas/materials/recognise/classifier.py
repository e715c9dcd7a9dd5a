"""The classifier that ships with the package: features of a segment to rows of the table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import CheckpointError
from piavas.files import read_json
from piavas.materials.recognise.features import measure
from piavas.materials.recognise.types import Guess, View

F32 = NDArray[np.float32]
FOLDER = Path(__file__).with_name("weights")
WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
FORMAT = "piavas-material-classifier-1"


@dataclass(frozen=True)
class Classifier:
    """A mean of small perceptrons over standardised features, at one temperature.

    Args:
        rows: of the table.
        mean: `[f]` of the features.
        scale: `[f]` of the features.
        members: for each perceptron its layers' weights `[out, in]` and biases `[out]`.
        temperature: what logits are divided by, so that probabilities are as often right as they
            say (Guo et al. 2017).
    """

    rows: tuple[str, ...]
    mean: F32
    scale: F32
    members: tuple[tuple[tuple[F32, F32], ...], ...]
    temperature: float = 1.0
    name: str = "classifier"

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None) -> Classifier:
        """Read a classifier; None for the one that ships with the package.

        Raises:
            CheckpointError: missing, truncated, or of another kind.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder) if folder is not None else FOLDER
        card = read_json(folder / CARD, error=CheckpointError)
        try:
            if card["format"] != FORMAT:
                raise KeyError("format")
            tensors = load_file(folder / WEIGHTS)
            members = tuple(
                tuple(
                    (tensors[f"{m}.{k}.weight"], tensors[f"{m}.{k}.bias"])
                    for k in range(card["layers"])
                )
                for m in range(card["members"])
            )
            rows = tuple(map(str, card["rows"]))
            mean, scale = tensors["mean"], tensors["scale"]
            if any(member[-1][0].shape[0] != len(rows) for member in members):
                raise ValueError("rows")
            return cls(rows, mean, scale, members, float(card["temperature"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(
                f"is no classifier of materials: {problem}", file=folder, mend="train it anew"
            ) from None

    def probabilities(self, features: F32) -> NDArray[np.float64]:
        """`[n, rows]` of features `[n, f]`."""
        x = standardised(features, self.mean, self.scale)
        total = np.zeros((len(x), len(self.rows)))
        for layers in self.members:
            value = x
            for weight, bias in layers[:-1]:
                value = np.maximum(value @ weight.T + bias, 0)
            logit = (value @ layers[-1][0].T + layers[-1][1]) / self.temperature
            logit = np.exp(logit - logit.max(axis=1, keepdims=True))
            total += logit / logit.sum(axis=1, keepdims=True)
        return total / len(self.members)

    def recognise(self, view: View) -> Guess:
        """Probabilities of the superpixels of one frame."""
        found = measure(view)
        return Guess(found.index, self.probabilities(found.features))


def standardised(features: F32, mean: F32, scale: F32) -> F32:
    """Features of about unit variance; what lies far outside of them is drawn in."""
    return np.asarray(np.clip((features - mean) / scale, -5, 5), np.float32)


def card_of(folder: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """What is known of a classifier: how it was trained, its confusion matrix, its calibration."""
    folder = Path(folder) if folder is not None else FOLDER
    return dict(read_json(folder / CARD, error=CheckpointError))
