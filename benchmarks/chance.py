"""How far the level difference of the ears is chance: the hidden physics recorded twice.

    python benchmarks/chance.py [--places office house apartment outdoor] [--seconds 40]

The same head walks the same way past the same source in the same room; only the seed of rays and
late noise differs. One JSON line a source: the mean over clips of 1 s of the absolute difference
between both recordings' level differences. That is the LRE of a model of the room that is right in
everything but the draw; the mean of many draws comes to it over the root of two, where both draw
from one normal distribution.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module

import numpy as np

from piavas.refine.balance import level_difference
from piavas.twin.benchmark import Videos
from piavas.twin.places import ROOMS, make_place

SOURCES = (1, 2)
DRAWS = (11, 12)
CLIP = 1.0  # seconds


def main() -> None:
    recording = import_module("piavas.twin.record")  # its function of that name hides it
    parser = argparse.ArgumentParser()
    parser.add_argument("--places", nargs="+", choices=tuple(ROOMS), default=list(ROOMS))
    parser.add_argument("--seconds", type=int, default=40)
    args = parser.parse_args()
    for name in args.places:
        videos = Videos(seconds=args.seconds)
        place, options = make_place(name, videos.seed), videos.sound
        sources = recording.place_sources(place.world, 3, options.seed)
        for i in SOURCES:
            way = recording.stroll(
                place.world, sources[i].position, options.seconds, recording.FINE, i
            )
            seed = [place.world.seed, options.seed, i]
            sound = recording.play(recording._number(seed), options.seconds, options.sample_rate)
            told = []
            for draw in DRAWS:
                heard, _level = recording._hear(
                    place.world, place.hidden, options, sources[i], way, sound,
                    [*seed, draw],
                )  # fmt: skip
                size = round(CLIP * options.sample_rate)
                starts = range(0, heard.shape[1] - size + 1, size)
                told.append(np.array([level_difference(heard[:, s : s + size]) for s in starts]))
            row = {
                "place": name,
                "source": i,
                "clips": len(told[0]),
                "between_draws_db": round(float(np.abs(told[0] - told[1]).mean()), 2),
                "mean_level_difference_db": round(float(np.abs(told[0]).mean()), 2),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
