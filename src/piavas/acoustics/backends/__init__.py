"""Other engines behind the same call.

`Simulator(backend=name)` gives the same `ImpulseResponses` whatever traces the sound: time 0 is the
emission, a unit source makes 1/r, the report names the engine, its version and whether a seed
repeats it. An engine is a module with one class that keeps the `Engine` protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from piavas.acoustics.backends.job import Job

NATIVE = "native"
ENGINES = {
    "steam-audio": ("piavas.acoustics.backends.steam_audio", "SteamAudio"),
    "pyroomacoustics": ("piavas.acoustics.backends.pyroom", "Pyroomacoustics"),
}
BACKENDS = (NATIVE, *ENGINES)
"""Names that `Simulator(backend=...)` takes."""


@dataclass(frozen=True)
class Heard:
    """What an engine gives.

    Args:
        samples: `[listener, channel, time]` at `piavas.acoustics.backends.job.RATE`.
        report: `version`, `deterministic`, and what else is worth telling, as plain JSON values.
    """

    samples: NDArray[np.float32]
    report: dict[str, Any]


class Engine(Protocol):
    """An engine of sound propagation."""

    def __call__(self, job: Job) -> Heard:
        """The responses that `job` asks for.

        Raises:
            MissingDependencyError: the engine is not on this machine.
            SimulationError: it cannot do what is asked.
        """


def engine(name: str) -> Engine:
    """The engine called `name`, other than the native one."""
    module, kind = ENGINES[name]
    made: Engine = getattr(import_module(module), kind)()
    return made
