"""How well sound tells metres: the fit of the unit on recordings of twins, whose unit is 1 m.

One JSON line a recording: `python benchmarks/metric.py [SEEDS]`, about three minutes a seed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from piavas.audio import read_audio
from piavas.capture import load_capture
from piavas.datasets.metric import fit_metric
from piavas.twin import generate_capture, record


def main(seeds: int = 1) -> None:
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            world = generate_capture(folder, seed, frames=12, width=64, height=48)
            record(world, folder, sources=3, seed=seed)
            for heard in load_capture(folder).recordings:
                dry, rate = read_audio(heard.dry_path, channels=1)
                wet, _ = read_audio(heard.wet_path, channels=2)
                far = np.linalg.norm(heard.poses[:, :3, 3] - heard.source, axis=1)
                fit = fit_metric(dry, wet, rate, heard.times, far)
                error = 100 * (fit.scale - 1)
                facts = {"seed": seed, "recording": heard.name, "error_percent": round(error, 2)}
                print(json.dumps({**facts, **fit.to_json()}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
