"""Impulse responses as SOFA files (AES69-2022) that other tools of the field open.

One source goes into the convention *SingleRoomSRIR*: one room, one omnidirectional source, a
listener with any number of receivers, at any number of poses. Several sources go into its sibling
*SingleRoomMIMOSRIR*, as the emitters of a source that stands at the origin. (MultiSpeakerBRIR is
deprecated.) What the receivers are:

- `binaural`: two, at the ears, left first, 9 cm to either side (the place is nominal: the responses
  hold the head-related transfer function);
- `mono`: one, at the centre of the head;
- `ambisonic-N`: (N + 1)^2 of type "spherical harmonics" in ACN order, as AES69 has it; the
  normalisation, which AES69 leaves open, is SN3D and is named in `ReceiverDescription`.

`Data.IR` is double, which holds float32 exactly. The listener's axes are `ListenerView` (-z of the
pose) and `ListenerUp` (+y of the pose); a variable of our own, `ListenerRight`, keeps the third, so
that poses come back bit by bit, and another, `PiavasReport`, keeps each source's report as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError, PiavasError
from piavas.files import atomic
from piavas.scene import ImpulseResponses, Scene

ONE, MANY = "SingleRoomSRIR", "SingleRoomMIMOSRIR"
EAR = 0.09
"""Metres from the head's centre to an ear, as in the SOFA conventions' defaults."""
KELVIN = 273.15
"""0 degrees Celsius."""
NOT_KNOWN = (
    "RoomVolume",
    "MeasurementDate",
    "ReceiverDescriptions",
    "EmitterDescriptions",
)
"""Optional fields whose defaults (0 kelvin, ...) would be untrue."""

Array = NDArray[np.float64]


def export_sofa(
    irs: ImpulseResponses | Sequence[ImpulseResponses],
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
        irs: responses of one source, or of several sources to the same listeners, of which shorter
            ones are lengthened by zeros; their reports go along as JSON.
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
        DataError: another suffix, samples that are not finite, a report that is no JSON, or
            sources whose listeners, outputs or rates differ.
    """
    path = _sofa_path(path)
    several = [irs] if isinstance(irs, ImpulseResponses) else list(irs)
    _check(several, path)
    import sofar

    sofa = sofar.Sofa(ONE if len(several) == 1 else MANY)
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
        "ReceiverDescription": _receiver_description(several[0].output),
    }
    for name, value in texts.items():
        setattr(sofa, f"GLOBAL_{name}", value)
    _set_data(sofa, several)
    _set_listeners(sofa, several[0])
    _set_room(sofa, several, scene)
    reports = np.array([[_report(one.report, path)] for one in several])
    sofa.add_variable("PiavasReport", reports, "string", "ES")
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


def _check(several: Sequence[ImpulseResponses], path: Path) -> None:
    if not several:
        raise _refuse(path, "no responses", "irs", "give those of one source at least")
    for one in several:
        if not one.samples.size or not np.isfinite(one.samples).all():
            raise _refuse(path, "responses are empty or not finite", "irs", "simulate them anew")
        first = several[0]
        if (one.output, one.sample_rate) != (first.output, first.sample_rate):
            raise _refuse(path, "outputs or rates differ", "irs", "simulate all sources alike")
        if not np.array_equal(one.listeners, first.listeners):
            raise _refuse(path, "listeners differ", "irs", "simulate all sources at the same poses")


def _set_data(sofa: Any, several: Sequence[ImpulseResponses]) -> None:
    """Samples and sources; M listeners, R channels, N samples, E sources."""
    count, channels = several[0].samples.shape[:2]
    longest = max(one.samples.shape[2] for one in several)
    samples = np.zeros((count, channels, longest, len(several)))
    for e, one in enumerate(several):
        samples[:, :, : one.samples.shape[2], e] = one.samples
    places = np.stack([one.source for one in several])
    sofa.Data_SamplingRate = float(several[0].sample_rate)
    if len(several) == 1:
        sofa.Data_IR, sofa.Data_Delay = samples[..., 0], np.zeros((1, channels))
        sofa.SourcePosition, sofa.EmitterPosition = np.tile(places, (count, 1)), np.zeros((1, 3))
    else:
        sofa.Data_IR, sofa.Data_Delay = samples, np.zeros((1, channels, 1))
        sofa.SourcePosition, sofa.EmitterPosition = np.zeros((count, 3)), places
    sofa.SourceView, sofa.SourceUp = np.eye(3)[[0]], np.eye(3)[[2]]
    sofa.EmitterPosition_Type, sofa.EmitterPosition_Units = "cartesian", "metre"
    sofa.EmitterView = np.tile(np.eye(3)[0], (len(several), 1))
    sofa.EmitterUp = np.tile(np.eye(3)[2], (len(several), 1))


def _set_listeners(sofa: Any, irs: ImpulseResponses) -> None:
    """Poses of the heads, and what their receivers are."""
    poses = irs.listeners
    sofa.ListenerPosition = poses[:, :3, 3]
    sofa.ListenerView, sofa.ListenerUp = -poses[:, :3, 2], poses[:, :3, 1]
    sofa.add_variable("ListenerRight", poses[:, :3, 0], "double", "MC")
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


