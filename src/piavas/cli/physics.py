"""Options of the simulator, shared by the verbs that simulate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from piavas.acoustics import Simulator


@dataclass(frozen=True)
class Physics:
    """How sound is simulated."""

    backend: Literal["native", "steam-audio", "pyroomacoustics"] = "native"
    """The engine; the others need `piavas install steam-audio` or `pip install piavas[peers]`."""
    rays: int | Literal["auto"] = "auto"
    """Rays to trace, or "auto" for as many as the next two errors need."""
    t30_error: float = 0.02
    """Standard error of T30 at which "auto" stops, a share."""
    level_error: float = 0.25
    """Standard error of the level in an octave band, dB, likewise."""
    seed: int = 0
    """The same seed gives the same samples."""
    sample_rate: int = 48_000
    """Of the responses, hertz."""
    duration: float | None = None
    """Seconds; as long as the decay needs if not given."""
    hrtf: str | None = None
    """"rigid-sphere" or a SOFA path; MIT KEMAR if not given."""
    temperature: float = 20.0
    """Degrees Celsius."""
    humidity: float = 50.0
    """Relative, per cent."""
    air_absorption: bool = True
    """Whether air swallows sound (ISO 9613-1)."""
    specular_order: int = 3
    """Reflections up to which mirror paths are discrete."""
    diffraction_order: int = 1
    """Edges that a discrete path may bend round: 0, 1 or 2."""
    transmission: int = 1
    """Walls that a discrete path may pass through, 0 to 4."""
    allow_leaks: bool = False
    """Simulate scenes that sound escapes from."""


DEFAULT = Physics()
PhysicsOptions = Annotated[Physics, tyro.conf.arg(name="")]
"""The fields of `Physics` as options of a verb, without a prefix."""


def make_simulator(physics: Physics, output: str) -> Simulator:
    """The simulator with these options."""
    from piavas.acoustics import Simulator

    return Simulator(output=output, **vars(physics))
