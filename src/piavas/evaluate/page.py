"""From `ReportData` to HTML: each function makes the values of one section of the template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from piavas import plot
from piavas.colors import INK, PAPER
from piavas.evaluate.bootstrap import Interval
from piavas.evaluate.embed import audio_uri, inline_svg, picture_uri, play_rate, safe_gain
from piavas.evaluate.report import Example, ReportData, RoomComparison
from piavas.evaluate.rooms import JND, UNITS, RoomMetrics, octave_decay, room_metrics
from piavas.evaluate.table import Comparison
from piavas.plot.style import band_name, to_svg

Array = NDArray[np.float64]
DECAY_BANDS = (0.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
MOST_CLIPS = 200
PAGE_COLORS = {INK: "currentColor", PAPER: "var(--paper)"}
RELATIVE = ("EDT", "T20", "T30")

TITLES = {
    "dry": "Dry source",
    "simulated": "Simulated (physics alone)",
    "refined": "Refined",
    "recorded": "Recorded",
}


def number(value: float, digits: int = 3) -> str:
    """`value` to significant digits, zeros kept; a dash where nothing was measured."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if value and abs(value) < 1e-4:
        return f"{value:.1e}".replace("-", "−")
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.{digits}g}".rstrip(".")
    return text.replace("-", "−")


def signed(value: float) -> str:
    """A difference with its sign."""
    return ("+" if value > 0 else "") + number(value)


def decibels(gain: float) -> str:
    """An amplitude gain in decibels with its sign."""
    return f"{20 * math.log10(gain):+.1f}".replace("-", "−")


def verdict(gap: Interval) -> tuple[str, str]:
    """Class and words for a difference of which less is better."""
    if math.isnan(gap.low):
        return "open", "too few items"
    if gap.high < 0:
        return "good", "better"
    if gap.low > 0:
        return "bad", "worse"
    return "open", "no clear difference"


def _figure(figure: Figure, key: str, description: str) -> Markup:
    # Our own SVG; every text that came from a caller is escaped by matplotlib or by inline_svg.
    return Markup(inline_svg(to_svg(figure), key, description, PAGE_COLORS))


def summary(comparison: Comparison) -> str:
    """The outcome in a sentence, worse metrics named as plainly as better ones."""
    words: dict[str, list[str]] = {}
    for name, gap in comparison.differences.items():
        words.setdefault(verdict(gap)[1], []).append(name)
    parts = [f"{said} in {', '.join(names)}" for said, names in words.items()]
    first, second = comparison.labels
    return (
        f"Over {len(comparison.first.rows)} clips, “{second}” against “{first}”: "
        f"{'; '.join(parts)} (95 % confidence, paired)."
    )


def metric_table(data: ReportData) -> dict[str, Any] | None:
    """Rows of metrics, columns of predictors, then the difference."""
    tables = data.all_tables
    if not tables:
        return None
    names = list(dict.fromkeys(m for table in tables.values() for m in table.metrics))
    rows = []
    for name in names:
        means = [table.means.get(name, math.nan) for table in tables.values()]
        best = np.nanmin(means) if not np.isnan(means).all() else math.nan
        row: dict[str, Any] = {
            "name": name,
            "cells": [(number(mean), mean == best) for mean in means],
        }
        if data.comparison is not None and name in data.comparison.differences:
            gap = data.comparison.differences[name]
            row["difference"] = signed(gap.mean)
            row["interval"] = f"{signed(gap.low)} to {signed(gap.high)}"
            row["verdict"] = verdict(gap)
        rows.append(row)
    table = next(iter(tables.values()))
    return {
        "family": table.family,
        "source": table.meta.get("source", ""),
        "columns": list(tables),
        "rows": rows,
        "labels": data.comparison.labels if data.comparison else None,
        "items": len(table.rows),
        "definitions": table.meta.get("definitions", {}),
        "absent": table.meta.get("absent", {}),
        "interval": table.meta.get("interval", ""),
        "clips": clip_table(data.comparison) if data.comparison else None,
    }


