"""What a method was worth on the clips that a protocol holds out, as files that say how."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics import load_hrtf
from piavas.audio import Audio
from piavas.datasets.protocols import Protocol
from piavas.evaluate import Table, evaluate
from piavas.experiments.bench import Bench
from piavas.refine import Clip

Predict = Callable[[Clip], Audio]
FAMILIES = ("avcloud", "avnerf")
LEVELLED = ", level known"
"""Ends the name of a table whose predictions were scaled, video by video, as x_sim is."""
PHYSICS = "physics"


@cache
def hrtf_hash() -> str:
    """Of the head that stage 1 hears with."""
    return load_hrtf(None, sample_rate=48_000).digest


def record(bench: Bench, rules: Protocol, **more: Any) -> dict[str, Any]:
    """What every result of the experiments carries beside what `evaluate` writes."""
    recipe = bench.recipe
    return {
        "size": recipe.name,
        "protocol_facts": rules.to_json(),
        "hrtf_hash": hrtf_hash(),
        "simulator": {"backend": "native", "rays": recipe.rays, "seed": 0},
        "seeds": {"data": recipe.videos.seed, "training": recipe.seed, "simulation": 0},
        **more,
    }


def predicted(predict: Predict, tests: Sequence[Clip]) -> dict[str, Audio]:
    """`[2, time]` of each clip by its name."""
    return {clip.name: predict(clip) for clip in tests}


def levelled(
    predictions: Mapping[str, NDArray[np.floating]], tests: Sequence[Clip]
) -> dict[str, Audio]:
    """Predictions scaled to the power of the recordings, one factor a video.

    Recordings are scaled to their peaks, one by one, so the level of an unseen one is not to be
    known. Stage 1 gets that one number from the recording; this gives it to any other method.
    """
    powers: dict[str, NDArray[np.float64]] = {}
    for clip in tests:
        assert clip.x_rx is not None
        both = [np.square(x, dtype=np.float64).sum() for x in (clip.x_rx, predictions[clip.name])]
        powers[clip.environment] = powers.get(clip.environment, np.zeros(2)) + both
    gains = {name: np.sqrt(wanted / max(own, 1e-20)) for name, (wanted, own) in powers.items()}
    return {
        clip.name: np.float32(gains[clip.environment]) * predictions[clip.name] for clip in tests
    }


def tabled(
    predictions: Mapping[str, NDArray[np.floating]],
    tests: Sequence[Clip],
    rules: Protocol,
    meta: Mapping[str, Any],
    family: str = "avcloud",
) -> Table:
    """One table of predictions against recordings, grouped by video."""
    return evaluate(
        predictions,
        {clip.name: _recording(clip) for clip in tests},
        family,
        sample_rate=tests[0].sample_rate,
        groups={clip.name: clip.environment for clip in tests},
        protocol=rules.name,
        meta=meta,
    )


def _recording(clip: Clip) -> NDArray[np.float32]:
    assert clip.x_rx is not None  # `pair` cuts none without
    return clip.x_rx


def write_tables(
    folder: Path,
    method: str,
    predictions: Mapping[str, NDArray[np.floating]],
    tests: Sequence[Clip],
    rules: Protocol,
    meta: Mapping[str, Any],
) -> Path:
    """`METHOD.FAMILY.json` of both families, that of the first last."""
    for family in reversed(FAMILIES):
        path = table_path(folder, method, family)
        tabled(predictions, tests, rules, meta, family).save(path)
    return path


def table_path(folder: Path, method: str, family: str = FAMILIES[0]) -> Path:
    """Where a table lies."""
    return folder / f"{slug(method)}.{family}.json"


def slug(name: str) -> str:
    """A name as a file has it."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")
