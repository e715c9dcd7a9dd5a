"""Responses of rlr-audio-propagation, for `peers.py`; runs in an interpreter that has that package.

python benchmarks/rlr_worker.py task.npz responses.npy

The package (CC-BY-NC) is a peer for comparison only: nothing else here imports it. It is given the
defaults of its own configuration but for rays, length and rate. It prints one JSON object.
"""

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rlr_audio_propagation as rlr

BANDS = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)


def upright(points):
    """z-up `[n, 3]` in its axes, y-up."""
    x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    return np.stack([x, z, -y], axis=-1)


def database(folder, absorption, scattering):
    """One material for all labels; pairs of frequency and value."""
    flat = {
        name: [x for band in BANDS for x in (band, value)]
        for name, value in (
            ("absorption", absorption),
            ("scattering", scattering),
            ("transmission", 0.0),
        )
    }
    path = Path(folder) / "materials.json"
    material = {"name": "wall", "labels": ["wall"], "damping": [125.0, 0.0], **flat}
    path.write_text(json.dumps({"materials": [{**material, "density": 1.2, "speed": 343.0}]}))
    return str(path)


def main():
    """Simulate every listener of the task, as a session that moves one would."""
    task = np.load(sys.argv[1])
    rays, seconds, rate = task["how"]
    config = rlr.Config()
    config.sample_rate, config.thread_count = float(rate), 1
    config.indirect_ray_count, config.max_ir_length = int(rays), float(seconds)
    context = rlr.Context(config)
    with tempfile.TemporaryDirectory() as folder:
        context.set_material_database_json(database(folder, *map(float, task["material"])))
    context.add_object()
    context.add_mesh_vertices(upright(task["vertices"]).ravel().tolist())
    context.add_mesh_indices(task["faces"].astype(int).ravel().tolist(), 3, "wall")
    context.finalize_object_mesh(0)
    context.add_source()
    context.set_source_position(0, upright(task["source"]).tolist())
    context.add_listener(rlr.ChannelLayout(rlr.ChannelLayoutType.Binaural, 2))
    length, found = round(seconds * rate), []
    context.set_listener_position(0, upright(task["heads"][0]).tolist())
    context.simulate()
    start = time.process_time()
    for head in task["heads"]:
        context.set_listener_position(0, upright(head).tolist())
        context.simulate()
        ears = np.zeros((2, length), np.float32)
        for channel in range(2):
            heard = np.asarray(context.get_ir_channel(0, 0, channel), dtype=np.float32)[:length]
            ears[channel, : len(heard)] = heard
        found.append(ears)
    spent = time.process_time() - start
    np.save(sys.argv[2], np.stack(found))
    print(json.dumps({"cpu_s": spent, "version": version("rlr_audio_propagation")}))


main()
