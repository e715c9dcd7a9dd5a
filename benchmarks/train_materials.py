"""Train the classifier of materials that ships with the package, on generated apartments.

    python benchmarks/train_materials.py [--worlds 28] [--frames 16] [--out FOLDER] [--cache FOLDER]

Apartments of seeds from 1000 up with jittered looks are photographed, reconstructed and cut into
segments. One of five (the last, of fewer) is kept for the temperature and the confusion matrix. An
apartment of which too few pictures were taken to reconstruct it is left out, with a word.
`benchmarks/materials.py` measures on seeds and textures that this never saw.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import looks
from piavas.capture import load_capture
from piavas.errors import GeometryError
from piavas.geometry import reconstruct
from piavas.materials.recognise.classifier import FOLDER, card_of
from piavas.materials.recognise.samples import Samples, sample
from piavas.twin import generate_capture
from piavas.twin.finishes import MATERIALS

FIRST = 1000


def samples_of(seed: int, frames: int, cache: Path | None) -> Samples | None:
    """Those of one apartment; None where it cannot be reconstructed."""
    file = cache / f"{seed}.npz" if cache else None
    if file and file.exists():
        data = np.load(file)
        return Samples(data["features"], data["share"], data["area"], MATERIALS)
    with tempfile.TemporaryDirectory() as folder:
        generate_capture(folder, seed, frames=frames, dress=lambda w: looks.jitter(w, seed))
        capture = load_capture(folder)
        try:
            mesh = reconstruct(capture)
        except GeometryError as problem:
            print(f"left out apartment {seed}: {problem}", flush=True)
            return None
        found = sample(capture, mesh, MATERIALS, seed)
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
    made = [samples_of(FIRST + k, options.frames, options.cache) for k in range(options.worlds)]
    numbers = [k for k in range(options.worlds) if made[k] is not None]
    if len(numbers) < 2:
        parser.error("two apartments at least, one to learn from and one to measure on")
    from piavas.materials.recognise.train import train

    kept = [k for k in numbers if k % 5 == 4] or numbers[-1:]
    taught = [k for k in numbers if k not in kept]
    how = (
        f"python benchmarks/train_materials.py --worlds {options.worlds} --frames {options.frames}"
    )
    found = train([made[k] for k in taught], [made[k] for k in kept], options.out, command=how)
    card = card_of(options.out)
    held = {k: v for k, v in card["held_out"].items() if k not in ("confusion", "area_share")}
    facts = {"worlds": len(taught), "samples": card["samples"], "temperature": found.temperature}
    print(json.dumps({"wrote": str(options.out), **facts, **held}))


if __name__ == "__main__":
    main()
