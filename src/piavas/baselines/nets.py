"""Networks in the style of published ones, from their papers' descriptions, at reduced width.

All take sound `[batch, 2, time]` (the dry sound in both ears, or simulated sound), places
`[batch, PLACE]`, and give sound `[batch, 2, time]`. None sees images: clips carry none. Where a
paper has its own loss, the common one of `piavas.baselines.learned` takes its place.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piavas.baselines.places import PLACE, waved, waves
from piavas.refine.conditioning import FEATURES
from piavas.refine.network import Network, RefinerConfig

WINDOW, HOP = 512, 128
BINS = WINDOW // 2 + 1
LASTS = 0.32
"""Seconds of the responses that NAF and INRAS learn, as RAF's protocol cuts them."""


def mlp(inward: int, width: int, outward: int, layers: int = 3) -> nn.Sequential:
    """Linear layers with ReLU between."""
    sizes = [inward, *[width] * (layers - 1)]
    hidden = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outward))


class Masks(nn.Module):
    """Two masks on the magnitude of both ears; the phase is the sound's own.

    The mixture mask colours both ears, the difference mask tells them apart (Liang et al. 2023).
    """

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, sound: Tensor, mixture: Tensor, difference: Tensor) -> Tensor:
        """Masked sound; `mixture` is the logarithm of a gain, both `[batch, BINS]`."""
        flat = sound.flatten(0, 1)
        spectra = torch.stft(
            flat, WINDOW, HOP, window=self.window, pad_mode="constant", return_complex=True
        )
        tilt = torch.tanh(difference)
        gains = mixture.exp()[:, None] * torch.stack([1 + tilt, 1 - tilt], dim=1)
        heard = spectra * gains.flatten(0, 1)[..., None]
        waved = torch.istft(heard, WINDOW, HOP, window=self.window, length=sound.shape[-1])
        return waved.unflatten(0, sound.shape[:2])


