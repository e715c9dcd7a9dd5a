"""A world photographed: a capture in nerfstudio's layout, with its truth beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture.types import Frame, Intrinsics, Recording
from piavas.errors import CaptureError
from piavas.files import atomic, read_json, write_json
from piavas.progress import track
from piavas.twin.roofs import CeilingKind
from piavas.twin.shade import LABELS, Camera, Shot
from piavas.twin.walk import walk
from piavas.twin.world import World, make_world

FIELD_OF_VIEW = 75.0  # degrees across
FARTHEST = 8.0  # metres that the depth sensor reaches
DROPOUTS = 0.002  # share of pixels it loses
MANIFEST = "twin.json"
QUALITIES = ("fast", "path")


def lens(width: int, height: int) -> Intrinsics:
    """The camera of generated captures."""
    focal = 0.5 * width / np.tan(np.radians(FIELD_OF_VIEW / 2))
    return Intrinsics(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)


def generate_capture(
    folder: str | os.PathLike[str],
    seed: int,
    *,
    frames: int = 60,
    width: int = 320,
    height: int = 240,
    depth_noise: float = 0.0015,
    rooms: int | None = None,
    quality: str = "fast",
    film: bool = False,
    ceiling: CeilingKind = "level",
    dress: Callable[[World], World] | None = None,
) -> World:
    """Generate a furnished apartment and photograph it.

    Pictures that an interrupted run left are kept if the options are the same.

    Args:
        folder: for `transforms.json`, images, depth (16-bit millimetres), labels and truth.
        seed: of everything.
        frames: pictures.
        width: of a picture, pixels.
        height: likewise.
        depth_noise: standard deviation of depth at 1 m in metres; it grows as the square.
        rooms: 2 to 4; None draws the number.
        quality: "fast" shades rays, "path" traces paths of light.
        film: turn slowly, so that pictures overlap as those of a film do.
        ceiling: "level"; "pitched", "gabled" or "attic" for slopes, "stepped" for two heights in
            a room.
        dress: gives the world other looks, same surfaces and materials, before it is photographed.

    Raises:
        CaptureError: sizes or counts out of range, or an unknown quality.
        DataError: an unknown ceiling, or one that no room of this seed can have.
    """
    if quality not in QUALITIES:
        raise CaptureError(
            f"{quality!r} is no quality", field="quality", mend=f"choose one of {QUALITIES}"
        )
    if frames < 3 or min(width, height) < 16 or depth_noise < 0 or rooms not in (None, 2, 3, 4):
        raise CaptureError(
            f"{frames} frames of {width}x{height}, noise {depth_noise}, {rooms} rooms",
            field="options",
            mend="give 3 frames or more of 16 pixels or more, noise >= 0, 2 to 4 rooms",
        )
    folder, world = Path(folder), make_world(seed, rooms, ceiling)
    world = dress(world) if dress else world
    options = {
        "seed": seed,
        "frames": frames,
        "size": [width, height],
        "noise": depth_noise,
        "rooms": rooms,
        "quality": quality,
        "film": film,
    }
    if ceiling != "level":
        options["ceiling"] = ceiling
    keep = (
        dress is None and (folder / MANIFEST).exists() and read_json(folder / MANIFEST) == options
    )
    write_json(folder / MANIFEST, options)
    camera = _camera(world, lens(width, height), quality)
    poses = walk(world, frames, film=film)
    for i, pose in enumerate(track(poses, "photograph")):
        if not (keep and all(path.exists() for path in _paths(folder, i))):
            _write_shot(_paths(folder, i), camera.shoot(pose, i), depth_noise, seed + 7919 * i)
    world.save(folder / "truth")
    write_index(folder, poses, lens(width, height))
    return world


def _camera(world: World, intrinsics: Intrinsics, quality: str) -> Camera:
    if quality == "fast":
        return Camera(world, intrinsics)
    from piavas.twin.path import PathCamera

    return PathCamera(world, intrinsics)


def write_index(
    folder: Path,
    poses: NDArray[np.float64],
    camera: Intrinsics,
    recordings: tuple[Recording, ...] = (),
) -> None:
    """Write `transforms.json` over pictures that lie in `folder`."""
    from piavas.capture import write_nerfstudio

    shots = []
    for i, pose in enumerate(poses):
        image, depth, label = _paths(folder, i)
        shots.append(Frame(image, camera, pose, depth, label_path=label, time=float(i)))
    write_nerfstudio(
        folder, shots, labels=LABELS, metric=True, recordings=recordings, scale_by="generated"
    )


def _paths(folder: Path, i: int) -> tuple[Path, Path, Path]:
    image, depth, label = (folder / kind / f"{i:05d}" for kind in ("images", "depth", "labels"))
    return image.with_suffix(".jpg"), depth.with_suffix(".png"), label.with_suffix(".png")


def _write_shot(paths: tuple[Path, Path, Path], shot: Shot, noise: float, seed: int) -> None:
    import cv2

    generator = np.random.default_rng(seed)
    depth = shot.depth + noise * shot.depth**2 * generator.standard_normal(shot.depth.shape)
    lost = (generator.random(depth.shape) < DROPOUTS) | ~np.isfinite(depth) | (depth > FARTHEST)
    millimetres = np.where(lost, 0, np.round(1000 * np.clip(depth, 0, 65))).astype(np.uint16)
    pictures: tuple[NDArray[Any], ...] = (shot.image[..., ::-1], millimetres, shot.label)
    for path, picture in zip(paths, pictures, strict=True):
        with atomic(path) as part:
            cv2.imwrite(str(part), picture)
