"""`piavas import`: from captures and data sets to clips, and checks of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.console import Console

from piavas.cli.physics import DEFAULT, Physics, PhysicsOptions, make_simulator
from piavas.cli.tell import group, tell
from piavas.errors import PiavasError, about

if TYPE_CHECKING:
    from piavas.capture import Capture
    from piavas.refine.views import Extractor
    from piavas.scene import Scene

AT_RWAVS_RATE = Physics(sample_rate=22_050)

console = Console()


def capture(
    capture: tyro.conf.Positional[Path],
    scene: Path,
    out: Path,
    clip_seconds: float = 1.0,
    window: Literal["centred", "past"] = "centred",
    draws: int = 1,
    images: str | None = None,
    acoustics: bool = False,
    json: bool = False,
    physics: PhysicsOptions = AT_RWAVS_RATE,
) -> None:
    """Recordings of a capture, beside what physics says of them, as clips to learn from.

    Args:
        capture: capture with recordings.
        scene: scene folder.
        out: folder of clips to write.
        clip_seconds: length of a clip.
        window: where a clip lies about the time of its pose: "centred" as AV-NeRF cuts, "past"
            as AV-Cloud.
        draws: simulations that tell which level difference of the ears to expect, see
            `piavas train --balance`; 1 for none.
        images: what is seen from head and source, for `piavas train --images`: "panorama" for the
            scene itself, or a model that sees (CLIP, SigLIP, DINOv2), of the hub or a folder, for
            the nearest photographs.
        acoustics: note reverberation times and levels of each response, for
            `piavas train --acoustics`.
        json: print JSON for scripts.
        physics: how sound is simulated.
    """
    from piavas.capture import like_mesh, load_capture
    from piavas.materials import load_scene
    from piavas.pairs import pair, provenance
    from piavas.refine import save_clips

    room = load_scene(scene)
    visit = like_mesh(load_capture(capture), room.report)
    simulator = make_simulator(physics, "binaural")
    how: dict[str, Any] = {
        "sample_rate": physics.sample_rate,
        "clip_seconds": clip_seconds,
        "window": window,
        "draws": draws,
        "acoustics": acoustics,
    }
    with about(scene):
        how["images"] = _extractor(images, visit, room)
        clips = list(pair(visit, room, simulator, **how))
    save_clips(out, clips, provenance(simulator))
    tell({"wrote": str(out), "clips": len(clips)}, json)


def _extractor(images: str | None, visit: Capture, room: Scene) -> Extractor | None:
    """What `--images` names."""
    if images is None:
        return None
    if images == "panorama":
        from piavas.refine.views import Panorama

        return Panorama(room)
    from piavas.refine.pictures import Photographs

    return Photographs.load(visit, images)


def photos(
    photos: tyro.conf.Positional[Path],
    out: Path,
    frames: int = 120,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Photos of a room, or a video, to a capture with poses, whose lengths have no scale yet.

    Args:
        photos: folder of images, or a video.
        out: folder of the capture; photos.json says what could not be placed, and why.
        frames: taken of a video.
        seed: of chance.
        json: print JSON for scripts.
    """
    from piavas.capture.photos import estimate_poses

    placed = estimate_poses(photos, out, frames=frames, seed=seed)
    if json:
        console.print_json(data=placed.to_json())
        return
    for name, why in placed.left_out.items():
        console.print(f"{name}: {why}", highlight=False, markup=False, soft_wrap=True)
    facts = {"placed": len(placed.registered), "of": placed.images, "error_pixels": placed.error}
    tell(
        {
            "wrote": str(out),
            **facts,
            "scale": "unknown: give --metres or --camera-height to reconstruct",
        },
        json,
    )


