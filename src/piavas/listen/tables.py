"""Room parameters of every listener as a table for spreadsheets and scripts.

One row for each listener, channel and octave band; units stand in the header. Beside the parameters
of ISO 3382-1 there is the sound strength G, which needs the absolute level that responses have.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError
from piavas.evaluate import room_metrics
from piavas.evaluate.bands import band_energies
from piavas.files import atomic, write_json
from piavas.scene import ImpulseResponses

FORMAT = "piavas-room-table-1"
PARAMETERS = {
    "EDT": ("EDT (s)", 1.0),
    "T20": ("T20 (s)", 1.0),
    "T30": ("T30 (s)", 1.0),
    "C50": ("C50 (dB)", 1.0),
    "C80": ("C80 (dB)", 1.0),
    "D50": ("D50 (%)", 100.0),
    "Ts": ("Ts (ms)", 1000.0),
}
"""Header and factor of each parameter of `room_metrics`."""
G = "G (dB)"
AT_10_M = 20.0  # decibels from the free field at 10 m up to that at 1 m
DIGITS = 6  # significant digits in files

Row = dict[str, Any]


def strength(
    response: NDArray[np.floating], sample_rate: int, bands: Sequence[float] = (0.0,)
) -> NDArray[np.float64]:
    """Sound strength G `[..., band]` of `[..., time]`, decibels: energy re the free field at 10 m.

    Responses of a unit source have the free-field pressure 1/r, so their energy in a band is held
    against that of a unit impulse, which stands for 1 m (ISO 3382-1, annex A). -inf for silence.
    """
    unit = band_energies(np.ones(1), bands, sample_rate)
    energy = band_energies(np.asarray(response, np.float64), bands, sample_rate)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(energy / unit) + AT_10_M)


def room_table(irs: ImpulseResponses, *, bands: Sequence[float] | None = None) -> list[Row]:
    """Rows of room parameters; a value that a response does not reach is None.

    Binaural responses give rows for both ears, ambisonic ones for W, the pressure.

    Args:
        irs: responses.
        bands: nominal octave centres in hertz; None takes all that fit the sample rate.

    Raises:
        AudioError: a response is silent or not finite.
        DataError: a band does not fit the sample rate.
    """
    names = {"binaural": ("left", "right"), "mono": ("pressure",)}.get(irs.output, ("W",))
    rows = []
    for i, pose in enumerate(irs.listeners):
        heard = irs.samples[i, : len(names)]
        found = room_metrics(heard, irs.sample_rate, bands=bands)
        level = strength(heard, irs.sample_rate, found.bands)
        for c, channel in enumerate(names):
            for b, band in enumerate(found.bands):
                values = {
                    head: _plain(found[name][c, b] * factor)
                    for name, (head, factor) in PARAMETERS.items()
                }
                rows.append({**_place(i, pose, channel, band), **values, G: _plain(level[c, b])})
    return rows


def _place(index: int, pose: NDArray[np.float64], channel: str, band: float) -> Row:
    x, y, z = (round(float(v), 4) for v in pose[:3, 3])
    return {
        "listener": index,
        "x (m)": x,
        "y (m)": y,
        "z (m)": z,
        "yaw (degrees)": round(float(np.degrees(np.arctan2(-pose[1, 2], -pose[0, 2]))), 2) + 0.0,
        "channel": channel,
        "band (Hz)": band or "broadband",
    }


def _plain(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def export_table(
    irs: ImpulseResponses, path: str | os.PathLike[str], *, bands: Sequence[float] | None = None
) -> Path:
    """Write `room_table` as CSV or JSON, whole or not at all.

    CSV: comma, point, UTF-8, an empty cell where nothing was reached. JSON:
    `{"format", "source", "output", "rows": [...]}` with null there.

    Args:
        irs: responses.
        path: ends in `.csv` or `.json`.
        bands: as in `room_table`.

    Returns:
        `path`.

    Raises:
        DataError: another suffix, or a band that does not fit the sample rate.
        AudioError: a response is silent or not finite.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".json"):
        raise DataError("is no name of a table", file=path, mend="end the name in .csv or .json")
    rows = room_table(irs, bands=bands)
    if path.suffix.lower() == ".json":
        head = {"format": FORMAT, "source": irs.source.tolist(), "output": irs.output}
        write_json(path, {**head, "sample_rate": irs.sample_rate, "rows": rows})
        return path
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    with atomic(path) as part:
        part.write_text(out.getvalue(), encoding="utf-8", newline="")
    return path
