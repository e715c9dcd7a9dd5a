"""One process of several that train together, as `torchrun` starts them.

Every process holds the whole network and takes its part of each batch; gradients are averaged
(DistributedDataParallel). Only the first writes files and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from piavas.errors import PiavasError


@dataclass(frozen=True)
class World:
    """Where this process stands.

    Args:
        rank: of this process.
        size: number of processes.
        device: of its weights.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """`network`, with gradients that are averaged over all processes."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over all processes."""
        if self.size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process, so that all stop together."""
        return bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """The processes that `torchrun` started, or this one alone.

    Args:
        device: "cpu" for gloo, "cuda" for nccl and one card a process.

    Raises:
        PiavasError: more processes than cards, or another process died meanwhile.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield World(device=device)
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = device.startswith("cuda")
    if cuda:
        if local >= torch.cuda.device_count():
            raise PiavasError(
                f"process {local} of this machine has no card of its own",
                field="--nproc-per-node",
                mend=f"start {torch.cuda.device_count()}",
            )
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(rank, size, device)
    except RuntimeError as problem:
        if not _is_loss(problem):
            raise
        raise PiavasError(
            f"process {rank} lost another one of this training",
            field="torchrun",
            mend="see why that one died; started again with the same options, on as many processes "
            "as there are, it goes on from the last checkpoint",
        ) from problem
    finally:
        torch.distributed.destroy_process_group()


def _is_loss(problem: RuntimeError) -> bool:
    """Whether another process is gone; gloo says so in words alone."""
    if isinstance(problem, torch.distributed.DistError):
        return True
    return "gloo" in str(problem) or "Connection closed by peer" in str(problem)
