"""What is heard at one point of the listener grid, small enough to be sent to a browser.

The loudest discrete paths go as they are: where their image lies, and their filter. The page hears
them through the head's own directions at the very place of the listener, so delays and angles are
exact between grid points too, and no two copies of the direct sound ever comb. All the rest (late
field, weak and late paths) goes as ambisonic samples, eight bits with a scale for each block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.acoustics.early import Receiver, early, path_spectra
from piavas.acoustics.field import Field, Room
from piavas.acoustics.paths import Paths
from piavas.acoustics.receivers import Ambisonic
from piavas.evaluate import room_metrics
from piavas.listen.tables import strength
from piavas.scene import Pose, Source

RATE = 48_000
LOUDEST = 48  # paths sent one by one
WINDOW = 0.08  # seconds after the straight way within which they must come
TAPS = 128
BLOCK = 128  # samples that share a scale
QUIET = 10 ** (-70 / 20)  # of the peak: the tail is cut where all that follows is under this
Array = NDArray[np.float64]


@dataclass
class Hearing:
    """One source in one room, heard at the grid's points.

    Args:
        simulator: its output must be ambisonic.
        field: what the source does in the room.
        heads: `[n, 3]` metres.
    """

    simulator: Simulator
    field: Field
    heads: Array

    def __post_init__(self) -> None:
        self.how = self.simulator.late_options(self.field)
        listener = self.simulator.listener(self.how)
        assert isinstance(listener, Ambisonic)
        self.listener = listener
        self.paths = self.field.paths(self.heads)

    @classmethod
    def of(cls, simulator: Simulator, room: Room, source: Source, heads: Array) -> Hearing:
        """Trace `source` and listen at `heads`; errors as those of a `Simulator`."""
        poses = np.stack([Pose.at(head).matrix for head in heads])
        return cls(simulator, simulator.trace(room, source, poses), heads)

    def late(self, i: int) -> NDArray[np.float32]:
        """Late field `[channel, time]` at head `i`, in the axes of the world."""
        hits = self.field.hits(self.field.balls(self.heads[i : i + 1]))[0]
        return self.listener.late(hits, self.field.arrivals, Pose.at(self.heads[i]).matrix)

    def early(self, paths: Paths, receiver: Receiver) -> NDArray[np.float32]:
        """Discrete `paths` as samples."""
        return early(
            paths,
            -paths.arrival,
            receiver,
            air_db=self.simulator.air_db,
            speed=self.simulator.speed,
            sample_rate=RATE,
            length=self.how.length,
        )

    def filters(self, paths: Paths) -> NDArray[np.float32]:
        """Filters `[p, TAPS]` of `paths` as if they were 1 m long, but for the air."""
        size = 1024
        air = self.simulator.air_db(np.fft.rfftfreq(size, 1 / RATE))
        taps = np.fft.irfft(path_spectra(paths, air, size, RATE, self.simulator.speed), size)[
            :, :TAPS
        ]
        taps *= paths.length[:, None]
        fade = TAPS // 4
        taps[:, -fade:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / fade)
        return taps.astype(np.float32)

    def point(self, i: int) -> dict[str, NDArray]:
        """The bundle of head `i`."""
        paths = self.paths.of(i)
        kept = self._loudest(paths, i)
        rest = self.late(i)
        rest += self.early(paths.take(~kept), self.listener.receiver)
        sent = paths.take(kept)
        mono = Receiver(lambda toward: np.ones((len(toward), 1, 1), complex), 1, lead=0, taps=1)
        whole = rest[0] + self.early(sent, mono)[0]
        lines, starts = self.lines(sent, self.heads[i])
        return {
            "image": (self.heads[i] - sent.arrival * sent.length[:, None]).astype(np.float32),
            "length": sent.length.astype(np.float32),
            "level": _decibel((sent.gain**2).mean(axis=1)).astype(np.float32),
            "order": sent.order.astype(np.int32),
            "filter": self.filters(sent),
            "line": lines.astype(np.float32),
            "start": starts.astype(np.int32),
            "figures": figures(whole),
            **squeezed(rest),
        }

    def _loudest(self, paths: Paths, i: int) -> NDArray[np.bool_]:
        straight = np.linalg.norm(self.heads[i] - self.field.source.position)
        soon = paths.length < straight + WINDOW * self.simulator.speed
        energy = (paths.magnitude(self.simulator.speed) ** 2).sum(axis=1)
        rank = np.argsort(np.argsort(-np.where(soon, energy, -1.0)))
        return np.asarray(soon & (rank < LOUDEST))

    def lines(self, paths: Paths, head: Array) -> tuple[Array, NDArray[np.int64]]:
        """Corners `[n, 3]` of all `paths` from source to head, and where each begins `[p + 1]`."""
        patches, source = self.field.room.patches, self.field.source.position
        corners, starts = [], [0]
        for p in range(len(paths)):
            corners += _unfolded(paths.sequence[p], patches.normal, patches.offset, source, head)
            starts.append(len(corners))
        return np.array(corners).reshape(-1, 3), np.array(starts)


def _unfolded(
    sequence: NDArray[np.int32], normal: Array, offset: Array, source: Array, head: Array
) -> list[Array]:
    """Corners of one path: image sources one after the other, and back from the head."""
    mirrors = sequence[sequence >= 0]
    images = [source]
    for m in mirrors:
        images.append(images[-1] - 2 * (images[-1] @ normal[m] - offset[m]) * normal[m])
    corners = [head]
    for m, image in zip(mirrors[::-1], images[:0:-1], strict=True):
        way = image - corners[-1]
        along = way @ normal[m]
        t = (offset[m] - corners[-1] @ normal[m]) / along if along else 0.0
        corners.append(corners[-1] + float(np.clip(t, 0, 1)) * way)
    return [source, *corners[:0:-1], head]


def _decibel(energy: Array) -> Array:
    return np.asarray(10 * np.log10(np.maximum(energy, 1e-30)))


def squeezed(samples: NDArray[np.float32]) -> dict[str, NDArray]:
    """`late` int8 `[channel, block, BLOCK]` and its `scale` float32 `[channel, block]`.

    The inaudible end is cut; the error is at most half a step of 1/127 of each block's peak.
    """
    peak = np.abs(samples).max(axis=0)
    loud = np.flatnonzero(peak > QUIET * max(float(peak.max()), 1e-30))
    blocks = max(int(loud[-1]) // BLOCK + 1 if len(loud) else 1, 1)
    padded = np.zeros((len(samples), blocks * BLOCK), np.float32)
    keep = min(padded.shape[1], samples.shape[1])
    padded[:, :keep] = samples[:, :keep]
    block = padded.reshape(len(samples), blocks, BLOCK)
    scale = np.maximum(np.abs(block).max(axis=2), 1e-20) / 127
    return {"late": np.round(block / scale[..., None]).astype(np.int8), "scale": scale}


def spread(bundle: dict[str, NDArray]) -> NDArray[np.float32]:
    """Samples `[channel, time]` of what `squeezed` made."""
    block = bundle["late"].astype(np.float32) * bundle["scale"][..., None]
    return np.asarray(block.reshape(len(block), -1), np.float32)


def figures(response: NDArray[np.floating]) -> NDArray[np.float32]:
    """T30, C50 (means of 500 Hz and 1 kHz) and G (broadband) of a mono response (ISO 3382-1)."""
    if not np.any(response):
        return np.full(3, np.nan, np.float32)
    found = room_metrics(response, RATE, bands=(500.0, 1000.0), broadband=False)
    t30 = np.where(np.isfinite(found["T30"]), found["T30"], found["T20"])
    level = strength(response, RATE)[0]
    return np.array([t30.mean(), found["C50"].mean(), level], np.float32)
