"""Training that can be killed at any moment and goes on as if it had not been.

Everything random of a step is drawn from a generator seeded by the seed and the step's number, so
a checkpoint needs weights, moments and one number, and a resumed run is bit-equal on the CPU.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piavas.errors import CheckpointError, DataError
from piavas.files import atomic
from piavas.progress import track
from piavas.refine.clips import Clip, ClipSet, load_clips
from piavas.refine.conditioning import place_features
from piavas.refine.losses import flow_loss, level_loss, spectral_loss
from piavas.refine.model import Refiner, power
from piavas.refine.network import RefinerConfig
from piavas.refine.path import sample_path
from piavas.refine.recipe import TrainConfig

STATE, LOG = "training.safetensors", "log.jsonl"


@dataclass(frozen=True)
class Batch:
    """Clips at unit power.

    Args:
        x_sim: `[batch, 2, time]`.
        x_rx: `[batch, 2, time]`.
        x_tx: `[batch, 1, time]`.
        place: `[batch, features]`.
    """

    x_sim: Tensor
    x_rx: Tensor
    x_tx: Tensor
    place: Tensor


def make_batch(clips: Sequence[Clip], length: int, generator: np.random.Generator) -> Batch:
    """Random stretches of `length` samples, scaled as `Refiner` scales; short clips are padded."""
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
        columns[3].append(torch.from_numpy(place_features(clip.pose, clip.source)))
    return Batch(*(torch.stack(column) for column in columns))


def objective(refiner: Refiner, batch: Batch, config: TrainConfig, seed: int) -> Tensor:
    """The loss of one batch: Algorithm 1, and if asked for, how the end of the flow sounds."""
    generator = torch.Generator().manual_seed(seed)
    device = refiner.device
    x_sim, x_rx = batch.x_sim.to(device), batch.x_rx.to(device)
    given = batch.x_tx.to(device), batch.place.to(device)
    t = _times(len(x_sim), config.at_start, generator).to(device)
    point = sample_path(x_sim, x_rx, t, config.sigma, generator)
    x_t, along = point.x_t, t[:, None, None]
    if config.own_path:
        own = (torch.rand(len(t), generator=generator) < config.own_path).to(device)
        with torch.no_grad():
            led = x_sim + along * refiner.network(x_sim, torch.zeros_like(t), *given)
        x_t = torch.where(own[:, None, None], led, x_t)
    velocity = refiner.network(x_t, point.t, *given)
    loss = config.flow_weight * flow_loss(velocity, point.target)
    if config.spectral_weight or config.level_weight:
        end = x_t + (1 - along) * velocity
        loss = loss + config.spectral_weight * spectral_loss(end, x_rx)
        loss = loss + config.level_weight * level_loss(end, x_rx)
    return loss


def _times(count: int, at_start: float, generator: torch.Generator) -> Tensor:
    """Times `[count]` even in [0, 1), a share of them 0."""
    t = torch.rand(count, generator=generator)
    if at_start:
        t[torch.rand(count, generator=generator) < at_start] = 0.0
    return t


class Run:
    """A training run and its files.

    Args:
        refiner: what is trained.
        config: how.
        folder: where checkpoints and the log go.
    """

    def __init__(self, refiner: Refiner, config: TrainConfig, folder: Path) -> None:
        self.refiner, self.config, self.folder = refiner, config, folder
        self.optimizer = torch.optim.Adam(
            refiner.network.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )
        self.names = [name for name, _ in refiner.network.named_parameters()]
        self.averaged = {n: p.detach().clone() for n, p in refiner.network.named_parameters()}
        self.step, self.bad = 0, 0

    def advance(self, batch: Batch) -> dict[str, Any]:
        """One step; a loss that is not finite changes nothing but the count of bad steps."""
        self.refiner.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = objective(self.refiner, batch, self.config, hash_of(self.config.seed, self.step, 1))
        good = bool(torch.isfinite(loss))
        norm = float("nan")
        if good:
            loss.backward()
            limit = self.config.clip_gradient or float("inf")
            norm = float(torch.nn.utils.clip_grad_norm_(self.refiner.network.parameters(), limit))
            good = bool(np.isfinite(norm))
        if good:
            self.optimizer.step()
            self._average()
        self.bad = 0 if good else self.bad + 1
        self.step += 1
        entry = {
            "step": self.step,
            "loss": float(loss.detach()),
            "gradient": norm,
            "skipped": not good,
        }
        return {
            k: v if not isinstance(v, float) or np.isfinite(v) else None for k, v in entry.items()
        }

    def _average(self) -> None:
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for name, value in self.refiner.network.named_parameters():
            if self.config.average:
                self.averaged[name].lerp_(value.detach(), 1 - keep)
            else:
                self.averaged[name].copy_(value.detach())

    def save(self) -> None:
        """Write the state of the run in one file, whole or not at all."""
        tensors = {f"average.{n}": v for n, v in self.averaged.items()}
        for name, value in self.refiner.network.named_parameters():
            tensors[f"weight.{name}"] = value.detach()
            for key, moment in self.optimizer.state[value].items():
                tensors[f"{key}.{name}"] = torch.as_tensor(moment)
        facts = {"step": self.step, "bad": self.bad, "identity": self.identity}
        with atomic(self.folder / STATE) as part:
            copies = {name: value.clone().contiguous() for name, value in tensors.items()}
            save_file(copies, part, metadata={"run": json.dumps(facts)})

    @property
    def identity(self) -> dict[str, Any]:
        """What must not change between a run and its resumption; limits of time and length may."""
        config = asdict(self.config)
        for free in ("epochs", "max_steps", "max_seconds", "checkpoint_every"):
            del config[free]
        return {"train": config, "model": self.refiner.config.to_json()}

    def resume(self) -> None:
        """Go on from the file of an earlier run in this folder, if there is one.

        Raises:
            CheckpointError: it is corrupt, or of other options.
        """
        path = self.folder / STATE
        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(
                f"is corrupt: {problem}", file=path, mend="remove it to start anew"
            ) from None
        if facts["identity"] != self.identity:
            raise CheckpointError(
                "belongs to a run with other options", file=path, mend="choose another folder"
            )
        self._restore(tensors)
        self.step, self.bad = facts["step"], facts["bad"]

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.refiner.network.named_parameters():
                value.copy_(tensors[f"weight.{name}"])
                self.averaged[name].copy_(tensors[f"average.{name}"])
                if f"exp_avg.{name}" in tensors:
                    self.optimizer.state[value] = {
                        key: tensors[f"{key}.{name}"].clone()
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }

    def finish(self, clips: int, seconds: float) -> Refiner:
        """The refiner with the averaged weights, saved as a model."""
        with torch.no_grad():
            for name, value in self.refiner.network.named_parameters():
                value.copy_(self.averaged[name])
        self.refiner.facts = {
            "steps": self.step,
            "clips": clips,
            "seconds_this_time": round(seconds, 1),
            **{f"train.{k}": v for k, v in asdict(self.config).items()},
        }
        self.refiner.save(self.folder)
        return self.refiner


def hash_of(*numbers: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


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
) -> Refiner:
    """Train a refiner on the clips of split "train"; goes on where an earlier run in `out` stopped.

    Args:
        clips: a folder of clips, or the clips.
        out: folder for `training.safetensors`, `log.jsonl` and the finished model.
        config: how; the supplement's if None.
        model: shape of the network; the paper's depth if None.
        device: "cpu", "cuda", ...

    Raises:
        DataError: no training clip, or one without a recording.
        CheckpointError: `out` holds a run of other options, or the loss stays not finite.
    """
    config, folder = config or TrainConfig(), Path(out)
    chosen = _training_clips(clips)
    torch.manual_seed(hash_of(config.seed, 0))
    refiner = Refiner(model or RefinerConfig(sample_rate=chosen[0].sample_rate), device=device)
    _check_rate(chosen, refiner)
    run = Run(refiner, config, folder)
    run.resume()
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    _keep_log(folder / LOG, run.step)
    try:
        _loop(run, chosen, started)
    finally:
        run.save()
    return run.finish(len(chosen), time.monotonic() - started)


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


def _loop(run: Run, clips: list[Clip], started: float) -> None:
    config = run.config
    steps_each = max(1, len(clips) // config.batch)
    total = min(config.epochs * steps_each, config.max_steps or 10**12)
    length = config.crop or min(clip.x_sim.shape[1] for clip in clips)
    with (run.folder / LOG).open("a", encoding="utf-8") as log:
        for step in track(range(run.step, total), "train", total - run.step):
            if config.max_seconds is not None and time.monotonic() - started > config.max_seconds:
                break
            epoch, place = divmod(step, steps_each)
            picked = order(len(clips), epoch, config.seed)[place * config.batch :][: config.batch]
            chance = np.random.default_rng([config.seed, 3, step])
            entry = run.advance(make_batch([clips[i] for i in picked], length, chance))
            log.write(json.dumps({"epoch": epoch, **entry, "seconds": _since(started)}) + "\n")
            log.flush()
            if run.bad >= config.patience:
                raise CheckpointError(
                    f"the loss was not finite {run.bad} times in a row, last at step {run.step}",
                    file=run.folder / LOG,
                    field="loss",
                    mend="lower the learning rate or look at the clips",
                )
            if run.step % config.checkpoint_every == 0:
                run.save()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _keep_log(path: Path, step: int) -> None:
    """Drop lines of steps after the checkpoint, which will be taken again."""
    if not path.exists():
        return
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    with atomic(path) as part:
        part.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