def _set_room(sofa: Any, several: Sequence[ImpulseResponses], scene: Scene | None) -> None:
    """AES69 knows rooms as boxes or Collada files; a box around what is known is given."""
    sources = [one.source for one in several]
    points = np.vstack([several[0].listeners[:, :3, 3], *sources])
    if scene is not None:
        points = scene.vertices
    what = "sources and listeners" if scene is None else "the simulated room"
    sofa.GLOBAL_RoomType = "shoebox"
    sofa.GLOBAL_RoomDescription = f"RoomCornerA and RoomCornerB span the box around {what}."
    sofa.RoomCornerA, sofa.RoomCornerB = points.min(axis=0)[None], points.max(axis=0)[None]
    celsius = dict(several[0].report).get("temperature")
    if isinstance(celsius, int | float):
        sofa.RoomTemperature, sofa.RoomTemperature_Units = celsius + KELVIN, "kelvin"
    else:
        sofa.delete("RoomTemperature")


def import_sofa(path: str | os.PathLike[str], emitter: int | None = None) -> ImpulseResponses:
    """Read the room responses to one source from a SOFA file.

    Files of other makers are read too, where they are SingleRoomSRIR or SingleRoomMIMOSRIR in
    Cartesian coordinates, the source without a turn: one receiver is taken as `mono`, two as
    `binaural`, spherical harmonics as `ambisonic-N`.

    Args:
        path: ends in `.sofa`.
        emitter: which of several sources; may be None where there is one.

    Raises:
        DataError: missing, truncated, corrupt, not of that kind, or no such emitter.
    """
    path = _sofa_path(path)
    if not path.is_file():
        raise DataError("no such file", file=path, mend="check the path")
    import sofar

    try:
        sofa = sofar.read_sofa(str(path), verify=True, verbose=False)
        return _responses(sofa, path, emitter)
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


def _responses(sofa: Any, path: Path, emitter: int | None) -> ImpulseResponses:
    convention = sofa.GLOBAL_SOFAConventions
    if convention not in (ONE, MANY):
        raise _refuse(path, f"is {convention}", "SOFAConventions", f"give {ONE} or {MANY}")
    listeners, receivers, taps, emitters = (int(sofa.get_dimension(d)) for d in "MRNE")
    if emitter is None and emitters > 1:
        raise _refuse(path, f"has {emitters} emitters", "emitter", f"choose 0 to {emitters - 1}")
    which = emitter or 0
    if not 0 <= which < emitters:
        raise _refuse(path, f"has no emitter {which}", "emitter", f"choose 0 to {emitters - 1}")
    samples = _finite(sofa.Data_IR, path, "Data.IR").reshape(listeners, receivers, taps, emitters)
    rate = float(np.ravel(sofa.Data_SamplingRate)[0])
    if rate != int(rate) or rate <= 0 or np.ptp(sofa.Data_SamplingRate) != 0:
        raise _refuse(path, "is no whole number", "Data.SamplingRate", "resample the responses")
    if np.any(sofa.Data_Delay):
        raise _refuse(path, "is not zero", "Data.Delay", "put the delays into the responses")
    reports = getattr(sofa, "PiavasReport", None)
    return ImpulseResponses(
        samples[..., which].astype(np.float32),
        int(rate),
        _output(sofa, receivers, path),
        _source(sofa, listeners, which, path),
        _poses(sofa, listeners, path),
        {} if reports is None else json.loads(str(np.ravel(reports)[which])),
    )


def _source(sofa: Any, listeners: int, emitter: int, path: Path) -> Array:
    """Where the emitter is in the world, `[3]`."""
    source = _rows(sofa, "SourcePosition", listeners, path)
    if np.ptp(source, axis=0).max() > 0:
        raise _refuse(path, "moves", "SourcePosition", "write one file a source")
    if str(sofa.EmitterPosition_Type).lower() != "cartesian":
        # Others write emitters at the source in spherical coordinates.
        if np.any(_finite(sofa.EmitterPosition, path, "EmitterPosition").reshape(-1, 3)[:, 2]):
            raise _refuse(
                path, "is spherical", "EmitterPosition:Type", "give Cartesian coordinates"
            )
        return source[0]
    offsets = _finite(sofa.EmitterPosition, path, "EmitterPosition").reshape(-1, 3)
    if offsets.any() and not _unturned(sofa):
        raise _refuse(path, "is turned", "SourceView", "let the source face +x, +z up")
    return np.asarray(source[0] + offsets[min(emitter, len(offsets) - 1)])


def _unturned(sofa: Any) -> bool:
    """Whether the source's own axes are those of the world."""
    axes = zip((sofa.SourceView, sofa.SourceUp), ((1, 0, 0), (0, 0, 1)), strict=True)
    return all(np.allclose(np.reshape(given, (-1, 3)), axis) for given, axis in axes)


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
