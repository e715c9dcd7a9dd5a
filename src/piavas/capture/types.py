"""What a camera brought home: images, intrinsics, poses, perhaps depth, labels, sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera with Brown-Conrady distortion, in pixels of the full image.

    Pixel centres lie at half-integers plus 0 (OpenCV: the first pixel's centre is (0, 0)).

    Args:
        distortion: k1, k2, p1, p2, k3 (OpenCV order).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """`[3, 3]`."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True)
class Frame:
    """One image and where it was taken.

    Args:
        image_path: colour image.
        pose: `[4, 4]` camera-to-world in the convention of the house (OpenGL axes, +z up, metres).
        depth_path: 16-bit image of z-depth, or None.
        depth_scale: metres a unit of the depth image.
        depth_invalid: values that mean "nothing measured".
        label_path: 8- or 16-bit image of label indices into `Capture.labels`, or None.
        time: seconds, where known.
        image_intrinsics: the colour camera's own pinhole, where the colour image is not
            registered to `intrinsics` (which the depth image then follows); None where it is.
            `image()` resamples the colour onto `intrinsics`.
        confidence_path: 8-bit image of how far each depth is to be trusted, or None.
        confidence_least: its value from which depth is believed.
        points: `[n, 3]` column, row (pixels of `intrinsics`) and z-depth of single points that are
            known, such as those of a sparse model; None where there are none.
    """

    image_path: Path
    intrinsics: Intrinsics
    pose: NDArray[np.float64]
    depth_path: Path | None = None
    depth_scale: float = 1e-3
    depth_invalid: tuple[int, ...] = (0, 65535)
    label_path: Path | None = None
    time: float | None = None
    image_intrinsics: Intrinsics | None = None
    confidence_path: Path | None = None
    confidence_least: int = 1
    points: NDArray[np.float64] | None = None

    def image(self) -> NDArray[np.uint8]:
        """Colour `[height, width, 3]` RGB, undistorted."""
        from piavas.capture.images import read_color

        return read_color(self)

    def depth(self) -> NDArray[np.float32]:
        """z-depth `[height, width]` in metres, undistorted, NaN where nothing was measured."""
        from piavas.capture.images import read_depth

        return read_depth(self)

    def labels(self) -> NDArray[np.int32]:
        """Label indices `[height, width]`, undistorted, -1 where there is none.

        In the file, the largest value of the bit depth (255 or 65535) means "no label".
        """
        from piavas.capture.images import read_labels

        return read_labels(self)


@dataclass(frozen=True)
class Recording:
    """A sound source played in the room and what a head recorded along a way.

    Args:
        name: key, unique in the capture.
        source: `[3]` metres.
        dry_path: one channel, what was played.
        wet_path: two channels, what the ears recorded, on the same clock.
        times: `[n]` seconds at which the head was at `poses`.
        poses: `[n, 4, 4]`.
        split: "train", "val" or "test".
        splits: the split of each pose, or "unused", where one recording holds several; None
            where `split` holds for all.
    """

    name: str
    source: NDArray[np.float64]
    dry_path: Path
    wet_path: Path
    times: NDArray[np.float64]
    poses: NDArray[np.float64]
    split: str = "train"
    splits: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Capture:
    """Everything one visit to a room brought home.

    Args:
        root: the folder.
        layout: which reader read it, e.g. "nerfstudio", "rgbd".
        frames: images in order.
        transform: `[4, 4]` that was applied to the original world to get the house's
            (for nerfstudio the `applied_transform` it states; else what the reader applied).
        metric: whether lengths are metres (False: up to scale).
        labels: name of each label index of the label images; empty where there are none.
        recordings: sounds recorded in the room, where there are any.
        scale_by: what the metres come from, in words: a device, a known length, sound, ...
        unit: metres that one unit of the files is, where `rescale` has changed them.
    """

    root: Path
    layout: str
    frames: tuple[Frame, ...]
    transform: NDArray[np.float64]
    metric: bool = True
    labels: Mapping[int, str] = field(default_factory=dict)
    recordings: tuple[Recording, ...] = ()
    scale_by: str = ""
    unit: float = 1.0

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def has_depth(self) -> bool:
        """Whether every frame carries sensor depth."""
        return all(frame.depth_path is not None for frame in self.frames)

    @property
    def positions(self) -> NDArray[np.float64]:
        """Camera positions `[frame, 3]` in metres."""
        return np.stack([frame.pose[:3, 3] for frame in self.frames])
