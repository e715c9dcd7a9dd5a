"""Recordings of a capture beside what physics says of them: the clips that stage 2 learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Hrtf, Simulator, load_hrtf
from piavas.audio import Audio, read_audio
from piavas.capture import Capture, Recording
from piavas.capture.recordings import UNUSED
from piavas.errors import DataError
from piavas.refine import Clip
from piavas.refine.balance import difference_of
from piavas.refine.model import power
from piavas.refine.room import room_numbers
from piavas.refine.views import Extractor
from piavas.render import render
from piavas.scene import ImpulseResponses, Scene, Trajectory

WINDOWS = {"centred": -0.5, "past": -1.0}
"""Start of a clip re its pose's time, in clip lengths: AV-NeRF has "centred", AV-Cloud "past"."""


def pair(
    capture: Capture,
    scene: Scene,
    simulator: Simulator,
    *,
    sample_rate: int = 22_050,
    clip_seconds: float = 1.0,
    window: str = "centred",
    draws: int = 1,
    images: Extractor | None = None,
    acoustics: bool = False,
) -> Iterator[Clip]:
    """Simulate every recording of `capture` and cut both into clips, one a pose.

    The simulated sound of a recording is scaled to the recording's power: recordings are
    peak-normalised, one by one, so their gain is unknown, and one sample would tell it badly.

    Args:
        capture: with recordings.
        scene: the room as stage 1 knows it.
        simulator: its output must be binaural; its rate is set to `sample_rate`.
        sample_rate: of the clips, hertz.
        clip_seconds: length of a clip.
        window: "centred" or "past", see `WINDOWS`.
        draws: simulations, with other seeds, whose mean energies say which level difference of the
            ears physics expects; 1 for none. The sound of a clip is that of the first.
        images: what says what is seen from head and source, see `piavas.refine.views`.
        acoustics: whether clips know the numbers of their response, see `piavas.refine.room`.

    Raises:
        DataError: the capture has no recordings, or one is too short for a clip.
    """
    if not capture.recordings:
        raise DataError(
            "has no recordings", file=capture.root, mend="give a capture with recordings"
        )
    simulator = replace(simulator, output="binaural", sample_rate=sample_rate)
    for recording in capture.recordings:
        dry, _ = read_audio(recording.dry_path, sample_rate=sample_rate, channels=1)
        wet, _ = read_audio(recording.wet_path, sample_rate=sample_rate, channels=2)
        heard, numbers = [], None
        for one in (replace(simulator, seed=simulator.seed + k) for k in range(draws)):
            responses = one(scene, recording.source, recording.poses)
            heard.append(_render(recording, responses, dry, wet.shape[1]))
            if acoustics and numbers is None:
                numbers = [room_numbers(r, sample_rate) for r in responses.samples]
        heard = [sound * np.float32(power(wet) / power(sound)) for sound in heard]
        yield from cut(
            recording, dry, heard, wet, sample_rate=sample_rate, clip_seconds=clip_seconds,
            window=window, images=images, acoustics=numbers,
        )  # fmt: skip


def provenance(simulator: Simulator) -> dict[str, Any]:
    """What results must say of the simulation: engine, rays, seed, and the hash of the head."""
    facts: dict[str, Any] = {
        name: getattr(simulator, name)
        for name in ("backend", "rays", "seed", "specular_order", "diffraction_order")
    }
    head = simulator.hrtf
    if not isinstance(head, Hrtf):
        head = load_hrtf(head, sample_rate=simulator.sample_rate)
    return {"simulator": facts, "hrtf_hash": head.digest}


def simulate_recording(
    recording: Recording, scene: Scene, simulator: Simulator, dry: Audio, length: int
) -> Audio:
    """What physics says the head of `recording` hears of `dry`: `[2, length]`, not yet scaled."""
    return _render(recording, simulator(scene, recording.source, recording.poses), dry, length)


def _render(recording: Recording, responses: ImpulseResponses, dry: Audio, length: int) -> Audio:
    moving = len(recording.times) > 1
    heard = render(dry, responses, Trajectory(recording.times, recording.poses) if moving else None)
    return np.pad(heard, ((0, 0), (0, max(0, length - heard.shape[1]))))[:, :length]


def cut(
    recording: Recording,
    dry: Audio,
    draws: Sequence[Audio],
    wet: Audio,
    *,
    sample_rate: int,
    clip_seconds: float = 1.0,
    window: str = "centred",
    images: Extractor | None = None,
    acoustics: Sequence[NDArray[np.float32]] | None = None,
) -> Iterator[Clip]:
    """Clips `[channel, clip]` about each pose whose window lies in the recording and has sound.

    Args:
        recording: what is cut.
        dry: `[1, time]` that was played.
        draws: `[2, time]` simulations, at least one.
        wet: `[2, time]` that was recorded.
        sample_rate: hertz.
        clip_seconds: length of a clip.
        window: see `WINDOWS`.
        images: what says what is seen.
        acoustics: numbers of the response of each pose.

    Raises:
        DataError: the recording is too short for a clip.
    """
    size = round(clip_seconds * sample_rate)
    starts = np.round((recording.times + WINDOWS[window] * clip_seconds) * sample_rate).astype(int)
    dry = _fit(dry, wet.shape[1])
    inside = np.flatnonzero((starts >= 0) & (starts + size <= wet.shape[1]))
    if not len(inside):
        raise DataError(
            f"no clip of {clip_seconds:g} s fits", file=recording.wet_path, mend="give longer audio"
        )
    for i in inside:
        at = slice(starts[i], starts[i] + size)
        split = recording.splits[i] if recording.splits else recording.split
        if split == UNUSED or not (dry[:, at].any() and wet[:, at].any()):
            continue
        sight = images(recording.poses[i], recording.source) if images is not None else None
        yield Clip(
            name=f"{recording.name}-{i:04d}",
            x_tx=dry[:, at],
            x_sim=draws[0][:, at],
            x_rx=wet[:, at],
            sample_rate=sample_rate,
            pose=recording.poses[i],
            source=recording.source,
            split=split,
            environment=recording.name,
            balance=_expected([sound[:, at] for sound in draws]) if len(draws) > 1 else None,
            images=sight.features if sight is not None else None,
            acoustics=acoustics[int(i)] if acoustics is not None else None,
            seen=sight.facts or None if sight is not None else None,
        )


def _expected(draws: Sequence[Audio]) -> float:
    """Decibels between the ears' mean energies over several simulations."""
    return difference_of(np.mean([np.square(s, dtype=np.float64).sum(1) for s in draws], axis=0))


def _fit(audio: Audio, length: int) -> NDArray[np.float32]:
    return np.pad(audio, ((0, 0), (0, max(0, length - audio.shape[1]))))[:, :length]
