"""A static web page to walk in a room and listen: any file server shows it, nothing is fetched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas import __version__
from piavas.acoustics import Simulator
from piavas.acoustics.field import Room
from piavas.acoustics.hrtf import Hrtf, load_hrtf
from piavas.acoustics.sphere_grid import uniform_directions
from piavas.capture import Capture
from piavas.colors import material_colors
from piavas.errors import DataError
from piavas.files import read_json, write_json
from piavas.listen.page_bundle import read_bundle, write_bundle
from piavas.listen.page_floor import STEP, FloorMap, blend, choose_points, map_floor
from piavas.listen.page_head import TAPS, page_head
from piavas.listen.page_points import BLOCK, RATE, WINDOW, GridHearing
from piavas.listen.page_sounds import write_sounds
from piavas.listen.page_tracks import write_tracks
from piavas.listen.page_walk import stroll
from piavas.progress import track
from piavas.scene import INVENTED, OBSERVED, Scene, Source, Trajectory

if TYPE_CHECKING:
    from piavas.refine import Refiner

FORMAT = "piavas-listen-1"
WEB = Path(__file__).with_name("web")
INDEX = "scene.json"
HOP = 256  # samples of a partition of the page's convolution
SLACK = 0.02  # seconds by which an early path may come later between grid points, and ring
MOUTH = 1.4  # metres above the floor of a source that nobody placed
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Page:
    """What a listening page shows and how finely.

    Args:
        title: of the page.
        spacing: metres between the points of the listener grid.
        height: metres of the ears above the floor.
        clearance: metres between the middle of a person and anything.
        order: ambisonic order of the late field.
        rays: traced from each source.
        seed: the same seed gives the same samples.
        duration: seconds of the responses; None for as long as the decay takes.
        hrtf: name or SOFA path of the head; None for MIT KEMAR.
        dry: sound files to play; three are synthesised where there are none.
        allow_leaks: simulate scenes that sound escapes from, or with broken faces.
    """

    title: str = "A room to listen in"
    spacing: float = 0.6
    height: float = 1.6
    clearance: float = 0.2
    order: int = 1
    rays: int = 10_000
    seed: int = 0
    duration: float | None = None
    hrtf: str | Path | Hrtf | None = None
    dry: tuple[str | os.PathLike[str], ...] = field(default=())
    allow_leaks: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("spacing", 0.2, 5.0),
            ("height", 0.3, 3.0),
            ("clearance", 0.05, 1.0),
            ("order", 1, 3),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(
                    f"{value!r} is out of range", field=name, mend=f"give {low:g} to {high:g}"
                )

    def simulator(self) -> Simulator:
        """The simulator of the grid's responses."""
        return Simulator(
            rays=self.rays,
            seed=self.seed,
            output=f"ambisonic-{self.order}",
            sample_rate=RATE,
            duration=self.duration,
            allow_leaks=self.allow_leaks,
        )


