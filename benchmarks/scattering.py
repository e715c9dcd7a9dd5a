"""How far scattering alone decides what is heard in generated apartments, one JSON object a line.

    python benchmarks/scattering.py [--seeds 11 19] [--rooms 2] [--more 0.1]

In each true apartment every surface scatters `more` of what it mirrored before: differences of T30
(relative), C50 and direct to reverberant (dB) at eight places, as in `reconstruction.py`, and the
same between two simulations without a change (`noise`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from piavas.twin import make_world

sys.path.insert(0, str(Path(__file__).parent))
from expected import RAYS, expected, places_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 19])
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--more", type=float, default=0.1)
    options = parser.parse_args()
    for seed in options.seeds:
        world = make_world(seed, rooms=options.rooms)
        scene, places = world.scene(), places_in(world)
        rough = tuple(
            replace(m, scattering=1 - (1 - m.scattering) * (1 - options.more))
            for m in scene.materials
        )
        one, other, found = (
            expected(of, places[0], places[1:], rays=RAYS, seed=chance)
            for of, chance in ((scene, 0), (scene, 1), (replace(scene, materials=rough), 2))
        )
        row = {"seed": seed, "more": options.more, **found.off(one.mean(other))}
        print(json.dumps({**row, "noise": other.off(one)}), flush=True)


if __name__ == "__main__":
    main()
