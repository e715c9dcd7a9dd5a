"""The gated block in pieces that fit the cache, forward and backward, for the CPU.

A dilated convolution at full length writes tensors of many megabytes between every two operations,
and training keeps them. Here a piece of `PIECE` samples goes through the whole block at once: a
product for each tap gives the gates, one more residual and skip. Only the block's input is kept;
the backward pass computes the gates again piece by piece.

The gate is tanh(a) sigmoid(b) = tanh(a) (1 + tanh(b / 2)) / 2, one function for both halves; the
halves are taken into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PIECE = 2048
"""Samples."""
KEEP = math.sqrt(0.5)
"""What is left of input and residual where they add."""


def run_block(x: Tensor, total: Tensor, shift: Tensor, *weights: Any) -> None:
    """One block without autograd.

    Args:
        x: as for `FusedBlock.forward`.
        total: likewise.
        shift: likewise.
        weights: likewise, and last a place for the residual, like `x`, that is not `x`.
    """
    block, rest = _Block(*weights[:-1]), weights[-1]
    to_rest, to_skip = (part.contiguous() for part in block.leave.chunk(2))
    bias_rest, bias_skip = block.leave_bias.chunk(2)
    to_rest, bias_rest = KEEP * to_rest, KEEP * bias_rest
    total += bias_skip[:, None]
    for one, summed, moved, by in zip(x, total, rest, shift, strict=True):
        bias = block.bias(by)
        for at in pieces(one):
            opened = _open(block.gates(one, at, bias))
            left = torch.addmm(bias_rest[:, None], to_rest, opened)
            torch.add(left, one[:, at], alpha=KEEP, out=moved[:, at])
            summed[:, at].addmm_(to_skip, opened)


class FusedBlock(torch.autograd.Function):
    """`GatedBlock` as one function of its input, shift and weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, total: Tensor, shift: Tensor, *weights: Any
    ) -> tuple[Tensor, Tensor]:
        """Residual, and `total` with the skip added to it in place, `[batch, channels, time]`.

        Args:
            ctx: of autograd.
            x: `[batch, channels, time]`.
            total: likewise, of the skips of the blocks before.
            shift: `[batch, 2 channels]`.
            weights: `[2 channels, channels, taps]` and `[2 channels]` of the dilated convolution,
                `[2 channels, channels, 1]` and `[2 channels]` to residual and skip, and the number
                of samples between taps.
        """
        ctx.save_for_backward(x, shift, *weights[:-1])
        ctx.dilation = weights[-1]
        ctx.mark_dirty(total)
        rest = torch.empty_like(x)
        run_block(x, total, shift, *weights, rest)
        return rest, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, rest: Tensor, total: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what `forward` takes, from those of what it gives."""
        x, shift = ctx.saved_tensors[:2]
        weights: tuple[Any, ...] = (*ctx.saved_tensors[2:], ctx.dilation)
        block = _Block(*weights)
        to_x, to_shift = torch.empty_like(x), torch.zeros_like(shift)
        to_taps = [torch.zeros_like(tap) for tap in block.taps]
        to_leave, to_leave_bias = torch.zeros_like(block.leave), torch.zeros_like(block.leave_bias)
        for i, one in enumerate(x):
            bias = block.bias(shift[i])
            torch.mul(rest[i], KEEP, out=to_x[i])
            for at in pieces(one):
                gates = block.gates(one, at, bias)
                arriving = torch.cat([KEEP * rest[i, :, at], total[i, :, at]])
                to_leave.addmm_(arriving, _open(gates).T)
                to_leave_bias += arriving.sum(1)
                slope = _slope(gates, torch.mm(block.leave.T, arriving))
                to_shift[i] += slope.sum(1)
                for k, (there, here) in enumerate(block.reach(at, one.shape[1])):
                    to_taps[k].addmm_(slope[:, here], one[:, there].T)
                    to_x[i, :, there].addmm_(block.taps[k].T, slope[:, here])
        to_shift *= block.halves
        to_spread = block.halves[:, None, None] * torch.stack(to_taps, dim=2)
        to_leave = 0.5 * to_leave[:, :, None]
        return to_x, total, to_shift, to_spread, to_shift.sum(0), to_leave, to_leave_bias, None


def pieces(x: Tensor) -> Iterator[slice]:
    """Where the pieces of `[width, time]` lie."""
    length = x.shape[1]
    for start in range(0, length, PIECE):
        yield slice(start, min(start + PIECE, length))


def _open(gates: Tensor) -> Tensor:
    """Twice the gated wave `[width, n]`, of tanh `[2 width, n]`."""
    wave, gate = gates.chunk(2)
    return torch.addcmul(wave, wave, gate)


def _slope(gates: Tensor, opened: Tensor) -> Tensor:
    """Gradient `[2 width, n]` before the gates, from that after them; `gates` are tanh of both."""
    wave, gate = gates.chunk(2)
    return torch.cat([opened * (1 - wave * wave) * (1 + gate), opened * wave * (1 - gate * gate)])


class _Block:
    """The weights of a block as matrices.

    Args:
        spread: `[2 width, width, taps]`.
        spread_bias: `[2 width]`.
        leave: `[2 width, width, 1]`.
        leave_bias: `[2 width]`.
        dilation: samples between taps.
    """

    def __init__(
        self, spread: Tensor, spread_bias: Tensor, leave: Tensor, leave_bias: Tensor, dilation: int
    ) -> None:
        width = spread.shape[1]
        self.halves = spread.new_ones(2 * width)
        self.halves[width:] = 0.5
        self.taps = (self.halves[:, None, None] * spread).permute(2, 0, 1).contiguous().unbind()
        self.spread_bias, self.dilation = spread_bias, dilation
        self.leave, self.leave_bias = 0.5 * leave[:, :, 0], leave_bias

    def bias(self, shift: Tensor) -> Tensor:
        """`[2 width, 1]` before the gates."""
        return (self.halves * (self.spread_bias + shift))[:, None]

    def gates(self, x: Tensor, at: slice, bias: Tensor) -> Tensor:
        """Tanh `[2 width, n]` of both halves, of the piece `at` of `[width, time]`."""
        middle = len(self.taps) // 2
        gates = torch.addmm(bias, self.taps[middle], x[:, at])
        for k, (there, here) in enumerate(self.reach(at, x.shape[1])):
            if k != middle:
                gates[:, here].addmm_(self.taps[k], x[:, there])
        return gates.tanh_()

    def reach(self, at: slice, length: int) -> Iterator[tuple[slice, slice]]:
        """For each tap, the samples that it reads for the piece `at`, and where they go in it."""
        for k in range(len(self.taps)):
            move = (k - len(self.taps) // 2) * self.dilation
            first = min(max(at.start + move, 0), length)
            last = max(min(at.stop + move, length), first)
            begin = min(max(first - at.start - move, 0), at.stop - at.start)
            yield slice(first, last), slice(begin, begin + last - first)