def rwavs(
    folder: tyro.conf.Positional[Path],
    out: Path | None = None,
    videos: tuple[int, ...] = (),
    protocol: Literal["rwavs", "rwavs-gen"] = "rwavs",
    train: tuple[int, ...] = (),
    share: float = 1.0,
    seed: int = 0,
    alignment: Path | None = None,
    align: bool = False,
    compare: bool = True,
    metric: bool = False,
    skip_broken: bool = False,
    json: bool = False,
) -> None:
    """Check a copy of RWAVS item by item; with --out, make a capture of each environment.

    Args:
        folder: the release, or the folder that holds it.
        out: folder of captures to write, one an environment.
        videos: numbers; all that a copy should hold if not given.
        protocol: "rwavs" trains and evaluates on every video, "rwavs-gen" trains on one video of
            each environment and evaluates on the others.
        train: training videos of rwavs-gen; the first of each environment if not given.
        share: of the training items that is kept, e.g. 0.01.
        seed: of that draw.
        alignment: JSON of a scale, rotation and translation for each video, into one world.
        align: find that move from the images instead.
        compare: ask the images whether the videos of an environment share a world.
        metric: fit metres from the delays of the recorded sound.
        skip_broken: leave out videos that cannot be read, and count them.
        json: print JSON for scripts.
    """
    from piavas.datasets import environments, overlap
    from piavas.datasets.alignment import Alignment
    from piavas.datasets.rwavs_check import check_rwavs

    if out is None:
        _report(check_rwavs(folder, videos or None), json)
        return
    loaded = environments.load_whole(folder, videos or None, skip_broken=skip_broken)
    moves = Alignment.load(alignment) if alignment is not None else None
    rules = environments.make_protocol(loaded.videos, protocol, train=train, share=share, seed=seed)
    facts: dict[str, Any] = {"left_out": dict(loaded.broken)}
    moves = overlap.align(loaded.videos) if align else moves
    said = overlap.judge(loaded.videos, moves) if compare else []
    facts["alignment"] = [str(verdict) for verdict in said]
    fits = None
    if metric:
        fits = environments.fit_videos(loaded.videos, moves)
        moves, facts["metres"] = environments.to_metres(loaded.videos, fits, moves)
    folders = environments.write_environments(out, loaded.videos, rules, moves, fits, facts)
    captures = {place: str(path) for place, path in folders.items()}
    if json:
        tell({"captures": captures, **rules.to_json(), **facts}, json)
        return
    lines = [f"video {number}: {fit}" for number, fit in (fits or {}).items()]
    lines += [f"{place}: {told}" for place, told in facts.get("metres", {}).items()]
    lines += [*facts["alignment"], *(f"left out: {why}" for why in loaded.broken.values())]
    for line in (*lines, *(f"wrote {path}" for path in folders.values())):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    tell(rules.to_json(), json)


def raf(
    folder: tyro.conf.Positional[Path],
    out: Path | None = None,
    splits: Path | None = None,
    hand: Literal["left", "right"] = "left",
    mesh: Path | None = None,
    json: bool = False,
) -> None:
    """Check a room of RAF item by item; with --out, write it as a table in our axes.

    Args:
        folder: of data/ and metadata/.
        out: folder of the table rirs.csv to write; sound files stay where they are.
        splits: JSON of the lists; metadata/data-split.json if not given.
        hand: of RAF's axes, which are told to be left-handed.
        mesh: OBJ of the room, y up, to ask which hand they are.
        json: print JSON for scripts.
    """
    from piavas.datasets.raf import check_raf, load_raf
    from piavas.datasets.rirset import write_table
    from piavas.geometry import load_mesh

    if out is None:
        _report(check_raf(folder, load_mesh(mesh, up="y") if mesh is not None else None), json)
        return
    room = load_raf(folder, splits=splits, hand=hand)
    table = write_table(out, room.responses)
    tell({"table": str(table), "responses": len(room), **room.protocol("RAF").to_json()}, json)


def rirs(
    folder: tyro.conf.Positional[Path],
    scene: Path | None = None,
    out: Path | None = None,
    split: Literal["train", "val", "test", "all"] = "test",
    seconds: float | None = None,
    physics: PhysicsOptions = DEFAULT,
    json: bool = False,
) -> None:
    """Check a table of impulse responses; with --scene and --out, simulate what it measured.

    Args:
        folder: of rirs.csv.
        scene: scene folder of the room.
        out: folder to write, of predicted/ and recorded/, which `piavas evaluate` compares.
        split: which responses are simulated.
        seconds: of each response that are kept, 0.32 for RAF; all if not given.
        physics: how sound is simulated; the rate is that of the table.
        json: print JSON for scripts.
    """
    from piavas.datasets.predict import predict
    from piavas.datasets.rirset import check_rirs, load_rirs
    from piavas.materials import load_scene

    if (scene is None) != (out is None):
        raise PiavasError("go together", field="scene, out", mend="give both, or none to check")
    if scene is None or out is None:
        _report(check_rirs(folder), json)
        return
    measured, room = load_rirs(folder), load_scene(scene)
    simulator = make_simulator(physics, "mono")
    with about(scene):
        predicted, recorded = predict(measured, room, simulator, out, split=split, seconds=seconds)
    tell({"predicted": str(predicted), "recorded": str(recorded)}, json)


def _report(check: Any, json: bool) -> None:
    """Print what was found; an error if anything is missing or wrong."""
    if json:
        console.print_json(data=check.to_json())
    else:
        check.show(console)
    check.demand()


import_ = group(
    {"capture": capture, "photos": photos, "rwavs": rwavs, "raf": raf, "rirs": rirs},
    "From captures and data sets to what the next verbs read, checked on the way.",
)
