"""What both networks are made of: gated convolutions, embeddings of time and of what is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from piavas.refine.conditioning import FEATURES
from piavas.refine.fused import KEEP, FusedBlock, run_block

LEAST = 1e-5
"""Spread of a feature, re 1 and its mean, below which it counts as the same everywhere."""
FARTHEST = 3.0
"""Spreads from the mean beyond which a feature says no more: there, nothing was learnt."""


class GatedBlock(nn.Module):
    """One gate: tanh times sigmoid of a dilated convolution, to a residual and a skip.

    Args:
        channels: in and out.
        kernel: taps.
        dilation: samples between taps.
    """

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        pad = dilation * (kernel // 2)
        self.spread = nn.Conv1d(channels, 2 * channels, kernel, dilation=dilation, padding=pad)
        self.leave = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, total: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Residual, and `total` with the skip added; `total` itself may change.

        Args:
            x: `[batch, channels, time]`.
            total: likewise, of the skips of the blocks before.
            shift: `[batch, 2 channels]`.
        """
        if _fuses(x):
            return FusedBlock.apply(x, total, shift, *self.fused_weights)
        return self.plain(x, total, shift)

    @property
    def fused_weights(self) -> tuple[Any, ...]:
        """As `FusedBlock` takes them."""
        spread, leave = self.spread, self.leave
        return spread.weight, spread.bias, leave.weight, leave.bias, spread.dilation[0]

    def plain(self, x: Tensor, total: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """The same, one operation after the other, as every device can."""
        wave, gate = (self.spread(x) + shift[:, :, None]).chunk(2, dim=1)
        rest, skip = self.leave(torch.tanh(wave) * torch.sigmoid(gate)).chunk(2, dim=1)
        return (x + rest) * KEEP, total + skip


def run_blocks(blocks: nn.ModuleList, x: Tensor, shifts: Sequence[Tensor]) -> Tensor:
    """Sum of the skips of `GatedBlock`s, `[batch, channels, time]`, over the root of their number.

    Args:
        blocks: in order.
        x: `[batch, channels, time]`.
        shifts: `[batch, 2 channels]` of each.
    """
    total = torch.zeros_like(x)
    if _fuses(x) and not torch.is_grad_enabled():
        # Two places in turn: new memory for each block costs as much as a product.
        x, spare = x.clone(), torch.empty_like(x)
        for block, shift in zip(blocks, shifts, strict=True):
            run_block(x, total, shift, *block.fused_weights, spare)  # type: ignore[union-attr, misc]
            x, spare = spare, x
    else:
        for block, shift in zip(blocks, shifts, strict=True):
            x, total = block(x, total, shift)
    return total / math.sqrt(len(blocks))


def _fuses(x: Tensor) -> bool:
    """Whether pieces in the cache are the faster way: on the CPU, and not in half precision."""
    return (
        x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class Known(nn.Module):
    """What images and numbers of the room add to the embedding; nothing before it has learnt.

    Features are brought to zero mean and unit variance over the training clips. One that is the
    same in all of them, as what a source that never moves sees, is left out: nothing can be learnt
    of it, and elsewhere it would be far from all that was heard.

    Args:
        counts: of image features and of numbers of the room.
        width: of the embedding.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, counts: tuple[int, int], width: int) -> None:
        super().__init__()
        self.counts = counts
        self.register_buffer("mean", torch.zeros(sum(counts)))
        self.register_buffer("scale", torch.ones(sum(counts)))
        self.layers = nn.Sequential(
            nn.Linear(sum(counts), width), nn.SiLU(), nn.Linear(width, width)
        )
        nn.init.zeros_(self.layers[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[2].bias)  # type: ignore[arg-type]

    def fit(self, conditions: Tensor) -> None:
        """Take mean and scale of the conditions `[clip, features]` of the training clips."""
        images, _ = self.counts
        swapped = conditions.clone()
        swapped[:, FEATURES : FEATURES + images] = conditions[:, FEATURES + images :][:, :images]
        both = torch.cat([self._of(conditions), self._of(swapped)]).double()
        spread, mean = both.std(dim=0, correction=0), both.mean(dim=0)
        varies = spread > LEAST * (1 + mean.abs())
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(varies, 1 / spread.clamp_min(1e-12), 0.0))

    def forward(self, condition: Tensor) -> Tensor:
        """`[batch, features]` of `piavas.refine.conditioning.condition` to `[batch, width]`."""
        given = (self._of(condition) - self.mean) * self.scale
        return self.layers(given.clamp(-FARTHEST, FARTHEST))

    def _of(self, condition: Tensor) -> Tensor:
        images, _ = self.counts
        seen, heard = FEATURES + images, FEATURES + 2 * images
        return torch.cat([condition[:, FEATURES:seen], condition[:, heard:]], dim=1)


class TimeEmbedding(nn.Module):
    """Sines and cosines of flow time through two layers (Ho et al. 2020).

    Args:
        width: of the result.
    """

    frequency: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequency", 10.0 ** torch.linspace(0, 3, 64), persistent=False)
        self.layers = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """`[batch]` in [0, 1] to `[batch, width]`."""
        angle = t[:, None] * self.frequency
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))
