"""`Scene` and recordings of the room to a `Scene` of fitted materials, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.acoustics.field import Room
from piavas.calibrate.bounces import Contributions, contributions, hollow
from piavas.calibrate.observe import (
    Observation,
    Performance,
    Recording,
    observe_performance,
    observe_response,
)
from piavas.calibrate.problem import Estimate, Problem
from piavas.calibrate.report import describe
from piavas.errors import CalibrationError
from piavas.progress import track
from piavas.scene import Material, Scene, Source, triangle_areas

Array = NDArray[np.float64]

UNDETERMINED = 0.8
"""Posterior over prior spread above which the data say nothing of a material in a band."""
DETERMINED = 0.5
"""And below which they say more than the prior."""
FACTOR_SPREAD = np.log(2.0)
"""Of the prior of a common factor on scattering, in its logarithm."""
BEYOND = 1.25
"""How much longer than the recordings echograms are traced, so that their decay can be read."""
PERFORMANCE_SECONDS = 1.0


@dataclass(frozen=True)
class Calibration:
    """Fitted materials.

    Args:
        scene: the room with the most probable materials. Where the data say nothing of one, that
            is about what the scene had before, and the report calls it undetermined.
        report: priors, fits, spreads and verdicts by material and band, gains and delays, and the
            errors before and after, also at positions held out, as plain JSON values.
    """

    scene: Scene
    report: dict[str, Any]


def calibrate(
    scene: Scene,
    recordings: Sequence[Recording],
    *,
    held_out: Sequence[int] = (),
    simulator: Simulator | None = None,
    rays: int = 20_000,
    spread: float = 1.0,
    scattering: Sequence[float] = (0.5, 1.0, 2.0),
    known_level: bool = False,
) -> Calibration:
    """Fit the absorption of every material of `scene` to recordings made in the room.

    Energies of the recordings in octave bands and growing windows of time are explained by traced
    sound whose energies are exact functions of absorption, weighed against what `scene` says now:
    log odds of absorption have a Gaussian prior about those values, kin between bands.

    Args:
        scene: the room; its materials are the prior.
        recordings: impulse responses, or recordings of known dry sounds, at known places.
        held_out: indices of recordings that are only predicted, never fitted.
        simulator: of its options those of air and seed are used.
        rays: traced from each source.
        spread: standard deviation of the prior of log odds, of materials that do not state their
            own (`Material.spread`): 1 means that odds are thought known within a factor of e.
        scattering: common factors on all scattering to try, each traced anew.
        known_level: the recordings are calibrated: 1/r on the source's axis. Else each has an
            unknown gain, and loudspeakers an unknown colour.

    Raises:
        CalibrationError: nothing to fit, or the recordings do not even tell the mean absorption.
        SimulationError: a source or listener outside the room.
        AudioError, DataError: a recording that cannot be used.
    """
    simulator = replace(simulator or Simulator(), output="mono")
    fitted = [i for i in range(len(recordings)) if i not in set(held_out)]
    if not fitted:
        raise CalibrationError("nothing to fit", field="recordings", mend="give recordings")
    observations = [_observe(r, simulator) for r in recordings]
    area = np.bincount(
        scene.face_material,
        triangle_areas(scene.vertices, scene.faces),
        minlength=len(scene.materials),
    ).astype(np.float64)
    prior = np.stack([m.absorption for m in scene.materials])
    spreads = np.stack(
        [np.broadcast_to(_spread(m, spread), prior[0].shape) for m in scene.materials]
    )
    tried = []
    for factor in track(list(scattering), "calibrate"):
        traced = _trace(scene, recordings, observations, simulator, rays, factor)
        problem = Problem(
            [traced[i] for i in fitted], [observations[i] for i in fitted], prior, spreads, area,
            known_level,
        )  # fmt: skip
        estimate = problem.solve()
        cost = estimate.cost + 0.5 * (np.log(factor) / FACTOR_SPREAD) ** 2
        tried.append((cost, factor, problem, estimate, traced))
    _, factor, problem, estimate, traced = min(tried, key=lambda one: one[0])
    shrunk = estimate.mean_spread / problem.prior_mean_spread()
    if (shrunk > UNDETERMINED).all():
        raise CalibrationError(
            "the recordings do not tell how much the room absorbs",
            field="recordings",
            mend="give responses with more decay above their noise, or of more places",
        )
    report = describe(
        scene, recordings, observations, traced, fitted, problem, estimate,
        limits=(DETERMINED, UNDETERMINED),
    )  # fmt: skip
    report["scattering"] = {
        "factor": factor,
        "costs": {f"{f:g}": float(cost) for cost, f, *_ in tried},
    }
    return Calibration(_with(scene, estimate, factor), report)


def _observe(recording: Recording, simulator: Simulator) -> Observation:
    if isinstance(recording, Performance):
        return observe_performance(recording, simulator.duration or PERFORMANCE_SECONDS)
    way = np.linalg.norm(recording.listener - recording.source.position)
    return observe_response(recording, float(way) / simulator.speed)


def _trace(
    scene: Scene,
    recordings: Sequence[Recording],
    observations: Sequence[Observation],
    simulator: Simulator,
    rays: int,
    factor: float,
) -> list[Contributions]:
    """What reaches each recording; sources in one place and of one kind are traced once."""
    room = Room(hollow(scene, factor))
    duration = BEYOND * max(o.end for o in observations)
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, recording in enumerate(recordings):
        groups.setdefault(_kind(recording.source), []).append(i)
    found: list[Contributions | None] = [None] * len(recordings)
    for members in groups.values():
        places = np.stack([recordings[i].listener for i in members])
        source = recordings[members[0]].source
        _check(room, source, places, members)
        some = contributions(
            room, source, places, simulator=simulator, duration=duration, rays=rays,
            seed=simulator.seed,
        )  # fmt: skip
        for i, one in zip(members, some, strict=True):
            found[i] = one
    return [one for one in found if one is not None]


def _spread(material: Material, common: float) -> Array:
    return np.asarray(common if material.spread is None else material.spread, dtype=np.float64)


def _kind(source: Source) -> tuple[object, ...]:
    return (*source.position, *source.axis, id(source.directivity))


def _check(room: Room, source: Source, places: Array, members: Sequence[int]) -> None:
    names = ["source", *(f"recordings[{i}].listener" for i in members)]
    room.check_places(np.vstack([source.position, places]), names)


def _with(scene: Scene, estimate: Estimate, factor: float) -> Scene:
    return scene.with_materials(
        [
            replace(
                m,
                absorption=absorption,
                scattering=np.minimum(m.scattering * factor, 1.0),
                transmission=np.minimum(m.transmission, absorption),
                spread=np.maximum(spread, 1e-3),
                source=f"calibrated; prior: {m.source}" if m.source else "calibrated",
            )
            for m, absorption, spread in zip(
                scene.materials, estimate.absorption, estimate.spread, strict=True
            )
        ]
    )
