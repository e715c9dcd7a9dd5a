"""The gated block in pieces against the same block operation by operation."""

from __future__ import annotations

import pytest
import torch

from piavas.refine import fused
from piavas.refine.blocks import GatedBlock, run_blocks
from piavas.refine.conditioning import FEATURES
from piavas.refine.network import Network, RefinerConfig


def tensors(block, length, dtype, batch=2):
    """Input, sum of skips and shift of a block, all with gradients."""
    width = block.leave.weight.shape[1]
    generator = torch.Generator().manual_seed(length)
    sizes = ((batch, width, length), (batch, width, length), (batch, 2 * width))
    return [torch.randn(size, generator=generator, dtype=dtype).requires_grad_() for size in sizes]


def outcome(block, way, given):
    """Results and gradients of one way through the block."""
    block.zero_grad()
    given = [value.detach().clone().requires_grad_() for value in given]
    x, total, shift = given
    rest, summed = way(x, total.clone(), shift)
    (rest * rest.detach().cos() + summed * summed.detach().sin()).sum().backward()
    found = [rest, summed, *(v.grad for v in given), *(p.grad.clone() for p in block.parameters())]
    return [value.detach() for value in found]


@pytest.mark.parametrize("length", [1, 7, 63, 64, 65, 300])
@pytest.mark.parametrize(("taps", "dilation"), [(3, 1), (3, 8), (3, 100), (5, 4), (1, 2)])
def test_pieces_equal_the_plain_block_and_its_gradients(monkeypatch, length, taps, dilation):
    monkeypatch.setattr(fused, "PIECE", 64)
    block = GatedBlock(6, taps, dilation).double()
    given = tensors(block, length, torch.float64)
    for ours, plain in zip(
        outcome(block, block, given), outcome(block, block.plain, given), strict=True
    ):
        torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-12)


def test_gradients_are_those_of_differences(monkeypatch):
    monkeypatch.setattr(fused, "PIECE", 4)
    block = GatedBlock(2, 3, 2).double()
    given = tensors(block, 9, torch.float64, batch=1)
    assert torch.autograd.gradcheck(lambda x, total, shift: block(x, total.clone(), shift), given)


def test_the_papers_network_is_the_same_either_way():
    torch.manual_seed(0)
    network = Network(RefinerConfig())
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.06)
    length = 3000
    given = torch.randn(1, 2, length), torch.rand(1), torch.randn(1, 1, length)
    place = torch.randn(1, FEATURES)
    learning = network(*given, place)
    with torch.inference_mode():
        hearing = network(*given, place)
    GatedBlock.forward, kept = GatedBlock.plain, GatedBlock.forward
    try:
        plain = network(*given, place)
    finally:
        GatedBlock.forward = kept
    scale = float(plain.detach().abs().max())
    assert float((learning - plain).detach().abs().max()) < 1e-4 * scale
    assert float((hearing - plain).detach().abs().max()) < 1e-4 * scale


def test_inference_leaves_its_input_alone():
    blocks = torch.nn.ModuleList(GatedBlock(4, 3, 2**i) for i in range(3))
    x, shifts = torch.randn(2, 4, 50), [torch.randn(2, 8) for _ in range(3)]
    before = x.clone()
    with torch.no_grad():
        quiet = run_blocks(blocks, x, shifts)
    torch.testing.assert_close(x, before, atol=0, rtol=0)
    torch.testing.assert_close(run_blocks(blocks, x, shifts).detach(), quiet)
