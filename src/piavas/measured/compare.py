"""The native engine held against the measured rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.acoustics.discrete import Ways
from piavas.acoustics.field import Room, trace_field
from piavas.measured.rooms import PARAMETERS, BrasRoom, Dechorate
from piavas.measured.thirds import third_octave_parameters, thirds_of
from piavas.scene import OCTAVE_BANDS, Source

Array = NDArray[np.float64]

MIRRORED = Ways(order=1, diffraction=0, walls=0)
FIRST_ORDER = 30.0  # metres within which every first-order echo of dEchorate comes


def echo_times(room: Dechorate, rays: int = 200) -> Array:
    """Seconds `[7, 30, 6]` of the direct sound and of each wall's echo on the triangle mesh.

    From the engine's paths up to the first order; NaN where it has no such path.
    """
    ready = Room(room.scene)
    times = np.full(room.arrivals.shape, np.nan)
    for s, position in enumerate(room.loudspeakers):
        field = trace_field(
            ready, Source(position), rays=rays, ways=MIRRORED, reach=FIRST_ORDER, seed=0
        )
        paths = field.paths(room.microphones)
        wall = ready.patches.material[np.maximum(paths.sequence[:, 0], 0)]
        kind = np.where(paths.order == 0, 0, 1 + wall)
        plain = paths.order <= 1
        times[kind[plain], paths.listener[plain], s] = paths.length[plain] / room.speed
    return times


def simulated_parameters(room: BrasRoom, simulator: Simulator) -> dict[str, Array]:
    """`PARAMETERS` `[source, listener, 9]` of simulated responses; the air is that of the room.

    Taken by third octaves and averaged to octaves, as the measured ones are: within an octave the
    decay changes too much for the two ways to agree. NaN where the room was not measured.
    """
    simulator = replace(
        simulator, output="mono", temperature=room.temperature, humidity=room.humidity
    )
    known = [b for b, value in enumerate(room.measured["T20"]) if np.isfinite(value)]
    centres = np.concatenate([thirds_of(OCTAVE_BANDS[b]) for b in known])
    shape = (len(room.sources), len(room.listeners), len(OCTAVE_BANDS))
    out = {name: np.full(shape, np.nan) for name in PARAMETERS}
    for s, i in np.ndindex(shape[:2]):
        # Each pair has chance of its own, as places in a real room have.
        one = replace(simulator, seed=100 * simulator.seed + shape[1] * s + i)
        response = one(room.scene, room.sources[s], room.listeners[i])
        found = third_octave_parameters(response.samples[0, 0], response.sample_rate, centres)
        for name, values in found.items():
            out[name][s, i, known] = values.reshape(-1, 3).mean(axis=1)
    return out


def deviations(found: Mapping[str, Array], measured: Mapping[str, Array]) -> dict[str, Array]:
    """Deviation `[9]` of means over all pairs: relative for times, else absolute.

    Args:
        found: name to `[source, listener, 9]`.
        measured: name to `[9]`.
    """
    out = {}
    for name, values in found.items():
        known = np.isfinite(measured[name])
        mean = np.full(len(known), np.nan)
        mean[known] = np.nanmean(values[..., known], axis=(0, 1))
        relative = name in ("T20", "EDT")
        out[name] = mean / measured[name] - 1 if relative else mean - measured[name]
    return out
