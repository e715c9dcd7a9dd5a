"""Hold the engine against measured rooms and write the tables of `docs/physics/measured.md`.

    python benchmarks/measured_rooms.py [--rays 20000] [--seeds 3] [--only echoes|decay]

Needs the measurements (`PIAVAS_SHARED`). Only the marked region of the page is written.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator
from piavas.files import atomic
from piavas.measured import load_bras, load_dechorate
from piavas.measured.compare import deviations, echo_times, simulated_parameters
from piavas.measured.rooms import ARRIVALS, PARAMETERS
from piavas.scene import OCTAVE_BANDS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "physics" / "measured.md"
SHARED = Path(os.environ.get("PIAVAS_SHARED", ROOT.parent / "shared")) / "data"
BANDS = [f"{band:g}" for band in OCTAVE_BANDS]
MEASURED_BANDS = slice(1, 8)
DIGITS = {"T20": 2, "EDT": 2, "C80": 1, "D50": 2}
UNITS = {"T20": "s", "EDT": "s", "C80": "dB", "D50": ""}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def echoes() -> str:
    """Timing of the direct sound and the six first-order echoes of dEchorate."""
    room = load_dechorate(SHARED / "dechorate")
    late = 1000 * (echo_times(room) - room.arrivals)
    twelve = late[:, room.heard_at, 0]
    rows = []
    for k, name in enumerate((*ARRIVALS, "all")):
        every, few = (x if name == "all" else x[k] for x in (late, twelve))
        rows.append(
            [
                name,
                f"{every.size}",
                f"{100 * (np.abs(every) < 0.5).mean():.1f} %",
                f"{np.nanmedian(np.abs(every)):.3f}",
                f"{np.nanmedian(every):+.3f}",
                f"{np.nanmax(np.abs(every)):.3f}",
                f"{np.nanmedian(np.abs(few)):.3f}",
            ]
        )
    head = [
        "arrival", "annotated", "found within .5 ms", "median error, ms", "median bias, ms",
        "largest, ms", "median, 12 responses, ms",
    ]  # fmt: skip
    return table(head, rows)


def decay(rays: int, seeds: int) -> str:
    """Decay and clarity of BRAS CR2 by octave bands, with its own materials."""
    room = load_bras(SHARED / "bras_cr2")
    runs = [
        simulated_parameters(room, Simulator(rays=rays, seed=seed, duration=2.4))
        for seed in range(seeds)
    ]
    found = {name: np.concatenate([run[name] for run in runs]) for name in PARAMETERS}
    off = deviations(found, room.measured)
    found = {name: values[..., MEASURED_BANDS] for name, values in found.items()}
    measured = {name: values[MEASURED_BANDS] for name, values in room.measured.items()}
    rows = []
    for name in PARAMETERS:
        relative = UNITS[name] == "s"
        digits = DIGITS[name]
        label = f"{name}, {UNITS[name]}" if UNITS[name] else name
        shown = (measured[name], np.nanmean(found[name], axis=(0, 1)))
        for what, values in zip(("measured", "simulated"), shown, strict=True):
            cells = [f"{v:.{digits}f}" for v in values]
            rows.append([f"{label}: {what}", *cells, ""])
        cells = [
            f"{100 * v:+.1f} %" if relative else f"{v:+.{digits + 1}f}"
            for v in off[name][MEASURED_BANDS]
        ]
        mean = np.abs(off[name][2:7]).mean()
        rows.append(
            ["deviation", *cells, f"**{100 * mean:.1f} %**" if relative else f"**{mean:.3f}**"]
        )
    return table(["", *BANDS[MEASURED_BANDS], "mean, 250 to 4000"], rows)


def write(name: str, text: str) -> None:
    """Put `text` between the marks of `name` on the page."""
    begin, end = f"<!-- {name}: written by benchmarks/measured_rooms.py -->", f"<!-- end {name} -->"
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    with atomic(PAGE) as part:
        part.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
    print(f"{name}\n\n{text}\n")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rays", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("echoes", "decay"))
    options = parser.parse_args()
    tasks = {"echoes": echoes, "decay": lambda: decay(options.rays, options.seeds)}
    for name, task in tasks.items():
        if options.only in (None, name):
            write(name, task())


if __name__ == "__main__":
    main()
