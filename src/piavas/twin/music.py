"""Music of a small ensemble: plucked strings over a bass, and a bowed voice that sings above them.

Plucked strings after Jaffe and Smith, "Extensions of the Karplus-Strong plucked-string algorithm",
Computer Music Journal 7 (1983). Notes are drawn by a seed: no score, no recording, no licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import iirpeak, lfilter

from piavas.twin.speech import check_length

Array = NDArray[np.float64]
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 1, 4), (5, 3, 0, 4), (0, 2, 3, 4))
"""Degrees of the scale on which the chords of four bars stand."""
BODY = ((110.0, 9.0, 0.5), (205.0, 12.0, 0.45), (410.0, 10.0, 0.3), (1150.0, 6.0, 0.2))
"""Resonances of a wooden body: hertz, quality, level."""


@dataclass(frozen=True)
class Note:
    """One note.

    Args:
        voice: "pluck", "bass" or "bow".
        start: seconds.
        seconds: it is held.
        pitch: semitones above 440 Hz.
        level: 0 to 1.
    """

    voice: str
    start: float
    seconds: float
    pitch: float
    level: float

    @property
    def frequency(self) -> float:
        """Hertz."""
        return float(440.0 * 2 ** (self.pitch / 12))


def music_like(seed: int, seconds: float, sample_rate: int) -> NDArray[np.float32]:
    """A small ensemble playing: dry, `[1, time]`, peak .9.

    Args:
        seed: of the key, the tempo and the notes.
        seconds: length.
        sample_rate: hertz, 8000 or more.

    Raises:
        AudioError: no length, or a rate too low for music.
    """
    check_length(seconds, sample_rate)
    rng = np.random.default_rng([seed, 32])
    mix = np.zeros(round(seconds * sample_rate))
    for note in _score(rng, seconds):
        at = round(note.start * sample_rate)
        if at >= mix.size:
            continue
        sound = _play(note, sample_rate, rng)[: mix.size - at]
        mix[at : at + sound.size] += sound
    mix = _body(mix, sample_rate)
    fade = min(round(0.03 * sample_rate), mix.size)
    mix[mix.size - fade :] *= np.cos(0.5 * np.pi * np.arange(fade) / fade) ** 2
    return (0.9 / np.abs(mix).max() * mix[None]).astype(np.float32)


def _score(rng: Generator, seconds: float) -> Iterator[Note]:
    scale = MAJOR if rng.random() < 0.6 else MINOR
    key, beat = int(rng.integers(-29, -20)), 60 / float(rng.uniform(72, 108))
    chords = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    pattern = rng.permutation((0, 1, 2, 1, 3, 2, 1, 2))
    bar = 0
    while 4 * bar * beat < seconds:
        root = chords[bar % len(chords)]
        yield from _bar(rng, 0.05 + 4 * bar * beat, beat, key, scale, root, pattern)
        bar += 1


def _bar(
    rng: Generator,
    start: float,
    beat: float,
    key: int,
    scale: tuple[int, ...],
    root: int,
    pattern: NDArray[np.int64],
) -> Iterator[Note]:
    def pitch(degree: int) -> float:
        return float(key + scale[degree % 7] + 12 * (degree // 7))

    for k, step in enumerate(pattern):
        if rng.random() < 0.92:
            push = float(rng.normal(0, 0.006))
            level = float(rng.uniform(0.5, 0.9)) * (1.15 if k % 4 == 0 else 1.0)
            degree = root + 7 + (0, 2, 4, 7)[step]
            yield Note("pluck", max(start + (k / 2) * beat + push, 0), 1.6, pitch(degree), level)
    for k, degree in ((0, root), (2, root + 4)):
        yield Note("bass", start + k * beat, 1.9 * beat, pitch(degree), 0.9)
    at = 0.0
    while at < 4:
        length = float(rng.choice((1.0, 1.0, 2.0, 0.5)))
        if rng.random() < 0.8:
            degree = root + 14 + int(rng.choice((0, 2, 4, 1, 6, 7)))
            held = min(length, 4 - at) * beat * 0.95
            level = float(rng.uniform(0.3, 0.55))
            yield Note("bow", start + at * beat, held, pitch(degree), level)
        at += length


def _play(note: Note, rate: int, rng: Generator) -> Array:
    if note.voice == "bow":
        return note.level * _bow(note, rate, rng)
    dull, decay = (0.8, 3.0) if note.voice == "bass" else (0.35, 1.7)
    loud = 1.5 if note.voice == "bass" else 0.7
    return loud * note.level * _pluck(note, rate, rng, dull, decay)


def _pluck(note: Note, rate: int, rng: Generator, dull: float, decay: float) -> Array:
    """A string of `decay` seconds to -60 dB, plucked at a seventh of its length, then damped."""
    period = rate / note.frequency
    pick = rng.uniform(-1, 1, int(period) + 1)
    # A plectrum's width takes the top off; its place notches every seventh harmonic.
    pick = lfilter([1 - dull], [1, -dull], pick)
    pick -= np.roll(pick, max(1, round(period / 7)))
    count = round((note.seconds + 0.25) * rate)
    sound = _string(pick - pick.mean(), count, period, 10 ** (-3 * period / (decay * rate)))
    release = np.arange(count) / rate - note.seconds
    return np.asarray(sound / (np.abs(sound).max() + 1e-9) * np.exp(-np.maximum(release, 0) / 0.06))


@njit(cache=True)
def _string(pick, count, period, loss):  # type: ignore[no-untyped-def]
    """Karplus-Strong with a two-point average and a first-order allpass for the fraction."""
    whole = int(period - 0.5 - 0.1)
    part = period - 0.5 - whole
    allpass = (1 - part) / (1 + part)
    line = np.zeros(whole)
    out = np.empty(count)
    before = past_in = past_out = 0.0
    for i in range(count):
        at = i % whole
        drive = pick[i] if i < pick.size else 0.0
        value = line[at]
        mean = loss * 0.5 * (value + before)
        before = value
        passed = allpass * (mean - past_out) + past_in
        past_in, past_out = mean, passed
        line[at] = passed + drive
        out[i] = line[at]
    return out


def _bow(note: Note, rate: int, rng: Generator) -> Array:
    """A bowed string: band-limited saw, vibrato that sets in late, a swelling attack, some hair."""
    time = np.arange(round((note.seconds + 0.12) * rate)) / rate
    depth = 0.006 * np.clip((time - 0.15) / 0.3, 0, 1)
    wander = 1 + depth * np.sin(2 * np.pi * rng.uniform(5.0, 6.0) * time + rng.uniform(0, 6))
    phase = np.cumsum(note.frequency * wander) / rate
    wave = np.zeros(time.size)
    highest = int(min(0.45 * rate, 9000) / note.frequency)
    for k in range(1, highest + 1):
        wave += np.sin(2 * np.pi * k * phase) / k / (1 + (k * note.frequency / 3500) ** 2)
    hair = lfilter([0.12], [1, -0.88], rng.standard_normal(time.size))
    level = (1 - np.exp(-time / 0.05)) * np.exp(-np.maximum(time - note.seconds, 0) / 0.035)
    return np.asarray(level * (wave + 0.04 * hair) / 1.6)


def _body(mix: Array, rate: int) -> Array:
    out = mix.copy()
    for frequency, quality, level in BODY:
        b, a = iirpeak(frequency, quality, fs=rate)
        out += level * lfilter(b, a, mix)
    return out
