"""Training that can be killed at any moment and goes on as if it had not been."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from piavas.errors import CheckpointError, DataError
from piavas.progress import track
from piavas.refine.align import align_clips, fit_alignment
from piavas.refine.balance import fit_share
from piavas.refine.batches import known_of, make_batch
from piavas.refine.clips import Clip, ClipSet, load_clips
from piavas.refine.log import LOG, Log, open_log
from piavas.refine.model import Refiner
from piavas.refine.network import RefinerConfig
from piavas.refine.recipe import TrainConfig
from piavas.refine.run import Run, hash_of
from piavas.refine.world import join_world


def order(count: int, epoch: int, seed: int) -> list[int]:
    """The order of the clips in one epoch."""
    return np.random.default_rng([seed, 2, epoch]).permutation(count).tolist()


def train(
    clips: str | os.PathLike[str] | ClipSet | Sequence[Clip],
    out: str | os.PathLike[str],
    config: TrainConfig | None = None,
    *,
    model: RefinerConfig | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
) -> Refiner:
    """Train a refiner on the clips of split "train"; goes on where an earlier run in `out` stopped.

    Started by `torchrun`, the processes share each batch; the first writes the files.

    Args:
        clips: a folder of clips, or the clips.
        out: folder for `training.safetensors`, `log.jsonl` and the finished model.
        config: how; the supplement's if None.
        model: shape of the network; the paper's depth if None.
        device: "cpu", "cuda", ...
        tensorboard: also log for TensorBoard.

    Raises:
        DataError: no training clip, one without a recording or without what the model is to
            know of it, or fewer in a batch than it has parts.
        CheckpointError: `out` holds a run of other options, or the loss stays not finite.
        MissingDependencyError: no TensorBoard, or no compiler, where they are asked for.
    """
    config, folder = config or TrainConfig(), Path(out)
    chosen = _training_clips(clips)
    with join_world(device) as world:
        torch.manual_seed(hash_of(config.seed, 0))
        refiner = Refiner(
            model or RefinerConfig(sample_rate=chosen[0].sample_rate), device=world.device
        )
        _check_rate(chosen, refiner)
        _check_parts(min(config.batch, len(chosen)), world.size, config.accumulate)
        if config.align:
            refiner.alignment = fit_alignment(chosen)
            chosen = align_clips(chosen, refiner.alignment)
        if any(refiner.config.counts):
            known = [known_of(clip, refiner.config.counts) for clip in chosen]
            refiner.network.known.fit(torch.from_numpy(np.stack(known)))  # type: ignore[operator, union-attr]
        run = Run(refiner, config, folder, world)
        run.resume()
        started = time.monotonic()
        with open_log(folder, run.step, tensorboard) if world.first else nullcontext() as log:
            try:
                _loop(run, chosen, started, log)
            finally:
                if world.first and run.whole:
                    run.save()
        refiner.balance = fit_share(chosen) if config.balance else None
        trained = run.finish(len(chosen), time.monotonic() - started)
        world.wait()
    return trained


def _check_parts(batch: int, processes: int, accumulate: int) -> None:
    if batch < processes * accumulate:
        raise DataError(
            f"{batch} clips a step cannot be shared by {processes} process(es) in {accumulate} "
            "piece(s)",
            field="batch",
            mend="give a larger batch, or fewer processes and pieces",
        )


def _training_clips(clips: str | os.PathLike[str] | ClipSet | Sequence[Clip]) -> list[Clip]:
    found = load_clips(clips) if isinstance(clips, str | os.PathLike) else clips
    chosen = list(found.of("train")) if isinstance(found, ClipSet) else [
        clip for clip in found if clip.split == "train"
    ]  # fmt: skip
    if not chosen:
        raise DataError(
            "no clip of split 'train'", field="clips", mend="mark some clips for training"
        )
    for clip in chosen:
        if clip.x_rx is None:
            raise DataError("has no recording", field=clip.name, mend="leave it out of training")
    return chosen


def _check_rate(clips: list[Clip], refiner: Refiner) -> None:
    rates = {clip.sample_rate for clip in clips}
    if rates != {refiner.config.sample_rate}:
        raise DataError(
            f"clips of {sorted(rates)} Hz, the model hears {refiner.config.sample_rate}",
            field="sample_rate",
            mend="resample the clips",
        )


def _loop(run: Run, clips: list[Clip], started: float, log: Log | None) -> None:
    config = run.config
    steps_each = max(1, len(clips) // config.batch)
    total = min(config.epochs * steps_each, config.max_steps or 10**12)
    length = config.crop or min(clip.x_sim.shape[1] for clip in clips)
    steps = range(run.step, total)
    for step in track(steps, "train", total - run.step) if log is not None else steps:
        if config.max_seconds is not None:
            late = time.monotonic() - started > config.max_seconds
            if run.world.any(late):
                break
        epoch, place = divmod(step, steps_each)
        picked = order(len(clips), epoch, config.seed)[place * config.batch :][: config.batch]
        chance = np.random.default_rng([config.seed, 3, step])
        batch = [clips[i] for i in picked]
        entry = run.advance(make_batch(batch, length, chance, run.refiner.config.counts))
        if log is not None:
            log.write({"epoch": epoch, **entry, "seconds": round(time.monotonic() - started, 3)})
        if run.bad >= config.patience:
            raise CheckpointError(
                f"the loss was not finite {run.bad} times in a row, last at step {run.step}",
                file=run.folder / LOG,
                field="loss",
                mend="lower the learning rate or look at the clips",
            )
        if log is not None and run.step % config.checkpoint_every == 0:
            run.save()
