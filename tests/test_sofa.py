"""SOFA files: bit-equal round trips that `sofar` verifies, and damaged files."""

from __future__ import annotations

from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import sofar

from piavas.errors import DataError
from piavas.listen import export_sofa, import_sofa
from piavas.scene import ImpulseResponses, Pose, Scene


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


def several() -> list[ImpulseResponses]:
    """Three sources to the same ambisonic listeners, the last with a shorter response."""
    first = responses("ambisonic-2", 9)
    generator = np.random.default_rng(5)
    others = [
        ImpulseResponses(
            generator.normal(size=(3, 9, taps)).astype(np.float32),
            first.sample_rate,
            first.output,
            generator.uniform(0.1, 3, 3),
            first.listeners,
            {"seed": taps},
        )
        for taps in (100, 60)
    ]
    return [first, *others]


def test_several_sources_become_emitters_of_one_file(tmp_path):
    ours = several()
    export_sofa(ours, tmp_path / "a.sofa")
    sofa = sofar.read_sofa(str(tmp_path / "a.sofa"), verify=True, verbose=False)
    assert sofa.GLOBAL_SOFAConventions == "SingleRoomMIMOSRIR"
    assert sofa.GLOBAL_DataType == "FIR-E"
    assert sofa.Data_IR.shape == (3, 9, 100, 3)
    for e, one in enumerate(ours):
        again = import_sofa(tmp_path / "a.sofa", emitter=e)
        length = one.samples.shape[2]
        np.testing.assert_array_equal(again.samples[..., :length], one.samples)
        assert not again.samples[..., length:].any()
        np.testing.assert_array_equal(again.source, one.source)
        np.testing.assert_array_equal(again.listeners, one.listeners)
        assert again.report == one.report
    for wrong in (None, 3, -1):
        with pytest.raises(DataError, match="emitter"):
            import_sofa(tmp_path / "a.sofa", emitter=wrong)


@pytest.mark.parametrize("change", ["rate", "pose", "none"])
def test_sources_that_do_not_belong_together_are_refused(tmp_path, change):
    ours = several()
    if change == "rate":
        ours[1] = replace(ours[1], sample_rate=48_000)
    elif change == "pose":
        ours[1] = replace(ours[1], listeners=ours[1].listeners[::-1])
    else:
        ours = []
    with pytest.raises(DataError, match=r"a\.sofa: irs"):
        export_sofa(ours, tmp_path / "a.sofa")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("many", [False, True])
def test_every_mandatory_field_is_in_the_file(tmp_path, many):
    """Read without sofar: the fields are there, with the dimensions that AES69 allows."""
    ours = several() if many else responses("binaural", 2)
    export_sofa(ours, tmp_path / "a.sofa", scene=Scene.shoebox((4, 5, 3)))
    convention = sofar.Sofa("SingleRoomMIMOSRIR" if many else "SingleRoomSRIR")._convention
    with netCDF4.Dataset(tmp_path / "a.sofa") as file:
        for name, rule in convention.items():
            if "m" not in (rule["flags"] or ""):
                continue
            if name.startswith("GLOBAL_"):
                assert hasattr(file, name.removeprefix("GLOBAL_")), name
            elif name.rsplit("_", 1)[-1] in ("Type", "Units"):
                variable, _, part = name.rpartition("_")
                assert getattr(file[variable.replace("Data_", "Data.")], part), name
            else:
                shape = "".join(file[name.replace("Data_", "Data.")].dimensions)
                assert shape in rule["dimensions"].upper().split(", "), name
        np.testing.assert_array_equal(file["RoomCornerB"][0], [4, 5, 3])


def test_temperature_goes_along_in_kelvin(tmp_path):
    export_sofa(replace(responses("mono", 1), report={"temperature": 20.0}), tmp_path / "a.sofa")
    sofa = sofar.read_sofa(str(tmp_path / "a.sofa"), verbose=False)
    assert sofa.RoomTemperature == pytest.approx(293.15)
    export_sofa(responses("mono", 1), tmp_path / "a.sofa")
    assert not hasattr(sofar.read_sofa(str(tmp_path / "a.sofa"), verbose=False), "RoomTemperature")


def test_files_of_other_makers_are_read(tmp_path):
    """No variable of ours, a view of another length, an emitter at the source in degrees."""
    sofa = sofar.Sofa("SingleRoomSRIR")
    sofa.Data_IR = np.arange(24.0).reshape(1, 2, 12)
    sofa.Data_Delay = np.zeros((1, 2))
    sofa.ReceiverPosition = np.array([[90, 0, 0.09], [-90, 0, 0.09]])
    sofa.ReceiverView, sofa.ReceiverUp = np.tile([1, 0, 0], (2, 1)), np.tile([0, 0, 1], (2, 1))
    sofa.delete("ReceiverDescriptions")
    sofa.ListenerPosition, sofa.SourcePosition = np.array([[1, 2, 1.5]]), np.array([[3, 2, 1]])
    sofa.ListenerView, sofa.ListenerUp = np.array([[0, 2.0, 0]]), np.array([[0, 0.3, 1.0]])
    sofar.write_sofa(str(tmp_path / "a.sofa"), sofa)
    read = import_sofa(tmp_path / "a.sofa")
    assert (read.output, read.sample_rate) == ("binaural", 48_000)
    np.testing.assert_array_equal(read.source, [3, 2, 1])
    np.testing.assert_allclose(read.listeners[0], Pose.at((1, 2, 1.5), yaw=90).matrix, atol=1e-12)
    np.testing.assert_array_equal(read.samples[0, 1], np.arange(12.0, 24.0))