def export_web(
    scene: Scene,
    out: str | os.PathLike[str],
    *,
    sources: Sequence[Source | ArrayLike] = (),
    capture: Capture | None = None,
    refiner: Refiner | None = None,
    walk: Trajectory | None = None,
    page: Page | None = None,
) -> Path:
    """Write a listening page of `scene`; what an interrupted run with the same input left is kept.

    Args:
        scene: a closed room with normals into the air.
        out: folder of the page.
        sources: loudspeakers; those of the capture's recordings, or one in the middle of the free
            floor, where none are given.
        capture: pictures to colour the mesh with, and recordings to compare with.
        refiner: refines what is simulated along the recordings; None leaves refined sound out.
        walk: the walk that plays by itself; a stroll over the free floor if None.
        page: how.

    Returns:
        the page's `index.html`.

    Raises:
        SimulationError: nowhere to stand, or a source outside the room or in something solid.
        HrtfError: the head cannot be had.
        AudioError: a dry sound that cannot be read.
    """
    page, out = page or Page(), Path(out)
    data = out / "data"
    head = _load_head(page)
    floor = map_floor(scene, height=page.height, clearance=page.clearance)
    points = choose_points(floor, page.spacing)
    placed = place_sources(floor, sources, capture)
    copy_site(out)
    write_bundle(data / "head.bin", page_head(head, page.order))
    write_bundle(data / "floor.bin", _floor_arrays(floor, points, page.spacing))
    photo = write_mesh(data, scene, capture)
    sounding = [
        simulate_grid(data / f"source-{k}", scene, source, floor.place(points), page)
        for k, source in enumerate(placed)
    ]
    longest = max(source.pop("lateLength") for source in sounding)
    walk = walk or stroll(floor, placed[0].position)
    index = {
        "format": FORMAT,
        "title": page.title,
        "sampleRate": RATE,
        "speedOfSound": page.simulator().speed,
        "block": BLOCK,
        "order": page.order,
        "lead": head.lead,
        "lateLength": longest,
        "lateBlocks": -(-(longest + TAPS) // HOP),
        "earlyBlocks": -(-round((WINDOW + SLACK) * RATE) // HOP),
        "head": {"name": head.name, "licence": head.licence},
        "floor": {"low": floor.low.tolist(), "step": STEP, "z": floor.floor, "ears": floor.ears},
        "points": floor.place(points).round(4).tolist(),
        "sources": sounding,
        "materials": _materials(scene),
        "photo": photo,
        "sounds": write_sounds(data / "sounds", RATE, page.dry),
        "tracks": [],
        "walk": {"times": walk.times.round(4).tolist(), "poses": _flat(walk.poses)},
        "made": {"piavas": __version__, "rays": page.rays, "seed": page.seed},
    }
    if capture is not None and capture.recordings:
        how = replace(page.simulator(), output="binaural", hrtf=head)
        index["tracks"] = write_tracks(data / "tracks", scene, capture, placed, how, refiner)
    write_json(data / INDEX, index)
    return out / "index.html"


def _load_head(page: Page) -> Hrtf:
    if isinstance(page.hrtf, Hrtf):
        return page.hrtf
    return load_hrtf(page.hrtf, sample_rate=RATE)


def place_sources(
    floor: FloorMap, sources: Sequence[Source | ArrayLike], capture: Capture | None
) -> list[Source]:
    """The given sources, else those of recordings, else one where the floor is freest."""
    if len(sources):
        return [s if isinstance(s, Source) else Source(np.asarray(s)) for s in sources]
    if capture is not None and capture.recordings:
        known = np.unique([r.source for r in capture.recordings], axis=0)
        return [Source(position) for position in known]
    from scipy.ndimage import distance_transform_edt

    free = distance_transform_edt(np.pad(floor.walkable, 1))[1:-1, 1:-1]
    cell = np.array(np.unravel_index(int(free.argmax()), free.shape))
    return [Source(np.array([*floor.place(cell[None])[0, :2], floor.floor + MOUTH]))]


def copy_site(out: Path) -> None:
    """Copy the page's scripts, style and licences into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(WEB, out, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _floor_arrays(floor: FloorMap, points: NDArray[np.int64], spacing: float) -> dict[str, NDArray]:
    index, weight = blend(floor, points, spacing)
    return {"index": index, "weight": weight}


def write_mesh(data: Path, scene: Scene, capture: Capture | None) -> dict[str, Any] | None:
    """Write `mesh.bin` and, with a capture, `photo.jpg`; what is said of the picture."""
    manifest = data / "mesh.json"
    options = {"mesh": _mesh_digest(scene), "frames": _stamps(capture)}
    if manifest.is_file() and (kept := read_json(manifest)).get("options") == options:
        return kept["photo"]
    faces = len(scene.faces)
    origin = scene.origin if scene.origin is not None else np.full(faces, OBSERVED, np.uint8)
    arrays: dict[str, NDArray] = {
        "position": scene.vertices[scene.faces].astype(np.float32),
        "material": scene.face_material.astype(np.uint8),
    }
    said = None
    if capture is not None:
        from piavas.listen.page_photo import photograph

        atlas, picture, shown = photograph(scene.mesh, capture)
        height, width = atlas.size
        uv = atlas.corner / (width, height)
        uv[..., 1] = 1 - uv[..., 1]
        arrays["uv"] = uv.astype(np.float32)
        if scene.origin is None:
            origin = np.where(shown, OBSERVED, INVENTED)
        _write_jpeg(data / "photo.jpg", picture)
        said = {"file": "photo.jpg", "frames": len(capture.frames), "seen": float(shown.mean())}
    write_bundle(data / "mesh.bin", {**arrays, "origin": origin.astype(np.uint8)})
    write_json(manifest, {"options": options, "photo": said})
    return said


def _mesh_digest(scene: Scene) -> str:
    sha = hashlib.sha256(scene.vertices.tobytes())
    for array in (scene.faces, scene.face_material, scene.origin):
        sha.update(b"" if array is None else array.tobytes())
    return sha.hexdigest()


def _stamps(capture: Capture | None) -> list[list[Any]]:
    """By which pictures that have changed are told."""
    paths = [frame.image_path for frame in capture.frames] if capture else []
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]


def _write_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    from piavas.files import atomic

    with atomic(path) as part:
        Image.fromarray(picture).save(part, quality=88, subsampling=0)


def simulate_grid(
    folder: Path, scene: Scene, source: Source, heads: NDArray[np.float64], page: Page
) -> dict[str, Any]:
    """Simulate one source at the grid's points, those that are missing; what the index says.

    Args:
        folder: a bundle for each point is written here, `0000.bin` and on.
        scene: the room.
        source: the loudspeaker.
        heads: `[n, 3]` metres.
        page: how.
    """
    manifest = folder / "options.json"
    options = {"digest": _digest(scene, source, heads, page.simulator())}
    if not manifest.is_file() or read_json(manifest) != options:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(manifest, options)
    files = [folder / f"{i:04d}.bin" for i in range(len(heads))]
    missing = [i for i, file in enumerate(files) if not file.is_file()]
    if missing:
        hearing = GridHearing.of(page.simulator(), Room(scene), source, heads)
        for i in track(missing, f"simulate {folder.name}"):
            write_bundle(files[i], hearing.point(i))
    bundles = [read_bundle(file) for file in files]
    figures = [bundle["figures"] for bundle in bundles]
    return {
        "folder": folder.name,
        "position": source.position.tolist(),
        "axis": source.axis.tolist(),
        "omnidirectional": source.directivity is None,
        "lateLength": max(bundle["late"][0].size for bundle in bundles),
        "figures": [[None if np.isnan(v) else round(float(v), 3) for v in row] for row in figures],
    }


def _digest(scene: Scene, source: Source, heads: NDArray[np.float64], simulator: Simulator) -> str:
    """Everything that the responses depend on."""
    sha = hashlib.sha256()
    for array in (scene.vertices, scene.faces, scene.face_material, heads, source.position):
        sha.update(np.ascontiguousarray(array).tobytes())
    for material in scene.materials:
        for bands in (material.absorption, material.scattering, material.transmission):
            sha.update(np.ascontiguousarray(bands).tobytes())
    if source.directivity is not None:
        sha.update(source.pressure(uniform_directions(642)).tobytes())
    options = asdict(replace(simulator, hrtf=None))
    sha.update(json.dumps([__version__, FORMAT, options], sort_keys=True).encode())
    return sha.hexdigest()


def _materials(scene: Scene) -> list[dict[str, Any]]:
    colors = material_colors(len(scene.materials))
    return [
        {
            "name": material.name,
            "color": [round(float(v), 4) for v in color],
            "absorption": material.absorption.round(3).tolist(),
        }
        for material, color in zip(scene.materials, colors, strict=True)
    ]


def _flat(poses: NDArray[np.float64]) -> list[list[float]]:
    """Poses as 16 numbers each, row by row."""
    return [[round(float(v), 5) for v in pose.ravel()] for pose in poses]
