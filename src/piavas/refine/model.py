"""The refiner: simulated binaural sound in, recorded-sounding sound out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from piavas.audio import Audio, check_audio
from piavas.errors import AudioError, CheckpointError
from piavas.files import atomic, read_json, write_json
from piavas.refine.align import Alignment, read_alignment
from piavas.refine.balance import energies, set_balance
from piavas.refine.conditioning import condition
from piavas.refine.network import RefinerConfig, make_network
from piavas.refine.solvers import get_solver

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "MODEL_CARD.md"
QUIET = 1e-6
WHOLE = 1 << 18
"""Samples up to which audio is refined in one piece."""


class Refiner:
    """A network with its scale and solvers.

    Every clip is brought to unit power, by that of x_sim and of x_tx each, and scaled back after:
    the recordings' absolute gain is unknown, and so the refiner does not depend on it.

    Args:
        config: shape of the network.
        device: of the weights.
        facts: what is written to the model card, e.g. how it was trained.
    """

    def __init__(
        self,
        config: RefinerConfig | None = None,
        *,
        device: str = "cpu",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config or RefinerConfig()
        self.network = make_network(self.config).to(device)
        self.facts = dict(facts or {})
        self.alignment: Alignment | None = None
        """What x_sim goes through before it is refined, if fitted."""
        self.balance: float | None = None
        """Share of the level difference that physics expects that its sound gets, if fitted."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def __call__(
        self,
        x_sim: NDArray[np.floating] | Tensor,
        x_tx: NDArray[np.floating] | Tensor,
        pose: ArrayLike,
        source: ArrayLike,
        *,
        solver: str = "euler",
        steps: int = 4,
        sample_rate: int | None = None,
        balance: float | None = None,
        images: ArrayLike | None = None,
        acoustics: ArrayLike | None = None,
    ) -> Audio:
        """Refined sound.

        Args:
            x_sim: `[2, time]` simulated, on the clock of `x_tx`.
            x_tx: `[time]` or `[1, time]` dry.
            pose: `[4, 4]` of the head.
            source: `[3]` metres.
            solver: "euler", "midpoint-paper", "midpoint", "heun" or "heun-full".
            steps: of the solver.
            sample_rate: of the sound, to be checked against the model's.
            balance: decibels by which physics expects the left ear to be louder, see
                `piavas.refine.balance`; used by models that were trained for it.
            images: `[2, features]` of `piavas.refine.views`; likewise.
            acoustics: `[numbers]` of `piavas.refine.room`; likewise.

        Returns:
            float32 `[2, time]` at the level of `x_sim`, times the gain of the alignment if any.

        Raises:
            AudioError: wrong shape, length or rate, or not finite.
            DataError: images or numbers of the room that the model was trained for are missing.
            PiavasError: no such solver, or steps that do not fit it.
        """
        if sample_rate is not None and sample_rate != self.config.sample_rate:
            raise AudioError(
                f"{sample_rate} Hz, the model hears {self.config.sample_rate}",
                field="sample_rate",
                mend="resample the sound",
            )
        simulated = check_audio(_array(x_sim), field="x_sim", channels=2, allow_silence=True)
        dry = check_audio(_array(x_tx), field="x_tx", channels=1, allow_silence=True)
        if dry.shape[1] != simulated.shape[1]:
            raise AudioError(
                f"{dry.shape[1]} samples, x_sim has {simulated.shape[1]}",
                field="x_tx",
                mend="cut both to one length",
            )
        flow = get_solver(solver)
        evaluations = flow.evaluations(steps)
        if self.alignment is not None:
            simulated = self.alignment(simulated, self.config.sample_rate)
        scale, loud = power(simulated), power(dry)
        known = condition(pose, source, images, acoustics, counts=self.config.counts)
        place = torch.from_numpy(known)[None].to(self.device)
        sound = np.empty_like(simulated)
        with torch.inference_mode():
            # Of an hour there is room for what comes in and what goes out, not for copies.
            for a, b, lead, keep in self._stretches(simulated.shape[1], evaluations):
                start, heard = (
                    torch.from_numpy(whole[:, a:b] / np.float32(level))[None].to(self.device)
                    for whole, level in ((simulated, scale), (dry, loud))
                )
                end = self._refine(start, heard, place, flow, steps)[0, :, lead:keep]
                sound[:, a + lead : a + keep] = end.cpu().numpy() * np.float32(scale)
        if balance is None or self.balance is None:
            return sound
        return set_balance(sound, self.balance * balance)

    def _refine(self, start: Tensor, dry: Tensor, place: Tensor, flow: Any, steps: int) -> Tensor:
        self.network.eval()

        def velocity(x: Tensor, t: float) -> Tensor:
            return self.network(x, torch.full((len(x),), t, device=x.device), dry, place)

        return flow(velocity, start, steps)

    def _stretches(self, length: int, evaluations: int) -> list[tuple[int, int, int, int]]:
        """Pieces of long audio: begin, end, and what of the piece to keep.

        Each evaluation spreads what is cut at a piece's ends by half the receptive field, so that
        is the margin times the evaluations.
        """
        if length <= WHOLE:
            return [(0, length, 0, length)]
        # Pieces begin on the frames of the whole, so that each spectrum is the same.
        hop = self.config.hop
        margin = hop * math.ceil(evaluations * (self.config.receptive_field // 2) / hop)
        step = hop * max((WHOLE - 2 * margin) // hop, WHOLE // 4 // hop, 1)
        found = []
        for begin in range(0, length, step):
            end = min(begin + step, length)
            a, b = max(0, begin - margin), min(length, end + margin)
            found.append((a, b, begin - a, end - a))
        return found

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `model.safetensors`, `MODEL_CARD.md` and, last, `config.json`."""
        folder = Path(folder)
        weights = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        with atomic(folder / WEIGHTS) as part:
            save_file(weights, part)
        self.save_card(folder)
        facts = {"model": self.config.to_json(), "facts": self.facts, "balance": self.balance}
        if self.alignment is not None:
            facts["alignment"] = asdict(self.alignment)
        write_json(folder / CONFIG, facts)
        return folder

    def save_card(self, folder: Path) -> None:
        """Write `MODEL_CARD.md`: what the network is and how it was trained."""
        with atomic(folder / CARD) as part:
            part.write_text(self._card(), encoding="utf-8")

    def _card(self) -> str:
        shape = "\n".join(f"- {name}: {value}" for name, value in self.config.to_json().items())
        facts = (
            "\n".join(f"- {name}: {value}" for name, value in self.facts.items()) or "- untrained"
        )
        number = sum(value.numel() for value in self.network.parameters())
        return (
            "# Refiner\n\nTurns simulated binaural sound into recorded-sounding sound by flow "
            f"matching (π-AVAS, stage 2). {number:,} parameters, receptive field "
            f"{self.config.receptive_field} samples.\n\n## Shape\n\n{shape}\n\nBlocks and "
            "dilations are the paper's defaults or a reduction of them; channels, kernel, "
            "conditioning on the source as the head sees it, and the scaling by power are this "
            f"project's choice.\n\n## Training\n\n{facts}\n\n## Limits\n\nIt knows rooms and "
            "heads like those it was trained on. Always compare it with the physics alone.\n"
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str = "cpu") -> Refiner:
        """Read a model folder.

        Raises:
            CheckpointError: missing, truncated, or weights of another shape than the config says.
        """
        folder = Path(folder)
        data = read_json(folder / CONFIG, error=CheckpointError)
        if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
            raise CheckpointError("holds no model", file=folder / CONFIG, mend="train anew")
        try:
            refiner = cls(
                RefinerConfig.from_json(data["model"]), device=device, facts=data.get("facts")
            )
        except CheckpointError as problem:
            raise CheckpointError(
                problem.what, file=folder / CONFIG, field=problem.field, mend=problem.mend
            ) from None
        refiner.balance = data.get("balance")
        if "alignment" in data:
            refiner.alignment = read_alignment(data["alignment"], folder / CONFIG)
        load_weights(refiner.network, folder / WEIGHTS)
        return refiner


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Fill `network` from a safetensors file.

    Raises:
        CheckpointError: missing, truncated, of another shape, or not finite.
    """
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise CheckpointError("no such file", file=path, mend="check the path") from None
    except (SafetensorError, OSError) as problem:
        raise CheckpointError(
            f"is corrupt: {problem}", file=path, mend="train or copy anew"
        ) from None
    try:
        network.load_state_dict(weights)
    except RuntimeError as problem:
        reason = " ".join(str(problem).split())[:200]
        raise CheckpointError(
            f"does not fit its config: {reason}", file=path, mend="use the config it came with"
        ) from None
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise CheckpointError("holds weights that are not finite", file=path, mend="train anew")


def power(signal: NDArray[np.float32]) -> float:
    """Root mean square of all channels, never zero."""
    return max(float(np.sqrt(energies(signal).sum() / signal.size)), QUIET)


def _array(signal: NDArray[np.floating] | Tensor) -> NDArray[np.floating]:
    return signal.detach().cpu().numpy() if isinstance(signal, Tensor) else np.asarray(signal)
