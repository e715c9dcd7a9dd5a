"""Dry sounds of the listening page: files of the user, or three that are synthesised."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import lfilter

from piavas.audio import read_audio
from piavas.files import atomic

LOUDNESS = -23.0  # dB re full scale, root mean square of what sounds
SILENT = 30.0  # dB under the loudest 50 ms: not counted
PEAK = 0.9
NOTES = (57, 64, 69, 72, 71, 69, 64, 60, 57, 62, 65, 69, 68, 64, 59, 56)
Signal = NDArray[np.float64]


def plucked(rate: int, seed: int = 0) -> Signal:
    """A phrase of plucked strings (Karplus and Strong 1983)."""
    generator, beat = np.random.default_rng(seed), 0.3
    out = np.zeros(round(rate * (beat * len(NOTES) + 1.6)))
    for i, note in enumerate(NOTES):
        period = rate / (440 * 2 ** ((note - 69) / 12)) - 0.5
        burst = np.zeros(round(1.9 * rate))
        burst[: int(period)] = generator.uniform(-1, 1, int(period))
        delay = int(period)
        share = period - delay
        loop = np.zeros(delay + 2)
        loop[0], loop[delay], loop[delay + 1] = 1, -0.996 * (1 - share), -0.996 * share
        string = lfilter([1.0], loop, lfilter([0.5, 0.5], [1.0], burst))
        start = round(i * beat * rate)
        string *= np.exp(-np.arange(len(string)) / (0.5 * rate))
        length = min(len(string), len(out) - start)
        out[start : start + length] += (1.2 if i % 4 == 0 else 0.8) * string[:length]
    return out


def claps(rate: int, seed: int = 0) -> Signal:
    """Hand claps: bursts of noise around 1.5 kHz, some milliseconds long."""
    generator = np.random.default_rng(seed)
    out = np.zeros(round(4.8 * rate))
    t = np.arange(round(0.06 * rate)) / rate
    for start in (0.1, 0.8, 1.15, 1.5, 2.2, 2.9, 3.25, 3.6):
        noise = generator.normal(size=len(t)) * np.exp(-t / 0.004)
        w = 2 * np.pi * generator.uniform(1100, 1800) / rate
        body = lfilter([1, 0, -1], [1, -1.8 * np.cos(w), 0.81], noise)
        out[round(start * rate) :][: len(t)] += body
    return out


def pink(rate: int, seed: int = 0) -> Signal:
    """Ten seconds of steady pink noise, without a seam where it repeats."""
    count = 10 * rate
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=count))
    f = np.fft.rfftfreq(count, 1 / rate)
    spectrum *= np.where(f > 40, 1 / np.sqrt(np.maximum(f, 40)), 0)
    return np.fft.irfft(spectrum, count)


SYNTHESISED = {"Plucked strings": plucked, "Hand claps": claps, "Pink noise": pink}


def levelled(sound: NDArray[np.floating], rate: int) -> NDArray[np.float32]:
    """`sound` `[time]` at `LOUDNESS`, or as near as its peak allows."""
    size = max(round(0.05 * rate), 1)
    pieces = np.pad(np.asarray(sound, float), (0, -len(sound) % size)).reshape(-1, size)
    power = (pieces**2).mean(axis=1)
    loud = power[power > power.max() * 10 ** (-SILENT / 10)].mean()
    gain = min(10 ** (LOUDNESS / 20) / np.sqrt(loud), PEAK / np.abs(sound).max())
    return (gain * sound).astype(np.float32)


def write_flac(path: Path, sound: NDArray[np.floating], rate: int) -> None:
    """Write `[time]` or `[channel, time]`, whole or not at all; browsers decode FLAC."""
    with atomic(path) as part:
        soundfile.write(part, np.asarray(sound).T, rate, subtype="PCM_16", format="FLAC")


def write_sounds(
    folder: Path, rate: int, files: tuple[str | os.PathLike[str], ...] = ()
) -> list[dict[str, str]]:
    """Write the dry sounds of the page, and say what they are.

    Args:
        folder: for the files.
        rate: hertz.
        files: sound files of one channel; the synthesised sounds where there are none.

    Raises:
        AudioError: a file that is no sound of one channel.
    """
    if files:
        sounds = {Path(f).stem: read_audio(f, sample_rate=rate, channels=1)[0][0] for f in files}
    else:
        sounds = {name: make(rate) for name, make in SYNTHESISED.items()}
    entries = []
    for i, (name, sound) in enumerate(sounds.items()):
        write_flac(folder / f"{i:02d}.flac", levelled(sound, rate), rate)
        entries.append({"name": name, "file": f"{folder.name}/{i:02d}.flac"})
    return entries
