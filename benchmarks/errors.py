"""Whether stated errors are the errors made, and what wide balls cost in bias, in the apartment.

python benchmarks/errors.py [--seeds 16] [--diffraction 0]

One JSON object a line. `spread`: standard deviation over seeds beside the root mean square of the
stated standard errors, for six heads. `bias`: level, C50 and T30 of 32 heads with old sound from
some age on gathered in wide balls, less those with near balls alone, of the same rays.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from piavas.acoustics import Simulator, trace
from piavas.acoustics.confidence import STEP, energies, reverberation_times, standard_errors
from piavas.acoustics.field import ready
from piavas.acoustics.hearing import Pairs
from piavas.scene import Scene, Source

sys.path.insert(0, str(Path(__file__).parent))
from simulate import SOURCE, apartment, heads

SPLIT = round(0.05 / STEP)


def found(simulator: Simulator, scene: Scene, poses: np.ndarray) -> list:
    """The energies by batch at each head."""
    hearing = simulator.prepare(ready(scene), Pairs.of([Source(np.array(SOURCE))], poses))
    field = hearing.field(hearing.groups[0])
    how, share = hearing.how, field.segments.share
    return [
        energies(one, share, duration=how.duration, speed=how.speed, air=how.air)
        for one in field.reaching(poses[:, :3, 3])
    ]


def statistics(several: list) -> np.ndarray:
    """Level (dB), C50 (dB) and T30 (s) at mid frequencies `[l, 3]`, of runs put together."""
    rows = []
    for runs in zip(*several, strict=True):
        curve = np.mean([one.curve.sum(axis=0) for one in runs], axis=0) + runs[0].early_curve
        curve = curve[runs[0].first :]
        clarity = curve[:SPLIT].sum() / curve[SPLIT:].sum()
        time = reverberation_times(curve[None])[0]
        rows.append([10 * np.log10(curve.sum()), 10 * np.log10(clarity), time])
    return np.array(rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--diffraction", type=int, default=0)
    options = parser.parse_args()
    scene = apartment("apt50k")
    base = Simulator(duration=1.0, diffraction_order=options.diffraction)
    poses = heads(scene, 32)
    for rays in (1024, 4096):
        runs = [
            found(replace(base, rays=rays, seed=s), scene, poses[:6]) for s in range(options.seeds)
        ]
        values = np.array([statistics([run]) for run in runs])
        said = np.array([[standard_errors(one)[1:] for one in run] for run in runs])
        spread, stated = values.std(axis=0, ddof=1), np.sqrt((said**2).mean(axis=0))
        line = {
            "spread": rays,
            "t30": (spread[:, 2] / values[..., 2].mean(axis=0)).round(4).tolist(),
            "t30_stated": stated[:, 0].round(4).tolist(),
            "c50_db": spread[:, 1].round(3).tolist(),
            "c50_db_stated": stated[:, 1].round(3).tolist(),
        }
        print(json.dumps(line), flush=True)
    near = None
    for age in (1e9, 20.0, 10.0):
        trace.OLD = age
        runs = [found(replace(base, rays=60_000, seed=s), scene, poses) for s in range(3)]
        values = statistics(runs)
        near = values if near is None else near
        off = (values - near) / np.stack([np.ones(32), np.ones(32), near[:, 2]], axis=1)
        names = ("level_db", "c50_db", "t30")
        mean = dict(zip(names, off.mean(axis=0).round(4).tolist(), strict=True))
        rms = dict(zip(names, np.sqrt((off**2).mean(axis=0)).round(4).tolist(), strict=True))
        print(json.dumps({"bias": age, "mean": mean, "rms": rms}), flush=True)


if __name__ == "__main__":
    main()
