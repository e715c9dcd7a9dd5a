"""What both networks are made of: gated convolutions, and the embedding of flow time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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

    def forward(self, x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Residual and skip `[batch, channels, time]`; `shift` is `[batch, 2 channels]`."""
        wave, gate = (self.spread(x) + shift[:, :, None]).chunk(2, dim=1)
        rest, skip = self.leave(torch.tanh(wave) * torch.sigmoid(gate)).chunk(2, dim=1)
        return (x + rest) * math.sqrt(0.5), skip


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
