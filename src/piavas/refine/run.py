"""A training run: its step, and its state in one file.

Everything random of a step is drawn from a generator seeded by the seed and the step's number, so
a checkpoint needs weights, moments and one number, and a resumed run is bit-equal on the CPU.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from piavas.errors import CheckpointError, MissingDependencyError
from piavas.files import atomic
from piavas.refine.batches import Batch, draw, split
from piavas.refine.model import Refiner
from piavas.refine.objective import objective
from piavas.refine.recipe import TrainConfig
from piavas.refine.world import World

STATE = "training.safetensors"
FREE = ("epochs", "max_steps", "max_seconds", "checkpoint_every", "accumulate", "compile")
"""Options that may change between a run and its resumption."""


class Run:
    """A training run and its files.

    Args:
        refiner: what is trained.
        config: how.
        folder: where checkpoints and the log go.
        world: the processes that train it together.

    Raises:
        MissingDependencyError: the code is to be compiled and there is no compiler.
    """

    def __init__(
        self, refiner: Refiner, config: TrainConfig, folder: Path, world: World | None = None
    ) -> None:
        self.refiner, self.config, self.folder = refiner, config, folder
        self.world = world or World(device=str(refiner.device))
        self.network = self.world.wrap(refiner.network)
        if config.compile:
            _check_compiler(refiner.device)
            self.network = torch.compile(self.network)  # type: ignore[assignment]
        self.optimizer = torch.optim.Adam(
            refiner.network.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )
        self.names = [name for name, _ in refiner.network.named_parameters()]
        self.averaged = {n: p.detach().clone() for n, p in refiner.network.named_parameters()}
        self.step, self.bad = 0, 0
        self.whole = True
        """Whether weights and the number of the step belong together, so that they may be saved."""

    def advance(self, batch: Batch) -> dict[str, Any]:
        """One step; a loss that is not finite changes nothing but the count of bad steps."""
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._learn(batch)
        limit = self.config.clip_gradient or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(self.refiner.network.parameters(), limit))
        good = bool(torch.isfinite(loss)) and bool(np.isfinite(norm))
        self.whole = False
        if good:
            self.optimizer.step()
            self._average()
        self.bad = 0 if good else self.bad + 1
        self.step += 1
        self.whole = True
        entry = {
            "step": self.step,
            "loss": float(loss),
            "gradient": norm,
            "skipped": not good,
        }
        return {
            k: v if not isinstance(v, float) or np.isfinite(v) else None for k, v in entry.items()
        }

    def _learn(self, batch: Batch) -> Tensor:
        """Leave the batch's gradient in the weights; its loss."""
        config, world = self.config, self.world
        draws = draw(batch, config, hash_of(config.seed, self.step, 1))
        device, pieces = self.refiner.device, config.accumulate
        loss = torch.zeros((), device=device)
        parts = split(batch, draws, world.rank, world.size, pieces, device)
        for number, (part, chance) in enumerate(parts, 1):
            # Processes average their gradients, and a part weighs as much as it has clips.
            share = world.size * len(part) / len(batch)
            with nullcontext() if number == pieces else self._alone():
                each = share * objective(self.network, part, chance, config)
                each.backward()
            loss += each.detach()
        return world.mean(loss)

    def _alone(self) -> AbstractContextManager[None]:
        """While gradients are only gathered, not yet averaged."""
        wait = getattr(self.network, "no_sync", None)
        return wait() if wait is not None else nullcontext()

    def _average(self) -> None:
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for name, value in self.refiner.network.named_parameters():
            if self.config.average:
                self.averaged[name].lerp_(value.detach(), 1 - keep)
            else:
                self.averaged[name].copy_(value.detach())

    def save(self) -> None:
        """Write the state of the run in one file, whole or not at all, and the model's card."""
        tensors = {f"average.{n}": v for n, v in self.averaged.items()}
        for name, value in self.refiner.network.named_parameters():
            tensors[f"weight.{name}"] = value.detach()
            for key, moment in self.optimizer.state[value].items():
                tensors[f"{key}.{name}"] = torch.as_tensor(moment)
        facts = {"step": self.step, "bad": self.bad, "identity": self.identity}
        with atomic(self.folder / STATE) as part:
            copies = {name: value.clone().contiguous() for name, value in tensors.items()}
            save_file(copies, part, metadata={"run": json.dumps(facts)})
        self.refiner.facts = self._facts()
        self.refiner.save_card(self.folder)

    def _facts(self) -> dict[str, Any]:
        return {
            "steps": self.step,
            "processes": self.world.size,
            **{f"train.{k}": v for k, v in asdict(self.config).items()},
        }

    @property
    def identity(self) -> dict[str, Any]:
        """What must not change between a run and its resumption; limits of time and length may."""
        config = asdict(self.config)
        for free in FREE:
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
                    moments = ("exp_avg", "exp_avg_sq")
                    self.optimizer.state[value] = {
                        "step": tensors[f"step.{name}"].clone(),  # Adam counts on the CPU
                        **{key: tensors[f"{key}.{name}"].to(value.device) for key in moments},
                    }

    def finish(self, clips: int, seconds: float) -> Refiner:
        """The refiner with the averaged weights, saved as a model."""
        with torch.no_grad():
            for name, value in self.refiner.network.named_parameters():
                value.copy_(self.averaged[name])
        self.refiner.facts = {
            **self._facts(),
            "clips": clips,
            "seconds_this_time": round(seconds, 1),
        }
        if self.world.first:
            self.refiner.save(self.folder)
        return self.refiner


def hash_of(*numbers: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _check_compiler(device: torch.device) -> None:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    if device.type == "cpu" and not any(name and shutil.which(name) for name in names):
        raise MissingDependencyError(
            "this machine has no C++ compiler", field="compile", mend="install g++, or leave it out"
        )
