"""Dry sound and impulse responses to what a still or moving listener hears."""

from piavas.render.convolve import render
from piavas.render.level import to_full_scale
from piavas.render.trajectory import sample_trajectory

__all__ = ["render", "sample_trajectory", "to_full_scale"]
