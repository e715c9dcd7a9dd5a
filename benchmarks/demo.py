"""Seconds and peak memory of every stage of the demo, one JSON object a line.

python benchmarks/demo.py [--train-seconds 150] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from piavas.demo import of_twin


def main() -> None:
    """Run the demo in a temporary folder and print what each stage cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train-seconds", type=float, default=150.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        of_twin(out, seed=options.seed, train_seconds=options.train_seconds)
        for cost in json.loads((out / "stages.json").read_text()):
            print(json.dumps(cost), flush=True)


if __name__ == "__main__":
    main()
