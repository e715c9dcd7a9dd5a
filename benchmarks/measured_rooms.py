"""Hold the engine against measured rooms and write the tables of `docs/physics/measured.md`.

    python benchmarks/measured_rooms.py [--rays 20000] [--seeds 3] [--only decay]

Needs the measurements (`PIAVAS_SHARED`). Only the marked region of the page is written.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator
from piavas.calibrate import RoomResponse, calibrate
from piavas.evaluate import room_metrics
from piavas.files import atomic
from piavas.measured import Dechorate, load_bras, load_dechorate
from piavas.measured.compare import deviations, echo_times, simulated_parameters
from piavas.measured.rooms import ARRIVALS, PARAMETERS
from piavas.scene import OCTAVE_BANDS, Scene, Source

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "physics" / "measured.md"
SHARED = Path(os.environ.get("PIAVAS_SHARED", ROOT.parent / "shared")) / "data"
BANDS = [f"{band:g}" for band in OCTAVE_BANDS]
MEASURED_BANDS = slice(1, 8)
HELD_OUT = np.array([3, 4, 5, 9, 10, 11])  # the last three of six arrays of two microphones
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


def calibration(rays: int) -> str:
    """T20 and EDT of dEchorate at six places that were held out of a calibration on six others."""
    room = load_dechorate(SHARED / "dechorate")
    simulator = Simulator(speed_of_sound=room.speed, rays=rays, duration=0.8, output="mono")
    heard = [
        RoomResponse(Source(room.loudspeakers[0]), room.microphones[m], samples, room.sample_rate)
        for m, samples in zip(room.heard_at, room.responses, strict=True)
    ]
    fitted = calibrate(room.scene, heard, held_out=HELD_OUT, simulator=simulator, rays=rays)
    measured = room_metrics(room.responses[HELD_OUT], room.sample_rate, broadband=False)
    rows = []
    for name in ("T20", "EDT"):
        true = np.nanmean(measured[name], axis=0)[MEASURED_BANDS]
        rows.append([f"{name}, s: measured", *(f"{v:.2f}" for v in true), ""])
        for when, scene in (("before", room.scene), ("after", fitted.scene)):
            found = _rendered(scene, room, simulator)[name][MEASURED_BANDS]
            off = found / true - 1
            rows.append([f"{name}, s: {when}", *(f"{v:.2f}" for v in found), ""])
            mean = f"{100 * np.abs(off[2:6]).mean():.1f} %"
            rows.append(["deviation", *(f"{100 * v:+.1f} %" for v in off), f"**{mean}**"])
    head = ["", *BANDS[MEASURED_BANDS], "mean, 500 to 4000"]
    materials = [
        [row["name"], *map(_cell, row["prior"], row["absorption"], row["verdict"])]
        for row in fitted.report["materials"]
    ]
    mean = fitted.report["mean_absorption"]
    materials.append(["all", *map(_cell, mean["prior"], mean["fitted"], ["determined"] * 9)])
    return table(head, rows) + "\n\n" + table(["absorption", *BANDS], materials)


def _cell(before: float, after: float, verdict: str) -> str:
    return f"{after:.2f}" if verdict != "undetermined" else f"({after:.2f})"


def _rendered(scene: Scene, room: Dechorate, simulator: Simulator) -> dict[str, np.ndarray]:
    """Means `[9]` over the places held out, read off rendered responses, chance anew for each."""
    found = []
    for i in HELD_OUT:
        one = replace(simulator, seed=i)
        place = room.microphones[room.heard_at[i]]
        found.append(one(scene, room.loudspeakers[0], place).samples[0, 0])
    metrics = room_metrics(np.stack(found), 48_000, broadband=False)
    return {name: np.nanmean(metrics[name], axis=0) for name in ("T20", "EDT")}


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
    parser.add_argument("--only", choices=("echoes", "decay", "calibration"))
    options = parser.parse_args()
    tasks = {
        "echoes": echoes,
        "decay": lambda: decay(options.rays, options.seeds),
        "calibration": lambda: calibration(options.rays),
    }
    for name, task in tasks.items():
        if options.only in (None, name):
            write(name, task())


if __name__ == "__main__":
    main()
