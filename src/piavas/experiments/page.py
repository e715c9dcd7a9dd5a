"""Tables of all results as one page of Markdown, from the result files alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from piavas.evaluate import Comparison, Interval, Table, bootstrap, difference
from piavas.evaluate.table import span
from piavas.experiments.bench import Bench
from piavas.experiments.data import ROOM
from piavas.experiments.measure import FAMILIES, LEVELLED, PHYSICS, table_path
from piavas.experiments.methods import (
    BASED,
    SLOW,
    VARIANTS,
    energy_kinds,
    learned_kinds,
    learned_steps,
)
from piavas.experiments.recipe import Recipe
from piavas.experiments.responses import VARIANTS as RESPONSES
from piavas.files import atomic, read_json

PAGE = "tables.md"
TITLES = {"rwavs-gen": "RWAVS-Gen", "rwavs": "RWAVS"}
AXES = {
    "base": "As it is (spectral core, scan, one environment)",
    "core": "Core",
    "width": "Width of the spectral core (as it is: 96 channels)",
    "sigma": "Noise of the path, sigma (as it is: 1e-4)",
    "known": "What the refiner knows besides the direction and distance of the source",
    "rooms": "Rooms that the refiner was trained on (as it is: this one)",
    "simulation": "Simulation",
    "shots": "Few shots (as it is: all)",
    "backend": "Simulator backend, physics alone, scan of 1,000 triangles at most",
    "geometry": "Geometry and materials (as they are: scan and default)",
}


def write(bench: Bench) -> Path:
    """All tables of the results that are there.

    Returns:
        the page.
    """
    parts = [*_head(bench)]
    for name in bench.recipe.protocols:
        for family in FAMILIES:
            parts += _protocol(bench, name, family)
    parts += [*_responses(bench), *_ablations(bench), *_costs(bench)]
    path = bench.at(PAGE)
    with atomic(path) as part:
        part.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _head(bench: Bench) -> list[str]:
    recipe = bench.recipe
    films, room = recipe.videos, recipe.responses
    metas = _metas(bench)
    facts = metas[0] if metas else {}
    heard = f"{room.speakers} loudspeakers at {room.microphones} microphones each; "
    heard = heard if "responses" in recipe.parts else ""
    waves = "the wave equation below 250 Hz" if films.waves else "rays alone"
    return [
        f"Size `{recipe.name}`: {films.environments} environments ({', '.join(films.places)}) of "
        f"{films.videos} videos of {films.seconds} s, 1 s a clip; {heard}recordings from {waves}. "
        "Stage 1 traces "
        f"{recipe.rays:,} rays; a refiner takes {recipe.steps:,} steps of the preset `spectral` "
        f"for each environment and protocol, a learned baseline {recipe.baseline_steps:,} "
        f"({_slow(recipe)}). "
        f"Seeds {films.seed} (data), {recipe.seed} (training). Commit {_commits(metas)}, "
        f"{facts.get('sample_rate')} Hz, head of stage 1 SHA-256 "
        f"`{str(facts.get('hrtf_hash'))[:12]}`; trim: {facts.get('trim')}; filter: "
        f"{facts.get('filter')}; intervals: {facts.get('interval')}.",
        "",
    ]


def _slow(recipe: Recipe) -> str:
    return ", ".join(f"{kind} {learned_steps(recipe, kind):,}" for kind in SLOW)


def _commits(metas: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"`{c}`" for c in dict.fromkeys(m.get("commit") for m in metas))


def _metas(bench: Bench) -> list[dict[str, Any]]:
    """Of all tables of the first family."""
    found = sorted(bench.at("results").rglob(f"*.{FAMILIES[0]}.json"))
    return [dict(Table.load(path).meta) for path in found]


def methods(known: bool) -> list[str]:
    """Names of methods in the order of a table."""
    simple = [*energy_kinds(), *learned_kinds()]
    return [*(m + LEVELLED if known else m for m in simple), *VARIANTS, *BASED]


def _load(bench: Bench, name: str, method: str, family: str) -> dict[str, Table]:
    """The tables of one method by environment, of those that are there."""
    found = {}
    for place in bench.recipe.videos.places:
        path = table_path(bench.at("results", name, place), method, family)
        if path.is_file():
            found[place] = Table.load(path)
    return found


def _protocol(bench: Bench, name: str, family: str) -> list[str]:
    base = _load(bench, name, PHYSICS, family)
    if not base:
        return []
    first = next(iter(base.values()))
    facts = first.meta["protocol_facts"]
    parts = [f"### {TITLES[name]}, family `{family}`", ""]
    parts += [
        f"{sum(len(t.rows) for t in base.values())} clips, protocol hash "
        f"`{facts['protocol_hash'][:12]}`. Lower is better; 95 % intervals in brackets.",
        "",
    ]
    for known in (True, False):
        caption = (
            "With the level of each video known to every method, one number a video, as stage 1 "
            "gets it:"
            if known
            else "Baselines as they are, their level learnt from the training video:"
        )
        parts += [caption, "", *_means(bench, name, family, first.metrics, known), ""]
    if family == FAMILIES[0]:
        parts += _gains(bench, name, first.metrics)
    return parts


def _means(bench: Bench, name: str, family: str, metrics: Sequence[str], known: bool) -> list[str]:
    found = {method: _load(bench, name, method, family) for method in methods(known)}
    found = {method: tables for method, tables in found.items() if tables}
    # Means compare methods only over what all of them were asked; a run may be under way.
    places = [p for p in bench.recipe.videos.places if all(p in t for t in found.values())]
    if not places:
        return ["No environment is finished for all methods."]
    rows = []
    for method, tables in found.items():
        common = {place: tables[place] for place in places}
        cells = [_cell(_joined(common, metric)) for metric in metrics]
        rows.append([method.removesuffix(LEVELLED), *cells])
    table = _markdown(["method", *(_unit(m) for m in metrics)], rows)
    if len(places) < bench.recipe.videos.environments:
        return [f"Finished so far: {', '.join(places)}.", "", *table]
    return table


def _joined(tables: dict[str, Table], metric: str) -> Interval:
    """Mean over clips, then videos, then environments."""
    values, groups = [], []
    for place, table in tables.items():
        values += [float(row[metric]) for row in table.rows]
        groups += [f"{place}/{row['group']}" for row in table.rows]
    return bootstrap(_array(values), groups)


def _gains(bench: Bench, name: str, metrics: Sequence[str]) -> list[str]:
    """By environment, what refining changes of the physics that it starts from."""
    parts = []
    for refined, physics in BASED.items():
        first, second = (_load(bench, name, m, FAMILIES[0]) for m in (physics, refined))
        rows = []
        for place in first.keys() & second.keys():
            gap = difference(first[place], second[place])
            cells = [_change(gap, metric) for metric in metrics]
            rows.append([place, str(len(gap.first.rows)), *cells])
        if rows:
            heads = ["environment", "clips", *(_unit(m) for m in metrics)]
            parts += [f"“{refined}” against “{physics}”, paired:", ""]
            order = list(bench.recipe.videos.places)
            parts += [*_markdown(heads, sorted(rows, key=lambda r: order.index(r[0]))), ""]
    return parts


def _change(gap: Comparison, metric: str) -> str:
    """From, to, and the relative difference with its interval."""
    before, after = gap.first.means[metric], gap.second.means[metric]
    low, high = gap.differences[metric].low / before, gap.differences[metric].high / before
    return (
        f"{before:.3g} → {after:.3g} ({100 * (after / before - 1):+.0f} %, "
        f"{100 * low:+.0f} to {100 * high:+.0f})"
    )


def _responses(bench: Bench) -> list[str]:
    tables = {}
    for method in RESPONSES:
        path = table_path(bench.at("results", ROOM), method, "raf")
        if path.is_file():
            tables[method] = Table.load(path)
    if not tables:
        return []
    first = next(iter(tables.values()))
    counts = first.meta["protocol_facts"]
    rows = [
        [name, *(_cell(table.intervals[m]) for m in first.metrics)]
        for name, table in tables.items()
    ]
    return [
        "### RAF, family `raf`",
        "",
        f"{counts['test']} responses of the split test, cut to 0.32 s, 48 kHz, protocol hash "
        f"`{counts['protocol_hash'][:12]}`; T60 is `t60_raf`. Calibration heard "
        f"{min(bench.recipe.pieces, counts['train'])} of {counts['train']} training responses.",
        "",
        *_markdown(["method", *(_unit(m) for m in first.metrics)], rows),
        "",
    ]


UNITS = {"LRE": "dB", "T60": "%", "C50": "dB", "EDT": "ms"}


def _unit(metric: str) -> str:
    return f"{metric} ({UNITS[metric]})" if metric in UNITS else metric


def _ablations(bench: Bench) -> list[str]:
    recipe = bench.recipe
    folder = bench.at("results", "ablations")
    if not folder.is_dir():
        return []
    parts = [
        "### Ablations, RWAVS-Gen, family `avcloud`",
        "",
        f"Environment {recipe.ablated}, {recipe.ablation_steps} steps each unless said; the "
        "difference is against physics alone (native, scan) on the same clips. Commit "
        f"{_commits(_facts_of(folder))}.",
        "",
    ]
    rows = []
    for axis, title in AXES.items():
        for path in sorted((folder / axis).glob("*.json")):
            rows += _ablation_row(path, title)
    heads = ["what", "value", "MAG", "LRE (dB)", "ENV", "budget"]
    return [*parts, *_markdown(heads, rows), "", *_paper(bench)]


def _facts_of(folder: Path) -> list[dict[str, Any]]:
    """What the comparisons of all axes say of how they came to be."""
    files = (read_json(path) for axis in AXES for path in sorted((folder / axis).glob("*.json")))
    return [facts["second"]["meta"] for facts in files if "failed" not in facts]


def _ablation_row(path: Path, title: str) -> list[list[str]]:
    facts = read_json(path)
    if "failed" in facts:
        return [[title, path.stem, "failed", "", "", str(facts["failed"])]]
    gap = Comparison.load(path)
    cells = [_change(gap, metric) for metric in ("MAG", "LRE", "ENV")]
    return [[title, gap.labels[1], *cells, str(gap.second.meta.get("budget", ""))]]


def _paper(bench: Bench) -> list[str]:
    path = bench.at("results", "paper.json")
    if not path.is_file():
        return []
    facts = read_json(path)
    each = facts["seconds_each"]
    return [
        f"The configuration `paper` ({facts['parameters']:,} parameters, batch {facts['batch']}) "
        f"was timed, not trained: {each:g} s a step on one thread of this run's machine. Its 200 "
        f"epochs over {facts['clips']} clips are {facts['steps']:,} steps, "
        f"{facts['steps'] * each / 3600:.1f} hours.",
        "",
    ]


def _costs(bench: Bench) -> list[str]:
    costs = bench.costs()
    if not costs:
        return []
    groups: dict[str, list[float]] = {}
    for row in costs:
        kind = row["step"].split(",")[0].split(":")[0]
        sums = groups.setdefault(kind, [0.0, 0.0])
        sums[0] += row["seconds"]
        sums[1] += row["cpu_seconds"]
    total = [sum(sums[k] for sums in groups.values()) for k in (0, 1)]
    rows = [[k, f"{clock:.0f}", f"{cpu:.0f}"] for k, (clock, cpu) in groups.items()]
    rows.append(["all", f"{total[0]:.0f}", f"{total[1]:.0f}"])
    heads = ["step", "seconds", "CPU seconds"]
    return ["### What it cost", "", *_markdown(heads, rows), ""]


def _cell(interval: Interval) -> str:
    return f"{interval.mean:.3g} ({span(interval)})"


def _array(values: Iterable[float]) -> Any:
    import numpy as np

    return np.array(list(values), dtype=np.float64)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines]
