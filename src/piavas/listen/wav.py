"""Responses as WAV files, one a listener: all channels as they are, or ambiX by its name.

Samples are 32-bit float: exact, and allowed to exceed full scale. `listeners.json` beside them says
where each listener is, and what the channels are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from piavas.audio import check_audio
from piavas.errors import DataError
from piavas.files import atomic, write_json
from piavas.progress import track
from piavas.scene import ImpulseResponses

INDEX = "listeners.json"
FORMAT = "piavas-responses-1"
CHANNELS = {"binaural": ["left", "right"], "mono": ["pressure"]}


def export_wavs(irs: ImpulseResponses, folder: str | os.PathLike[str]) -> list[Path]:
    """Write each listener's response as `listener-0000.wav`, 32-bit float, all channels.

    Returns:
        the paths, in the order of the listeners.

    Raises:
        AudioError: a response that is empty or not finite; the path is named.
    """
    return _write(irs, Path(folder), "", f"{irs.output}, 1.0 is the free-field pressure at 1 m")


def export_ambix(irs: ImpulseResponses, folder: str | os.PathLike[str]) -> list[Path]:
    """Write each listener's response as `listener-0000_ambix_o3.wav`: ACN order, SN3D norm.

    The order stands in the name, in the file's comment and in `listeners.json`. Axes are those of
    the listener: x ahead, y left, z up.

    Returns:
        the paths, in the order of the listeners.

    Raises:
        DataError: the responses are not ambisonic.
        AudioError: a response that is empty or not finite; the path is named.
    """
    kind, _, order = irs.output.partition("-")
    if kind != "ambisonic":
        raise DataError(
            f"{irs.output} responses are not ambisonic",
            field="output",
            mend='simulate with output="ambisonic-3"',
        )
    note = f"ambiX order {order}: ACN, SN3D; x ahead, y left, z up"
    return _write(irs, Path(folder), f"_ambix_o{order}", note)


def _write(irs: ImpulseResponses, folder: Path, suffix: str, note: str) -> list[Path]:
    digits = max(4, len(str(len(irs) - 1)))
    paths = [folder / f"listener-{i:0{digits}d}{suffix}.wav" for i in range(len(irs))]
    for path, samples in track(zip(paths, irs.samples, strict=True), "writing WAVs", len(paths)):
        audio = check_audio(samples, file=path, allow_silence=True)
        with (
            atomic(path) as part,
            soundfile.SoundFile(
                part, "w", irs.sample_rate, len(audio), subtype="FLOAT", format="WAV"
            ) as file,
        ):
            file.comment = note
            file.write(audio.T)
    write_json(folder / INDEX, _index(irs, paths, note))
    return paths


def _index(irs: ImpulseResponses, paths: Sequence[Path], note: str) -> dict[str, Any]:
    count = irs.samples.shape[1]
    return {
        "format": FORMAT,
        "output": irs.output,
        "note": note,
        "channels": CHANNELS.get(irs.output, [f"ACN {i}" for i in range(count)]),
        "sample_rate": irs.sample_rate,
        "source": irs.source.tolist(),
        "listeners": [
            {"file": path.name, "pose": pose.tolist()}
            for path, pose in zip(paths, irs.listeners, strict=True)
        ],
    }
