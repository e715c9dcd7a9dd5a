"""Label images: pixels whose names somebody gave already."""

from __future__ import annotations

import numpy as np

from piavas.capture import Capture
from piavas.materials.recognise.types import Guess, View


class LabelImages:
    """What the label images of a capture say, without doubt.

    Args:
        capture: with label images.
    """

    name = "label images"

    def __init__(self, capture: Capture) -> None:
        self.numbers = sorted(capture.labels)
        self.rows = tuple(capture.labels[k] for k in self.numbers)
        self._column = np.full(max(self.numbers, default=-1) + 2, -1, np.int32)
        self._column[self.numbers] = np.arange(len(self.numbers))

    def recognise(self, view: View) -> Guess | None:
        """The labels of one frame as segments; None where it has no label image."""
        if view.frame.label_path is None:
            return None
        label = view.frame.labels()
        known = (label >= 0) & (label < len(self._column))
        return Guess(self._column[np.where(known, label, -1)], np.eye(len(self.rows)))
