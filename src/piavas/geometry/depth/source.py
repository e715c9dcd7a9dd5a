"""One Protocol for all that gives depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from piavas.capture import Capture
from piavas.capture.types import Frame
from piavas.errors import GeometryError

SOURCES = ("sensor", "stereo", "mono", "splat")


@dataclass(frozen=True)
class DepthMap:
    """What one frame says of depth.

    Args:
        frame: it belongs to.
        depth: `[h, w]` z-depth in metres at the size of the frame's intrinsics; not finite or 0
            where nothing is known.
        measured: `[h, w]` where it was measured or matched, elsewhere it is concluded from there;
            None for all of it.
    """

    frame: Frame
    depth: NDArray[np.float32]
    measured: NDArray[np.bool_] | None = None


class DepthSource(Protocol):
    """What turns a capture into depth, frame by frame."""

    @property
    def name(self) -> str:
        """As in `SOURCES`."""
        ...

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """Depth of the frames of `capture`, in their order; frames may be left out."""
        ...


class Sensor:
    """The depth images of the capture itself."""

    name = "sensor"

    def depths(self, capture: Capture) -> Iterator[DepthMap]:
        """See `DepthSource`.

        Raises:
            GeometryError: frames without depth.
        """
        if not capture.has_depth:
            raise GeometryError(
                "has frames without depth",
                file=capture.root,
                field="depth",
                mend='give depth images, or take depth="stereo"',
            )
        for frame in capture.frames:
            yield DepthMap(frame, frame.depth())


def make_depth_source(name: str) -> DepthSource:
    """The depth source called `name`, with its defaults.

    Raises:
        GeometryError: no such source.
    """
    if name == "sensor":
        return Sensor()
    if name == "stereo":
        from piavas.geometry.depth.stereo import Stereo

        return Stereo()
    if name == "mono":
        from piavas.geometry.depth.mono import Mono, known_depth

        return Mono.load(anchor=known_depth())
    if name == "splat":
        raise GeometryError(
            "needs a file of Gaussians",
            field="depth",
            mend="give `piavas.geometry.depth.splat.Splat.load(path)`",
        )
    raise GeometryError(
        f"{name!r} is no source of depth", field="depth", mend=f"choose of {', '.join(SOURCES)}"
    )
