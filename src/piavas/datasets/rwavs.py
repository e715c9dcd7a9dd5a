"""Read RWAVS, the real-world audio-visual scenes of AV-NeRF (Liang et al., NeurIPS 2023).

`release/position.json` and a folder a video: `frames/00001.png` at 1 fps, `binaural_syn_re.wav`,
`source_syn_re.wav`, and the poses of its training and validation frames, in the scale of structure
from motion (`transforms_*.json`) and brought into [-1, 1]^3 (`transforms_scale_*.json`), where the
source position is given too. Poses come out in the scale of structure from motion, and the source
with them: whether the cube was reached by one factor or by one an axis, geometry stays true.
Pickled features are never opened.

`environments.json` beside `position.json`, `{"1": "office", ...}`, is ours, for sets in this layout
with other videos than the published.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from piavas.capture import Intrinsics, fields
from piavas.datasets.similarity import Similarity
from piavas.datasets.transforms import Shot, read_transforms
from piavas.errors import AudioError, CaptureError, DataError
from piavas.files import read_json

Array = NDArray[np.float64]

RELEASE, POSITIONS, ENVIRONMENTS = "release", "position.json", "environments.json"
DRY, WET = "source_syn_re.wav", "binaural_syn_re.wav"
RATE = 22_050
SPLITS = ("train", "val")
PUBLISHED = {
    **dict.fromkeys(range(1, 6), "office"),
    **dict.fromkeys(range(6, 9), "house"),
    **dict.fromkeys(range(9, 12), "apartment"),
    **dict.fromkeys(range(12, 14), "outdoor"),
}
"""Environment of each published video."""
EXACT = 1e-3
"""Cube units up to which scaled and original poses must agree."""
DRIFT = 0.1
"""Seconds by which dry and recorded sound may differ in length."""


@dataclass(frozen=True)
class Video:
    """One video: a head walks about a source.

    Args:
        number: of its folder.
        environment: the place it was taken in.
        folder: where it lies.
        source: `[3]` in the frame of `poses`.
        poses: `[n, 4, 4]` in the scale of structure from motion, rising in time.
        times: `[n]` seconds.
        splits: "train" or "val" of each pose.
        images: of each pose.
        intrinsics: of each pose, or None where no file says them.
        cube: `[3, 4]` affine map from the frame of `poses` to [-1, 1]^3.
    """

    number: int
    environment: str
    folder: Path
    source: Array
    poses: Array
    times: Array
    splits: tuple[str, ...]
    images: tuple[Path, ...]
    intrinsics: tuple[Intrinsics, ...] | None
    cube: Array

    def __len__(self) -> int:
        return len(self.times)

    @property
    def dry_path(self) -> Path:
        """What the source played, one channel."""
        return self.folder / DRY

    @property
    def wet_path(self) -> Path:
        """What the ears recorded, two channels."""
        return self.folder / WET

    @property
    def distances(self) -> Array:
        """`[n]` from the source, in the scale of `poses`."""
        return np.asarray(np.linalg.norm(self.poses[:, :3, 3] - self.source, axis=1))

    @property
    def uniform(self) -> bool:
        """Whether the cube was reached by one factor for all axes."""
        sides = np.linalg.norm(self.cube[:, :3], axis=0)
        return bool(np.ptp(sides) < EXACT * sides.max())


def release_of(root: str | os.PathLike[str]) -> Path:
    """The folder with `position.json`: `root`, or `release` in it.

    Raises:
        DataError: neither.
    """
    root = Path(root)
    for folder in (root, root / RELEASE):
        if (folder / POSITIONS).is_file():
            return folder
    if not root.is_dir():
        raise DataError("no such folder", file=root, mend="check the path")
    raise DataError("no such file", file=root / POSITIONS, mend="give the folder that holds it")


def list_videos(root: str | os.PathLike[str]) -> dict[int, str]:
    """Environment by number of the videos that a copy should hold."""
    release = release_of(root)
    file = release / ENVIRONMENTS
    if not file.is_file():
        return dict(PUBLISHED)
    found = {}
    for key, name in fields.record(read_json(file), file, "top level").items():
        if not key.isdecimal():
            raise DataError(f"{key!r} is no number", file=file, mend='write {"1": "office"}')
        found[int(key)] = fields.text(name, file, key)
    return dict(sorted(found.items()))


def load_rwavs(
    root: str | os.PathLike[str], videos: Sequence[int] | None = None
) -> tuple[Video, ...]:
    """Read videos of a copy of RWAVS, strictly.

    Args:
        root: the release, or the folder that holds it.
        videos: numbers; None takes every video that the copy should hold.

    Raises:
        DataError, CaptureError, AudioError: anything missing or inconsistent; the file is named.
    """
    release, known = release_of(root), list_videos(root)
    for number in videos or ():
        if number not in known:
            raise DataError(
                f"knows no video {number}", file=release, mend=f"choose of {sorted(known)}"
            )
    positions = read_positions(release)
    return tuple(
        load_video(release / str(number), known[number], positions)
        for number in (videos if videos is not None else known)
    )


def read_positions(release: Path) -> dict[int, Array]:
    """Source positions `[3]` in the cube, by video."""
    file = release / POSITIONS
    found = {}
    for key, value in fields.record(read_json(file), file, "top level").items():
        where = f"{key}.source_position"
        if not key.isdecimal():
            raise DataError(f"{key!r} is no number of a video", file=file, mend="name it 1, 2, ...")
        entry = fields.record(value, file, key)
        point = fields.need(entry, "source_position", file, f"{key}.")
        found[int(key)] = fields.array(point, (3,), file, where)
    return found


def load_video(folder: Path, environment: str, positions: Mapping[int, Array]) -> Video:
    """Read one video, strictly."""
    number = int(existing_folder(folder).name)
    position = position_of(number, positions, folder.parent)
    check_sound(folder)
    shots, scaled, splits = read_shots(folder)
    poses = np.stack([shot.pose for shot in shots])
    cube = cube_of(poses, np.stack([shot.pose for shot in scaled]), folder)
    source = np.linalg.solve(cube[:, :3], position - cube[:, 3])
    cameras = [
        ours.intrinsics or theirs.intrinsics for ours, theirs in zip(shots, scaled, strict=True)
    ]
    known = tuple(camera for camera in cameras if camera is not None)
    return Video(
        number=number,
        environment=environment,
        folder=folder,
        source=np.asarray(source),
        poses=poses,
        times=np.array([float(shot.second) for shot in shots]),
        splits=splits,
        images=tuple(shot.image for shot in shots),
        intrinsics=known if len(known) == len(cameras) else None,
        cube=cube,
    )


def existing_folder(folder: Path) -> Path:
    """`folder`, which must be there."""
    if not folder.is_dir():
        raise DataError("no such folder", file=folder, mend="complete the copy")
    return folder


def position_of(number: int, positions: Mapping[int, Array], release: Path) -> Array:
    """The source position of a video, which must be there."""
    if number not in positions:
        raise DataError(
            "is missing", file=release / POSITIONS, field=str(number), mend="add the video"
        )
    return positions[number]


def check_sound(folder: Path) -> float:
    """Seconds of the two sound files, from their headers.

    Raises:
        AudioError: missing, unreadable, another rate or channel count, or of unlike lengths.
    """
    seconds = []
    for name, channels in ((DRY, 1), (WET, 2)):
        path = folder / name
        if not path.is_file():
            raise AudioError("no such file", file=path, mend="complete the copy")
        try:
            info = soundfile.info(path)
        except soundfile.SoundFileError as problem:
            raise AudioError(f"cannot be read: {problem}", file=path, mend="copy it anew") from None
        if (info.channels, info.samplerate) != (channels, RATE) or not info.frames:
            raise AudioError(
                f"has {info.channels} channel(s) of {info.frames} samples at {info.samplerate} Hz",
                file=path,
                mend=f"copy it anew: {channels} channel(s) at {RATE} Hz",
            )
        seconds.append(info.frames / RATE)
    if abs(seconds[0] - seconds[1]) > DRIFT:
        raise AudioError(
            f"{seconds[1]:.2f} s, {DRY} has {seconds[0]:.2f}",
            file=folder / WET,
            mend="copy both anew: they share one clock",
        )
    return min(seconds)


def read_shots(folder: Path) -> tuple[tuple[Shot, ...], tuple[Shot, ...], tuple[str, ...]]:
    """Original and scaled poses of all frames in time, and the split of each.

    Raises:
        CaptureError: a file is missing or wrong, or the two do not list the same frames.
        DataError: a frame is in both splits.
    """
    rows: list[tuple[Shot, Shot, str]] = []
    for split in SPLITS:
        plain = read_transforms(folder / f"transforms_{split}.json")
        file = folder / f"transforms_scale_{split}.json"
        scaled = read_transforms(file)
        if [shot.image for shot in plain] != [shot.image for shot in scaled]:
            odd = {s.image.name for s in plain} ^ {s.image.name for s in scaled}
            raise CaptureError(
                f"and transforms_{split}.json do not both list {', '.join(sorted(odd)[:3])}",
                file=file,
                mend="copy both anew",
            )
        rows += [(ours, theirs, split) for ours, theirs in zip(plain, scaled, strict=True)]
    rows.sort(key=lambda row: row[0].second)
    names = [row[0].image.name for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"{', '.join(twice[:3])} in both splits", file=folder, mend="a split must not overlap"
        )
    return tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(r[2] for r in rows)


def cube_of(poses: Array, scaled: Array, folder: Path) -> Array:
    """The affine map `[3, 4]` that took `poses` to `scaled`, both `[n, 4, 4]`.

    A similarity where that is exact, else one factor an axis.

    Raises:
        CaptureError: it is neither, or the scaled positions leave the cube.
    """
    file = folder / "transforms_scale_train.json"
    if np.abs(scaled[:, :3, 3]).max() > 1 + EXACT:
        raise CaptureError(
            f"positions reach {np.abs(scaled[:, :3, 3]).max():.3g}",
            file=file,
            mend="scaled positions lie in [-1, 1]^3",
        )
    found = Similarity.between(poses, scaled)
    affine = np.column_stack([found.scale * found.rotation, found.translation])
    if np.abs(found.points(poses[:, :3, 3]) - scaled[:, :3, 3]).max() < EXACT:
        return affine
    plain, wanted = poses[:, :3, 3] @ found.rotation.T, scaled[:, :3, 3]
    fits = [np.polyfit(plain[:, k], wanted[:, k], 1) for k in range(3)]
    factors, shifts = np.array(fits).T
    if (factors <= 0).any() or np.abs(factors * plain + shifts - wanted).max() > EXACT:
        raise CaptureError(
            "is no scaling of transforms_train.json", file=file, mend="copy both anew"
        )
    return np.column_stack([factors[:, None] * found.rotation, shifts])
