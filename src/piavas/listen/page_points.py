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
from piavas.evaluate import room_metrics
from piavas.listen.page_lines import lines
from piavas.listen.tables import strength
from piavas.scene import Pose, Source

RATE = 48_000
LOUDEST = 48  # paths sent one by one
WINDOW = 0.08  # seconds after the straight way within which they must come
TAPS = 128
PREROLL = 16  # samples of a filter before its arrival, as in early.js
BLOCK = 128  # samples that share a scale
QUIET = 10 ** (-70 / 20)  # of the peak: the tail is cut where all that follows is under this
Array = NDArray[np.float64]


@dataclass
class GridHearing:
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
        self.listener = self.simulator.listener(self.how)

    @classmethod
    def of(cls, simulator: Simulator, room: Room, source: Source, heads: Array) -> GridHearing:
        """Trace `source` and listen at `heads`; errors as those of a `Simulator`."""
        poses = np.stack([Pose.at(head).matrix for head in heads])
        return cls(simulator, simulator.trace(room, source, poses), heads)

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
        """Filters `[p, TAPS]` of `paths` as if they were 1 m long, but for the air.

        They begin `PREROLL` samples before the arrival, for what bends is not of least phase.
        """
        size = 1024
        f = np.fft.rfftfreq(size, 1 / RATE)
        air, speed = self.simulator.air_db(f), self.simulator.speed
        spectra = path_spectra(paths, air, size, RATE, speed)
        spectra *= np.exp(-2j * np.pi * f * PREROLL / RATE)
        taps = np.fft.irfft(spectra, size)[:, :TAPS] * paths.length[:, None]
        fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(TAPS // 4) + 0.5) / (TAPS // 4))
        taps[:, -len(fade) :] *= fade[::-1]
        return taps.astype(np.float32)

    def point(self, i: int) -> dict[str, NDArray]:
        """The bundle of head `i`."""
        head, source = self.heads[i], self.field.source.position
        reaching = self.field.reaching(head[None])[0]
        paths = reaching.paths
        filters = self.filters(paths)
        level = levels(filters) - 20 * np.log10(paths.length)
        soon = paths.length < np.linalg.norm(head - source) + WINDOW * self.simulator.speed
        rank = np.argsort(np.argsort(-np.where(soon, level, -np.inf)))
        kept = soon & (rank < LOUDEST)
        rest = self.listener.late(reaching.hits, reaching.arrivals, Pose.at(head).matrix)
        rest = rest + self.early(paths.take(np.flatnonzero(~kept)), self.listener.receiver)
        sent = paths.take(np.flatnonzero(kept))
        mono = Receiver(lambda toward: np.ones((len(toward), 1, 1), complex), 1, lead=0, taps=1)
        corners, starts = lines(sent, self.field.room.patches, source, head)
        return {
            "image": (head - sent.arrival * sent.length[:, None]).astype(np.float32),
            "length": sent.length.astype(np.float32),
            "level": level[kept].astype(np.float32),
            "order": sent.order.astype(np.int32),
            "bent": (sent.bend >= 0).astype(np.uint8),
            "filter": filters[kept],
            "line": corners.astype(np.float32),
            "start": starts.astype(np.int32),
            "figures": figures(rest[0] + self.early(sent, mono)[0]),
            **squeezed(rest),
        }


def levels(filters: NDArray[np.float32]) -> Array:
    """Mean power of `filters` `[p, TAPS]` from 250 Hz to 4 kHz, even over octaves, in decibels."""
    power = np.abs(np.fft.rfft(filters, 1024)) ** 2
    f = np.fft.rfftfreq(1024, 1 / RATE)
    inside = (f > 250) & (f < 4000)
    return _decibel(np.average(power[:, inside], axis=1, weights=1 / f[inside]))


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
