"""How to train: the supplement's way, and a quick one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from piavas.errors import CheckpointError

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are the supplement's.

    Args:
        epochs: passes over the clips.
        batch: clips a step.
        learning_rate: of Adam.
        beta1: of Adam.
        beta2: of Adam.
        weight_decay: of Adam (L2).
        sigma: noise of the path.
        seed: of everything random.
        crop: samples of a random stretch of each clip; None takes the shortest clip's length.
        spectral_weight: of `losses.spectral_loss` at the end of the flow; the paper's is 0.
        level_weight: of `losses.level_loss`, likewise.
        flow_weight: of the flow matching loss.
        at_start: share of the clips that are shown at t = 0, where inference begins.
        own_path: share that are shown where the network's own first step leads instead of on the
            straight path to the recording, which inference never sees.
        average: decay of a running average of the weights, which is what is kept; 0 for none.
        clip_gradient: largest norm of the gradient; 0 for no limit.
        balance: whether the level difference of the ears is the one that physics expects, times a
            share that is fitted to the recordings; clips must know it.
        align: whether x_sim is brought to the recordings' common gain and delay before, see
            `piavas.refine.align`.
        accumulate: pieces in which a batch goes through the network, for less memory; the step is
            the same.
        precision: of the network's products, "fp32" or "bf16".
        compile: whether `torch.compile` makes the network's code.
        max_steps: stop there; None for the end of the epochs.
        max_seconds: stop then; None for no limit.
        checkpoint_every: steps between checkpoints.
        patience: steps in a row with a loss that is not finite after which to stop.

    Raises:
        CheckpointError: a value out of range.
    """

    epochs: int = 200
    batch: int = 4
    learning_rate: float = 5e-4
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 1e-4
    sigma: float = 1e-4
    seed: int = 0
    crop: int | None = None
    spectral_weight: float = 0.0
    level_weight: float = 0.0
    flow_weight: float = 1.0
    at_start: float = 0.0
    own_path: float = 0.0
    average: float = 0.0
    clip_gradient: float = 0.0
    balance: bool = False
    align: bool = False
    accumulate: int = 1
    precision: str = "fp32"
    compile: bool = False
    max_steps: int | None = None
    max_seconds: float | None = None
    checkpoint_every: int = 100
    patience: int = 10

    def __post_init__(self) -> None:
        positive = (
            "epochs", "batch", "learning_rate", "checkpoint_every", "patience", "accumulate"
        )  # fmt: skip
        if self.precision not in PRECISIONS:
            raise CheckpointError(
                f"no precision {self.precision!r}", field="precision",
                mend=f"choose of {', '.join(PRECISIONS)}",
            )  # fmt: skip
        for part in fields(self):
            value = getattr(self, part.name)
            if (
                value is not None
                and not isinstance(value, str)
                and (value < 0 or (part.name in positive and value <= 0))
            ):
                raise CheckpointError(
                    f"{value!r} is out of range", field=part.name, mend="give a positive number"
                )

    @classmethod
    def quick(cls, **changes: Any) -> TrainConfig:
        """For minutes on a CPU: what a short run needs to sound better, not only to err less."""
        options: dict[str, Any] = {
            "epochs": 10_000,
            "learning_rate": 2e-3,
            "spectral_weight": 1.0,
            "level_weight": 1.0,
            "flow_weight": 0.05,
            "at_start": 0.3,
            "own_path": 0.5,
            "average": 0.99,
            "clip_gradient": 1.0,
        }
        return cls(**{**options, **changes})
