"""Similarities between worlds whose origin, direction and unit of length are each their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.errors import DataError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """x to scale * rotation x + translation.

    Args:
        scale: of lengths, > 0.
        rotation: `[3, 3]`.
        translation: `[3]`.

    Raises:
        DataError: not of these shapes, not finite, no positive scale, or no rotation.
    """

    scale: float = 1.0
    rotation: Array = field(default_factory=lambda: np.eye(3))
    translation: Array = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        turn = np.asarray(self.rotation, dtype=np.float64)
        shift = np.asarray(self.translation, dtype=np.float64)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise DataError(f"{self.scale} is no scale", field="scale", mend="give a number > 0")
        if shift.shape != (3,) or not np.isfinite(shift).all():
            raise DataError("is no point", field="translation", mend="give three finite numbers")
        if turn.shape != (3, 3) or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3):
            raise DataError("is no rotation", field="rotation", mend="give an orthonormal 3x3")
        if np.linalg.det(turn) < 0:
            raise DataError("mirrors", field="rotation", mend="give a right-handed rotation")
        object.__setattr__(self, "rotation", turn)
        object.__setattr__(self, "translation", shift)

    def points(self, points: ArrayLike) -> Array:
        """Points `[..., 3]`, moved."""
        moved = self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation
        return np.asarray(moved)

    def poses(self, poses: ArrayLike) -> Array:
        """Poses `[..., 4, 4]`, moved; they stay rigid."""
        moved = np.array(poses, dtype=np.float64)
        moved[..., :3, 3] = self.points(moved[..., :3, 3])
        moved[..., :3, :3] = self.rotation @ moved[..., :3, :3]
        return moved

    @property
    def inverse(self) -> Similarity:
        """The way back."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)

    def __matmul__(self, first: Similarity) -> Similarity:
        """`first`, then this."""
        return Similarity(
            self.scale * first.scale, self.rotation @ first.rotation, self.points(first.translation)
        )

    @classmethod
    def between(cls, poses: Array, moved: Array) -> Similarity:
        """The similarity that best takes `poses` `[n, 4, 4]` to `moved` `[n, 4, 4]`.

        The rotation is the mean of those of the poses, so that a straight walk does; scale and
        translation are least squares over the positions.
        """
        u, _, v = np.linalg.svd(np.einsum("nij,nkj->ik", moved[:, :3, :3], poses[:, :3, :3]))
        turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
        places, wanted = poses[:, :3, 3] @ turn.T, moved[:, :3, 3]
        spread = places - places.mean(axis=0)
        power = float((spread**2).sum())
        scale = float((spread * (wanted - wanted.mean(axis=0))).sum()) / power if power else 1.0
        scale = scale if scale > 0 else 1.0
        return cls(scale, turn, wanted.mean(axis=0) - scale * places.mean(axis=0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "scale": self.scale,
            "rotation": self.rotation.tolist(),
            "translation": self.translation.tolist(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Similarity:
        """What `to_json` gave; rotation and translation may be left out.

        Raises:
            DataError: no such mapping, or an unknown key.
        """
        if not isinstance(value, Mapping) or set(value) - {"scale", "rotation", "translation"}:
            raise DataError(
                "is no similarity", field="alignment", mend="give scale, rotation, translation"
            )
        try:
            scale = float(value.get("scale", 1.0))
            turn = np.asarray(value.get("rotation", np.eye(3)), np.float64)
            shift = np.asarray(value.get("translation", np.zeros(3)), np.float64)
        except (TypeError, ValueError):
            raise DataError(
                "holds no numbers", field="alignment", mend="give scale, rotation, translation"
            ) from None
        return cls(scale, turn, shift)
