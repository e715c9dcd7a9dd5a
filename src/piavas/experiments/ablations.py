"""One thing changed at a time, on one environment under RWAVS-Gen; with the paper's Fig. 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from piavas.ablate import ablate, draw
from piavas.acoustics.backends import BACKENDS, NATIVE
from piavas.audio import Audio
from piavas.baselines import fit_energy
from piavas.errors import DataError, PiavasError
from piavas.evaluate import Comparison, difference
from piavas.experiments import data
from piavas.experiments.bench import Bench
from piavas.experiments.measure import predicted, record, slug, tabled
from piavas.experiments.methods import Case, balanced, preset, refining
from piavas.files import read_json, write_json
from piavas.geometry.surface import simplify
from piavas.materials import load_scene, save_scene
from piavas.refine import Clip, ClipSet, Refiner, RefinerConfig, TrainConfig, train
from piavas.refine.features import with_known
from piavas.scene import Mesh

SIGMAS = (0.05, 0.5)
WIDTHS = (32, 192)
GEN = "rwavs-gen"
IMAGES, REFINED = "images, physics alone", "images, refined"
FEW = 1000
"""Triangles that every backend can take."""


def run_ablations(bench: Bench) -> None:
    """Every axis, each point a file."""
    case = Case(bench, data.protocol(bench, GEN), bench.recipe.ablated)
    base = _point(case, "base", "as it is")
    solvers(case, base)
    for sigma in SIGMAS:
        _point(case, "sigma", f"{sigma:g}", sigma=sigma)
    for width in WIDTHS:
        _point(case, "width", f"{width} channels", channels=width)
    _core(case)
    _known(case)
    _rooms(case)
    _dry(case)
    _few_shots(case)
    _backends(case)
    _images(case)


def point_path(bench: Bench, axis: str, value: str) -> Path:
    """Where the comparison of one point lies."""
    return bench.at("results", "ablations", axis, f"{slug(value)}.json")


def model_path(bench: Bench, axis: str, value: str) -> Path:
    """Where its refiner lies."""
    return bench.at("models", "ablations", axis, slug(value))


def _point(case: Case, axis: str, value: str, kind: str = "spectral", **changes: Any) -> Path:
    """Train with the preset but for `changes`, and compare with physics."""
    steps = changes.pop("steps", case.bench.recipe.ablation_steps)
    config, network = preset(steps, case.bench.recipe.seed, kind, **changes)
    return _trained(case, axis, value, case.clips(), config, network, changes)


def _trained(
    case: Case,
    axis: str,
    value: str,
    clips: ClipSet | Sequence[Clip],
    config: TrainConfig,
    network: RefinerConfig,
    facts: Mapping[str, Any],
) -> Path:
    """Train on the clips of split "train", compare the others with physics alone."""
    bench = case.bench
    path, folder = point_path(bench, axis, value), model_path(bench, axis, value)

    def make() -> None:
        refiner = train(clips, folder, balanced(config, clips), model=network)
        split = data.held_out(case.rules)
        tests = [clip for clip in clips if clip.split == split]
        found = predicted(refining(refiner), tests)
        _compare(case, value, found, tests, {"budget": f"{config.max_steps} steps", **facts}).save(
            path
        )

    bench.step(f"ablation, {axis}: {value}", path, make)
    return folder


def _compare(
    case: Case,
    label: str,
    found: Mapping[str, Audio],
    tests: Sequence[Clip],
    facts: Mapping[str, Any],
) -> Comparison:
    """Predictions of `tests` beside the native simulation of the same clips."""
    meta = record(case.bench, case.rules, environment=case.place, **facts)
    physics = {clip.name: clip.x_sim for clip in case.tests()}
    first, second = (tabled(one, tests, case.rules, meta) for one in (physics, found))
    return difference(first, second, labels=("physics", label))


def solvers(case: Case, model: Path) -> None:
    """Solver by function evaluations, and the figure."""
    out = case.bench.at("results", "ablations", "solver")

    def make() -> None:
        meta = record(case.bench, case.rules, environment=case.place)
        refiner, split = Refiner.load(model), data.held_out(case.rules)
        found = ablate(case.clips(), refiner, out, split=split, meta=meta)
        draw(found, out)

    case.bench.step("ablation, solver by evaluations", out / "fig2-dark.png", make)


def _core(case: Case) -> None:
    recipe = case.bench.recipe
    if recipe.wave_steps:
        _point(case, "core", "wave, small", "small", steps=recipe.wave_steps)


def _known(case: Case) -> None:
    """The refiner is told what is seen around head and source, and how the response decays."""
    wanted: dict[str, dict[str, bool]] = {
        "surfaces around head and source": {"images": True},
        "decay and level of the response": {"acoustics": True},
    }
    if all(point_path(case.bench, "known", value).exists() for value in wanted):
        return
    clips = data.knowing(case.bench, case.place, "scan", list(case.clips()))
    for value, what in wanted.items():
        config, network = preset(case.bench.recipe.ablation_steps, case.bench.recipe.seed)
        network = with_known(network, clips, **what)
        _trained(case, "known", value, clips, config, network, what)


def _rooms(case: Case) -> None:
    """One refiner for all environments, and one that never heard the one it is asked about."""
    bench, places = case.bench, case.bench.recipe.videos.places
    if len(places) < 2:
        return
    config, network = preset(bench.recipe.ablation_steps, bench.recipe.seed)
    others = [
        clip
        for place in places
        if place != case.place
        for clip in data.split_by(data.simulated(bench, place, "scan"), case.rules).of("train")
    ]
    own, tests = list(case.clips().of("train")), case.tests()
    axis = "rooms"
    _trained(case, axis, "trained on all rooms", [*others, *own, *tests], config, network, {})
    _trained(case, axis, "trained on the other rooms", [*others, *tests], config, network, {})


def _dry(case: Case) -> None:
    """Without simulation: the refiner starts from the dry sound at the level of Mono-Energy."""
    clips = list(case.clips())
    pairs = [(c.x_tx, c.x_rx) for c in clips if c.split == "train" and c.x_rx is not None]
    level = fit_energy("Mono-Energy", pairs)
    plain = [replace(clip, x_sim=level(clip.x_tx), balance=None) for clip in clips]
    config, network = preset(case.bench.recipe.ablation_steps, case.bench.recipe.seed)
    _trained(case, "simulation", "none: dry sound", plain, config, network, {})


def _few_shots(case: Case) -> None:
    config, network = preset(case.bench.recipe.ablation_steps, case.bench.recipe.seed)
    for share in case.bench.recipe.shares:
        rules = data.protocol(case.bench, GEN, share, case.place)
        few = replace(case, rules=rules)
        value = f"{100 * share:g} %: {len(rules.splits['train'])} clips"
        _trained(few, "shots", value, few.clips(), config, network, rules.facts)


def _backends(case: Case) -> None:
    """Stage 1 by the other engines; one that this machine lacks is named."""
    bench = case.bench
    for backend in BACKENDS:
        path = point_path(bench, "backend", backend)

        def make(backend: str = backend, path: Path = path) -> None:
            # Of mirror images others try all chains of walls, which grow as walls to the order.
            how: dict[str, Any] = {"rays": bench.recipe.peer_rays, "specular_order": 1}
            engine = data.simulator(bench, backend=backend, **how)
            engine = data.simulator(bench) if backend == NATIVE else engine
            try:
                clips = data.simulated(bench, case.place, _plain_scan(bench, case.place), engine)
            except PiavasError as problem:
                write_json(path, {"failed": str(problem)})
                return
            tests = list(data.split_by(clips, case.rules).of(data.held_out(case.rules)))
            found = predicted(lambda clip: clip.x_sim, tests)
            facts = {"simulator": {"backend": backend, "rays": engine.rays, "seed": engine.seed}}
            facts["simulator"]["specular_order"] = engine.specular_order
            _compare(case, backend, found, tests, facts).save(path)

        bench.step(f"ablation, backend: {backend}", path, make)


def _plain_scan(bench: Bench, place: str) -> str:
    """The scan in few triangles, since other engines bear no more walls; native hears both."""
    folder = bench.at("scenes", place, "scan-plain")
    if not (folder / "materials.json").exists():
        room = load_scene(bench.at("scenes", place, "scan"))
        vertices, faces = simplify(room.vertices, room.faces, FEW)
        save_scene(data.unknown_materials(Mesh(vertices, faces)), folder)
    return folder.name


def _images(case: Case) -> None:
    """Geometry and materials from the images of all videos instead of a scan, and a refiner on it.

    One video alone sees too little of the room.
    """
    bench = case.bench
    if not bench.recipe.pictures:
        return
    path = point_path(bench, "geometry", IMAGES)
    facts = {"geometry": "stereo from images", "pictures": bench.recipe.pictures}

    def make() -> None:
        try:
            _seen_scene(case)
            clips = _seen_clips(case)
        except PiavasError as problem:
            write_json(path, {"failed": str(problem)})
            return
        found = predicted(lambda clip: clip.x_sim, list(clips.of(data.held_out(case.rules))))
        _compare(case, "images", found, case.tests(), facts).save(path)

    bench.step("ablation, geometry from images", path, make)
    if "failed" not in read_json(path):
        config, network = preset(bench.recipe.ablation_steps, bench.recipe.seed)
        _trained(case, "geometry", REFINED, _seen_clips(case), config, network, facts)


def _seen_scene(case: Case) -> None:
    """The room as its images show it, saved."""
    from piavas.capture import load_capture
    from piavas.geometry import reconstruct
    from piavas.materials import assign_materials

    capture = load_capture(case.bench.at("captures", case.place))
    mesh = reconstruct(capture, depth="stereo", max_frames=case.bench.recipe.pictures)
    save_scene(assign_materials(mesh, capture), case.bench.at("scenes", case.place, "images"))


def _seen_clips(case: Case) -> ClipSet:
    """What is simulated in the room as its images show it."""
    return data.split_by(data.simulated(case.bench, case.place, "images"), case.rules)


def time_paper(bench: Bench) -> None:
    """A few steps of the paper's own configuration, to say what a whole run takes."""
    from piavas.refine.estimate import estimate_training

    path = bench.at("results", "paper.json")
    if not bench.recipe.paper_steps:
        return

    def make() -> None:
        case = Case(bench, data.protocol(bench, GEN), bench.recipe.ablated)
        learn = list(case.clips().of("train"))
        config, network = TrainConfig(), RefinerConfig(sample_rate=bench.recipe.rate)
        told = vars(estimate_training(learn, config, model=network))
        seconds = np.round(told["seconds"] / max(told["steps"], 1), 2)
        write_json(path, {**told, "seconds_each": float(seconds), "batch": config.batch})

    bench.step("time steps of the paper's configuration", path, make)


def require(bench: Bench) -> None:
    """The ablated environment must be one of the set.

    Raises:
        DataError: it is not.
    """
    if bench.recipe.ablated not in bench.recipe.videos.places:
        raise DataError(
            f"has no environment {bench.recipe.ablated!r}",
            field="ablated",
            mend=f"choose of {', '.join(bench.recipe.videos.places)}",
        )
