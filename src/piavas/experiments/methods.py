"""All methods on all environments under one protocol: physics, refined, and every baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from piavas.datasets.protocols import Protocol
from piavas.experiments import data
from piavas.experiments.bench import Bench
from piavas.experiments.measure import (
    LEVELLED,
    PHYSICS,
    Predict,
    levelled,
    predicted,
    record,
    slug,
    table_path,
    write_tables,
)
from piavas.experiments.recipe import Recipe
from piavas.refine import Clip, ClipSet, Refiner, RefinerConfig, TrainConfig, train
from piavas.refine.balance import fit_share
from piavas.trials import refine_clip

CALIBRATED = "physics, calibrated"
REFINED, REFINED_CALIBRATED = "physics + refiner", "physics, calibrated + refiner"
VARIANTS = {PHYSICS: "scan", CALIBRATED: "scan-calibrated"}
EVALUATIONS = 1
"""Of the spectral preset, which is trained for its first step too (see the docs of the refiner)."""
SLOW = {"ViGAS-style": 0.1}
"""Share of the steps that a learned baseline gets whose steps cost some twenty of the others'."""
BASED = {REFINED: PHYSICS, REFINED_CALIBRATED: CALIBRATED}
"""What each refined method starts from."""


def bases(bench: Bench, rules: Protocol) -> dict[str, str]:
    """Physics that may be tried: calibration has heard all of RWAVS-Gen's training video.

    Under RWAVS a part of that video is held out.
    """
    if "calibration" in bench.recipe.parts and "training_videos" in rules.facts:
        return VARIANTS
    return {PHYSICS: VARIANTS[PHYSICS]}


@dataclass(frozen=True)
class Case:
    """One environment under one protocol.

    Args:
        bench: where.
        rules: the protocol.
        place: the environment.
    """

    bench: Bench
    rules: Protocol
    place: str

    @property
    def results(self) -> Path:
        """Folder of the tables."""
        return self.bench.at("results", slug(self.rules.name), self.place)

    def clips(self, variant: str = "scan") -> ClipSet:
        """Clips of one variant of stage 1 with the splits of the protocol."""
        return data.split_by(data.simulated(self.bench, self.place, variant), self.rules)

    def tests(self, variant: str = "scan") -> list[Clip]:
        """Those that are evaluated."""
        return list(self.clips(variant).of(data.held_out(self.rules)))

    def step(self, method: str, make: Callable[[], object]) -> None:
        """A table of a method, unless it is there."""
        what = f"{self.rules.name}, {self.place}: {method}"
        self.bench.step(what, table_path(self.results, method), make)


def evaluate_all(bench: Bench, rules: Protocol) -> None:
    """Every method on every environment of the set."""
    variants = bases(bench, rules)
    for place in bench.recipe.videos.places:
        case = Case(bench, rules, place)
        for method, variant in variants.items():
            data.simulated(bench, place, variant)
            case.step(method, lambda c=case, m=method, v=variant: _physics(c, m, v))  # type: ignore[misc]
        for method, base in BASED.items():
            if base not in variants:
                continue
            case.step(method, lambda c=case, m=method, b=base: _refined(c, m, VARIANTS[b]))  # type: ignore[misc]
        for kind in energy_kinds():
            case.step(kind, lambda c=case, k=kind: _energy(c, k))  # type: ignore[misc]
        for kind in learned_kinds():
            case.step(kind, lambda c=case, k=kind: _learned(c, k))  # type: ignore[misc]


def energy_kinds() -> tuple[str, ...]:
    """Names of the energy baselines."""
    from piavas.baselines import ENERGY_BASELINES

    return tuple(ENERGY_BASELINES)


def learned_kinds() -> tuple[str, ...]:
    """Names of the learned baselines."""
    from piavas.baselines import LEARNED_BASELINES

    return tuple(LEARNED_BASELINES)


