"""Where absorption lies decides T30, beside how much there is: rules for it, a JSON object a line.

    python benchmarks/gathering.py [--seeds 201 202 203 204 205 206] [--frames 40] [--rays 30000]
        [--work FOLDER]

Distributions of the classifier on reconstructed apartments of other looks (see `materials.py`; none
of its seeds) become absorption by three rules: what is to be `expected` of each group of faces,
what its most probable rows absorb (`likely`), and that moved to the mean expected (`gathered`,
which the package does). `absorption` is the relative error of the mean (mean over six octaves from
125 Hz), `t30` that of the expected T30 at eight places, against the same mesh with true materials.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import looks
from expected import expected, places_in
from materials import BANDS, TABLE, mean_absorption, truth
from piavas.capture import load_capture
from piavas.geometry import reconstruct
from piavas.materials import assign
from piavas.materials.recognition import Recognition, group, likeliest
from piavas.scene import Material, Scene
from piavas.twin import generate_capture
from piavas.twin.finishes import MATERIALS
from piavas.twin.world import make_world


def scene_of(found: Recognition, index: np.ndarray, materials: list[Material]) -> Scene:
    return Scene(found.cut.vertices, found.cut.faces, index.astype(np.int32), tuple(materials))


def by_rule(found: Recognition) -> dict[str, Scene]:
    """A scene for each rule; groups and scattering are the same."""
    rows = [TABLE[name] for name in found.rows]
    groups, area = group(found, rows), found.room.area
    values = np.stack([row.absorption for row in rows])
    scenes = {"gathered": scene_of(found, groups.index, list(groups.materials))}
    for name, share in (
        ("expected", found.probability),
        ("likely", likeliest(found.probability)),
    ):
        total = np.zeros((len(groups.materials), values.shape[1]))
        np.add.at(total, groups.index, area[:, None] * (share @ values))
        total /= np.bincount(groups.index, area)[:, None]
        made = [
            replace(m, absorption=a, transmission=np.minimum(m.transmission, a))
            for m, a in zip(groups.materials, total, strict=True)
        ]
        scenes[name] = scene_of(found, groups.index, made)
    return scenes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203, 204, 205, 206])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rays", type=int, default=30_000)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.work / str(seed) if options.work else Path(temporary)
            world = make_world(seed)
            if not (folder / "transforms.json").is_file():
                dress = lambda w, s=seed: looks.redress(w, s)  # noqa: E731
                generate_capture(folder, seed, frames=options.frames, dress=dress)
            capture = load_capture(folder)
            found = assign(reconstruct(capture), capture, by="classifier").recognition
        assert found is not None
        true = scene_of(found, truth(found.cut, world), [TABLE[name] for name in MATERIALS])
        places = places_in(world)
        times, means = {}, {}
        for name, scene in {"true": true, **by_rule(found)}.items():
            times[name] = expected(scene, places[0], places[1:], rays=options.rays).t30
            means[name] = mean_absorption(scene)[BANDS]
        for name in ("expected", "likely", "gathered"):
            row = {
                "seed": seed,
                "rule": name,
                "absorption": round(float((means[name] / means["true"] - 1).mean()), 3),
                "t30": round(float(np.nanmean(times[name] / times["true"] - 1)), 3),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
