"""Impulse responses as SOFA files (AES69-2022) that other tools of the field open, and as WAVs.

All outputs go into the convention *SingleRoomSRIR*: one room, one omnidirectional source, a
listener with any number of receivers, at any number of poses. (Its sibling SingleRoomMIMOSRIR adds
a dimension for several emitters, of which `ImpulseResponses` has one; files of it with one
emitter are read. MultiSpeakerBRIR is deprecated.) What the receivers are:

- `binaural`: two, at the ears, left first, 9 cm to either side (the place is nominal: the responses
  hold the head-related transfer function);
- `mono`: one, at the centre of the head;
- `ambisonic-N`: (N + 1)^2 of type "spherical harmonics" in ACN order, as AES69 has it; the
  normalisation, which AES69 leaves open, is SN3D and is named in `ReceiverDescription`.

`Data.IR` is double, which holds float32 exactly. The listener's axes are `ListenerView` (-z of the
pose) and `ListenerUp` (+y of the pose); a variable of our own, `ListenerRight`, keeps the third, so
that poses come back bit by bit, and another, `PiavasReport`, keeps the report as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.audio import write_audio
from piavas.errors import DataError, PiavasError
from piavas.files import atomic
from piavas.progress import track
from piavas.scene import ImpulseResponses, Scene

CONVENTION = "SingleRoomSRIR"
READABLE = (CONVENTION, "SingleRoomMIMOSRIR")
EAR = 0.09
"""Metres from the head's centre to an ear, as in the SOFA conventions' defaults."""
NOT_KNOWN = (
    "RoomTemperature",
    "RoomVolume",
    "MeasurementDate",
    "ReceiverDescriptions",
    "EmitterDescriptions",
)
"""Optional fields whose defaults (0 kelvin, ...) would be untrue."""

Array = NDArray[np.float64]


def export_sofa(
    irs: ImpulseResponses,
    path: str | os.PathLike[str],
    *,
    scene: Scene | None = None,
    title: str = "Simulated room impulse responses",
    author: str = "not given",
    organization: str = "not given",
    license: str = "No license provided, ask the author for permission",
) -> Path:
    """Write `irs` as a SOFA file that `sofar` verifies, whole or not at all.

    Args:
        irs: responses; their report goes along as JSON.
        path: ends in `.sofa`.
        scene: the room, for the corners of the box around it; without it the box is that around
            source and listeners. Either is named in `RoomDescription`.
        title: what the set is.
        author: contact.
        organization: who made it.
        license: of the responses.

    Returns:
        `path`.

    Raises:
        DataError: another suffix, samples that are not finite, or a report that is no JSON.
    """
    path = _sofa_path(path)
    if not irs.samples.size or not np.isfinite(irs.samples).all():
        raise DataError(
            "responses are empty or not finite", file=path, field="irs", mend="simulate them anew"
        )
    import sofar

    sofa = sofar.Sofa(CONVENTION)
    texts = {
        "Title": title,
        "AuthorContact": author,
        "Organization": organization,
        "License": license,
        "DatabaseName": "piavas",
        "Comment": "Room impulse responses, time 0 is the emission; 1.0 is the free-field "
        "pressure of the source at 1 m.",
        "ApplicationName": "piavas",
        "ApplicationVersion": _version(),
        "ReceiverDescription": _receiver_description(irs.output),
    }
    for name, value in texts.items():
        setattr(sofa, f"GLOBAL_{name}", value)
    _set_data(sofa, irs, path)
    _set_room(sofa, irs, scene)
    for name in NOT_KNOWN:
        sofa.delete(name)
    with atomic(path) as part:
        sofar.write_sofa(str(part), sofa)
    return path


def _version() -> str:
    from piavas import __version__

    return __version__


def _sofa_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".sofa":
        raise DataError("is no name of a SOFA file", file=path, mend="end the name in .sofa")
    return path


def _receiver_description(output: str) -> str:
    if output.startswith("ambisonic"):
        return f"{output}: ambiX, ACN, SN3D; x ahead, y left, z up"
    return f"{output}: left ear, right ear" if output == "binaural" else output


def _set_data(sofa: Any, irs: ImpulseResponses, path: Path) -> None:
    """Samples, geometry and report; M listeners, R channels, N samples."""
    sofa.Data_IR = irs.samples.astype(np.float64)
    sofa.Data_SamplingRate = float(irs.sample_rate)
    sofa.Data_Delay = np.zeros((1, irs.samples.shape[1]))
    poses = irs.listeners
    sofa.ListenerPosition = poses[:, :3, 3]
    sofa.ListenerView, sofa.ListenerUp = -poses[:, :3, 2], poses[:, :3, 1]
    sofa.add_variable("ListenerRight", poses[:, :3, 0], "double", "MC")
    sofa.SourcePosition = np.tile(irs.source, (len(irs), 1))
    sofa.SourceView, sofa.SourceUp = np.eye(3)[[0]], np.eye(3)[[2]]
    sofa.EmitterPosition = np.zeros((1, 3))
    sofa.EmitterPosition_Type, sofa.EmitterPosition_Units = "cartesian", "metre"
    sofa.EmitterView, sofa.EmitterUp = np.eye(3)[[0]], np.eye(3)[[2]]
    count = irs.samples.shape[1]
    sofa.ReceiverPosition = np.zeros((count, 3))
    if irs.output == "binaural":
        sofa.ReceiverPosition = np.array([[0, EAR, 0], [0, -EAR, 0]])
    harmonic = irs.output.startswith("ambisonic")
    sofa.ReceiverPosition_Type = "spherical harmonics" if harmonic else "cartesian"
    sofa.ReceiverPosition_Units = "degree, degree, metre" if harmonic else "metre"
    sofa.ReceiverView = np.tile(np.eye(3)[0], (count, 1))
    sofa.ReceiverUp = np.tile(np.eye(3)[2], (count, 1))
    sofa.add_attribute("GLOBAL_PiavasOutput", irs.output)
    sofa.add_variable("PiavasReport", [_report(irs.report, path)], "string", "IS")


def _report(report: Mapping[str, Any], path: Path) -> str:
    try:
        return json.dumps(dict(report), allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise DataError(
            f"cannot be written as JSON: {problem}",
            file=path,
            field="report",
            mend="give plain numbers, texts, lists and mappings",
        ) from None


def _set_room(sofa: Any, irs: ImpulseResponses, scene: Scene | None) -> None:
    """AES69 knows rooms as boxes or Collada files; a box around what is known is given."""
    points = np.vstack([irs.listeners[:, :3, 3], irs.source]) if scene is None else scene.vertices
    what = "source and listeners" if scene is None else "the simulated room"
    sofa.GLOBAL_RoomType = "shoebox"
    sofa.GLOBAL_RoomDescription = f"RoomCornerA and RoomCornerB span the box around {what}."
    sofa.RoomCornerA, sofa.RoomCornerB = points.min(axis=0)[None], points.max(axis=0)[None]


def import_sofa(path: str | os.PathLike[str]) -> ImpulseResponses:
    """Read a SOFA file of room responses to one source.

    Files of other makers are read too, where they are SingleRoomSRIR, or SingleRoomMIMOSRIR with
    one emitter, in Cartesian coordinates: one receiver is taken as `mono`, two as `binaural`,
    spherical harmonics as `ambisonic-N`.

    Raises:
        DataError: missing, truncated, corrupt, or not of that kind.
    """
    path = _sofa_path(path)
    if not path.is_file():
        raise DataError("no such file", file=path, mend="check the path")
    import sofar

    try:
        sofa = sofar.read_sofa(str(path), verify=True, verbose=False)
        return _responses(sofa, path)
    except PiavasError as problem:
        # Also errors of `ImpulseResponses`, which do not know the file.
        raise DataError(problem.what, file=path, field=problem.field, mend=problem.mend) from None
    except Exception as problem:  # netCDF and HDF5 fail in many ways on a broken file
        raise DataError(
            f"cannot be read as SOFA: {str(problem).splitlines()[0] if str(problem) else 'broken'}",
            file=path,
            mend="export it anew",
        ) from None


def _refuse(path: Path, what: str, field: str, mend: str) -> DataError:
    return DataError(what, file=path, field=field, mend=mend)


def _responses(sofa: Any, path: Path) -> ImpulseResponses:
    convention = sofa.GLOBAL_SOFAConventions
    if convention not in READABLE:
        raise _refuse(path, f"is {convention}", "SOFAConventions", f"give {' or '.join(READABLE)}")
    listeners, receivers, taps = (int(sofa.get_dimension(d)) for d in "MRN")
    if int(sofa.get_dimension("E")) != 1:
        raise _refuse(path, "has several emitters", "Data.IR", "write one file a source")
    samples = _finite(sofa.Data_IR, path, "Data.IR").reshape(listeners, receivers, taps)
    rate = float(np.ravel(sofa.Data_SamplingRate)[0])
    if rate != int(rate) or rate <= 0 or np.ptp(sofa.Data_SamplingRate) != 0:
        raise _refuse(path, "is no whole number", "Data.SamplingRate", "resample the responses")
    if np.any(sofa.Data_Delay):
        raise _refuse(path, "is not zero", "Data.Delay", "put the delays into the responses")
    source = _rows(sofa, "SourcePosition", listeners, path)
    if np.ptp(source, axis=0).max() > 0:
        raise _refuse(path, "moves", "SourcePosition", "write one file a source")
    report = getattr(sofa, "PiavasReport", None)
    return ImpulseResponses(
        samples.astype(np.float32),
        int(rate),
        _output(sofa, receivers, path),
        source[0],
        _poses(sofa, listeners, path),
        {} if report is None else json.loads(str(np.ravel(report)[0])),
    )


def _finite(value: Any, path: Path, field: str) -> Array:
    values = np.ma.filled(np.ma.asarray(value, dtype=np.float64), np.nan)
    if not np.isfinite(values).all():
        raise _refuse(path, "holds values that are missing or not finite", field, "export it anew")
    return np.asarray(values)


def _rows(sofa: Any, name: str, count: int, path: Path) -> Array:
    """Cartesian points `[count, 3]`; one point stands for all."""
    kind = getattr(sofa, f"{name.replace('Up', 'View')}_Type", "cartesian")
    if str(kind).lower() != "cartesian":
        raise _refuse(path, f"is {kind}", f"{name}:Type", "give Cartesian coordinates")
    values = _finite(getattr(sofa, name), path, name).reshape(-1, 3)
    return np.broadcast_to(values, (count, 3))


def _poses(sofa: Any, count: int, path: Path) -> Array:
    """Camera-to-world `[count, 4, 4]` from view and up, bit by bit where we wrote the file."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = _rows(sofa, "ListenerPosition", count, path)
    view, up = (_rows(sofa, f"Listener{axis}", count, path) for axis in ("View", "Up"))
    if hasattr(sofa, "ListenerRight"):
        right = _finite(sofa.ListenerRight, path, "ListenerRight").reshape(count, 3)
    else:
        # Others may write views of any length, and ups that are only roughly across them.
        view = view / np.linalg.norm(view, axis=1, keepdims=True)
        right = np.cross(view, up)
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        up = np.cross(right, view)
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = right, up, -view
    return poses


def _output(sofa: Any, receivers: int, path: Path) -> str:
    named = getattr(sofa, "GLOBAL_PiavasOutput", None)
    if named is not None:
        return str(named)
    if str(sofa.ReceiverPosition_Type).lower() == "spherical harmonics":
        return f"ambisonic-{round(receivers**0.5) - 1}"
    if receivers > 2:
        raise _refuse(path, f"has {receivers} receivers", "Data.IR", "give one, two or harmonics")
    return ("mono", "binaural")[receivers - 1]


def export_wavs(irs: ImpulseResponses, folder: str | os.PathLike[str]) -> list[Path]:
    """Write each listener's response as `listener-0000.wav`, 32-bit float, all channels.

    Float WAVs hold the samples exactly and may exceed full scale.

    Returns:
        the paths, in the order of the listeners.

    Raises:
        AudioError: a response that is empty or not finite; the path is named.
    """
    folder = Path(folder)
    digits = max(4, len(str(len(irs) - 1)))
    paths = [folder / f"listener-{i:0{digits}d}.wav" for i in range(len(irs))]
    for path, samples in track(zip(paths, irs.samples, strict=True), "writing WAVs", len(paths)):
        write_audio(path, samples, irs.sample_rate, subtype="FLOAT")
    return paths
