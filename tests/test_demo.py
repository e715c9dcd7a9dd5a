"""The whole way in small: images, mesh, materials, sound, refinement, report."""

from __future__ import annotations

import json

import numpy as np
import soundfile

import piavas as pa
from piavas import demo


def test_the_whole_way_from_images_to_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "SIMULATOR", pa.Simulator(rays=1000, sample_rate=demo.RATE))
    report = demo.of_twin(tmp_path, seed=3, train_seconds=4.0, frames=40, width=128, seconds=10.0)
    page = report.read_text(encoding="utf-8")
    assert "The recordings are synthetic" in page and "physics" in page and "refined" in page
    responses = pa.import_sofa(tmp_path / "responses.sofa")
    assert responses.samples.shape[1] == 2 and np.isfinite(responses.samples).all()
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found
    sounds = {kind: sorted((tmp_path / "wav" / kind).glob("*.wav")) for kind in
              ("simulated", "refined", "recorded")}  # fmt: skip
    assert len({len(files) for files in sounds.values()}) == 1 and sounds["refined"]
    for files in sounds.values():
        audio, rate = soundfile.read(files[0])
        assert rate == demo.RATE and 0 < np.abs(audio).max() <= 1
    stages = json.loads((tmp_path / "stages.json").read_text())
    assert len(stages) == 8 and all(stage["cpu_seconds"] > 0 for stage in stages)
    # Refining is for other sources than the one that was trained on.
    clips = json.loads((tmp_path / "clips" / "clips.json").read_text())["clips"]
    splits = {(clip["environment"], clip["split"]) for clip in clips}
    assert splits == {("source-0", "train"), ("source-1", "test"), ("source-2", "test")}
