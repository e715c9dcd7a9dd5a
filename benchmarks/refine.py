"""What the refiner costs beside a straightforward PyTorch network of the same shape.

    python benchmarks/refine.py [--blocks 30] [--channels 64] [--rounds 3] [--ways plain ours ...]
        [--device cpu|cuda]

One JSON line a way: seconds of one evaluation of a 1 s clip, real time at four evaluations, seconds
of a training step, each also as a ratio to the plain network's in the same run (the ways take
turns), how far the outputs are from the plain network's, and the peak memory of training in a
process of its own. Seconds are those of the CPU, and OMP_NUM_THREADS=1 keeps all of it to one
thread; on a GPU they are of the clock, from when all work before is done until this is, and memory
is the card's. There, single precision is TensorFloat-32 in convolutions, as is PyTorch's default.

    python benchmarks/refine.py --minutes 60 [--ways spectral]

refines that much sound in one call, by one evaluation, and says how far memory rose above what the
sound itself takes, coming in and going out.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from piavas.refine import Clip, Refiner, RefinerConfig, TrainConfig
from piavas.refine.batches import make_batch
from piavas.refine.conditioning import FEATURES
from piavas.refine.run import Run
from piavas.scene import Pose
from piavas.stages import peak_mb

RATE, BATCH, EVALUATIONS = 22_050, 4, 4
WAYS = ("plain", "ours", "bf16", "compiled", "spectral")


class Plain(nn.Module):
    """The same network as one writes it down, with the weights of another.

    Args:
        network: whose weights it takes.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.config = network, network.config

    def forward(self, x_t: Tensor, t: Tensor, x_tx: Tensor, place: Tensor) -> Tensor:
        """Velocity `[batch, 2, time]`; arguments as for the refiner's network."""
        net = self.network
        shifts = net.shift(F.silu(net.time(t) + net.place(place)))
        shifts = shifts.chunk(self.config.blocks, dim=1)
        x = net.enter(torch.cat([x_t, x_tx], dim=1))
        skips = []
        for block, shift in zip(net.blocks, shifts, strict=True):
            wave, gate = (block.spread(x) + shift[:, :, None]).chunk(2, dim=1)
            left = block.leave(torch.tanh(wave) * torch.sigmoid(gate))
            residual, skip = left.chunk(2, dim=1)
            x = (x + residual) / math.sqrt(2.0)
            skips.append(skip)
        total = torch.stack(skips).sum(0) / math.sqrt(len(skips))
        return net.out(F.relu(net.mix(F.relu(total))))


def make(way: str, args: argparse.Namespace) -> tuple[Refiner, nn.Module, TrainConfig]:
    """A refiner with all weights alive, what is called, and how it trains."""
    torch.manual_seed(0)
    config = RefinerConfig(blocks=args.blocks, cycle=min(args.blocks, 10), channels=args.channels)
    refiner = Refiner(RefinerConfig.spectral() if way == "spectral" else config)
    for value in refiner.network.parameters():
        nn.init.normal_(value, std=0.06)
    refiner.network.to(args.device)
    network: nn.Module = Plain(refiner.network) if way == "plain" else refiner.network
    training = TrainConfig(precision="bf16" if way == "bf16" else "fp32", compile=way == "compiled")
    return refiner, network, training


def clips() -> list[Clip]:
    generator = np.random.default_rng(0)
    sounds = generator.normal(0, 0.1, (BATCH, 5, RATE)).astype(np.float32)
    pose, source = Pose.at((0, 0, 1.5)).matrix, np.array([2.0, 1.0, 1.5])
    return [Clip(str(i), s[:1], s[1:3], s[3:], RATE, pose, source) for i, s in enumerate(sounds)]


