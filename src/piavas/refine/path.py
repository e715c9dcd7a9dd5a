"""The flow from simulated to recorded sound: a straight line with a little noise.

Algorithm 1 of the π-AVAS supplement: psi_t = t x_rx + (1 - t) x_sim + sigma eps, and the velocity
that the network learns is x_rx - x_sim.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PathSample:
    """A point of the flow and where it is heading.

    Args:
        x_t: `[batch, 2, time]`.
        t: `[batch]` in [0, 1].
        target: `[batch, 2, time]` velocity.
    """

    x_t: Tensor
    t: Tensor
    target: Tensor


def sample_path(x_sim: Tensor, x_rx: Tensor, t: Tensor, noise: Tensor) -> PathSample:
    """The point at time `t` between `x_sim` and `x_rx`.

    Args:
        x_sim: `[batch, 2, time]` simulated.
        x_rx: `[batch, 2, time]` recorded.
        t: `[batch]` in [0, 1].
        noise: `[batch, 2, time]`, sigma eps.
    """
    share = t[:, None, None]
    return PathSample(share * x_rx + (1 - share) * x_sim + noise, t, x_rx - x_sim)
