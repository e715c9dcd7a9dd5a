"""What a reconstruction costs by its frames, one JSON object a line.

    python benchmarks/reconstruction_growth.py CAPTURE [--frames 125 500]

CPU seconds of all threads and the peak memory of the process, the first run left out (it
compiles). CAPTURE is any capture with depth; frames beyond its own are its own again.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace

from piavas.capture import load_capture
from piavas.geometry import reconstruct


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture")
    parser.add_argument("--frames", type=int, nargs="+", default=[125, 500])
    options = parser.parse_args()
    capture = load_capture(options.capture)
    reconstruct(capture, max_frames=10, voxel=0.1)
    for count in sorted(options.frames):
        times = -(-count // len(capture))
        frames = (capture.frames * times)[:count]
        cpu = time.process_time()
        mesh = reconstruct(replace(capture, frames=frames))
        camera = frames[0].intrinsics
        row = {
            "frames": count,
            "size": [camera.width, camera.height],
            "cpu_s": round(time.process_time() - cpu, 1),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
            "triangles": len(mesh.faces),
            "seconds": mesh.report["seconds"],
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
