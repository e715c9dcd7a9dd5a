"""Learned baselines in the style of published ones: fitted on clips, callable on clips.

They hear the dry sound, where the head and the source are, and the recordings of the training
clips; with `inputs="simulated"` the same network hears what physics says instead of the dry sound.
What they give can stand in a clip's `x_sim`, to be refined. Names end in "-style": these are
re-implementations from the papers' descriptions, smaller than theirs and without images.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from piavas.audio import Audio
from piavas.baselines import nets
from piavas.baselines.places import Box, place_of
from piavas.errors import CheckpointError, DataError
from piavas.files import atomic, read_json, write_json
from piavas.progress import track
from piavas.refine import Clip
from piavas.refine.losses import WINDOWS, level_loss, spectral_loss
from piavas.refine.model import load_weights, power
from piavas.scene import Mesh, Scene

Kind = Literal["NAF-style", "INRAS-style", "ViGAS-style", "AV-NeRF-style", "AV-Cloud-style"]
Inputs = Literal["dry", "simulated"]
LEARNED_BASELINES: tuple[Kind, ...] = get_args(Kind)
NEED_SCENE = ("INRAS-style", "AV-Cloud-style")
POINTS = 128
"""Bounce points, or anchors, on the mesh."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"
BATCH, RATE, PATIENCE = 4, 2e-3, 10
SECONDS = 60.0


@dataclass(frozen=True)
class Shape:
    """What is needed to build a baseline again, beside its weights.

    Args:
        kind: one of `LEARNED_BASELINES`.
        sample_rate: hertz.
        width: of its layers.
        box: what coordinates are relative to.
        inputs: "dry" or "simulated".
        gain: level of the recordings over that of the inputs, on the training clips.
        points: of the scene, where it needs them.
        steps: it was trained for, skipped ones included.
    """

    kind: Kind
    sample_rate: int
    width: int
    box: Box
    inputs: Inputs
    gain: float
    points: int = 0
    steps: int = 0


