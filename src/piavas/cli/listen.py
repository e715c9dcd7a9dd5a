"""`piavas listen` and `piavas export web`: a page to walk in a room and hear it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from piavas.cli.tell import console, tell

if TYPE_CHECKING:
    from piavas.capture import Capture
    from piavas.listen.page import Page

Points = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Web:
    """How finely the page is made."""

    title: str | None = None
    """Of the page; the scene's name if not given."""
    spacing: float = 0.6
    """Metres between the places at which responses are simulated."""
    height: float = 1.6
    """Metres of the ears above the floor."""
    order: int = 1
    """Ambisonic order of the late field, 1 to 3; discrete paths use the head itself."""
    rays: int = 10_000
    """Rays traced from each source."""
    seed: int = 0
    """The same seed gives the same samples."""
    duration: float | None = None
    """Seconds of the responses; as long as the decay needs if not given."""
    hrtf: str | None = None
    """"rigid-sphere" or a SOFA path; MIT KEMAR if not given."""
    dry: tuple[Path, ...] = ()
    """Sound files of one channel to play; three are synthesised if none are given."""
    allow_leaks: bool = False
    """Simulate scenes that sound escapes from."""


PLAIN = Web()
WebOptions = Annotated[Web, tyro.conf.arg(name="")]


def web(
    scene: tyro.conf.Positional[Path],
    out: Path,
    source: Points = (),
    materials: Path | None = None,
    capture: Path | None = None,
    refiner: Path | None = None,
    walk: Path | None = None,
    dry_run: bool = False,
    json: bool = False,
    options: WebOptions = PLAIN,
) -> None:
    """A static web page to walk in the room and hear it; what an earlier run left is used again.

    Args:
        scene: scene folder, or a mesh file with --materials.
        out: folder to write; any file server shows it.
        source: x y z in metres of each loudspeaker; the capture's, or one in the middle, if none.
        materials: JSON of materials for a mesh file.
        capture: the capture that the scene was made from: colours, and recordings to compare with.
        refiner: model folder, to refine what is simulated along the recordings.
        walk: JSON trajectory of the walk that plays by itself.
        dry_run: print the estimated time, memory and disk, and write nothing.
        json: print JSON for scripts.
        options: how finely.
    """
    from piavas.listen.page import export_web
    from piavas.listen.page_estimate import estimate_web
    from piavas.materials import load_scene
    from piavas.poses import read_trajectory
    from piavas.refine import Refiner

    room, visit, page = load_scene(scene, materials), _visit(capture), _page(scene, options)
    if dry_run:
        tell(estimate_web(room, sources=source, capture=visit, page=page), json)
        return
    index = export_web(
        room,
        out,
        sources=source,
        capture=visit,
        refiner=Refiner.load(refiner) if refiner else None,
        walk=read_trajectory(walk) if walk else None,
        page=page,
    )
    tell({"wrote": str(index)}, json)


def listen(
    scene: tyro.conf.Positional[Path],
    out: Path | None = None,
    source: Points = (),
    materials: Path | None = None,
    capture: Path | None = None,
    refiner: Path | None = None,
    walk: Path | None = None,
    serve: bool = True,
    port: int = 8000,
    dry_run: bool = False,
    json: bool = False,
    options: WebOptions = PLAIN,
) -> None:
    """Walk in the room and hear it: writes the page and shows it on localhost until Ctrl-C.

    Args:
        scene: scene folder, or a mesh file with --materials; or the folder of a page.
        out: folder of the page; `listen` beside the scene if not given.
        source: x y z in metres of each loudspeaker; the capture's, or one in the middle, if none.
        materials: JSON of materials for a mesh file.
        capture: the capture that the scene was made from: colours, and recordings to compare with.
        refiner: model folder, to refine what is simulated along the recordings.
        walk: JSON trajectory of the walk that plays by itself.
        serve: show the page; --no-serve only writes it.
        port: on localhost; 0 takes a free one.
        dry_run: print the estimated time, memory and disk, and write nothing.
        json: print JSON for scripts.
        options: how finely.
    """
    if (scene / "index.html").is_file():
        out = scene
    else:
        out = out or (scene if scene.is_dir() else scene.parent) / "listen"
        web(scene, out, source, materials, capture, refiner, walk, dry_run, json, options)
    if serve and not dry_run:
        _serve(out, port)


def _visit(folder: Path | None) -> Capture | None:
    from piavas.capture import load_capture

    return load_capture(folder) if folder else None


def _page(scene: Path, options: Web) -> Page:
    from piavas.listen.page import Page

    title = options.title or scene.resolve().stem.replace("-", " ").replace("_", " ").capitalize()
    return Page(**{**vars(options), "title": title})


def _serve(folder: Path, port: int) -> None:
    from piavas.listen.page_serve import make_server

    server = make_server(folder, port)
    where = f"http://127.0.0.1:{server.server_port}/"
    console.print(f"open [bold]{where}[/bold] with headphones on; Ctrl-C ends", highlight=False)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        console.print("ended")
    finally:
        server.server_close()
