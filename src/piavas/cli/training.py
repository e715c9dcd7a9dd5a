"""Options of training: the fields of `TrainConfig` and `RefinerConfig`, without their libraries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from piavas.errors import MissingDependencyError

if TYPE_CHECKING:
    from piavas.refine import Clip, RefinerConfig, TrainConfig

Device = Literal["cpu", "cuda"]
Preset = Literal["paper", "small", "spectral"]
SMALL_SECONDS = 150.0
"""How long the quick presets train where nothing else ends it."""


@dataclass(frozen=True)
class Training:
    """How to train and what; an option that is not given is the preset's."""

    epochs: int | None = None
    """Passes over the clips."""
    batch: int | None = None
    """Clips a step."""
    learning_rate: float | None = None
    """Of Adam."""
    beta1: float | None = None
    """Of Adam."""
    beta2: float | None = None
    """Of Adam."""
    weight_decay: float | None = None
    """Of Adam (L2)."""
    sigma: float | None = None
    """Noise of the path."""
    seed: int | None = None
    """Of everything random."""
    crop: int | None = None
    """Samples of a random stretch of each clip; else the shortest clip's length."""
    spectral_weight: float | None = None
    """Of the spectral loss at the end of the flow."""
    level_weight: float | None = None
    """Of the loss of levels there."""
    flow_weight: float | None = None
    """Of the flow matching loss."""
    at_start: float | None = None
    """Share of the clips that are shown at t = 0."""
    own_path: float | None = None
    """Share that are shown where the network's own first step leads."""
    average: float | None = None
    """Decay of a running average of the weights; 0 for none."""
    clip_gradient: float | None = None
    """Largest norm of the gradient; 0 for no limit."""
    balance: bool | None = None
    """Give the ears the level difference that physics expects; clips of several draws know it."""
    align: bool | None = None
    """Bring the simulation to the recordings' common gain and delay before."""
    accumulate: int | None = None
    """Pieces in which a batch goes through the network, for less memory."""
    precision: Literal["fp32", "bf16"] | None = None
    """Of the network's products."""
    compile: bool | None = None
    """Let torch.compile make the network's code."""
    max_steps: int | None = None
    """Stop there."""
    max_seconds: float | None = None
    """Stop then."""
    checkpoint_every: int | None = None
    """Steps between checkpoints."""
    patience: int | None = None
    """Steps in a row without a finite loss after which to stop."""
    blocks: int | None = None
    """Gated blocks of the network."""
    cycle: int | None = None
    """Blocks after which the dilation starts again at 1."""
    channels: int | None = None
    """Of a block."""
    kernel: int | None = None
    """Taps of a convolution, odd."""
    embedding: int | None = None
    """Width of the time and place embedding."""
    core: Literal["wave", "spectral"] | None = None
    """"wave" on samples as the paper's, "spectral" on band energies."""
    bands: int | None = None
    """Of the spectral network."""
    images: bool = False
    """Let the network see what the clips know of images (`piavas import capture --images`)."""
    acoustics: bool = False
    """Let it know the clips' reverberation times and levels (`import capture --acoustics`)."""


AS_PRESET = Training()
TrainingOptions = Annotated[Training, tyro.conf.arg(name="")]
"""The fields of `Training` as options of a verb, without a prefix."""


def make_configs(
    preset: Preset, options: Training, sample_rate: int, clips: Sequence[Clip] | None = None
) -> tuple[TrainConfig, RefinerConfig]:
    """The preset with what was given put over it.

    Args:
        preset: "paper" is the supplement; "small" a reduction of its network and "spectral" one
            on band energies, both with training for minutes on a CPU.
        options: what was given.
        sample_rate: of the clips, hertz.
        clips: that say how many features of images and numbers of the room there are, where
            these are asked for.

    Raises:
        DataError: the clips know nothing of the kind.
    """
    from piavas.refine import RefinerConfig, TrainConfig
    from piavas.refine.features import with_known

    training, network = TrainConfig(), RefinerConfig()
    if preset != "paper":
        ends = any(v is not None for v in (options.epochs, options.max_steps, options.max_seconds))
        training = TrainConfig.quick(max_seconds=None if ends else SMALL_SECONDS)
        network = RefinerConfig.small() if preset == "small" else RefinerConfig.spectral()
    given = {name: value for name, value in vars(options).items() if value is not None}
    known = {name: given.pop(name) for name in ("images", "acoustics")}
    network = replace(network, sample_rate=sample_rate, **_of(RefinerConfig, given))
    if any(known.values()):
        network = with_known(network, clips or (), **known)
    return replace(training, **_of(TrainConfig, given)), network


def _of(config: Any, given: dict[str, Any]) -> dict[str, Any]:
    return {part.name: given[part.name] for part in fields(config) if part.name in given}


def check_device(device: str) -> str:
    """`device`, if this machine has it.

    Raises:
        MissingDependencyError: no CUDA.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MissingDependencyError(
            "this machine or its torch has no CUDA", field="device", mend="give --device cpu"
        )
    return device
