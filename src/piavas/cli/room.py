"""Verbs that make a room: twin, reconstruct."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.console import Console

from piavas.cli.tell import tell
from piavas.errors import CaptureError, GeometryError
from piavas.files import check_target

if TYPE_CHECKING:
    from piavas.capture import Capture
    from piavas.geometry.depth import DepthSource
    from piavas.materials import Parts
    from piavas.scene import Mesh

console = Console()


def twin(
    out: tyro.conf.Positional[Path],
    seed: int = 0,
    frames: int = 60,
    width: int = 320,
    height: int = 240,
    quality: Literal["fast", "path"] = "fast",
    ceiling: Literal["level", "pitched", "gabled", "attic", "stepped"] = "level",
    recordings: int = 0,
    json: bool = False,
) -> None:
    """Generate a furnished apartment as a capture with known truth.

    Args:
        out: folder of the capture.
        seed: no two seeds give the same apartment.
        frames: images.
        width: of an image, pixels.
        height: of an image, pixels.
        quality: "fast" shades rays, "path" traces light paths.
        ceiling: level; slopes ("pitched", "gabled", "attic"); "stepped" for two heights in a room.
        recordings: sources to record with the twin's hidden physics; the first is for training.
        json: print JSON for scripts.
    """
    from piavas.twin import generate_capture, record

    world = generate_capture(
        out, seed, frames=frames, width=width, height=height, quality=quality, ceiling=ceiling
    )
    if recordings:
        record(world, out, sources=recordings, seed=seed)
    tell({"wrote": str(out), "frames": frames, "recordings": recordings}, json)


def reconstruct(
    capture: tyro.conf.Positional[Path],
    out: Path,
    depth: Literal["sensor", "stereo", "mono", "splat"] = "sensor",
    model: str | None = None,
    splat: Path | None = None,
    depth_unit: float | None = None,
    metres: float | None = None,
    camera_height: float | None = None,
    by_sound: bool = False,
    voxel: float | None = None,
    triangles: int | None = None,
    up: Literal["y", "z"] | None = None,
    open: Literal["auto", "never", "unseen"] = "auto",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Images, or a scan, to a closed mesh of the air in the room.

    Args:
        capture: folder in any supported layout, or a scan: GLB, OBJ, PLY or STL.
        out: mesh file to write, e.g. room/mesh.ply.
        depth: "sensor" takes the capture's depth images, "stereo" matches its colour images,
            "mono" asks a network of each image and scales it to what stereo and the points of a
            sparse model know, "splat" draws a model of 3D Gaussians.
        model: mono: folder, or name on the hub, of a metric depth model of transformers.
        splat: PLY of 3D Gaussians that were trained on this capture, for --depth splat.
        depth_unit: metres that one unit of the depth images is, where the capture says otherwise.
        metres: that one unit of the capture's lengths is, where they are only up to scale.
        camera_height: metres of the cameras over the floor, in place of --metres.
        by_sound: let the delays of the capture's recordings tell the metres, in place of --metres.
        voxel: metres; 0.03 for depth of a sensor, 0.05 for all else, where it is not given.
        triangles: budget of the mesh; likewise 80000 and 20000.
        up: upward axis of a scan; y for glTF and z for all else where it is not given.
        open: what was not seen and reflects nothing: "auto" opens top and sides where the cameras
            looked and met nothing, and all that was not seen where no room can be known; "never";
            "unseen" opens all of it.
        dry_run: only say what it will cost in time, memory and disk.
        json: print JSON for scripts.
    """
    from piavas.capture import load_capture, vet
    from piavas.capture.doubts import Doubt
    from piavas.geometry import reconstruct as run
    from piavas.geometry import save_mesh
    from piavas.geometry.estimate import estimate
    from piavas.geometry.scan import is_scan
    from piavas.materials import carry

    check_target(out, ".ply")
    gaussians = _gaussians(depth, splat)
    extra: dict[str, object] = {}
    doubts: tuple[Doubt, ...] = ()
    source: str | DepthSource
    named: tuple[Parts, Mesh] | None = None
    if is_scan(capture):
        _no_cameras(capture, camera_height, by_sound)
        found, source, extra["scan"], named = _scan(capture, metres, up)
    else:
        _no_scan(capture, up)
        found = _with_depth_unit(load_capture(capture), depth_unit)
        found = _in_metres(found, metres, camera_height, by_sound)
        if found.metric:
            found, doubts = vet(found, depth=depth)
        source = gaussians or _depth_source(depth, model)
    if dry_run:
        # Views of a scan point all ways: few of them overlap.
        how = {"sample": len(found) // 2} if extra else {}
        cost = estimate(found, depth=source, voxel=voxel, triangles=triangles, **how)
        tell(vars(cost), json)
        return
    mesh = run(found, depth=source, voxel=voxel, triangles=triangles, openings=open)
    doubts = (*doubts, *(Doubt(**told) for told in mesh.report.get("warnings", ())))
    if doubts:
        extra["warnings"] = [doubt.to_json() for doubt in doubts]
    mesh = replace(mesh, report={**mesh.report, **extra})
    if named:
        mesh, _ = carry(*named, mesh)
    save_mesh(mesh, out)
    for doubt in doubts:
        print("\n".join(doubt.lines()), file=sys.stderr)
    for line in () if json else _fates(mesh.report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    tell({"wrote": str(out), **mesh.report}, json)


def _with_depth_unit(capture: Capture, unit: float | None) -> Capture:
    """`capture` whose depth images hold `unit` metres."""
    if unit is None:
        return capture
    if not capture.has_depth or not unit > 0:
        raise CaptureError(
            f"{unit:g} m is no unit of depth images"
            if capture.has_depth
            else "has no depth images",
            file=capture.root,
            field="--depth-unit",
            mend="give a positive number, or leave it out",
        )
    frames = tuple(replace(frame, depth_scale=unit) for frame in capture.frames)
    return replace(capture, frames=frames)


def _gaussians(name: str, path: Path | None) -> DepthSource | None:
    """What `--splat` gives `--depth splat`."""
    if (name == "splat") == (path is None):
        raise GeometryError(
            "go together",
            field="--depth splat and --splat FILE",
            mend="give both, or neither",
        )
    if path is None:
        return None
    from piavas.geometry.depth.splat import Splat

    return Splat.load(path)


def _depth_source(name: str, model: str | None) -> str | DepthSource:
    """What `--depth` and `--model` ask for."""
    if model is None:
        return name
    if name != "mono":
        raise GeometryError("belongs to --depth mono", field="--model", mend="leave it out")
    from piavas.geometry.depth.mono import Mono, known_depth

    return Mono.load(model, anchor=known_depth())


def _fates(report: Mapping[str, Any]) -> list[str]:
    """Lines that say what became of the images that a network told the depth of."""
    told = report.get("depth_report")
    if not told:
        return []
    as_told, left_out = told["as_told"], told["left_out"]
    lines = [
        f"depth: {told['anchored']} of {told['images']} images anchored, {len(as_told)} taken as "
        f"the network tells them, {len(left_out)} left out"
    ]
    for kind, images in (("as told", as_told), ("left out", left_out)):
        lines += [f"{name}: {kind}: {why}" for name, why in images.items()]
    return lines


def _scan(
    path: Path, metres: float | None, up: str | None
) -> tuple[Capture, DepthSource, object, tuple[Parts, Mesh] | None]:
    """Views of a scan from inside it, their depth, the report of its cleaning, and what its parts
    are called, where any has a name.
    """
    from piavas.geometry.scan import look_round
    from piavas.materials import load_parts

    scan, parts = load_parts(path, up=up)
    scan = replace(scan, vertices=scan.vertices * (metres or 1.0))
    try:
        looks = look_round(scan)
        if metres is not None:
            told = f"given as --metres: {metres:.6g} m a unit"
            looks = replace(looks, capture=replace(looks.capture, scale_by=told, unit=metres))
    except GeometryError as problem:
        raise GeometryError(
            problem.what, file=path, field=problem.field, mend=problem.mend
        ) from None
    named = (parts, scan) if any(parts.given) else None
    return looks.capture, looks.rays, looks.report, named


def _in_metres(
    capture: Capture, metres: float | None, height: float | None, by_sound: bool
) -> Capture:
    """`capture` scaled by the one thing that was given to tell its metres."""
    from piavas.capture import metres_from_camera_height, rescale

    if sum((metres is not None, height is not None, by_sound)) > 1:
        raise CaptureError(
            "more than one tells the scale",
            field="--metres, --camera-height, --by-sound",
            mend="give one of them",
        )
    if height is not None:
        found = metres_from_camera_height(capture, height)
        return rescale(capture, found, f"cameras held {height:g} m over the floor")
    if by_sound:
        from piavas.datasets.heard import metres_from_sound

        found, told = metres_from_sound(capture)
        return rescale(capture, found, f"sound ({told})")
    return capture if metres is None else rescale(capture, metres, "given as --metres")


def _no_cameras(scan: Path, height: float | None, by_sound: bool) -> None:
    if height is not None or by_sound:
        raise GeometryError(
            "is a scan, which has neither cameras nor recordings",
            file=scan,
            field="--camera-height" if height is not None else "--by-sound",
            mend="give --metres, what its unit is",
        )


def _no_scan(capture: Path, up: str | None) -> None:
    if up is not None:
        raise GeometryError(
            "is no scan, and a capture knows its upward axis",
            file=capture,
            field="--up",
            mend="leave it out",
        )
