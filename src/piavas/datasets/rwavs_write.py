"""Write worlds of known truth in the layout of RWAVS, with all that the layout loses.

Sounds are normalised to their peaks, lengths are in an arbitrary unit, and positions are brought
into [-1, 1]^3. No pickles are written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.audio import Audio, check_audio, read_audio, write_audio
from piavas.capture import Intrinsics
from piavas.datasets.rwavs import DRY, ENVIRONMENTS, POSITIONS, PUBLISHED, RATE, WET
from piavas.datasets.similarity import Similarity
from piavas.datasets.transforms import FRAMES, Schema, Shot, write_transforms
from piavas.errors import DataError
from piavas.files import atomic, write_json

Array = NDArray[np.float64]
Picture = Path | NDArray[np.uint8]
"""An image file, or RGB `[height, width, 3]`."""
Sound = Path | Audio
"""A sound file of any rate, or `[channel, time]` at 22,050 Hz."""

PEAK = 0.999
FULL = 0.99
"""Of the cube, what the farthest position reaches."""


@dataclass(frozen=True)
class NewVideo:
    """A video to be written, in metres.

    Args:
        number: of its folder.
        environment: the place; videos of one environment share their frame and cube.
        source: `[3]` metres.
        poses: `[n, 4, 4]` of the head, which is the camera.
        seconds: `[n]` whole seconds at which it was there, from 0.
        pictures: `[n]` what it saw.
        intrinsics: of the pictures.
        dry: what was played, one channel.
        wet: what the ears recorded, two channels.
        splits: "train" or "val" of each pose; None makes every fifth "val".
    """

    number: int
    environment: str
    source: Array
    poses: Array
    seconds: Sequence[int]
    pictures: Sequence[Picture]
    intrinsics: Intrinsics
    dry: Sound
    wet: Sound
    splits: Sequence[str] | None = None


def write_rwavs(
    release: str | os.PathLike[str],
    videos: Sequence[NewVideo],
    *,
    units: Mapping[str, Similarity] | None = None,
    schemas: tuple[Schema, Schema] = ("frames", "camera_path"),
) -> Path:
    """Write a release.

    Args:
        release: folder of `position.json`, which is written last.
        videos: what to write.
        units: by environment, from metres to the unit that structure from motion would choose.
        schemas: of `transforms_*.json` and of `transforms_scale_*.json`.

    Raises:
        DataError: no videos, two of one number, or unlike counts of poses, seconds and pictures.
        AudioError: a sound that is silent, not finite, or of other channels.
    """
    release = Path(release)
    numbers = [video.number for video in videos]
    if not videos or len(set(numbers)) < len(numbers):
        raise DataError("no videos, or two of one number", file=release, mend="number each once")
    for video in videos:
        _check(video, release)
    units = units or {}
    cubes = {
        place: cube_around([v for v in videos if v.environment == place], units.get(place))
        for place in {video.environment for video in videos}
    }
    positions = {}
    for video in videos:
        unit, cube = units.get(video.environment, Similarity()), cubes[video.environment]
        _write(release / str(video.number), video, unit, cube, schemas)
        position = cube.points(unit.points(video.source))
        positions[str(video.number)] = {"source_position": position.tolist()}
    places = {video.number: video.environment for video in videos}
    if any(PUBLISHED.get(number) != place for number, place in places.items()) or len(places) < len(
        PUBLISHED
    ):
        write_json(release / ENVIRONMENTS, {str(n): place for n, place in places.items()})
    write_json(release / POSITIONS, positions)
    return release


def _check(video: NewVideo, release: Path) -> None:
    counts = {len(video.poses), len(video.seconds), len(video.pictures)}
    if video.splits is not None:
        counts.add(len(video.splits))
    if len(counts) > 1 or 0 in counts:
        raise DataError(
            f"video {video.number} has {sorted(counts)} poses, seconds, pictures and splits",
            file=release,
            mend="give as many of each",
        )


def cube_around(videos: Sequence[NewVideo], unit: Similarity | None = None) -> Similarity:
    """From structure from motion's unit to [-1, 1]^3, the same for all `videos`."""
    places = np.concatenate([np.vstack([video.poses[:, :3, 3], video.source]) for video in videos])
    points = (unit or Similarity()).points(places)
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    reach = float(np.abs(points - middle).max()) or 1.0
    return Similarity(FULL / reach, np.eye(3), -middle * FULL / reach)


def _write(
    folder: Path,
    video: NewVideo,
    unit: Similarity,
    cube: Similarity,
    schemas: tuple[Schema, Schema],
) -> None:
    names = [f"{second:05d}.png" for second in video.seconds]
    for name, picture in zip(names, video.pictures, strict=True):
        write_picture(folder / FRAMES / name, picture)
    for name, sound, channels in ((DRY, video.dry, 1), (WET, video.wet, 2)):
        _write_sound(folder / name, sound, channels)
    splits = video.splits or ["val" if i % 5 == 4 else "train" for i in range(len(names))]
    for kind, schema, way in (
        ("transforms", schemas[0], unit),
        ("transforms_scale", schemas[1], cube @ unit),
    ):
        poses = way.poses(video.poses)
        for split in ("train", "val"):
            shots = [
                Shot(folder / FRAMES / name, pose, video.intrinsics)
                for name, pose, own in zip(names, poses, splits, strict=True)
                if own == split
            ]
            write_transforms(folder / f"{kind}_{split}.json", shots, schema)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture as PNG, whole or not at all."""
    from PIL import Image

    with atomic(path) as part:
        if isinstance(picture, Path) and picture.suffix.lower() == ".png":
            shutil.copyfile(picture, part)
        elif isinstance(picture, Path):
            with Image.open(picture) as image:
                image.convert("RGB").save(part)
        else:
            Image.fromarray(picture).save(part)


def _write_sound(path: Path, sound: Sound, channels: int) -> None:
    if isinstance(sound, Path):
        sound, _ = read_audio(sound, sample_rate=RATE, channels=channels)
    samples = check_audio(sound, file=path, channels=channels)
    write_audio(path, samples * (PEAK / np.abs(samples).max()), RATE, subtype="PCM_16")
