"""One self-contained HTML page of an evaluation: `write_report(path, ReportData(...))`.

Everything is optional but the title: what a caller lacks is left out of the page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.audio import check_audio
from piavas.errors import DataError
from piavas.evaluate.rooms import RoomMetrics, check_response
from piavas.evaluate.table import Comparison, Table
from piavas.files import atomic
from piavas.scene import Mesh, Scene

Array = NDArray[np.float64]
KINDS = ("dry", "simulated", "refined", "recorded")


@dataclass(frozen=True)
class Example:
    """One clip to see and hear.

    Args:
        name: heading.
        sample_rate: of the signals, in hertz.
        dry: `[time]` or `[1, time]`, what was played.
        simulated: `[2, time]`, physics alone.
        refined: `[2, time]`.
        recorded: `[2, time]`.
        note: one line, e.g. where the head was.
        simulated_response: impulse response `[channel, time]` of the simulation.
        recorded_response: measured impulse response `[channel, time]`.
        response_rate: of the responses, in hertz; None takes `sample_rate`.

    Raises:
        AudioError: a signal that is empty, not finite or silent, or not of one or two channels.
    """

    name: str
    sample_rate: int
    dry: NDArray[np.floating] | None = None
    simulated: NDArray[np.floating] | None = None
    refined: NDArray[np.floating] | None = None
    recorded: NDArray[np.floating] | None = None
    note: str = ""
    simulated_response: NDArray[np.floating] | None = None
    recorded_response: NDArray[np.floating] | None = None
    response_rate: int | None = None

    def __post_init__(self) -> None:
        for kind in KINDS:
            signal = getattr(self, kind)
            if signal is not None:
                channels = 1 if kind == "dry" else 2
                label = f"examples[{self.name!r}].{kind}"
                object.__setattr__(self, kind, check_audio(signal, field=label, channels=channels))
        for kind in ("simulated_response", "recorded_response"):
            response = getattr(self, kind)
            if response is not None:
                label = f"examples[{self.name!r}].{kind}"
                object.__setattr__(self, kind, np.atleast_2d(check_response(response, label)))

    @property
    def signals(self) -> dict[str, NDArray[np.float32]]:
        """What there is to hear, `[channel, time]` by kind, in order."""
        return {kind: getattr(self, kind) for kind in KINDS if getattr(self, kind) is not None}

    @property
    def has_responses(self) -> bool:
        """Whether a simulated and a recorded response can be compared."""
        return self.simulated_response is not None and self.recorded_response is not None


@dataclass(frozen=True)
class RoomMap:
    """The room from above, as Fig. 1 of the paper shows it.

    Args:
        sources: `[3]` metres by name.
        mesh: what the outline is cut from.
        train: `[n, 4, 4]` poses of the training recordings.
        held_out: `[n, 4, 4]` poses of the evaluation recordings.
    """

    sources: Mapping[str, Array] = field(default_factory=dict)
    mesh: Mesh | Scene | None = None
    train: Array | None = None
    held_out: Array | None = None


@dataclass(frozen=True)
class Picture:
    """A picture with its caption.

    Args:
        image: `[height, width, 3]` RGB bytes, or a path.
        caption: what it shows; also read out to those who cannot see it.
    """

    image: NDArray[np.uint8] | str | os.PathLike[str]
    caption: str


@dataclass(frozen=True)
class RoomComparison:
    """Room parameters of the same places, simulated and recorded.

    Args:
        simulated: values `[..., band]`.
        recorded: values of the same shape and bands.

    Raises:
        DataError: bands or shapes differ.
    """

    simulated: RoomMetrics
    recorded: RoomMetrics

    def __post_init__(self) -> None:
        ours, theirs = self.simulated, self.recorded
        if ours.bands != theirs.bands or ours["EDT"].shape != theirs["EDT"].shape:
            raise DataError(
                f"bands {ours.bands} {ours['EDT'].shape} against {theirs.bands} "
                f"{theirs['EDT'].shape}",
                field="rooms",
                mend="measure both sets in the same bands, place by place",
            )


@dataclass(frozen=True)
class ReportData:
    """What the page shows; whatever is absent is left out.

    Args:
        title: heading.
        headline: one or two sentences under it; empty gives a sentence from `comparison`.
        statements: what the reader must know to judge the figures, e.g. "The recordings are
            synthetic."
        tables: predictors by name, baselines first; one metric family only.
        comparison: physics alone against refined, of that family.
        room_map: sources and poses.
        examples: clips.
        rooms: room parameters; None measures those of the examples with both responses.
        pictures: frames of the capture, a picture of the mesh.
        show_mesh: also draw the mesh of `room_map` as a doll's house.
        provenance: groups of facts by heading, e.g. {"Versions": {"piavas": "0.1"}}.
        timings: seconds by stage.

    Raises:
        DataError: tables of different families.
    """

    title: str
    headline: str = ""
    statements: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    comparison: Comparison | None = None
    room_map: RoomMap | None = None
    examples: tuple[Example, ...] = ()
    rooms: RoomComparison | None = None
    pictures: tuple[Picture, ...] = ()
    show_mesh: bool = True
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        families = {name: table.family for name, table in self.all_tables.items()}
        if len(set(families.values())) > 1:
            raise DataError(
                "tables of different metric families: "
                + ", ".join(f"{name} {family}" for name, family in families.items()),
                field="tables",
                mend="write one report for each family",
            )

    @property
    def all_tables(self) -> dict[str, Table]:
        """Every predictor by name: baselines, then physics alone, then refined."""
        pair = {}
        if self.comparison is not None:
            first, second = self.comparison.labels
            pair = {first: self.comparison.first, second: self.comparison.second}
        return {**{n: t for n, t in self.tables.items() if n not in pair}, **pair}


def write_report(path: str | os.PathLike[str], data: ReportData) -> Path:
    """Write the page, whole or not at all.

    Sound, pictures, styles and scripts stand inside the file; it loads nothing from a network.

    Args:
        path: where to; `.html`.
        data: what to show.

    Returns:
        the path.

    Raises:
        DataError: a picture that cannot be read.
    """
    from piavas.evaluate.page import render

    page = render(data)
    with atomic(path) as part:
        part.write_text(page, encoding="utf-8")
    return Path(path)
