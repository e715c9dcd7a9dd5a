"""Simulated to recorded-sounding audio by flow matching: stage 2."""

from piavas.refine.clips import Clip, ClipSet, load_clips, save_clips
from piavas.refine.model import Refiner
from piavas.refine.network import RefinerConfig
from piavas.refine.recipe import TrainConfig
from piavas.refine.solvers import SOLVERS, get_solver
from piavas.refine.train import train

__all__ = [
    "SOLVERS",
    "Clip",
    "ClipSet",
    "Refiner",
    "RefinerConfig",
    "TrainConfig",
    "get_solver",
    "load_clips",
    "save_clips",
    "train",
]
