"""Stretches of clips as tensors, and everything random that one step of training needs.

All of a step is drawn at once, for the whole batch, from a generator seeded by the seed and the
step's number. So a step is the same whether it is taken whole, in pieces, or by several processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piavas.refine.clips import Clip
from piavas.refine.conditioning import condition
from piavas.refine.model import power
from piavas.refine.recipe import TrainConfig


@dataclass(frozen=True)
class Batch:
    """Clips at unit power.

    Args:
        x_sim: `[batch, 2, time]`.
        x_rx: `[batch, 2, time]`.
        x_tx: `[batch, 1, time]`.
        place: `[batch, features]` of `piavas.refine.conditioning.condition`.
    """

    x_sim: Tensor
    x_rx: Tensor
    x_tx: Tensor
    place: Tensor

    def __len__(self) -> int:
        return len(self.x_sim)


@dataclass(frozen=True)
class Draws:
    """What chance says of a batch.

    Args:
        t: `[batch]` flow times in [0, 1).
        noise: `[batch, 2, time]` of the path, of unit variance.
        own: `[batch]` whether the clip is shown where the network's own first step leads.
    """

    t: Tensor
    noise: Tensor
    own: Tensor


Part = TypeVar("Part", Batch, Draws)


def make_batch(
    clips: Sequence[Clip],
    length: int,
    generator: np.random.Generator,
    counts: tuple[int, int] = (0, 0),
) -> Batch:
    """Random stretches of `length` samples, scaled as `Refiner` scales; short clips are padded.

    Args:
        clips: with recordings.
        length: samples.
        generator: of where stretches begin.
        counts: of image features and numbers of the room that the network takes.

    Raises:
        DataError: a clip without them.
    """
    columns: list[list[Tensor]] = [[], [], [], []]
    for clip in clips:
        assert clip.x_rx is not None  # `train` refuses clips without a recording
        spare = clip.x_sim.shape[1] - length
        start = int(generator.integers(spare + 1)) if spare > 0 else 0
        scale = power(clip.x_sim)
        for column, signal, level in zip(
            columns,
            (clip.x_sim, clip.x_rx, clip.x_tx),
            (scale, scale, power(clip.x_tx)),
            strict=False,
        ):
            piece = torch.from_numpy(signal[:, start : start + length] / np.float32(level))
            column.append(torch.nn.functional.pad(piece, (0, length - piece.shape[1])))
        columns[3].append(torch.from_numpy(known_of(clip, counts)))
    return Batch(*(torch.stack(column) for column in columns))


def known_of(clip: Clip, counts: tuple[int, int]) -> NDArray[np.float32]:
    """What a network of `counts` knows of the place of a clip."""
    return condition(
        clip.pose, clip.source, clip.images, clip.acoustics, counts=counts, name=clip.name
    )


def draw(batch: Batch, config: TrainConfig, seed: int) -> Draws:
    """Times, noise and paths of a whole batch."""
    generator = torch.Generator().manual_seed(seed)
    count = len(batch)
    t = torch.rand(count, generator=generator)
    if config.at_start:
        t[torch.rand(count, generator=generator) < config.at_start] = 0.0
    noise = torch.randn(batch.x_sim.shape, generator=generator)
    own = torch.rand(count, generator=generator) < config.own_path
    return Draws(t, noise, own)


def split(
    batch: Batch, draws: Draws, rank: int, size: int, pieces: int, device: torch.device | str
) -> Iterator[tuple[Batch, Draws]]:
    """The rows of one process of `size`, in so many pieces, on its device."""
    rows = np.array_split(np.arange(len(batch)), size)[rank]
    for piece in np.array_split(rows, pieces):
        part = slice(int(piece[0]), int(piece[-1]) + 1)
        yield _rows(batch, part, device), _rows(draws, part, device)


def _rows(whole: Part, rows: slice, device: torch.device | str) -> Part:
    parts = (getattr(whole, part.name)[rows].to(device) for part in fields(whole))
    return type(whole)(*parts)
