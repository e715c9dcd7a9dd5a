"""The loss of a batch: Algorithm 1, and if asked for, how the end of the flow sounds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from piavas.refine.batches import Batch, Draws
from piavas.refine.losses import flow_loss, level_loss, spectral_loss
from piavas.refine.path import sample_path
from piavas.refine.recipe import TrainConfig

Network = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def objective(network: Network, batch: Batch, draws: Draws, config: TrainConfig) -> Tensor:
    """Mean over the clips of the loss of each, so that parts of a batch add up to the whole.

    Args:
        network: velocity of `[batch, 2, time]`, times, dry sound and place.
        batch: on the network's device.
        draws: likewise.
        config: weights of the losses, noise and precision.
    """
    x_sim, t = batch.x_sim, draws.t
    given = batch.x_tx, batch.place
    point = sample_path(x_sim, batch.x_rx, t, config.sigma * draws.noise)
    x_t, along = point.x_t, t[:, None, None]
    with torch.autocast(x_sim.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        if config.own_path:
            with torch.no_grad():
                led = x_sim + along * network(x_sim, torch.zeros_like(t), *given)
            x_t = torch.where(draws.own[:, None, None], led, x_t)
        velocity = network(x_t, point.t, *given)
    velocity = velocity.float()
    loss = config.flow_weight * flow_loss(velocity, point.target)
    if config.spectral_weight or config.level_weight:
        end = x_t + (1 - along) * velocity
        loss = loss + config.spectral_weight * spectral_loss(end, batch.x_rx)
        loss = loss + config.level_weight * level_loss(end, batch.x_rx)
    return loss
