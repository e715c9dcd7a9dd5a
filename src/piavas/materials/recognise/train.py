"""Fit the classifier of materials to samples, and measure it on others."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.files import atomic, write_json
from piavas.materials.recognise.classifier import (
    CARD,
    FORMAT,
    WEIGHTS,
    Classifier,
    standardised,
)
from piavas.materials.recognise.samples import Samples
from piavas.progress import track

HIDDEN = (96, 64)
TEMPERATURES = np.geomspace(0.5, 4, 31)
BINS = 10  # of confidence


def train(
    taught: Sequence[Samples],
    kept: Sequence[Samples],
    folder: str | os.PathLike[str],
    *,
    members: int = 4,
    epochs: int = 14,
    seed: int = 0,
    command: str = "",
) -> Classifier:
    """Train, set the temperature and measure on `kept`, and write weights and card.

    Segments count by the root of their area, so that far ones are heard and near ones do not
    drown in them.

    Args:
        taught: samples of worlds to learn from.
        kept: of others.
        folder: to write to.
        members: perceptrons, each from its own start and order.
        epochs: passes over the samples.
        seed: of everything.
        command: what to say the training was run by.
    """
    all_, held = Samples.join(taught), Samples.join(kept)
    mean = all_.features.mean(axis=0)
    scale = np.maximum(all_.features.std(axis=0), 1e-3)
    x = standardised(all_.features, mean, scale)
    fitted = tuple(_member(x, all_, epochs, seed + k) for k in track(range(members), "train"))
    found = Classifier(all_.rows, mean, scale, fitted)
    losses = [_loss(replace(found, temperature=float(t)), held) for t in TEMPERATURES]
    found = replace(found, temperature=float(TEMPERATURES[int(np.argmin(losses))]))
    card = {"trained_by": command, "samples": len(all_.features), "worlds": len(taught)}
    save(found, folder, {**card, "held_out": measured(found, held)})
    return found


def _member(x: NDArray[np.float32], samples: Samples, epochs: int, seed: int) -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (x.shape[1], *HIDDEN, len(samples.rows))
        layers: list[torch.nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(a, b), torch.nn.ReLU(), torch.nn.Dropout(0.15)]
        model = torch.nn.Sequential(*layers[:-2])
        inputs, target = torch.from_numpy(x), torch.from_numpy(samples.share)
        weight = torch.from_numpy(np.sqrt(np.clip(samples.area, 0.01, 1)))
        optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
        batch = 512
        steps = epochs * (len(x) // batch + 1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=generator).split(batch):
                loss = -(target[rows] * model(inputs[rows]).log_softmax(dim=1)).sum(dim=1)
                loss = (weight[rows] * loss).sum() / weight[rows].sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    linear = [m for m in model if isinstance(m, torch.nn.Linear)]
    return tuple((m.weight.detach().numpy(), m.bias.detach().numpy()) for m in linear)


def _loss(found: Classifier, held: Samples) -> float:
    value = np.log(np.maximum(found.probabilities(held.features), 1e-9))
    return float(-(held.area[:, None] * held.share * value).sum() / held.area.sum())


def measured(found: Classifier, held: Samples) -> dict[str, Any]:
    """Accuracy, calibration and confusion of segments, weighted by area.

    `confusion[i][j]` is the share of what is row i that is called row j.
    """
    value = found.probabilities(held.features)
    called, true = value.argmax(axis=1), held.share.argmax(axis=1)
    area = held.area.astype(np.float64)
    count = len(held.rows)
    table = np.bincount(true * count + called, area, count**2).reshape(count, count)
    total = table.sum(axis=1, keepdims=True)
    share = np.divide(table, total, where=total > 0, out=np.zeros_like(table))
    return {
        "segments": len(area),
        "accuracy": round(float(np.trace(table) / table.sum()), 4),
        "cross_entropy": round(_loss(found, held), 4),
        "calibration_error": round(_calibration_error(value, called == true, area), 4),
        "area_share": [round(float(v), 4) for v in total[:, 0] / table.sum()],
        "confusion": [[round(float(v), 3) for v in row] for row in share],
    }


def _calibration_error(
    value: NDArray[np.float64], right: NDArray[np.bool_], area: NDArray[np.float64]
) -> float:
    """Mean difference between confidence and how often it is right (Guo et al. 2017)."""
    sure = value.max(axis=1)
    cell = np.minimum((sure * BINS).astype(int), BINS - 1)
    off = np.bincount(cell, area * (sure - right), BINS)
    return float(np.abs(off).sum() / area.sum())


def save(found: Classifier, folder: str | os.PathLike[str], card: dict[str, Any]) -> None:
    """Write weights, then the card that makes the folder a classifier."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    tensors = {"mean": found.mean, "scale": found.scale}
    for m, layers in enumerate(found.members):
        for k, (weight, bias) in enumerate(layers):
            tensors[f"{m}.{k}.weight"], tensors[f"{m}.{k}.bias"] = weight, bias
    with atomic(folder / WEIGHTS) as part:
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}, part)
    write_json(
        folder / CARD,
        {
            "format": FORMAT,
            "rows": list(found.rows),
            "members": len(found.members),
            "layers": len(found.members[0]),
            "temperature": found.temperature,
            **card,
        },
    )
