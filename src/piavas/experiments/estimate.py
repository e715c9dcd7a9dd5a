"""What experiments will cost, from a few pictures, sounds and steps on this machine."""

from __future__ import annotations

import time

import numpy as np

from piavas.experiments.methods import learned_kinds, preset
from piavas.experiments.recipe import Recipe
from piavas.refine import Clip
from piavas.refine.estimate import estimate_training
from piavas.scene import Pose
from piavas.twin.benchmark_estimate import estimate_responses, estimate_videos

POINTS = 8
"""Refiners trained on one environment, shares of few shots aside."""


def estimate(recipe: Recipe) -> dict[str, float | str]:
    """Seconds by part and megabytes; nothing is kept."""
    started = time.perf_counter()
    films, room = estimate_videos(recipe.videos), estimate_responses(recipe.responses)
    step = _step_seconds(recipe)
    runs = len(recipe.protocols) * recipe.videos.environments
    refiners = runs * 2 * recipe.steps * step
    trained = (POINTS + len(recipe.shares)) * recipe.ablation_steps * step
    learned = runs * len(learned_kinds()) * recipe.baseline_seconds
    clips = recipe.videos.environments * recipe.videos.videos * (recipe.videos.seconds - 1)
    return {
        "size": recipe.name,
        "generate_seconds": round(films.seconds + room.seconds),
        "refiners_seconds": round(refiners),
        "baselines_seconds": round(learned),
        "ablations_seconds": round(trained),
        "disk_mb": round(films.disk_mb + room.disk_mb + 2 * clips * 5 * 4 * recipe.rate / 1e6),
        "asking_took_seconds": round(time.perf_counter() - started),
    }


def _step_seconds(recipe: Recipe) -> float:
    """Of one step of the refiner, on clips of noise."""
    rng = np.random.default_rng(0)
    dry, ears = (rng.standard_normal((n, recipe.rate)).astype(np.float32) for n in (1, 2))
    pose = Pose.at((1.0, 1.0, 1.5)).matrix
    clips = [Clip(str(i), dry, ears, ears, recipe.rate, pose, np.zeros(3)) for i in range(4)]
    config, network = preset(100, 0)
    told = estimate_training(clips, config, model=network)
    return told.seconds / max(told.steps, 1)
