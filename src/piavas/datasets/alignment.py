"""One world out of the videos of an environment: a rigid move and a scale for each.

Nothing that is published says whether the videos of one RWAVS environment share a frame. So the
move of each video is given, in a file or as an option; without one, the frames are taken as they
are, and `piavas.datasets.overlap` says from the images whether they agree.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture, Frame, Recording
from piavas.capture.recordings import UNUSED
from piavas.datasets.protocols import Protocol
from piavas.datasets.rwavs import Video
from piavas.datasets.similarity import Similarity
from piavas.errors import DataError
from piavas.files import read_json, write_json

Array = NDArray[np.float64]
FORMAT = "piavas-alignment-1"


@dataclass(frozen=True)
class Alignment:
    """Where the videos lie in one world.

    Args:
        moves: by video, from its frame (structure from motion) to the world.
        metric: whether the world is in metres.
    """

    moves: Mapping[int, Similarity]
    metric: bool = False

    def of(self, video: Video) -> Similarity:
        """The move of one video; none where there is none for it."""
        return self.moves.get(video.number, Similarity())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON, whole or not at all."""
        moves = {str(number): move.to_json() for number, move in self.moves.items()}
        write_json(path, {"format": FORMAT, "metric": self.metric, "videos": moves})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Alignment:
        """Read `{"format", "metric", "videos": {"1": {"scale", "rotation", "translation"}}}`.

        Raises:
            DataError: missing, or not of this form.
        """
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise DataError(f"is not of format {FORMAT}", file=path, mend=f'write "{FORMAT}"')
        moves, metric = data.get("videos"), data.get("metric", False)
        if not isinstance(moves, dict) or not isinstance(metric, bool):
            raise DataError("holds no videos", file=path, field="videos", mend='give {"1": {...}}')
        found = {}
        for key, value in moves.items():
            if not key.isdecimal():
                raise DataError(f"{key!r} is no number of a video", file=path, mend="name it 1, 2")
            try:
                found[int(key)] = Similarity.from_json(value)
            except DataError as problem:
                raise DataError(
                    problem.what, file=path, field=f"videos.{key}", mend=problem.mend
                ) from None
        return cls(found, metric)


def to_capture(
    videos: Sequence[Video],
    alignment: Alignment | None = None,
    protocol: Protocol | None = None,
) -> Capture:
    """The videos of one environment as a capture with a recording each.

    Args:
        videos: of one environment.
        alignment: moves each into one world; None takes their frames as they are.
        protocol: whose splits the poses get, "unused" where it does not name them; None keeps
            the data set's own.

    Raises:
        DataError: no videos, videos of several environments, no camera known, or a protocol
            that knows none of the poses.
    """
    places = {video.environment for video in videos}
    if len(places) != 1:
        raise DataError(
            f"{len(places)} environments", field="videos", mend="give the videos of one"
        )
    alignment = alignment or Alignment({})
    splits = protocol.split_of if protocol is not None else {}
    if protocol is not None and not any(n in splits for v in videos for n in clip_names(v)):
        raise DataError(
            f"says nothing of {places.pop()}", field=protocol.name, mend="make it of these videos"
        )
    frames: list[Frame] = []
    recordings = []
    for video in videos:
        move = alignment.of(video)
        poses = move.poses(video.poses)
        frames += _frames(video, poses)
        own = video.splits
        if protocol is not None:
            own = tuple(splits.get(name, UNUSED) for name in clip_names(video))
        recordings.append(
            Recording(
                name=recording_name(video),
                source=move.points(video.source),
                dry_path=video.dry_path,
                wet_path=video.wet_path,
                times=video.times,
                poses=poses,
                split=next((split for split in own if split != UNUSED), "train"),
                splits=own,
            )
        )
    root = videos[0].folder.parent
    return Capture(
        root, "rwavs", tuple(frames), np.eye(4), alignment.metric, recordings=tuple(recordings)
    )


def recording_name(video: Video) -> str:
    """The key of a video's recording in a capture."""
    return f"{video.environment}-{video.number}"


def clip_names(video: Video) -> list[str]:
    """Names of the clips that `piavas.pairs.pair` cuts, one a pose."""
    return [f"{recording_name(video)}-{i:04d}" for i in range(len(video))]


def _frames(video: Video, poses: Array) -> list[Frame]:
    if video.intrinsics is None:
        raise DataError(
            "no file says the angle of view of the camera",
            file=video.folder,
            mend="add fl_x or camera_angle_x to transforms_train.json and transforms_val.json",
        )
    return [
        Frame(image, camera, pose, time=float(time))
        for image, camera, pose, time in zip(
            video.images, video.intrinsics, poses, video.times, strict=True
        )
    ]
