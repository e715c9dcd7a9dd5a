"""Simple and published predictors that every table is read against."""

from piavas.baselines.energy import ENERGY_BASELINES, EnergyBaseline, fit_energy

__all__ = ["ENERGY_BASELINES", "EnergyBaseline", "fit_energy"]
