"""What physics says of a measured set of responses, in folders that `piavas evaluate` compares."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator
from piavas.audio import write_audio
from piavas.datasets.rirset import Response, RirSet
from piavas.errors import DataError
from piavas.scene import Scene, Source

PREDICTED, RECORDED = "predicted", "recorded"


def predict(
    rirs: RirSet,
    scene: Scene,
    simulator: Simulator,
    out: str | os.PathLike[str],
    *,
    split: str = "test",
    seconds: float | None = None,
) -> tuple[Path, Path]:
    """Simulate the responses of one split, and put the measured ones beside them.

    Responses of one source are traced together. One channel is simulated as `mono`, two as
    `binaural`. Levels are those of a unit source; measured ones keep their own.

    Args:
        rirs: the measured set.
        scene: the room.
        simulator: its output and rate are set to those of the set.
        out: folder of `predicted/` and `recorded/`, float WAV files of the same names.
        split: "all" for everything.
        seconds: of each response that are kept; all of the measured one if None.

    Returns:
        the two folders.

    Raises:
        DataError: no response of that split, or sets of more than two channels.
        SimulationError: a place outside the room.
    """
    chosen = rirs.responses if split == "all" else rirs.of(split)
    if not chosen:
        raise DataError(
            f"holds no response of split {split!r}", file=rirs.root, field="split", mend="give all"
        )
    if rirs.channels > 2:
        raise DataError(
            f"has {rirs.channels} channels", file=rirs.root, mend="give one channel or two ears"
        )
    output = "mono" if rirs.channels == 1 else "binaural"
    simulator = replace(simulator, output=output, sample_rate=rirs.sample_rate)
    folders = Path(out) / PREDICTED, Path(out) / RECORDED
    for group in by_source(chosen):
        poses = np.stack([response.pose for response in group])
        axis = group[0].axis
        source = Source(group[0].source) if axis is None else Source(group[0].source, axis)
        simulated = simulator(scene, source, poses).samples
        for response, samples in zip(group, simulated, strict=True):
            measured = rirs.read(response.name, seconds)
            length = measured.shape[1]
            padded = np.pad(samples, ((0, 0), (0, max(0, length - samples.shape[1]))))[:, :length]
            for folder, signal in zip(folders, (padded, measured), strict=True):
                path = folder / f"{response.name}.wav"
                write_audio(path, signal, rirs.sample_rate, subtype="FLOAT")
    return folders


def by_source(responses: Sequence[Response]) -> list[list[Response]]:
    """Responses of one place and axis of the source together, in order."""
    groups: dict[bytes, list[Response]] = {}
    for response in responses:
        axis = b"" if response.axis is None else np.round(response.axis, 6).tobytes()
        key = np.round(response.source, 6).tobytes() + axis
        groups.setdefault(key, []).append(response)
    return list(groups.values())
