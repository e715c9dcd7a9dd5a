"""u_t(psi_t, x_tx, p): thirty gated convolution blocks of growing dilation.

The core is WaveNet's gate (van den Oord et al. 2016) as DiffWave and BinauralGrad stack it:
residual sums over sqrt 2, skips over the root of their number, dilations 2^0 to 2^9 three times.
The last layer starts at zero, so that an untrained refiner returns x_sim as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piavas.errors import CheckpointError
from piavas.refine.blocks import GatedBlock, Known, TimeEmbedding, run_blocks
from piavas.refine.conditioning import FEATURES

CORES = ("wave", "spectral")
MORE = ("images", "acoustics")
"""What a network may know besides the place."""


@dataclass(frozen=True)
class RefinerConfig:
    """The shape of the network.

    The supplement prints the number of blocks and the dilations; channels, kernel and embedding
    are our choice.

    Args:
        sample_rate: hertz.
        blocks: gated blocks.
        cycle: blocks after which the dilation starts again at 1.
        channels: of a block.
        kernel: taps, odd.
        embedding: width of the time and place embedding.
        core: "wave" for the paper's network on samples, "spectral" for `SpectralNetwork`.
        bands: of the spectral network.
        images: features of images that it is conditioned on (`piavas.refine.views`); 0 for none.
        acoustics: numbers of the simulated response (`piavas.refine.room`); 0 for none.

    Raises:
        CheckpointError: a value out of range.
    """

    sample_rate: int = 22_050
    blocks: int = 30
    cycle: int = 10
    channels: int = 64
    kernel: int = 3
    embedding: int = 256
    core: str = "wave"
    bands: int = 48
    images: int = 0
    acoustics: int = 0

    def __post_init__(self) -> None:
        if self.core not in CORES:
            raise CheckpointError(
                f"no core {self.core!r}", field="core", mend=f"choose of {', '.join(CORES)}"
            )
        for part in fields(self):
            value = getattr(self, part.name)
            least = 0 if part.name in MORE else 1
            if part.name != "core" and (not isinstance(value, int) or value < least):
                raise CheckpointError(
                    f"{value!r} is no positive whole number", field=part.name, mend="give one"
                )
        if self.kernel % 2 == 0:
            raise CheckpointError("the kernel is even", field="kernel", mend="give an odd one")

    @classmethod
    def small(cls) -> RefinerConfig:
        """For quick studies on a CPU: 16 blocks of 32 channels, 1 s in a fraction of a second."""
        return cls(blocks=16, cycle=8, channels=32, embedding=128)

    @classmethod
    def spectral(cls) -> RefinerConfig:
        """A network on band energies that learns in minutes on a CPU."""
        return cls(core="spectral", blocks=6, cycle=6, channels=96, embedding=96)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RefinerConfig:
        """Read what `to_json` wrote; an unknown key is an error that suggests the near one."""
        known = [part.name for part in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                raise CheckpointError(
                    f"no option {key!r}",
                    field=key,
                    mend=f"did you mean {near[0]!r}?" if near else f"choose of {', '.join(known)}",
                )
        return cls(**values)

    def to_json(self) -> dict[str, int | str]:
        """Plain JSON values; `images` and `acoustics` only where there are any."""
        return {k: v for k, v in asdict(self).items() if v or k not in MORE}

    @property
    def counts(self) -> tuple[int, int]:
        """Features of images and numbers of the room, for `piavas.refine.conditioning`."""
        return self.images, self.acoustics

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each block."""
        return tuple(2 ** (i % self.cycle) for i in range(self.blocks))

    @property
    def hop(self) -> int:
        """Samples from one frame to the next; 1 without frames."""
        if self.core == "spectral":
            from piavas.refine.spectral import HOP

            return HOP
        return 1

    @property
    def receptive_field(self) -> int:
        """Samples that one output sample depends on."""
        if self.core == "spectral":
            from piavas.refine.spectral import WINDOW

            return 2 * WINDOW + self.hop * (self.kernel - 1) * sum(self.dilations)
        return 1 + (self.kernel - 1) * sum(self.dilations)


class Network(nn.Module):
    """The velocity of the flow.

    Args:
        config: its shape.
    """

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.embedding, config.channels
        self.time = TimeEmbedding(width)
        self.place = nn.Sequential(nn.Linear(FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        # The shifts of all blocks in one product: they depend on no sample.
        self.shift = nn.Linear(width, 2 * channels * config.blocks)
        self.enter = nn.Conv1d(3, channels, 1)
        self.blocks = nn.ModuleList(
            GatedBlock(channels, config.kernel, dilation) for dilation in config.dilations
        )
        self.mix = nn.Conv1d(channels, channels, 1)
        self.out = nn.Conv1d(channels, 2, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        # Last, so that chance gives all other weights the same values with and without it.
        self.known = Known(config.counts, width) if any(config.counts) else None

    def forward(self, x_t: Tensor, t: Tensor, x_tx: Tensor, place: Tensor) -> Tensor:
        """Velocity `[batch, 2, time]`.

        Args:
            x_t: `[batch, 2, time]` point of the flow.
            t: `[batch]` its time.
            x_tx: `[batch, 1, time]` dry sound.
            place: `[batch, features]` of `piavas.refine.conditioning.condition`.
        """
        embedding = self.time(t) + self.place(place[:, :FEATURES])
        embedding = F.silu(embedding if self.known is None else embedding + self.known(place))
        shifts = self.shift(embedding).chunk(self.config.blocks, dim=1)
        x = self.enter(torch.cat([x_t, x_tx], dim=1))
        total = run_blocks(self.blocks, x, shifts)
        return self.out(F.relu(self.mix(F.relu(total))))


def make_network(config: RefinerConfig) -> nn.Module:
    """The network that `config` describes."""
    if config.core == "spectral":
        from piavas.refine.spectral import SpectralNetwork

        return SpectralNetwork(config)
    return Network(config)