def clip_table(comparison: Comparison) -> dict[str, Any]:
    """Both predictors' metrics of every clip, up to `MOST_CLIPS`."""
    metrics = comparison.first.metrics
    second = {row["name"]: row for row in comparison.second.rows}
    rows = [
        (
            row["name"],
            [number(float(side[m])) for m in metrics for side in (row, second[row["name"]])],
        )
        for row in comparison.first.rows[:MOST_CLIPS]
    ]
    return {
        "columns": [f"{m}, {label}" for m in metrics for label in comparison.labels],
        "rows": rows,
        "left_out": max(len(comparison.first.rows) - MOST_CLIPS, 0),
    }


def _gains(examples: Sequence[Example]) -> tuple[float, float]:
    """One gain for everything binaural, and one that makes dry clips about as loud."""
    wet = [s for e in examples for kind, s in e.signals.items() if kind != "dry"]
    dry = [e.dry for e in examples if e.dry is not None]
    gain = safe_gain(wet)
    if not dry or not wet:
        return gain, safe_gain(dry)
    loudness = [math.sqrt(np.mean([np.mean(s**2) for s in group])) for group in (wet, dry)]
    return gain, min(gain * loudness[0] / loudness[1], safe_gain(dry))


def clips(examples: Sequence[Example]) -> dict[str, Any] | None:
    """Players and spectrograms."""
    heard = [e for e in examples if e.signals]
    if not heard:
        return None
    gain, dry_gain = _gains(heard)
    shown = []
    for i, example in enumerate(heard):
        players = [
            {
                "title": TITLES[kind],
                "uri": audio_uri(signal, example.sample_rate, dry_gain if kind == "dry" else gain),
            }
            for kind, signal in example.signals.items()
        ]
        figure = plot.spectrogram(example.signals, example.sample_rate, dark=False)
        description = f"Spectrograms of {example.name}: {', '.join(example.signals)}."
        shown.append(
            {
                "name": example.name,
                "note": example.note,
                "players": players,
                "spectrogram": _figure(figure, f"s{i}", description),
            }
        )
    return {
        "examples": shown,
        "gain": decibels(gain),
        "dry_gain": decibels(dry_gain),
        "rates": ", ".join(f"{r:,}" for r in sorted({play_rate(e.sample_rate) for e in heard})),
    }


