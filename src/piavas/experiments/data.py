"""From seeds to clips: generate both sets, import them, give each room a scene, simulate.

The set has colour images in an arbitrary unit. Geometry is that of a scan: the exact mesh, laid in
the unit of the poses and brought into metres by the fit to the sound, as the poses are. Nothing
else of the truth is read but where a court is open to the sky: a scan has no surface there.
Materials are unknown: all faces start as the table's default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.capture import load_capture
from piavas.datasets import environments
from piavas.datasets.alignment import Alignment
from piavas.datasets.metric import MetricFit
from piavas.datasets.protocols import Protocol, few_shot
from piavas.datasets.rwavs import Video
from piavas.datasets.similarity import Similarity
from piavas.experiments.bench import Bench
from piavas.files import read_json, write_json
from piavas.geometry import load_mesh
from piavas.materials import load_scene, load_table, save_scene
from piavas.pairs import pair, provenance
from piavas.refine import Clip, ClipSet, load_clips, save_clips
from piavas.refine.views import Panorama
from piavas.scene import OCTAVE_BANDS, Material, Mesh, Scene
from piavas.twin.benchmark import TRUTH, write_videos
from piavas.twin.benchmark_raf import write_responses
from piavas.twin.openings import GLASS
from piavas.twin.places import make_place
from piavas.twin.released import SUMS

FILMS, ROOM = "rwavs", "raf"
SIDES = ("facing up", "facing down", "upright")
LEVEL = 0.9
"""Vertical part of the normal of a face that counts as level."""
SKY = "sky"


def generate(bench: Bench, made: str | os.PathLike[str] | None = None) -> None:
    """Both sets; what an interrupted run left is kept, and videos `made` before are linked."""
    recipe = bench.recipe
    films, room = bench.at(FILMS), bench.at(ROOM)
    if made is not None and not films.exists():
        write_videos(made, recipe.videos)
        films.symlink_to(Path(made).resolve(), target_is_directory=True)
    bench.step("generate videos", films / SUMS, lambda: write_videos(films, recipe.videos))
    if "responses" in recipe.parts:
        bench.step(
            "generate responses", room / SUMS, lambda: write_responses(room, recipe.responses)
        )


def import_videos(bench: Bench) -> None:
    """A capture of each environment, in metres, and the protocols."""
    out = bench.at("captures")

    def make() -> None:
        loaded = environments.load_whole(bench.at(FILMS))
        fits = environments.fit_videos(loaded.videos)
        moves, told = environments.to_metres(loaded.videos, fits)
        moves = _best_guess(loaded.videos, fits, moves, told)
        rules = environments.make_protocol(loaded.videos, "rwavs-gen")
        environments.write_environments(out, loaded.videos, rules, moves, fits, {"metres": told})

    bench.step("import and fit metres", out / environments.PROTOCOL, make)


def _best_guess(
    videos: Sequence[Video],
    fits: Mapping[int, MetricFit],
    moves: Alignment,
    told: dict[str, str],
) -> Alignment:
    """Where no fit of a place is to be trusted, that which most poses agree with, and say so."""
    if moves.metric:
        return moves
    found = dict(moves.moves)
    for place, group in environments.by_environment(videos).items():
        if any(fits[video.number].trusted for video in group):
            continue
        best = max((fits[video.number] for video in group), key=lambda fit: fit.used)
        found |= {video.number: Similarity(best.scale) for video in group}
        told[place] += f"; taken all the same: {best.scale:.4g} m a unit, of the best fit"
    return Alignment(found, metric=True)


@cache
def _videos(root: Path) -> tuple[Video, ...]:
    return environments.load_whole(root).videos


def protocol(bench: Bench, name: str, share: float = 1.0, place: str = "") -> Protocol:
    """A protocol over the videos of the set or of one place, thinned to few shots below 1."""
    videos = [v for v in _videos(bench.at(FILMS)) if place in ("", v.environment)]
    rules = environments.make_protocol(videos, name)  # type: ignore[arg-type]
    return rules if share == 1 else few_shot(rules, share, bench.recipe.seed)


def scan(bench: Bench, place: str) -> Scene:
    """The scan of an environment in the frame of its capture, of unknown materials."""
    truth = bench.at(FILMS, TRUTH, place)
    unit = Similarity.from_json(read_json(truth / "environment.json")["unit"])
    number = next(v.number for v in _videos(bench.at(FILMS)) if v.environment == place)
    metres = Alignment.load(bench.at("captures", environments.ALIGNMENT)).moves[number]
    mesh = load_mesh(truth / "mesh.ply")
    placed = Mesh((metres @ unit).points(mesh.vertices), mesh.faces)
    open_sky = np.zeros(len(mesh.faces), bool)
    if place == "outdoor":
        open_sky = make_place(place, bench.recipe.videos.seed).world.finish == GLASS
    return unknown_materials(placed, open_sky)


def unknown_materials(mesh: Mesh, open_sky: NDArray[np.bool_] | None = None) -> Scene:
    """Every face of the table's default, in groups by the side it faces, so that they can be told.

    Args:
        mesh: the room, +z up.
        open_sky: `[f]` faces where there is no surface: they take up all sound.
    """
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    up = normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    index = np.select([up > LEVEL, up < -LEVEL], [0, 1], 2)
    default = load_table()["default"]
    rows = [replace(default, name=f"default, {side}") for side in SIDES]
    if open_sky is not None and open_sky.any():
        index = np.where(open_sky, len(rows), index)
        bands = len(OCTAVE_BANDS)
        rows.append(Material(SKY, np.ones(bands), np.zeros(bands), np.zeros(bands), source="open"))
    used, index = np.unique(index, return_inverse=True)
    return Scene(mesh.vertices, mesh.faces, index.astype(np.int32), tuple(rows[k] for k in used))


def simulator(bench: Bench, **changes: Any) -> Simulator:
    """Stage 1 as the experiments use it."""
    how: dict[str, Any] = {"rays": bench.recipe.rays, "sample_rate": bench.recipe.rate}
    return Simulator(**{**how, **changes})


def simulated(bench: Bench, place: str, variant: str, engine: Simulator | None = None) -> ClipSet:
    """Clips of all videos of a place with the simulated sound of one variant of stage 1.

    Args:
        bench: where.
        place: the environment.
        variant: name of the scene folder.
        engine: the simulator; its backend becomes part of the name where it is not the native one.
    """
    engine = engine or simulator(bench)
    name = variant if engine.backend == "native" else f"{variant}-{engine.backend}"
    out = bench.at("clips", place, name)

    def make() -> None:
        capture = load_capture(bench.at("captures", place))
        room = load_scene(bench.at("scenes", place, variant))
        draws = bench.recipe.draws if engine.backend == "native" else 1
        cut = pair(capture, room, engine, sample_rate=bench.recipe.rate, draws=draws)
        save_clips(out, cut, provenance(engine))

    bench.step(f"simulate {place}, {name}", out / "clips.json", make)
    return load_clips(out)


def knowing(bench: Bench, place: str, variant: str, clips: Sequence[Clip]) -> list[Clip]:
    """`clips` of one variant, with what the scene shows there and numbers of their responses."""
    room = load_scene(bench.at("scenes", place, variant))
    capture = load_capture(bench.at("captures", place))
    told = {
        clip.name: clip
        for clip in pair(
            capture, room, simulator(bench), sample_rate=bench.recipe.rate,
            images=Panorama(room), acoustics=True,
        )
    }  # fmt: skip
    return [
        replace(clip, images=told[clip.name].images, acoustics=told[clip.name].acoustics)
        for clip in clips
    ]


def split_by(clips: ClipSet, rules: Protocol) -> ClipSet:
    """`clips` with the splits of a protocol; those that it leaves out are not there."""
    splits = rules.split_of
    rows = tuple(
        {**row, "split": splits[row["name"]]} for row in clips.rows if row["name"] in splits
    )
    return replace(clips, rows=rows)


def held_out(rules: Protocol) -> str:
    """The split that a protocol evaluates."""
    return "test" if "test" in rules.splits else "val"


def make_scenes(bench: Bench) -> None:
    """The scan of each environment, before and after calibration on the training video."""
    for place in bench.recipe.videos.places:
        folder = bench.at("scenes", place, "scan")
        bench.step(
            f"scene {place}",
            folder / "materials.json",
            lambda place=place, folder=folder: save_scene(scan(bench, place), folder),  # type: ignore[misc]
        )
        if "calibration" in bench.recipe.parts:
            calibrate_place(bench, place)


def calibrate_place(bench: Bench, place: str) -> None:
    """Fit the materials of a scan to the training video of RWAVS-Gen, and to nothing else."""
    from piavas.calibrate import calibrate, read_recordings

    folder = bench.at("scenes", place, "scan-calibrated")

    def make() -> None:
        found, held = read_recordings(bench.at("captures", place))
        chosen = [one for i, one in enumerate(found) if i not in set(held)]
        chosen = list(_spread(chosen, bench.recipe.pieces))
        room = load_scene(bench.at("scenes", place, "scan"))
        fitted = calibrate(
            room, chosen, simulator=simulator(bench), rays=bench.recipe.rays, scattering=(1.0,)
        )
        write_json(folder / "calibration.json", fitted.report)
        save_scene(fitted.scene, folder)

    bench.step(f"calibrate {place}", folder / "materials.json", make)


def _spread(items: Sequence[Any], count: int) -> Iterator[Any]:
    """At most `count` of `items`, evenly spread."""
    for i in np.linspace(0, len(items) - 1, min(len(items), count)).astype(int):
        yield items[i]