def now(device: str) -> float:
    """Seconds of the CPU, or of the clock once the card has done all that it was given."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def spent(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    started = now(device)
    result = work()
    return result, now(device) - started


def hear(way: str, network: nn.Module, device: str) -> Tensor:
    """One evaluation of one second."""
    generator = torch.Generator().manual_seed(1)
    x_t, x_tx, place = (
        torch.randn(size, generator=generator).to(device)
        for size in ((1, 2, RATE), (1, 1, RATE), (1, FEATURES))
    )
    half = torch.autocast(device, torch.bfloat16, enabled=way == "bf16")
    with torch.inference_mode(), half:
        return network(x_t, torch.full((1,), 0.25, device=device), x_tx, place).float()


def trainer(way: str, args: argparse.Namespace) -> Callable[[], Any]:
    refiner, network, config = make(way, args)
    run = Run(refiner, config, Path(tempfile.gettempdir()))
    if way == "plain":
        run.network = network
    batch = make_batch(clips(), RATE, np.random.default_rng(0))
    return lambda: run.advance(batch)


def peak_gb(way: str, args: argparse.Namespace) -> float:
    """Of two training steps in a fresh process."""
    shape = ["--blocks", str(args.blocks), "--channels", str(args.channels)]
    shape += ["--device", args.device]
    command = [sys.executable, __file__, "--child", way, *shape]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def child(way: str, args: argparse.Namespace) -> None:
    step = trainer(way, args)
    step()
    step()
    peak = peak_mb() if args.device == "cpu" else torch.cuda.max_memory_allocated() / 2**20
    print("nan" if peak is None else peak / 1000)


def refine_long(way: str, args: argparse.Namespace) -> dict[str, Any]:
    """Memory and time of one call on long sound."""
    refiner, _, _ = make(way, args)
    generator, length = np.random.default_rng(0), round(args.minutes * 60 * RATE)
    x_sim = np.stack([generator.standard_normal(length, np.float32) for _ in range(2)])
    x_tx = x_sim[:1].copy()
    pose = Pose.at((0, 0, 1.5)).matrix
    refiner(x_sim[:, :RATE], x_tx[:, :RATE], pose, (2.0, 1.0, 1.5), steps=1)
    before = peak_mb() or math.nan
    out, seconds = spent(lambda: refiner(x_sim, x_tx, pose, (2.0, 1.0, 1.5), steps=1), args.device)
    risen = (peak_mb() or math.nan) - before
    return {
        "way": way,
        "minutes": args.minutes,
        "seconds": round(seconds, 1),
        "in_mb": round((x_sim.nbytes + x_tx.nbytes) / 2**20),
        "out_mb": round(out.nbytes / 2**20),
        "peak_above_input_and_output_mb": round(risen - out.nbytes / 2**20),
        "peak_mb": round(before + risen),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--minutes", type=float, help="refine so much sound, and no more than that")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--child", choices=WAYS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args)
        return
    if args.minutes:
        for way in args.ways:
            if way in ("ours", "spectral"):
                print(json.dumps(refine_long(way, args)), flush=True)
        return
    networks = {way: make(way, args)[1].eval() for way in args.ways}
    if "compiled" in networks:
        networks["compiled"] = torch.compile(networks["compiled"])  # type: ignore[assignment]
    steps = {way: trainer(way, args) for way in args.ways}
    outputs = {way: hear(way, network, args.device) for way, network in networks.items()}
    for step in steps.values():
        step()
    heard: dict[str, list[float]] = {way: [] for way in args.ways}
    learnt: dict[str, list[float]] = {way: [] for way in args.ways}
    for _ in range(args.rounds):
        for way in args.ways:
            once = partial(hear, way, networks[way], args.device)
            heard[way].append(spent(once, args.device)[1])
            learnt[way].append(spent(steps[way], args.device)[1])
    plain = args.ways[0]
    for way in args.ways:
        evaluation, step = float(np.median(heard[way])), float(np.median(learnt[way]))
        same = way != "spectral"
        off = float((outputs[way] - outputs[plain]).abs().max() / outputs[plain].abs().max())
        row = {
            "way": way,
            "device": args.device,
            "threads": torch.get_num_threads(),
            "evaluation_s": round(evaluation, 5),
            f"faster_than_{plain}": round(float(np.median(heard[plain])) / evaluation, 2),
            "real_time_at_4": round(1 / (EVALUATIONS * evaluation), 2),
            "step_s": round(step, 4),
            f"step_faster_than_{plain}": round(float(np.median(learnt[plain])) / step, 2),
            "furthest": float(f"{off:.2g}") if same else None,
            "training_peak_gb": round(peak_gb(way, args), 2),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
