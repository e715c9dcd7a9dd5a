"""Recordings on the listening page: dry, recorded, and refined sound on one clock, one head's way.

What is simulated the page makes itself, live, at the head's place of each moment. So that the four
can be switched between, recorded and refined sound get the level that the simulation has.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import Simulator
from piavas.audio import Audio, read_audio, resample
from piavas.capture import Capture, Recording
from piavas.files import read_json, write_json
from piavas.listen.page_sounds import levelled, write_flac
from piavas.scene import Scene, Source

if TYPE_CHECKING:
    from piavas.refine import Refiner

SAME = 0.05  # metres within which a recording's source is one of the page's
CLIP = 1.0  # seconds refined at one pose
PEAK = 0.98  # of full scale


def write_tracks(
    folder: Path,
    scene: Scene,
    capture: Capture,
    sources: Sequence[Source],
    simulator: Simulator,
    refiner: Refiner | None = None,
) -> list[dict[str, Any]]:
    """Write the recordings whose source is one of `sources`; what the index says of them.

    Args:
        folder: for the files; what an earlier run with the same input left is kept.
        scene: the room.
        capture: with recordings.
        sources: of the page.
        simulator: binaural, for the level and for what is refined.
        refiner: None leaves refined sound out.
    """
    entries: list[dict[str, Any]] = []
    for recording in capture.recordings:
        far = [float(np.linalg.norm(s.position - recording.source)) for s in sources]
        if min(far) > SAME:
            continue
        place = folder / f"{len(entries):02d}"
        files = _write(place, recording, scene, simulator, refiner)
        entries.append(
            {
                "name": recording.name,
                "source": int(np.argmin(far)),
                "times": recording.times.round(4).tolist(),
                "poses": recording.poses.reshape(-1, 16).round(5).tolist(),
                **{kind: f"{folder.name}/{place.name}/{kind}.flac" for kind in files},
            }
        )
    return entries


def _write(
    folder: Path,
    recording: Recording,
    scene: Scene,
    simulator: Simulator,
    refiner: Refiner | None,
) -> list[str]:
    kinds = ["dry", "recorded", *(["refined"] if refiner else [])]
    known = {"files": kinds, "of": [_stamp(recording.dry_path), _stamp(recording.wet_path)]}
    known["faces"] = len(scene.faces)
    manifest = folder / "options.json"
    if manifest.is_file() and read_json(manifest) == known:
        return kinds
    shutil.rmtree(folder, ignore_errors=True)
    rate = simulator.sample_rate
    dry = read_audio(recording.dry_path, sample_rate=rate, channels=1)[0][0]
    wet, _ = read_audio(recording.wet_path, sample_rate=rate, channels=2)
    dry = levelled(dry, rate)[None]
    simulated = _simulate(recording, scene, simulator, dry, wet.shape[1])
    sounds: dict[str, NDArray] = {"dry": _fit(dry, wet.shape[1])[0]}
    sounds["recorded"] = _as_loud(wet, simulated)
    if refiner:
        sounds["refined"] = _as_loud(refined(recording, refiner, dry, simulated, rate), simulated)
    for kind, sound in sounds.items():
        write_flac(folder / f"{kind}.flac", sound, rate)
    write_json(manifest, known)
    return kinds


def _simulate(
    recording: Recording, scene: Scene, simulator: Simulator, dry: Audio, length: int
) -> Audio:
    from piavas.pairs import simulate_recording

    return simulate_recording(recording, scene, replace(simulator, output="binaural"), dry, length)


def refined(
    recording: Recording, refiner: Refiner, dry: Audio, simulated: Audio, rate: int
) -> Audio:
    """`[2, time]` at `rate`: clips of `CLIP` seconds at the pose of their middle, cross-faded."""
    own = refiner.config.sample_rate
    x_sim = resample(simulated, rate, own)
    x_tx = _fit(resample(dry, rate, own), x_sim.shape[1])
    size, out = round(CLIP * own), np.zeros_like(x_sim)
    total = np.zeros(x_sim.shape[1], np.float32)
    for start in range(0, max(x_sim.shape[1] - size // 2, 1), size // 2):
        at = slice(start, start + size)
        clip, played = x_sim[:, at], x_tx[:, at]
        window = np.hanning(size + 2)[1:-1][: clip.shape[1]].astype(np.float32)
        middle = (start + size / 2) / own
        pose = recording.poses[int(np.abs(recording.times - middle).argmin())]
        if clip.any() and played.any():
            clip = refiner(clip, played, pose=pose, source=recording.source)
        out[:, at] += window * clip
        total[at] += window
    return resample(out / np.maximum(total, 1e-3), own, rate)


def _as_loud(sound: Audio, as_this: Audio) -> Audio:
    """`sound` at the root mean square of `as_this`, or as near as full scale allows."""
    gain = np.sqrt((as_this**2).mean() / max(float((sound**2).mean()), 1e-20))
    return sound * np.float32(min(gain, PEAK / max(float(np.abs(sound).max()), 1e-9)))


def _fit(audio: Audio, length: int) -> Audio:
    return np.pad(audio, ((0, 0), (0, max(0, length - audio.shape[1]))))[:, :length]


def _stamp(path: Path) -> list[Any]:
    about = path.stat()
    return [path.name, about.st_size, about.st_mtime_ns]
