"""What a calibration found: by material and band, by recording, and before against after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from piavas.calibrate.bounces import BANDS, BIN, Contributions
from piavas.calibrate.observe import Observation, Recording, RoomResponse, fitted_bands
from piavas.calibrate.problem import Estimate, Problem
from piavas.evaluate.decay import DecayCurve, fit_time
from piavas.evaluate.rooms import RANGES, room_metrics
from piavas.scene import OCTAVE_BANDS, Scene

Array = NDArray[np.float64]

TIMES = ("T20", "EDT")


def describe(
    scene: Scene,
    recordings: Sequence[Recording],
    observations: Sequence[Observation],
    traced: Sequence[Contributions],
    fitted: Sequence[int],
    problem: Problem,
    estimate: Estimate,
    *,
    limits: tuple[float, float],
) -> dict[str, Any]:
    """The report of `piavas.calibrate.calibrate`.

    Args:
        scene: the room before.
        recordings: all of them, and for each
        observations: what it says, and
        traced: what reaches its listener.
        problem: what was solved, and
        estimate: its solution.
        fitted: indices of the recordings that were fitted; the others were held out.
        limits: posterior over prior spread up to which a value is "determined", and "weak".
    """
    before = np.stack([m.absorption for m in scene.materials])
    held = [i for i in range(len(recordings)) if i not in set(fitted)]
    gains = dict(zip(fitted, estimate.gain, strict=True))
    parts = {"fitted": list(fitted), "held_out": held}
    return {
        "bands": list(OCTAVE_BANDS),
        "materials": [
            _material(m.name, before[k], estimate, k, problem.spread[k], limits)
            for k, m in enumerate(scene.materials)
        ],
        "mean_absorption": {
            "prior": _plain(problem.share @ before),
            "fitted": _plain(problem.share @ estimate.absorption),
            "shrinkage": _plain(estimate.mean_spread / problem.prior_mean_spread()),
        },
        "recordings": [
            {
                "name": r.name or str(i),
                "held_out": i in held,
                "gain_db": gains.get(i),
                "delay_seconds": observations[i].delay,
            }
            for i, r in enumerate(recordings)
        ],
        "colour_db": _plain(estimate.colour),
        "misfit": estimate.misfit,
        "errors": {
            part: {
                when: _errors(members, recordings, observations, traced, absorption)
                for when, absorption in (("before", before), ("after", estimate.absorption))
            }
            for part, members in parts.items()
            if members
        },
    }


def _material(
    name: str,
    prior: Array,
    estimate: Estimate,
    k: int,
    spread: Array,
    limits: tuple[float, float],
) -> dict[str, Any]:
    odds = logit(np.clip(estimate.absorption[k], 1e-6, 1 - 1e-6))
    shrinkage = estimate.spread[k] / spread
    words = np.where(
        shrinkage <= limits[0],
        "determined",
        np.where(shrinkage <= limits[1], "weak", "undetermined"),
    )
    return {
        "name": name,
        "prior": _plain(prior),
        "prior_spread": _plain(spread),
        "absorption": _plain(estimate.absorption[k]),
        "low": _plain(expit(odds - estimate.spread[k])),
        "high": _plain(expit(odds + estimate.spread[k])),
        "shrinkage": _plain(shrinkage),
        "verdict": words.tolist(),
    }


def _errors(
    members: Sequence[int],
    recordings: Sequence[Recording],
    observations: Sequence[Observation],
    traced: Sequence[Contributions],
    absorption: Array,
) -> dict[str, Any]:
    """Errors by band over some recordings.

    `level_db` is the root mean square error of window levels, with the gain of each recording and
    the colour of the loudspeaker that suit `absorption` best; `T20` and `EDT` are relative errors
    of the mean over the responses among them.
    """
    offsets: list[Array] = []
    times: dict[str, tuple[list[Array], list[Array]]] = {name: ([], []) for name in TIMES}
    for i in members:
        echo = traced[i].echogram(absorption)
        o = observations[i]
        part = echo[: o.operator.shape[2]].T[..., None]
        level = 10 * np.log10(np.maximum((o.operator @ part)[..., 0], 1e-300))
        off = level - o.level
        offsets.append(off - np.nanmedian(off))
        recording = recordings[i]
        if isinstance(recording, RoomResponse):
            measured = measured_times(recording)
            for name, (ours, theirs) in times.items():
                ours.append(decay_times(echo, name))
                theirs.append(measured[name])
    out: dict[str, Any] = {
        "level_db": [_scatter(np.concatenate([off[b] for off in offsets])) for b in range(BANDS)]
    }
    for name, (ours, theirs) in times.items():
        if ours:
            out[name] = _plain(_relative(np.array(ours), np.array(theirs)))
    return out


def _relative(ours: Array, theirs: Array) -> Array:
    known = np.isfinite(ours) & np.isfinite(theirs)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = [np.where(known, value, 0).sum(axis=0) for value in (ours, theirs)]
        return np.asarray(sums[0] / sums[1] - 1)


def measured_times(recording: RoomResponse) -> dict[str, Array]:
    """T20 and EDT `[9]` of a measured response; NaN in bands that are not fitted."""
    bands = fitted_bands(recording.sample_rate)
    found = room_metrics(recording.samples, recording.sample_rate, bands=bands, broadband=False)
    out = {}
    for name in TIMES:
        out[name] = np.full(BANDS, np.nan)
        out[name][[OCTAVE_BANDS.index(b) for b in bands]] = found[name]
    return out


def decay_times(echogram: Array, name: str) -> Array:
    """T20 or EDT `[9]` in seconds of an echogram `[bins, 9]`."""
    first = int(np.argmax(echogram.any(axis=1)))
    left = np.cumsum(echogram[:first:-1], axis=0)[::-1]
    level = 10 * np.log10(np.maximum(left / left[0], 1e-30))
    rate = round(1 / BIN)
    return np.array([fit_time(DecayCurve(one, rate, np.inf), *RANGES[name]) for one in level.T])


def _scatter(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else None


def _plain(values: Array) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