def learned_steps(recipe: Recipe, kind: str) -> int:
    """Of a learned baseline's training, the same on every machine."""
    return max(1, round(recipe.baseline_steps * SLOW.get(kind, 1.0)))


def _physics(case: Case, method: str, variant: str) -> None:
    tests = case.tests(variant)
    meta = record(case.bench, case.rules, variant=variant)
    write_tables(
        case.results, method, predicted(lambda clip: clip.x_sim, tests), tests, case.rules, meta
    )


def _refined(case: Case, method: str, variant: str) -> None:
    clips = case.clips(variant)
    folder = case.bench.at("models", slug(case.rules.name), case.place, variant)
    config, network = preset(case.bench.recipe.steps, case.bench.recipe.seed)
    refiner = train(clips, folder, balanced(config, clips), model=network)
    refiner.balance = pooled_share(case.bench, case.rules, variant)
    tests = list(clips.of(data.held_out(case.rules)))
    meta = record(
        case.bench, case.rules, variant=variant, budget=f"{config.max_steps} steps",
        solver="euler", evaluations=EVALUATIONS, model=refiner.config.to_json(),
        balance=refiner.balance,
    )  # fmt: skip
    write_tables(case.results, method, predicted(refining(refiner), tests), tests, case.rules, meta)


def preset(
    steps: int, seed: int, kind: Any = "spectral", **changes: Any
) -> tuple[TrainConfig, RefinerConfig]:
    """The house's preset with a budget of steps, so that a run is the same wherever it runs."""
    from piavas.cli.training import Training, make_configs
    from piavas.datasets.rwavs import RATE

    return make_configs(kind, Training(max_steps=steps, seed=seed, **changes), RATE)


def balanced(config: TrainConfig, clips: Sequence[Clip]) -> TrainConfig:
    """`config`, with the expected level difference of the ears where the clips know it."""
    return replace(config, balance=all(clip.balance is not None for clip in clips))


def pooled_share(bench: Bench, rules: Protocol, variant: str) -> float | None:
    """The share of the expected level difference, fitted on the training clips of all places.

    One number has too little to go by in one video; None where the clips know no expectation.
    """
    known = [
        clip
        for place in bench.recipe.videos.places
        for clip in Case(bench, rules, place).clips(variant).of("train")
        if clip.balance is not None
    ]
    return fit_share(known) if known else None


def refining(refiner: Refiner, solver: str = "euler", steps: int = EVALUATIONS) -> Predict:
    """A refiner as a predictor of clips."""
    return lambda clip: refine_clip(refiner, clip, solver=solver, steps=steps)


def _energy(case: Case, kind: str) -> None:
    from piavas.baselines import fit_energy

    pairs = [(c.x_tx, c.x_rx) for c in case.clips().of("train") if c.x_rx is not None]
    fitted = fit_energy(kind, pairs)  # type: ignore[arg-type]
    _baseline(case, kind, lambda clip: fitted(clip.x_tx), "")


def _learned(case: Case, kind: str) -> None:
    from piavas.baselines import fit_learned
    from piavas.materials import load_scene

    recipe, steps = case.bench.recipe, learned_steps(case.bench.recipe, kind)
    fitted = fit_learned(
        kind,
        list(case.clips().of("train")),
        scene=load_scene(case.bench.at("scenes", case.place, "scan")),
        steps=steps,
        seed=recipe.seed,
    )
    _baseline(case, kind, fitted, f"{steps} steps")


def _baseline(case: Case, kind: str, predict: Predict, budget: str) -> None:
    """As it is, and with the level of each video known."""
    tests: Sequence[Clip] = case.tests()
    found = predicted(predict, tests)
    meta = record(case.bench, case.rules, budget=budget)
    known = levelled(found, tests)
    write_tables(case.results, kind + LEVELLED, known, tests, case.rules, meta)
    write_tables(case.results, kind, found, tests, case.rules, meta)