def decays(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Decay curves of up to three examples with both responses."""
    shown = []
    for i, example in enumerate([e for e in examples if e.has_responses][:3]):
        rate = example.response_rate or example.sample_rate
        bands = [b for b in DECAY_BANDS if b * math.sqrt(2) < 0.5 * rate]
        assert example.simulated_response is not None
        assert example.recorded_response is not None
        curves = {
            band: {
                "recorded": octave_decay(example.recorded_response[0], rate, band),
                "simulated": octave_decay(example.simulated_response[0], rate, band),
            }
            for band in bands
        }
        description = f"Energy decay of {example.name} in octave bands, recorded and simulated."
        shown.append(
            {
                "name": example.name,
                "figure": _figure(plot.decay_curves(curves, dark=False), f"d{i}", description),
            }
        )
    return shown


def measured_rooms(examples: Sequence[Example]) -> RoomComparison | None:
    """Room parameters of the first channels of all examples with both responses."""
    both = [e for e in examples if e.has_responses]
    if not both or len({e.response_rate or e.sample_rate for e in both}) > 1:
        return None
    rate = both[0].response_rate or both[0].sample_rate
    sides = []
    for kind in ("simulated_response", "recorded_response"):
        each = [room_metrics(getattr(e, kind)[0], rate) for e in both]
        values = {name: np.stack([m[name] for m in each]) for name in UNITS}
        sides.append(RoomMetrics(each[0].bands, values, each[0].meta))
    return RoomComparison(*sides)


def _mean(values: Array) -> Array:
    """Mean over places `[band]`, of what was measured."""
    flat = values.reshape(-1, values.shape[-1])
    kept = np.isfinite(flat)
    total = np.where(kept, flat, 0.0).sum(axis=0)
    count = kept.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def room_table(rooms: RoomComparison) -> dict[str, Any]:
    """Means and mean absolute differences by band, and the differences in JNDs."""
    groups = []
    for name, unit in UNITS.items():
        ours, theirs = rooms.simulated[name], rooms.recorded[name]
        with np.errstate(invalid="ignore"):
            error = np.abs(ours - theirs)
            step = JND[name] * (np.abs(theirs) if name in RELATIVE else 1.0)
            jnds = _mean(error / step)
        scale, shown = (1000.0, "ms") if name == "Ts" else (1.0, unit)
        both = np.isfinite(ours) & np.isfinite(theirs)
        groups.append(
            {
                "name": name,
                "unit": shown,
                "recorded": [number(v * scale) for v in _mean(np.where(both, theirs, np.nan))],
                "simulated": [number(v * scale) for v in _mean(np.where(both, ours, np.nan))],
                "error": [
                    (number(e * scale), number(j, 2), "good" if j <= 1 else "")
                    for e, j in zip(_mean(error), jnds, strict=True)
                ],
            }
        )
    return {
        "bands": [band_name(band) for band in rooms.recorded.bands],
        "groups": groups,
        "places": int(np.prod(rooms.recorded["EDT"].shape[:-1])),
        "meta": dict(rooms.recorded.meta),
    }


def pictures(data: ReportData) -> list[dict[str, Any]]:
    """Frames, then the mesh."""
    shown: list[dict[str, Any]] = [
        {"uri": picture_uri(picture.image), "caption": picture.caption} for picture in data.pictures
    ]
    room = data.room_map
    if data.show_mesh and room is not None and room.mesh is not None:
        caption = f"The reconstructed room, {len(room.mesh.faces):,} triangles, seen from outside."
        shown.append(
            {
                "svg": _figure(plot.mesh_picture(room.mesh, dark=False), "mesh", caption),
                "caption": caption,
            }
        )
    return shown


def timing_bars(timings: Mapping[str, float]) -> list[dict[str, Any]]:
    """Seconds and share of the longest."""
    longest = max(timings.values(), default=0.0) or 1.0
    return [
        {"stage": stage, "seconds": number(seconds), "share": round(100 * seconds / longest, 1)}
        for stage, seconds in timings.items()
    ]


def _facts(data: ReportData) -> dict[str, dict[str, str]]:
    """Provenance as text, the record of the evaluation at its end."""
    facts = {
        heading: {str(key): str(value) for key, value in group.items()}
        for heading, group in data.provenance.items()
    }
    tables = list(data.all_tables.values())
    if tables:
        hidden = {"definitions", "absent", "source", "interval"}
        facts["Evaluation"] = {
            key.replace("_", " "): "not recorded" if value in (None, "") else str(value)
            for key, value in tables[-1].meta.items()
            if key not in hidden
        }
    return facts


def render(data: ReportData) -> str:
    """The whole page."""
    folder = files("piavas.evaluate") / "templates"
    room = data.room_map
    rooms = data.rooms or measured_rooms(data.examples)
    description = "Map of the room from above: outline, sources, training and evaluation poses."
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "report.html.jinja").read_text("utf-8"))
    return template.render(
        title=data.title,
        headline=data.headline or (summary(data.comparison) if data.comparison else ""),
        statements=data.statements,
        metrics=metric_table(data),
        map=room
        and _figure(
            plot.room_map(
                room.sources,
                mesh=room.mesh,
                train=room.train,
                held_out=room.held_out,
                dark=False,
            ),
            "map",
            description,
        ),
        clips=clips(data.examples),
        decays=decays(data.examples),
        rooms=room_table(rooms) if rooms else None,
        pictures=pictures(data),
        facts=_facts(data),
        timings=timing_bars(data.timings),
        style=Markup((folder / "report.css").read_text("utf-8")),
        script=Markup((folder / "report.js").read_text("utf-8")),
    )
