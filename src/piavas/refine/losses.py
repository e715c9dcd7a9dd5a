"""What the network is asked for: the flow matching loss, and how the end of the flow sounds."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOWS = (256, 512, 1024)
FLOOR = 1e-3


def flow_loss(velocity: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the velocity (Algorithm 1 of the supplement)."""
    return (velocity - target).square().mean()


def spectral_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean over windows of the L1 distance of STFT magnitudes and of their logarithms.

    Yamamoto et al. 2020 (multi-resolution STFT loss). Reverberation is noise whose waveform cannot
    be foretold: the squared error alone answers with silence, magnitudes ask for its energy.

    Args:
        estimate: `[batch, 2, time]` at unit power.
        truth: likewise.
    """
    total = estimate.new_zeros(())
    for size in WINDOWS:
        ours, theirs = (_magnitude(x, size) for x in (estimate, truth))
        # Clip by clip, so that the mean of parts of a batch is that of the whole.
        gap, level = ((x.flatten(1).mean(1)) for x in ((ours - theirs).abs(), theirs))
        total = total + (gap / level.clamp_min(FLOOR)).mean()
        total = total + ((ours + FLOOR).log() - (theirs + FLOOR).log()).abs().mean()
    return total / len(WINDOWS)


def level_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of the level difference between the ears, in units of 10 dB."""
    ours, theirs = (
        torch.log10(x.square().sum(dim=-1) + FLOOR).diff(dim=1) for x in (estimate, truth)
    )
    return (ours - theirs).abs().mean()


def _magnitude(x: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size, device=x.device)
    flat = x.reshape(-1, x.shape[-1])
    spectrum = torch.stft(flat, size, size // 4, window=window, return_complex=True)
    magnitude = (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt() / size**0.5
    return magnitude.unflatten(0, x.shape[:2])
