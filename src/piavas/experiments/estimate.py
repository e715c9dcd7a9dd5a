"""What experiments will cost, from a few pictures, sounds and steps on this machine."""

from __future__ import annotations

import time

import numpy as np

from piavas.baselines import fit_learned
from piavas.experiments.methods import learned_kinds, learned_steps, preset
from piavas.experiments.recipe import Recipe
from piavas.refine import Clip
from piavas.refine.estimate import estimate_training
from piavas.scene import Pose, Scene
from piavas.twin.benchmark_estimate import estimate_responses, estimate_videos

POINTS = 8
"""Refiners trained on one environment, shares of few shots aside."""
STEPS = 3
"""Of each learned baseline that are timed."""


def estimate(recipe: Recipe) -> dict[str, float | str]:
    """Seconds by part and megabytes; nothing is kept."""
    started = time.perf_counter()
    parts = [estimate_videos(recipe.videos)]
    if "responses" in recipe.parts:
        parts.append(estimate_responses(recipe.responses))
    step = _step_seconds(recipe)
    runs = len(recipe.protocols) * recipe.videos.environments
    variants = 2 if "calibration" in recipe.parts else 1
    refiners = runs * variants * recipe.steps * step
    trained = 0.0
    if "ablations" in recipe.parts:
        trained = (POINTS + len(recipe.shares)) * recipe.ablation_steps * step
    learned = runs * _baseline_seconds(recipe)
    clips = recipe.videos.environments * recipe.videos.videos * (recipe.videos.seconds - 1)
    return {
        "size": recipe.name,
        "generate_seconds": round(sum(part.seconds for part in parts)),
        "refiners_seconds": round(refiners),
        "baselines_seconds": round(learned),
        "ablations_seconds": round(trained),
        "disk_mb": round(
            sum(part.disk_mb for part in parts) + variants * clips * 5 * 4 * recipe.rate / 1e6
        ),
        "asking_took_seconds": round(time.perf_counter() - started),
    }


def _step_seconds(recipe: Recipe) -> float:
    """Of one step of the refiner, on clips of noise."""
    config, network = preset(100, 0)
    told = estimate_training(_noise(recipe.rate), config, model=network)
    return told.seconds / max(told.steps, 1)


def _baseline_seconds(recipe: Recipe) -> float:
    """Of training all learned baselines once, on the same clips."""
    clips, room, total = _noise(recipe.rate), Scene.shoebox((6, 4, 3), absorption=0.2), 0.0
    for kind in learned_kinds():
        started = time.perf_counter()
        fit_learned(kind, clips, scene=room, steps=STEPS)
        each = (time.perf_counter() - started) / STEPS
        total += each * learned_steps(recipe, kind)
    return total


def _noise(rate: int) -> list[Clip]:
    rng = np.random.default_rng(0)
    dry, ears = (rng.standard_normal((n, rate)).astype(np.float32) for n in (1, 2))
    pose = Pose.at((1.0, 1.0, 1.5)).matrix
    where = np.array([3.0, 2.0, 1.5])
    return [Clip(str(i), dry, ears, ears, rate, pose, where, split="train") for i in range(4)]