class AvNerf(nn.Module):
    """Masks from coordinates (Liang et al., AV-NeRF, NeurIPS 2023).

    One network takes the head's place to a feature and the mixture mask, a second one the feature
    and the direction of the source to the difference mask. Visual features are left out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = mlp(waved(6), width, width, 4)
        self.mixture = nn.Linear(width, BINS)
        self.difference = mlp(width + waved(3), width, BINS)
        self.masks = Masks()

    def forward(self, sound: Tensor, place: Tensor) -> Tensor:
        """See the module."""
        feature = F.relu(self.place(waves(place[:, :6])))
        seen = torch.cat([feature, waves(place[:, 6:])], dim=1)
        return self.masks(sound, self.mixture(feature), self.difference(seen))


class AvCloud(nn.Module):
    """Masks from anchors of the scene that the head attends to (Chen et al., AV-Cloud, 2024).

    Every anchor is a point of the mesh with an embedding; the query is where the head is and
    looks, keys are the anchors as the head sees them. Colours of anchors are left out.

    Args:
        width: of features.
        anchors: `[n, 3]` in the box.
    """

    anchors: Tensor

    def __init__(self, width: int, anchors: Tensor) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors)
        self.embedding = nn.Parameter(0.1 * torch.randn(len(anchors), width))
        self.key = mlp(waved(6), width, width)
        self.query = mlp(waved(PLACE), width, width)
        self.mixture = mlp(width, width, BINS, 2)
        self.difference = mlp(width + waved(3), width, BINS, 2)
        self.masks = Masks()

    def forward(self, sound: Tensor, place: Tensor) -> Tensor:
        """See the module."""
        near = self.anchors[None] - place[:, None, :3]
        source = (self.anchors[None] - place[:, None, 3:6]).expand_as(near)
        keys = self.key(waves(torch.cat([near, source], dim=-1)))
        query = self.query(waves(place))
        match = torch.einsum("bw,bnw->bn", query, keys) / query.shape[1] ** 0.5
        feature = torch.einsum("bn,bnw->bw", match.softmax(dim=1), keys + self.embedding)
        seen = torch.cat([feature, waves(place[:, 6:])], dim=1)
        return self.masks(sound, self.mixture(feature), self.difference(seen))


class Naf(nn.Module):
    """A field of spectrogram responses with a grid of local features (Luo et al., NAF, 2022).

    Head and source look their features up in one grid on the floor plan; a network takes them,
    the direction, frequency and time to the log magnitude of the response; the phase is random.
    """

    grid_of: Tensor
    noise: Tensor
    window: Tensor

    def __init__(self, width: int, sample_rate: int) -> None:
        super().__init__()
        length = int(LASTS * sample_rate)
        self.hop = 256
        frames = length // self.hop + 1
        self.features = nn.Parameter(0.1 * torch.randn(1, width // 2, 16, 16))
        bins = self.hop + 1
        f, t = torch.meshgrid(
            torch.linspace(-1, 1, bins), torch.linspace(-1, 1, frames), indexing="ij"
        )
        self.register_buffer("grid_of", torch.stack([f, t], dim=-1), persistent=False)
        noise = torch.rand(2, bins, frames, generator=torch.Generator().manual_seed(0))
        phase = torch.polar(torch.ones_like(noise), 2 * torch.pi * noise)
        self.register_buffer("noise", phase, persistent=False)
        self.register_buffer("window", torch.hann_window(2 * self.hop), persistent=False)
        self.local = mlp(width + waved(PLACE), width, width)
        self.field = mlp(width + waved(2), width, 2)

    def forward(self, sound: Tensor, place: Tensor) -> Tensor:
        """See the module."""
        spots = torch.stack([place[:, :2], place[:, 3:5]], dim=1)[:, :, None]
        grid = self.features.expand(len(place), -1, -1, -1)
        local = F.grid_sample(grid, spots, align_corners=True, padding_mode="border")
        feature = self.local(torch.cat([local.flatten(1), waves(place)], dim=1))
        asked = waves(self.grid_of)
        asked = asked[None].expand(len(place), *asked.shape)
        told = feature[:, None, None].expand(*asked.shape[:3], -1)
        level = self.field(torch.cat([told, asked], dim=-1)).permute(0, 3, 1, 2)
        spectra = (level.clamp(-12, 6).exp() * self.noise).flatten(0, 1)
        response = torch.istft(spectra, 2 * self.hop, self.hop, window=self.window)
        return convolve(sound, response.unflatten(0, (len(place), 2)))


class Inras(nn.Module):
    """Responses from bounce points of the scene (Su et al., INRAS, NeurIPS 2022).

    What the source scatters to each bounce point and what the head gathers from it are features
    of the relative places alone; their products, weighted by the point, are the response.

    Args:
        width: of features.
        sample_rate: hertz.
        points: `[n, 3]` bounce points in the box.
    """

    points: Tensor

    def __init__(self, width: int, sample_rate: int, points: Tensor) -> None:
        super().__init__()
        self.register_buffer("points", points)
        length = int(LASTS * sample_rate)
        self.scatter, self.gather = mlp(waved(3), width, width), mlp(waved(3), width, width)
        self.turn = mlp(waved(3), width, 2 * width)
        self.weight = nn.Parameter(torch.randn(len(points), width) / len(points))
        self.listen = nn.Parameter(0.02 * torch.randn(width, length))

    def forward(self, sound: Tensor, place: Tensor) -> Tensor:
        """See the module."""
        sent = self.scatter(waves(self.points[None] - place[:, None, 3:6]))
        met = self.gather(waves(self.points[None] - place[:, None, :3]))
        feature = (sent * met * self.weight).sum(dim=1)
        ears = feature[:, None] * self.turn(waves(place[:, 6:])).unflatten(1, (2, -1))
        return convolve(sound, ears @ self.listen)


class Vigas(nn.Module):
    """Gated dilated convolutions on the waveform (Chen et al., ViGAS, CVPR 2023).

    The pose conditions every layer; the fused image feature is left out.
    """

    def __init__(self, width: int, sample_rate: int) -> None:
        super().__init__()
        channels = max(8, width // 4)
        config = RefinerConfig(sample_rate, blocks=20, cycle=10, channels=channels, embedding=width)
        self.see = mlp(waved(PLACE), width, FEATURES, 2)
        self.network = Network(config)

    def forward(self, sound: Tensor, place: Tensor) -> Tensor:
        """See the module."""
        begin = torch.zeros(len(sound), device=sound.device)
        mono = sound.mean(dim=1, keepdim=True)
        return sound + self.network(sound, begin, mono, self.see(waves(place)))


def convolve(sound: Tensor, response: Tensor) -> Tensor:
    """`sound` `[batch, 2, time]` through `response` `[batch, 2, taps]`, cut to its length."""
    length = sound.shape[-1]
    size = length + response.shape[-1]
    heard = torch.fft.irfft(torch.fft.rfft(sound, size) * torch.fft.rfft(response, size), size)
    return heard[..., :length]
