"""Read a head from a SOFA file (AES69, SimpleFreeFieldHRIR), or say what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.errors import HrtfError
from piavas.install import digest

FEWEST_DIRECTIONS = 30
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RawHead:
    """What a file holds: `directions` `[n, 3]` in the head frame, `responses` `[n, 2, taps]`."""

    name: str
    licence: str
    digest: str
    sample_rate: float
    directions: Array
    responses: Array


def read_head(path: Path) -> RawHead:
    """Read `path`, ears sorted left then right, delays applied, directions in the head frame.

    Raises:
        HrtfError: missing, not SOFA, another convention, one ear, no rate, too few directions,
            all directions in one plane, or values that are not finite.
    """
    if not path.is_file():
        raise HrtfError("no such file", file=path, mend="check the path")
    with _opened(path) as file:
        convention = str(getattr(file, "SOFAConventions", "none"))
        if convention != "SimpleFreeFieldHRIR":
            raise _bad(path, "SOFAConventions", f"is {convention}", "give SimpleFreeFieldHRIR")
        rate = _rate(file, path)
        responses = _variable(file, "Data.IR", path)
        if responses.ndim != 3 or responses.shape[1] != 2:
            raise _bad(
                path, "Data.IR", f"has shape {responses.shape}", "give two ears [n, 2, taps]"
            )
        directions = _directions(file, len(responses), path)
        responses = _with_delays(file, responses, path)
        name = str(getattr(file, "ListenerShortName", "")) or path.stem
        licence = str(getattr(file, "License", "")) or "not stated"
    directions, responses = _distinct(directions, responses, path)
    return RawHead(
        name, licence, digest(path), rate, directions, _left_first(directions, responses)
    )


def _bad(path: Path, field: str, what: str, mend: str) -> HrtfError:
    return HrtfError(what, file=path, field=field, mend=mend)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import netCDF4

    try:
        file = netCDF4.Dataset(path)
    except (OSError, RuntimeError) as problem:
        raise HrtfError(
            f"cannot be read as SOFA: {problem}", file=path, mend="fetch the file anew"
        ) from None
    try:
        yield file
    except (OSError, RuntimeError, UnicodeDecodeError) as problem:
        raise HrtfError(f"is damaged: {problem}", file=path, mend="fetch the file anew") from None
    finally:
        file.close()


def _variable(file: Any, name: str, path: Path) -> Array:
    if name not in file.variables:
        raise _bad(path, name, "is absent", "give a complete SOFA file")
    raw = file.variables[name][:]
    values = np.asarray(np.ma.filled(np.ma.asarray(raw, dtype=np.float64), np.nan))
    if not values.size or not np.isfinite(values).all():
        raise _bad(path, name, "is empty or holds NaN", "repair the file")
    return values


def _rate(file: Any, path: Path) -> float:
    rates = np.unique(_variable(file, "Data.SamplingRate", path))
    units = str(getattr(file.variables["Data.SamplingRate"], "Units", "hertz")).lower()
    if len(rates) != 1 or not 8_000 <= rates[0] <= 768_000 or units not in ("hertz", "hz"):
        raise _bad(
            path, "Data.SamplingRate", f"is {rates[:3]} {units}", "give one rate from 8 to 768 kHz"
        )
    return float(rates[0])


def _cartesian(file: Any, name: str, path: Path, default: tuple[float, ...]) -> Array:
    """A position variable as `[m, 3]` metres, whatever its type; `default` where it is absent."""
    if name not in file.variables:
        return np.array([default])
    values = _variable(file, name, path).reshape(-1, 3)
    if str(getattr(file.variables[name], "Type", "cartesian")).lower() == "cartesian":
        return values
    azimuth, elevation, radius = np.radians(values[:, 0]), np.radians(values[:, 1]), values[:, 2]
    level = np.cos(elevation)
    unit = [level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)]
    return np.stack(unit, axis=1) * radius[:, None]


def _directions(file: Any, count: int, path: Path) -> Array:
    """Unit vectors `[count, 3]` to the sources in the listener's own frame."""
    if "SourcePosition" not in file.variables:
        raise _bad(path, "SourcePosition", "is absent", "give a complete SOFA file")
    way = _cartesian(file, "SourcePosition", path, ()) - _cartesian(
        file, "ListenerPosition", path, (0, 0, 0)
    )
    distance = np.linalg.norm(way, axis=1, keepdims=True)
    if len(way) != count or (distance <= 0).any():
        raise _bad(path, "SourcePosition", f"has {len(way)} for {count} responses", "give one each")
    ahead = _cartesian(file, "ListenerView", path, (1, 0, 0))
    left = np.cross(_cartesian(file, "ListenerUp", path, (0, 0, 1)), ahead)
    frame = np.stack([ahead, left, np.cross(ahead, left)], axis=1)
    if (np.linalg.norm(frame, axis=2) < 1e-6).any():
        raise _bad(path, "ListenerView", "is along ListenerUp", "repair the file")
    frame = frame / np.linalg.norm(frame, axis=2, keepdims=True)
    return np.einsum("nij,nj->ni", np.broadcast_to(frame, (count, 3, 3)), way / distance)


def _with_delays(file: Any, responses: Array, path: Path) -> Array:
    """Responses with the file's broadband delays (in samples) put in."""
    if "Data.Delay" not in file.variables:
        return responses
    delay = np.broadcast_to(_variable(file, "Data.Delay", path), responses.shape[:2])
    if not delay.any():
        return responses
    if delay.min() < 0 or delay.max() > 20_000:
        raise _bad(path, "Data.Delay", f"reaches {delay.max()}", "give samples from 0 to 20000")
    taps = responses.shape[2] + int(np.ceil(delay.max())) + 32
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(taps) * delay[..., None])
    return np.fft.irfft(np.fft.rfft(responses, taps) * turn, taps)


def _distinct(directions: Array, responses: Array, path: Path) -> tuple[Array, Array]:
    """One response a direction (grids often repeat the pole), enough of them, all round."""
    first = np.sort(np.unique(np.round(directions, 6), axis=0, return_index=True)[1])
    directions, responses = directions[first], responses[first]
    if len(first) < FEWEST_DIRECTIONS:
        raise _bad(
            path,
            "SourcePosition",
            f"has {len(first)} distinct directions",
            f"give a set of {FEWEST_DIRECTIONS} or more",
        )
    spread = np.linalg.svd(directions - directions.mean(axis=0), compute_uv=False)
    if spread[2] < 0.02 * spread[0]:
        raise _bad(path, "SourcePosition", "lies in one plane", "give a set with elevations")
    if not responses.any(axis=2).all():
        raise _bad(path, "Data.IR", "has a silent response", "repair the file")
    return directions, responses


def _left_first(directions: Array, responses: Array) -> Array:
    """Channels sorted by what they measured: the left ear hears the left half-space louder.

    Files in circulation carry receiver positions that contradict their own responses (the KU100
    compilation of TH Koeln names its left channel's position as y < 0), so the sound decides.
    """
    energy = (responses**2).sum(axis=2)
    lean = directions[:, 1] @ (energy[:, 0] - energy[:, 1])
    return responses if lean >= 0 else responses[:, ::-1]
