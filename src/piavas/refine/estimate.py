"""What a training run will cost, from a few of its steps on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from piavas.refine.batches import make_batch
from piavas.refine.clips import Clip, ClipSet
from piavas.refine.model import Refiner
from piavas.refine.network import RefinerConfig
from piavas.refine.recipe import TrainConfig
from piavas.refine.run import Run
from piavas.refine.train import _training_clips
from piavas.stages import peak_mb

STEPS = 2  # that are timed, after one that warms up
COPIES = 5  # of every weight on disk: weight, average, two moments, and the finished model


@dataclass(frozen=True)
class Estimate:
    """What a training run will cost on this machine.

    Args:
        steps: to be taken.
        clips: that are learnt from.
        parameters: of the network.
        seconds: until they are taken, or until the limit of time.
        memory_mb: peak; None where the system does not tell.
        disk_mb: of the checkpoint and the model.
    """

    steps: int
    clips: int
    parameters: int
    seconds: float
    memory_mb: float | None
    disk_mb: float


def estimate_training(
    clips: str | os.PathLike[str] | ClipSet | Sequence[Clip],
    config: TrainConfig | None = None,
    *,
    model: RefinerConfig | None = None,
    device: str = "cpu",
) -> Estimate:
    """Take a few steps of the run, write nothing, and scale up.

    Args:
        clips: as for `train`.
        config: likewise.
        model: likewise.
        device: likewise.

    Raises:
        DataError: as `train`.
    """
    config = config or TrainConfig()
    chosen = _training_clips(clips)
    refiner = Refiner(model or RefinerConfig(sample_rate=chosen[0].sample_rate), device=device)
    length = config.crop or min(clip.x_sim.shape[1] for clip in chosen)
    generator = np.random.default_rng(config.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(refiner, config, Path(folder))
        started = 0.0
        for step in range(STEPS + 1):
            if step == 1:
                started = time.perf_counter()
            batch = [chosen[i % len(chosen)] for i in range(step, step + config.batch)]
            run.advance(make_batch(batch, length, generator, refiner.config.counts))
        each = (time.perf_counter() - started) / STEPS
    epoch = max(1, len(chosen) // config.batch)
    steps = min(config.epochs * epoch, config.max_steps or 10**12)
    seconds = min(steps * each, config.max_seconds or np.inf)
    parameters = sum(value.numel() for value in refiner.network.parameters())
    peak = peak_mb()
    return Estimate(
        steps=int(min(steps, np.ceil(seconds / each))),
        clips=len(chosen),
        parameters=parameters,
        seconds=round(float(seconds), 1),
        memory_mb=None if peak is None else round(peak),
        disk_mb=round(4 * COPIES * parameters / 1e6, 2),
    )
