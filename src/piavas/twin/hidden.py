"""Physics that only the twin knows: materials, loudspeaker, air and microphones of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from piavas.acoustics.bands import minimum_phase
from piavas.materials import load_table
from piavas.scene import OCTAVE_BANDS, Directivity, Material
from piavas.twin.finishes import MATERIALS

Array = NDArray[np.float64]
WHOLE, PER_BAND = 0.3, 0.2
"""Spread of ln(ln a'/ln a) over materials and, on top, over their bands."""
RIPPLE = 2.5  # dB, standard deviation of the loudspeaker's response from third to third
LOWEST = (70.0, 110.0)  # hertz, range of the loudspeaker's lower limit
TAPS = 4096
COLOUR = 200.0  # hertz below which microphone noise rises by 3 dB an octave


@dataclass(frozen=True)
class Hidden:
    """What the recordings of one world were made with.

    Args:
        seed: it was drawn from.
        materials: by name; other values than the table's.
        directivity: of the loudspeaker.
        response_hz: `[n]` frequencies of its response on the axis.
        response_db: `[n]` levels there.
        temperature: degrees Celsius.
        humidity: relative, per cent.
    """

    seed: int
    materials: Mapping[str, Material]
    directivity: Directivity
    response_hz: Array
    response_db: Array
    temperature: float
    humidity: float

    def loudspeaker(self, sound: NDArray[np.floating], rate: int) -> NDArray[np.float32]:
        """`[1, time]` as the loudspeaker plays it on its axis: minimum phase, causal."""
        grid = np.fft.rfftfreq(TAPS, 1 / rate)
        level = np.interp(np.log(np.maximum(grid, 1)), np.log(self.response_hz), self.response_db)
        taps = np.fft.irfft(minimum_phase(np.log(10) / 20 * level[None])[0], TAPS)
        return fftconvolve(sound, taps[None], axes=1)[:, : sound.shape[1]].astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the truth."""
        return {
            "seed": self.seed,
            "bands": list(OCTAVE_BANDS),
            "materials": {
                name: {
                    "absorption": row.absorption.tolist(),
                    "scattering": row.scattering.tolist(),
                    "transmission": row.transmission.tolist(),
                }
                for name, row in self.materials.items()
            },
            "directivity": self.directivity.pattern.tolist(),
            "response_hz": self.response_hz.tolist(),
            "response_db": self.response_db.tolist(),
            "temperature": self.temperature,
            "humidity": self.humidity,
        }


def draw_hidden(seed: int, world_seed: int) -> Hidden:
    """Draw the hidden physics of a world."""
    rng = np.random.default_rng([world_seed, seed, 21])
    table = load_table()
    materials = {name: _other(table[name], rng) for name in sorted(set(MATERIALS))}
    beam = np.clip(np.interp(np.log2(OCTAVE_BANDS), (6.5, 12.0), (0.0, 0.55)), 0, 0.6)
    pattern = np.clip(beam * rng.uniform(0.8, 1.2), 0, 0.75)
    hertz = np.geomspace(20, 20_000, 31)
    return Hidden(
        seed,
        materials,
        Directivity(pattern),
        hertz,
        _response(hertz, rng),
        round(float(rng.uniform(16, 26)), 2),
        round(float(rng.uniform(30, 65)), 1),
    )


def _other(row: Material, rng: np.random.Generator) -> Material:
    """Another specimen of a material: 0 and 1 stay, what lies between moves, in [0, 1] always."""
    absorption = row.absorption ** np.exp(_moves(rng))
    share = np.divide(row.transmission, row.absorption, where=row.absorption > 0, out=np.zeros(9))
    return Material(
        row.name,
        absorption,
        row.scattering ** np.exp(_moves(rng)),
        np.minimum(share * absorption, absorption),
        source="drawn about the table's values; hidden",
    )


def _moves(rng: np.random.Generator) -> Array:
    return np.asarray(WHOLE * rng.standard_normal() + PER_BAND * rng.standard_normal(9))


def _response(hertz: Array, rng: np.random.Generator) -> Array:
    """Second-order roll-off below a lower limit, ripple, a falling treble; 0 dB mean at 1 kHz."""
    low = rng.uniform(*LOWEST)
    roll = -10 * np.log10(1 + (low / hertz) ** 4)
    ripple = np.convolve(RIPPLE * rng.standard_normal(hertz.size + 2), [0.35, 0.7, 0.35], "valid")
    tilt = -rng.uniform(0, 4) * np.clip(np.log2(hertz / 5000), 0, None)
    level = roll + ripple + tilt
    middle = (hertz > 500) & (hertz < 2000)
    return np.asarray(level - level[middle].mean())


def microphone_noise(
    channels: int, length: int, rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise `[channels, length]` of unit power, independent, pink below `COLOUR`, white above."""
    spectrum = np.fft.rfft(rng.standard_normal((channels, length)))
    hertz = np.fft.rfftfreq(length, 1 / rate)
    spectrum *= np.sqrt(np.maximum(1.0, COLOUR / np.maximum(hertz, 20.0)))
    spectrum[:, 0] = 0
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / np.sqrt((noise**2).mean()))
