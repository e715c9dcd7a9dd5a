"""Train the classifier of materials that ships with the package, on generated apartments.

    python benchmarks/train_materials.py [--worlds 28] [--frames 16] [--out FOLDER] [--cache FOLDER]

Apartments of seeds from 1000 up with jittered looks are photographed, reconstructed and cut into
segments. One of five is kept for the temperature and the confusion matrix.
`benchmarks/materials.py` measures on seeds and textures that this never saw.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import looks
from piavas.capture import load_capture
from piavas.geometry import reconstruct
from piavas.materials.recognise.classifier import FOLDER
from piavas.materials.recognise.samples import Samples, sample
from piavas.twin import generate_capture
from piavas.twin.finishes import MATERIALS

FIRST = 1000


def samples_of(seed: int, frames: int, cache: Path | None) -> Samples:
    """Those of one apartment."""
    file = cache / f"{seed}.npz" if cache else None
    if file and file.exists():
        data = np.load(file)
        return Samples(data["features"], data["share"], data["area"], MATERIALS)
    with tempfile.TemporaryDirectory() as folder:
        generate_capture(folder, seed, frames=frames, dress=lambda w: looks.jitter(w, seed))
        capture = load_capture(folder)
        found = sample(capture, reconstruct(capture), MATERIALS, seed)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, features=found.features, share=found.share, area=found.area)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=28)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--cache", type=Path, default=None)
    options = parser.parse_args()
    worlds = [samples_of(FIRST + k, options.frames, options.cache) for k in range(options.worlds)]
    from piavas.materials.recognise.train import train

    kept = [k for k in range(options.worlds) if k % 5 == 4]
    taught = [worlds[k] for k in range(options.worlds) if k not in kept]
    how = (
        f"python benchmarks/train_materials.py --worlds {options.worlds} --frames {options.frames}"
    )
    train(taught, [worlds[k] for k in kept], options.out, command=how)


if __name__ == "__main__":
    main()
