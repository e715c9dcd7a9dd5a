"""u_t in the short-time spectrum: gains of bands that a narrow network draws over time.

Thirty dilated layers at the full rate cost some hundred thousand products a sample. What physics
leaves wrong is mostly slow and smooth: the colour of a loudspeaker, of a head, of a material, and
how much it rings. So the velocity is the spectrum of x_t times real gains, which follow from the
band energies of both ears and of the dry sound, frame by frame, for one hundredth of the cost.
Both ears go through the same network, each with the world mirrored to its side: a head is
symmetric, and that holds for heads never heard. The last layer starts at zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piavas.refine.blocks import GatedBlock, Known, TimeEmbedding, run_blocks
from piavas.refine.conditioning import FEATURES, mirror

if TYPE_CHECKING:
    from piavas.refine.network import RefinerConfig

WINDOW, HOP = 512, 128  # samples
FLOOR = 1e-5  # of a bin's power, re a signal of unit power
STEEPEST = 4.0  # nepers that a gain may leave 1 by
GAINS = 3  # of the ear, of its contrast, of the other ear


def band_matrix(bands: int, bins: int) -> Tensor:
    """Triangles `[bands, bins]` even on a scale that is linear, then logarithmic (Slaney 1998).

    The columns sum to 1, so that it spreads band values over bins as lines between centres.
    """
    scale = np.arcsinh(np.arange(bins) / 8.0)
    at = scale / scale[-1] * (bands - 1)
    rows = np.maximum(0, 1 - np.abs(at[None] - np.arange(bands)[:, None]))
    return torch.from_numpy(rows.astype(np.float32))


class SpectralNetwork(nn.Module):
    """The velocity of the flow.

    Args:
        config: its shape; `blocks` and `cycle` count frames, not samples.
    """

    spread: Tensor
    mean: Tensor
    window: Tensor
    signs: Tensor
    order: Tensor

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        width, channels, bands = config.embedding, config.channels, config.bands
        spread = band_matrix(bands, WINDOW // 2 + 1)
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("mean", spread / spread.sum(1, keepdim=True), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        order, signs = mirror(config.counts)
        self.register_buffer("order", torch.from_numpy(order), persistent=False)
        self.register_buffer("signs", torch.from_numpy(signs), persistent=False)
        self.time = TimeEmbedding(width)
        self.place = nn.Sequential(nn.Linear(FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.shift = nn.Linear(width, 2 * channels * config.blocks)
        self.enter = nn.Conv1d(3 * bands, channels, 1)
        self.blocks = nn.ModuleList(
            GatedBlock(channels, config.kernel, dilation) for dilation in config.dilations
        )
        self.mix = nn.Conv1d(channels, channels, 1)
        self.out = nn.Conv1d(channels, GAINS * bands, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.known = Known(config.counts, width) if any(config.counts) else None

    def forward(self, x_t: Tensor, t: Tensor, x_tx: Tensor, place: Tensor) -> Tensor:
        """Velocity `[batch, 2, time]`; arguments as for `network.Network`."""
        batch, _, length = x_t.shape
        spectra = self._spectra(torch.cat([x_t, x_tx], dim=1))
        power = spectra.real.square() + spectra.imag.square() + FLOOR
        left, right, dry = power.unbind(1)
        own = torch.cat([left, right])
        bands = [self._bands(p) for p in (own, torch.cat([right, left]), torch.cat([dry, dry]))]
        sides = torch.cat([place, place[:, self.order] * self.signs])
        gains = self._gains(torch.cat(bands, dim=1), t.repeat(2), sides)
        gain, contrast, other = (self._bins(g) for g in gains.chunk(GAINS, dim=1))
        deviation = own.log() - self._bins(bands[0])
        steep = STEEPEST * torch.tanh((gain + contrast * deviation) / STEEPEST)
        here = torch.cat([spectra[:, 0], spectra[:, 1]])
        there = torch.cat([spectra[:, 1], spectra[:, 0]])
        velocity = torch.expm1(steep) * here + other * there
        waves = torch.istft(velocity, WINDOW, HOP, window=self.window, length=length)
        return torch.stack([waves[:batch], waves[batch:]], dim=1)

    def _spectra(self, signals: Tensor) -> Tensor:
        """`[batch, channel, bins, frames]`, a sine of unit power at about 1."""
        flat = signals.flatten(0, 1)
        spectra = torch.stft(
            flat, WINDOW, HOP, window=self.window, pad_mode="constant", return_complex=True
        )
        return spectra.unflatten(0, signals.shape[:2])

    def _bands(self, power: Tensor) -> Tensor:
        return torch.matmul(self.mean, power).log()

    def _bins(self, bands: Tensor) -> Tensor:
        return torch.matmul(self.spread.T, bands)

    def _gains(self, bands: Tensor, t: Tensor, place: Tensor) -> Tensor:
        embedding = self.time(t) + self.place(place[:, :FEATURES])
        embedding = F.silu(embedding if self.known is None else embedding + self.known(place))
        shifts = self.shift(embedding).chunk(self.config.blocks, dim=1)
        x = self.enter(0.2 * bands)
        total = run_blocks(self.blocks, x, shifts)
        return self.out(F.relu(self.mix(F.relu(total))))
