"""Air: the speed of sound, and what it swallows on the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.errors import SimulationError

REFERENCE_PRESSURE = 101.325  # kPa
REFERENCE_TEMPERATURE = 293.15  # K
TRIPLE_POINT = 273.16  # K


def speed_of_sound(temperature: float = 20.0) -> float:
    """Speed of sound in air, m/s (ISO 9613-1:1993, annex A: 343.2 sqrt(T/T0)).

    Args:
        temperature: degrees Celsius.
    """
    return float(343.2 * np.sqrt((temperature + 273.15) / REFERENCE_TEMPERATURE))


def air_absorption(
    frequency: ArrayLike,
    *,
    temperature: float = 20.0,
    humidity: float = 50.0,
    pressure: float = REFERENCE_PRESSURE,
) -> NDArray[np.float64]:
    """Pure-tone attenuation of air in dB/m (ISO 9613-1:1993, equations 3 to 5 and B.1 to B.3).

    Args:
        frequency: hertz, any shape.
        temperature: degrees Celsius, -70 to 60.
        humidity: relative, per cent, 0 to 100.
        pressure: kPa.

    Raises:
        SimulationError: a value outside these ranges.
    """
    if not (-70 <= temperature <= 60 and 0 <= humidity <= 100 and pressure > 0):
        raise SimulationError(
            f"{temperature} °C, {humidity} %, {pressure} kPa is no air of a room",
            field="temperature, humidity or pressure",
            mend="give -70 to 60 °C, 0 to 100 %, more than 0 kPa",
        )
    f = np.asarray(frequency, dtype=np.float64)
    kelvin = temperature + 273.15
    ratio, p = kelvin / REFERENCE_TEMPERATURE, pressure / REFERENCE_PRESSURE
    saturation = 10 ** (-6.8346 * (TRIPLE_POINT / kelvin) ** 1.261 + 4.6151)
    h = humidity * saturation / p  # molar concentration of water vapour, per cent
    oxygen = p * (24 + 4.04e4 * h * (0.02 + h) / (0.391 + h))
    nitrogen = p * ratio**-0.5 * (9 + 280 * h * np.exp(-4.170 * (ratio ** (-1 / 3) - 1)))
    classical = 1.84e-11 / p * ratio**0.5
    relaxed = ratio**-2.5 * (
        0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + f**2 / oxygen)
        + 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + f**2 / nitrogen)
    )
    return np.asarray(8.686 * f**2 * (classical + relaxed))
