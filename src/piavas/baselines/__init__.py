"""Simple and published predictors that every table is read against."""

from piavas.baselines.energy import ENERGY_BASELINES, EnergyBaseline, fit_energy
from piavas.baselines.learned import LEARNED_BASELINES, LearnedBaseline, fit_learned

__all__ = [
    "ENERGY_BASELINES",
    "LEARNED_BASELINES",
    "EnergyBaseline",
    "LearnedBaseline",
    "fit_energy",
    "fit_learned",
]
