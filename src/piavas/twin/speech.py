"""Speech without words: a glottal source, moving formants, hiss, stops and pauses.

A synthesiser after Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67 (1980),
that babbles syllables drawn by a seed. No text, no recording, no licence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, resample_poly, sosfilt

from piavas.errors import AudioError

Array = NDArray[np.float64]
CONTROL = 1000  # hertz of the tracks of targets
GLIDE, ATTACK = 0.014, 0.006  # seconds over which formants and levels move
OVERSAMPLE = 4  # of the glottal pulses, against aliasing
OPEN, CLOSING = 0.5, 0.14  # shares of a period in which the glottis opens and closes
BANDWIDTHS = (90.0, 110.0, 160.0)
HIGH_FORMANTS = tuple(3500.0 + 1000 * k for k in range(7))
"""Those that hardly move: of a tube of 17 cm, closed at one end."""
LONGEST = 3600.0  # seconds


@dataclass(frozen=True)
class Sound:
    """One target of the vocal tract.

    Args:
        seconds: it lasts.
        formants: the lowest three, hertz.
        voice: level of the glottal source.
        breath: level of noise at the glottis.
        hiss: level of noise at a narrowing in the mouth.
        hiss_at: centre of that noise, hertz.
    """

    seconds: float
    formants: tuple[float, float, float]
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    hiss_at: float = 4000.0


VOWELS = (
    (270.0, 2290.0, 3010.0),
    (390.0, 1990.0, 2550.0),
    (530.0, 1840.0, 2480.0),
    (660.0, 1720.0, 2410.0),
    (730.0, 1090.0, 2440.0),
    (570.0, 840.0, 2410.0),
    (440.0, 1020.0, 2240.0),
    (300.0, 870.0, 2240.0),
    (640.0, 1190.0, 2390.0),
    (490.0, 1350.0, 1690.0),
)
"""Formants of the ten vowels of men (Peterson and Barney, JASA 24 (1952), table II)."""

_S, _K, _P = (320.0, 1600.0, 2600.0), (300.0, 1900.0, 2300.0), (280.0, 900.0, 2200.0)
_N, _L, _W, _J = (
    (260.0, 1300.0, 2300.0),
    (360.0, 1100.0, 2700.0),
    (320.0, 750.0, 2200.0),
    (280.0, 2200.0, 2900.0),
)
ONSETS: tuple[tuple[Sound, ...], ...] = (
    (Sound(0.1, _S, hiss=0.6, hiss_at=6000),),
    (Sound(0.1, _S, hiss=0.5, hiss_at=3300),),
    (Sound(0.08, _P, hiss=0.1, hiss_at=7500, breath=0.03),),
    (Sound(0.06, _S, voice=0.35, hiss=0.3, hiss_at=5500),),
    (Sound(0.05, (500.0, 1500.0, 2500.0), breath=0.22),),
    (Sound(0.05, _S), Sound(0.01, _S, hiss=0.8, hiss_at=4600), Sound(0.03, _S, breath=0.2)),
    (Sound(0.05, _K), Sound(0.016, _K, hiss=0.7, hiss_at=2100), Sound(0.035, _K, breath=0.2)),
    (Sound(0.06, _P), Sound(0.008, _P, hiss=0.5, hiss_at=1000), Sound(0.025, _P, breath=0.2)),
    (Sound(0.045, _S, voice=0.1), Sound(0.008, _S, voice=0.2, hiss=0.4, hiss_at=4200)),
    (Sound(0.045, _P, voice=0.12), Sound(0.006, _P, voice=0.2, hiss=0.3, hiss_at=900)),
    (Sound(0.065, _N, voice=0.4),),
    (Sound(0.065, (260.0, 1000.0, 2200.0), voice=0.4),),
    (Sound(0.055, _L, voice=0.6),),
    (Sound(0.055, _W, voice=0.6),),
    (Sound(0.05, _J, voice=0.6),),
)
"""What a syllable may begin with: fricatives, stops, nasals, glides."""
CODAS = (0, 1, 5, 6, 10, 11, 12)
"""Those of `ONSETS` that may also end one."""


def speech_like(seed: int, seconds: float, sample_rate: int) -> NDArray[np.float32]:
    """Someone speaking in no language: dry, `[1, time]`, peak .9.

    Args:
        seed: of the voice and of what it says.
        seconds: length.
        sample_rate: hertz, 8000 or more.

    Raises:
        AudioError: no length, or a rate too low for speech.
    """
    check_length(seconds, sample_rate)
    rng = np.random.default_rng([seed, 31])
    high = rng.random()
    stretch, pitch = 1 + 0.17 * high, 105 * 2 ** (high + rng.uniform(-0.1, 0.15))
    sounds, accents = _babble(rng, seconds)
    count = round(seconds * sample_rate)
    tracks = _tracks(sounds, count, sample_rate)
    melody = _melody(accents, pitch, count, sample_rate, rng)
    wave = _speak(tracks, melody, stretch, sample_rate, rng)
    wave = sosfilt(butter(2, 60, "high", fs=sample_rate, output="sos"), wave)
    return (0.9 / np.abs(wave).max() * wave[None]).astype(np.float32)


def check_length(seconds: float, sample_rate: int) -> None:
    """Raise an `AudioError` unless this is a length and a rate that sound can have."""
    if not (0.5 <= seconds <= LONGEST and 8_000 <= sample_rate <= 384_000):
        raise AudioError(
            f"{seconds} s at {sample_rate} Hz cannot be synthesised",
            field="seconds",
            mend=f"give .5 to {LONGEST:g} s at 8000 Hz or more",
        )


@dataclass(frozen=True)
class _Phrase:
    start: float
    end: float
    accents: tuple[float, ...]


def _babble(rng: Generator, seconds: float) -> tuple[list[Sound], list[_Phrase]]:
    """Phrases of syllables with pauses between them, longer than `seconds`."""
    sounds = [Sound(float(rng.uniform(0.05, 0.15)), VOWELS[8])]
    at, phrases = sounds[0].seconds, []
    while at < seconds:
        start, accents = at, []
        count = int(rng.integers(5, 13))
        for k in range(count):
            stressed = bool(rng.random() < 0.4)
            said = _syllable(rng, stressed, last=k == count - 1)
            if stressed:
                accents.append(at + 0.5 * sum(sound.seconds for sound in said))
            sounds += said
            at += sum(sound.seconds for sound in said)
        phrases.append(_Phrase(start, at, tuple(accents)))
        breath = rng.random() < 0.3
        pause = float(rng.uniform(0.5, 1.0) if breath else rng.uniform(0.2, 0.5))
        sounds.append(Sound(pause, VOWELS[8], breath=0.012 if breath else 0.0))
        at += pause
    return sounds, phrases


def _syllable(rng: Generator, stressed: bool, *, last: bool) -> list[Sound]:
    slow = (1.3 if stressed else 0.85) * (1.4 if last else 1.0)
    loud = (1.0 if stressed else 0.5) * float(rng.uniform(0.75, 1.1)) * (0.7 if last else 1.0)
    said: list[Sound] = []
    if rng.random() < 0.9:
        said += ONSETS[rng.integers(len(ONSETS))]
    vowel = VOWELS[rng.integers(len(VOWELS))]
    length = slow * float(rng.uniform(0.08, 0.13))
    said.append(Sound(length, vowel, voice=1.0, breath=0.02))
    if rng.random() < 0.25:
        glide = VOWELS[int(rng.choice((0, 7)))]
        said.append(Sound(0.5 * length, glide, voice=0.85, breath=0.02))
    if rng.random() < 0.3:
        said += ONSETS[CODAS[rng.integers(len(CODAS))]]
    return [
        replace(
            s,
            seconds=s.seconds * float(rng.uniform(0.85, 1.2)),
            voice=s.voice * loud,
            breath=s.breath * loud,
            hiss=s.hiss * loud,
        )
        for s in said
    ]


def _tracks(sounds: list[Sound], count: int, rate: int) -> Array:
    """`[7, count]`: three formants, voice, breath, hiss and its centre, as they move."""
    ends = np.cumsum([sound.seconds for sound in sounds])
    at = np.arange(int(np.ceil(count / rate * CONTROL)) + 1) / CONTROL
    index = np.minimum(np.searchsorted(ends, at, side="right"), len(sounds) - 1)
    targets = np.array([(*s.formants, s.voice, s.breath, s.hiss, s.hiss_at) for s in sounds])
    tracks = targets[index].T
    pace = np.array([GLIDE] * 3 + [ATTACK, ATTACK, 0.003, 0.003]) * CONTROL
    moved = np.stack([gaussian_filter1d(t, p) for t, p in zip(tracks, pace, strict=True)])
    time = np.arange(count) / rate
    return np.stack([np.interp(time, at, track) for track in moved])


def _melody(phrases: list[_Phrase], pitch: float, count: int, rate: int, rng: Generator) -> Array:
    """Fundamental `[count]` in hertz: it falls over a phrase, and rises on its accents."""
    at = np.arange(int(np.ceil(count / rate * CONTROL)) + 1) / CONTROL
    octaves = 0.02 * gaussian_filter1d(rng.standard_normal(at.size), 40) * np.sqrt(40 * 3.5)
    for phrase in phrases:
        inside = (at >= phrase.start - 0.1) & (at < phrase.end + 0.1)
        along = (at[inside] - phrase.start) / (phrase.end - phrase.start)
        octaves[inside] += 0.22 - 0.5 * along
        for accent in phrase.accents:
            octaves += rng.uniform(0.1, 0.3) * np.exp(-(((at - accent) / 0.09) ** 2))
    time = np.arange(count) / rate
    return pitch * 2 ** np.interp(time, at, octaves)


def _speak(tracks: Array, melody: Array, stretch: float, rate: int, rng: Generator) -> Array:
    voice, breath, hiss, centre = tracks[3:]
    noise = rng.standard_normal((2, melody.size))
    source = voice * _glottis(melody, rate, rng) + breath * noise[0]
    formants = [stretch * track for track in tracks[:3]]
    formants += [np.full(melody.size, stretch * f) for f in HIGH_FORMANTS]
    widths = [*BANDWIDTHS, *(0.06 * f for f in HIGH_FORMANTS)]
    for formant, width in zip(formants, widths, strict=True):
        if formant.max() < 0.47 * rate:
            source = _resonate(source, formant, np.full(melody.size, width), rate)
    centre = np.minimum(stretch * centre, 0.4 * rate)
    # Klatt's gain of 1 at 0 Hz would let a narrow noise roar: the level is taken at its centre.
    rough = _resonate(noise[1], centre, 0.35 * centre, rate) * 0.35
    return np.asarray(source + 0.6 * hiss * np.diff(rough, prepend=0.0))


def _glottis(melody: Array, rate: int, rng: Generator) -> Array:
    """Flow derivative of Rosenberg's pulses (JASA 49, 1971), with a little shimmer; peak near 1."""
    fine = np.repeat(melody, OVERSAMPLE)
    phase = np.cumsum(fine) / (OVERSAMPLE * rate)
    turn, part = np.floor(phase).astype(np.int64), phase % 1.0
    rise = 0.5 * (1 - np.cos(np.pi * part / OPEN))
    fall = np.cos(0.5 * np.pi * (part - OPEN) / CLOSING)
    flow = np.where(part < OPEN, rise, np.where(part < OPEN + CLOSING, fall, 0.0))
    flow *= 1 + 0.04 * rng.standard_normal(int(turn[-1]) + 1)[turn]
    slope = np.diff(flow, prepend=0.0) * OVERSAMPLE * rate / fine * CLOSING * 2 / np.pi
    return np.asarray(resample_poly(slope, 1, OVERSAMPLE))


@njit(cache=True)
def _resonate(signal, frequency, bandwidth, rate):  # type: ignore[no-untyped-def]
    """Klatt's digital resonator with moving centre and bandwidth; gain 1 at 0 Hz."""
    out = np.empty(signal.size)
    one = two = 0.0
    for i in range(signal.size):
        c = -np.exp(-2 * np.pi * bandwidth[i] / rate)
        b = 2 * np.exp(-np.pi * bandwidth[i] / rate) * np.cos(2 * np.pi * frequency[i] / rate)
        value = (1 - b - c) * signal[i] + b * one + c * two
        two, one = one, value
        out[i] = value
    return out
