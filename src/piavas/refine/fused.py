"""The gated block in pieces that fit the cache, forward and backward, for the CPU.

A dilated convolution at full length writes tensors of many megabytes between every two operations,
and training keeps them. Here a piece of `PIECE` samples goes through the whole block at once: its
taps are gathered into one matrix, a product gives the gates, a second one residual and skip. Only
the block's input is kept; the backward pass computes the gates again piece by piece.

The gate is tanh(a) sigmoid(b) = tanh(a) (1 + tanh(b / 2)) / 2, one function for both halves; the
halves are taken into the weights, and the bias into the products as a row of ones.
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
    rest = weights[-1]
    block = _Matrices(x, *weights[:-1])
    to_rest, to_skip = block.outward.chunk(2)
    to_rest = KEEP * to_rest
    for one, summed, moved, by in zip(x, total, rest, shift, strict=True):
        inward = block.inward(by)
        for at, taps in block.pieces(one):
            opened = block.open(torch.mm(inward, taps).tanh_())
            torch.add(torch.mm(to_rest, opened), one[:, at], alpha=KEEP, out=moved[:, at])
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
        block = _Matrices(x, *weights)
        width = block.width
        to_x, to_shift = torch.empty_like(x), torch.empty_like(shift)
        to_inward = x.new_zeros(2 * width, block.rows)
        to_outward = torch.zeros_like(block.outward)
        for i in range(len(x)):
            inward = block.inward(shift[i])
            before = to_inward[:, -1].clone()
            torch.mul(rest[i], KEEP, out=to_x[i])
            for at, taps in block.pieces(x[i]):
                gates = torch.mm(inward, taps).tanh_()
                arriving = torch.cat([KEEP * rest[i, :, at], total[i, :, at]])
                to_outward.addmm_(arriving, block.open(gates).T)
                slope = _slope(gates, torch.mm(block.outward[:, :-1].T, arriving))
                to_inward.addmm_(slope, taps.T)
                block.spill(torch.mm(inward[:, :-1].T, slope), at, to_x[i])
            to_shift[i] = block.halves * (to_inward[:, -1] - before)
        to_inward *= block.halves[:, None]
        spread = to_inward[:, :-1].unflatten(1, (-1, width)).permute(0, 2, 1)
        leave = 0.5 * to_outward[:, :-1, None]
        return to_x, total, to_shift, spread, to_inward[:, -1], leave, to_outward[:, -1], None


def _slope(gates: Tensor, opened: Tensor) -> Tensor:
    """Gradient `[2 width, n]` before the gates, from that after them; `gates` are tanh of both."""
    wave, gate = gates.chunk(2)
    return torch.cat([opened * (1 - wave * wave) * (1 + gate), opened * wave * (1 - gate * gate)])


class _Matrices:
    """The weights of a block as matrices, and the places that its pieces go through.

    Args:
        x: `[batch, width, time]`, for shape and type.
        spread: `[2 width, width, taps]`.
        spread_bias: `[2 width]`.
        leave: `[2 width, width, 1]`.
        leave_bias: `[2 width]`.
        dilation: samples between taps.
    """

    def __init__(
        self,
        x: Tensor,
        spread: Tensor,
        spread_bias: Tensor,
        leave: Tensor,
        leave_bias: Tensor,
        dilation: int,
    ) -> None:
        self.width, self.dilation = x.shape[1], dilation
        self.taps = spread.shape[2]
        self.rows = self.taps * self.width + 1
        self.halves = x.new_ones(2 * self.width)
        self.halves[self.width :] = 0.5
        self.spread, self.bias = spread.permute(0, 2, 1).flatten(1), spread_bias
        self.outward = torch.cat([0.5 * leave[:, :, 0], leave_bias[:, None]], dim=1)
        size = min(PIECE, x.shape[2])
        self._gathered = x.new_ones(self.rows, size)
        self._opened = x.new_ones(self.width + 1, size)

    def inward(self, shift: Tensor) -> Tensor:
        """`[2 width, rows]` from gathered taps, and a row of ones, to what tanh takes."""
        whole = torch.cat([self.spread, (self.bias + shift)[:, None]], dim=1)
        return self.halves[:, None] * whole

    def pieces(self, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Where each piece of `[width, time]` lies, and its taps `[rows, n]`, gathered anew."""
        length = x.shape[1]
        for start in range(0, length, PIECE):
            at = slice(start, min(start + PIECE, length))
            gathered = self._gathered[:, : at.stop - start]
            for taps, (there, here) in zip(
                gathered[:-1].split(self.width), self._reach(at, length), strict=True
            ):
                taps[:, here] = x[:, there]
                taps[:, : here.start] = 0
                taps[:, here.stop :] = 0
            yield at, gathered

    def spill(self, taps: Tensor, at: slice, x: Tensor) -> None:
        """Add what came for the taps `[rows - 1, n]` of the piece `at` to the gradient of `x`."""
        for part, (there, here) in zip(
            taps.split(self.width), self._reach(at, x.shape[1]), strict=True
        ):
            x[:, there] += part[:, here]

    def _reach(self, at: slice, length: int) -> Iterator[tuple[slice, slice]]:
        """For each tap, the samples of the whole that it reads for a piece, and where they go."""
        for k in range(self.taps):
            move = (k - self.taps // 2) * self.dilation
            first = min(max(at.start + move, 0), length)
            last = max(min(at.stop + move, length), first)
            begin = min(max(first - at.start - move, 0), at.stop - at.start)
            yield slice(first, last), slice(begin, begin + last - first)

    def open(self, gates: Tensor) -> Tensor:
        """Twice the gated wave, and a row of ones, `[width + 1, n]`, of tanh `[2 width, n]`."""
        wave, gate = gates.chunk(2)
        opened = self._opened[:, : gates.shape[1]]
        torch.addcmul(wave, wave, gate, out=opened[:-1])
        return opened
