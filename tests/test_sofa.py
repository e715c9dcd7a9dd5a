"""SOFA files: bit-equal round trips that `sofar` verifies, and damaged files."""

from __future__ import annotations

import numpy as np
import pytest
import sofar
import soundfile

from piavas.errors import DataError
from piavas.listen import export_sofa, export_wavs, import_sofa
from piavas.scene import ImpulseResponses, Pose


def responses(output: str, channels: int) -> ImpulseResponses:
    generator = np.random.default_rng(0)
    poses = [Pose.at(generator.uniform(0, 3, 3), yaw=y, pitch=10).matrix for y in (0, 33, -170)]
    samples = generator.normal(size=(3, channels, 100)).astype(np.float32)
    return ImpulseResponses(
        samples,
        44_100,
        output,
        np.array([1.0, 2.0, 0.3]),
        np.stack(poses),
        {"seed": 4, "a": [1, 2.5]},
    )


@pytest.mark.parametrize(
    ("output", "channels"), [("binaural", 2), ("mono", 1), ("ambisonic-1", 4), ("ambisonic-3", 16)]
)
def test_round_trip_is_bit_equal_and_verified(tmp_path, output, channels):
    ours = responses(output, channels)
    export_sofa(ours, tmp_path / "a.sofa")
    assert (
        sofar.read_sofa(str(tmp_path / "a.sofa"), verbose=False).GLOBAL_SOFAConventions
        == "SingleRoomSRIR"
    )
    again = import_sofa(tmp_path / "a.sofa")
    for part in ("samples", "listeners", "source"):
        np.testing.assert_array_equal(getattr(again, part), getattr(ours, part))
    assert (again.output, again.sample_rate) == (ours.output, ours.sample_rate)
    assert again.report == ours.report


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "a.sofa"
    if damage == "truncated":
        export_sofa(responses("mono", 1), path)
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "text":
        path.write_text("nothing")
    with pytest.raises(DataError, match=str(path)):
        import_sofa(path)


def test_bad_responses_leave_the_old_file(tmp_path):
    path = tmp_path / "a.sofa"
    export_sofa(responses("mono", 1), path)
    before = path.read_bytes()
    bad = responses("mono", 1)
    bad.samples[0, 0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        export_sofa(bad, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.sofa"]


def test_wavs_hold_the_samples(tmp_path):
    ours = responses("binaural", 2)
    paths = export_wavs(ours, tmp_path)
    assert len(paths) == 3
    samples, rate = soundfile.read(paths[1], dtype="float32")
    assert rate == 44_100
    np.testing.assert_array_equal(samples.T, ours.samples[1])