class LearnedBaseline:
    """A predictor of recordings.

    Args:
        shape: of it.
        points: `[n, 3]` of the scene in the box, where it needs them.
    """

    def __init__(self, shape: Shape, points: Tensor | None = None, device: str = "cpu") -> None:
        self.shape = shape
        anchors = torch.zeros(shape.points, 3) if points is None else points
        make: dict[str, Callable[[], nn.Module]] = {
            "NAF-style": lambda: nets.Naf(shape.width, shape.sample_rate),
            "INRAS-style": lambda: nets.Inras(shape.width, shape.sample_rate, anchors),
            "ViGAS-style": lambda: nets.Vigas(shape.width, shape.sample_rate),
            "AV-NeRF-style": lambda: nets.AvNerf(shape.width),
            "AV-Cloud-style": lambda: nets.AvCloud(shape.width, anchors),
        }
        self.network = make[shape.kind]().to(device)

    def __call__(self, clip: Clip) -> Audio:
        """What would have been recorded, `[2, time]`.

        Raises:
            DataError: the clip has another sample rate.
        """
        if clip.sample_rate != self.shape.sample_rate:
            raise DataError(
                f"{clip.sample_rate} Hz, the baseline hears {self.shape.sample_rate}",
                field=clip.name,
                mend="resample the clips",
            )
        sound, level = self.hears(clip)
        device = next(self.network.parameters()).device
        self.network.eval()
        with torch.inference_mode():
            place = place_of(clip, self.shape.box)[None].to(device)
            found = self.network(sound[None].to(device), place)[0].cpu().numpy()
        return (found * level * self.shape.gain).astype(np.float32)

    def hears(self, clip: Clip) -> tuple[Tensor, float]:
        """Its input `[2, time]` at unit power, and the level that was taken out."""
        sound = clip.x_sim if self.shape.inputs == "simulated" else np.repeat(clip.x_tx, 2, axis=0)
        level = power(sound)
        return torch.from_numpy(sound / np.float32(level)), level

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `model.safetensors` and, last, `config.json`."""
        folder = Path(folder)
        weights = {name: v.contiguous() for name, v in self.network.state_dict().items()}
        with atomic(folder / WEIGHTS) as part:
            save_file(weights, part)
        write_json(folder / CONFIG, {"baseline": asdict(self.shape)})
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> LearnedBaseline:
        """Read what `save` wrote.

        Raises:
            CheckpointError: missing, truncated, or of another shape than its config says.
        """
        folder = Path(folder)
        data = read_json(folder / CONFIG, error=CheckpointError)
        try:
            row = dict(data["baseline"])
            box = Box(tuple(row["box"]["low"]), tuple(row["box"]["high"]))
            shape = Shape(**{**row, "box": box})
            found = cls(shape)
        except (KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(
                f"holds no baseline: {problem}", file=folder / CONFIG, mend="fit it anew"
            ) from None
        load_weights(found.network, folder / WEIGHTS)
        return found


def fit_learned(
    kind: str,
    clips: Sequence[Clip],
    *,
    scene: Mesh | Scene | None = None,
    inputs: Inputs = "dry",
    width: int = 64,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> LearnedBaseline:
    """Train a learned baseline on the clips of split "train".

    Args:
        kind: one of `LEARNED_BASELINES`.
        clips: with recordings; those of other splits are not looked at.
        scene: the room, for those that place points in it.
        inputs: "dry", or "simulated" for the same network on what physics says.
        width: of its layers.
        seconds: budget of time; 60 where no steps are given either.
        steps: budget of steps, which gives the same weights wherever it runs.
        seed: of weights and order.
        device: "cpu" or "cuda".

    Raises:
        DataError: no such kind, an option out of range, no training clip, one without recording,
            clips of several rates, or no scene where it is needed.
        CheckpointError: the loss stays not finite.
    """
    chosen = _check(kind, clips, scene)
    _check_options(inputs, width, seconds, steps)
    if seconds is None and steps is None:
        seconds = SECONDS
    torch.manual_seed(seed)
    box = Box.around(chosen, scene)
    points = None if kind not in NEED_SCENE else _points(scene, box, seed)
    shape = Shape(
        kind,  # type: ignore[arg-type]
        chosen[0].sample_rate,
        width,
        box,
        inputs,
        1.0,
        0 if points is None else len(points),
    )
    found = LearnedBaseline(shape, points, device)
    found.shape = replace(shape, gain=_gain(found, chosen))
    taken = _train(found, chosen, seconds, steps, seed)
    found.shape = replace(found.shape, steps=taken)
    return found


def _check(kind: str, clips: Sequence[Clip], scene: Mesh | Scene | None) -> list[Clip]:
    if kind not in LEARNED_BASELINES:
        raise DataError(
            f"no learned baseline {kind!r}",
            field="kind",
            mend=f"choose one of {', '.join(LEARNED_BASELINES)}",
        )
    if kind in NEED_SCENE and scene is None:
        raise DataError(f"{kind} places points in the room", field="scene", mend="give the scene")
    chosen = [clip for clip in clips if clip.split == "train"]
    if not chosen:
        raise DataError("no clip of split 'train'", field="clips", mend="mark some for training")
    for clip in chosen:
        if clip.x_rx is None:
            raise DataError("has no recording", field=clip.name, mend="leave it out of training")
    if len({clip.sample_rate for clip in chosen}) > 1:
        raise DataError("clips of several rates", field="sample_rate", mend="resample them")
    return chosen


def _check_options(inputs: str, width: int, seconds: float | None, steps: int | None) -> None:
    if inputs not in get_args(Inputs):
        raise DataError(
            f"no inputs {inputs!r}",
            field="inputs",
            mend=f"choose one of {', '.join(get_args(Inputs))}",
        )
    if width < 2:
        raise DataError(f"{width} is too narrow", field="width", mend="give 2 or more")
    for name, value in (("seconds", seconds), ("steps", steps)):
        if value is not None and not value > 0:
            raise DataError(f"{value} is no budget", field=name, mend="give a positive number")


def _points(scene: Mesh | Scene | None, box: Box, seed: int) -> Tensor:
    """Places on the mesh, even in area, in the box."""
    assert scene is not None  # `_check` refuses that
    corners = scene.vertices[scene.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    chance = np.random.default_rng([seed, 1])
    face = chance.choice(len(area), POINTS, p=area / area.sum())
    u, v = np.sort(chance.random((2, POINTS)), axis=0)
    weights = np.stack([u, v - u, 1 - v], axis=1)
    spots = np.einsum("nk,nka->na", weights, corners[face])
    return torch.from_numpy(box.normal(spots).astype(np.float32))


def _gain(baseline: LearnedBaseline, clips: Sequence[Clip]) -> float:
    ratios = [power(c.x_rx) / baseline.hears(c)[1] for c in clips if c.x_rx is not None]
    return float(np.exp(np.mean(np.log(ratios))))


def _train(
    baseline: LearnedBaseline,
    clips: Sequence[Clip],
    seconds: float | None,
    steps: int | None,
    seed: int,
) -> int:
    """Adam on the spectral and level losses, until the budget is spent; the steps it took."""
    network, shape = baseline.network, baseline.shape
    device = next(network.parameters()).device
    length = max(min(clip.x_tx.shape[1] for clip in clips), *WINDOWS)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    chance, bad, started, taken = np.random.default_rng([seed, 2]), 0, time.monotonic(), 0
    count = steps if steps is not None else 10**9
    network.train()
    for _ in track(range(count), shape.kind, steps):
        if seconds is not None and time.monotonic() - started > seconds:
            break
        taken += 1
        sounds, truths, places = _batch(baseline, clips, length, chance)
        optimizer.zero_grad(set_to_none=True)
        heard = network(sounds.to(device), places.to(device))
        loss = spectral_loss(heard, truths.to(device)) + level_loss(heard, truths.to(device))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if torch.isfinite(loss) and torch.isfinite(norm):
            optimizer.step()
            bad = 0
            continue
        bad += 1
        if bad >= PATIENCE:
            raise CheckpointError(
                f"the loss was not finite {bad} times in a row",
                field="loss",
                mend="look at the clips",
            )
    return taken


def _batch(
    baseline: LearnedBaseline, clips: Sequence[Clip], length: int, chance: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Stretches of some clips: inputs, recordings at their level, places; short ones padded."""
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for i in chance.choice(len(clips), min(BATCH, len(clips)), replace=False):
        clip = clips[int(i)]
        assert clip.x_rx is not None  # `_check` refuses those
        start = int(chance.integers(max(clip.x_tx.shape[1] - length, 0) + 1))
        sound, level = baseline.hears(clip)
        truth = torch.from_numpy(clip.x_rx / np.float32(level * baseline.shape.gain))
        at = slice(start, start + length)
        heard, meant = (_filled(x[:, at], length) for x in (sound, truth))
        rows.append((heard, meant, place_of(clip, baseline.shape.box)))
    sounds, truths, places = (torch.stack(column) for column in zip(*rows, strict=True))
    return sounds, truths, places


def _filled(sound: Tensor, length: int) -> Tensor:
    return nn.functional.pad(sound, (0, length - sound.shape[-1]))
