"""Two measured rooms as scenes: dEchorate with its echoes, and scene CR2 of BRAS with its decay.

dEchorate: Di Carlo et al., EURASIP JASMP 2021. BRAS: Aspöck et al., doi 10.14279/depositonce-6726.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piavas.errors import DataError
from piavas.geometry.ac3d import load_ac3d
from piavas.materials.subdivide import subdivide
from piavas.scene import OCTAVE_BANDS, Material, Scene

Array = NDArray[np.float64]

ARRIVALS = ("direct", "x0", "x1", "y0", "y1", "floor", "ceiling")
"""Rows of `Dechorate.arrivals`: the direct sound and the echo of each wall."""

PARAMETERS = ("T20", "EDT", "C80", "D50")
"""Of `BrasRoom.measured`."""


@dataclass(frozen=True)
class Dechorate:
    """A room of 5.705 x 5.965 x 2.355 m with 30 microphones and six loudspeakers.

    Args:
        scene: triangles of half a metre; a material a wall, of which nothing is known.
        speed: of sound, m/s.
        microphones: `[30, 3]` metres.
        loudspeakers: `[6, 3]` metres.
        aims: `[6, 3]` unit vectors, the way the loudspeakers face.
        arrivals: `[7, 30, 6]` annotated times in seconds of `ARRIVALS`.
        responses: `[12, time]` from the first loudspeaker, each scaled to a peak of 1.
        sample_rate: of the responses, hertz.
        heard_at: `[12]` microphone of each response.
    """

    scene: Scene
    speed: float
    microphones: Array
    loudspeakers: Array
    aims: Array
    arrivals: Array
    responses: Array
    sample_rate: int
    heard_at: NDArray[np.int64]


def load_dechorate(folder: str | os.PathLike[str]) -> Dechorate:
    """Read `data_rooge.mat`, the echo annotations and the positions.

    Raises:
        DataError: a file is missing.
    """
    from scipy.io import loadmat

    folder = Path(folder)
    notes = np.load(_file(folder / "dEchorate_echo_annotations.npz"))
    with _file(folder / "dEchorate_calibrated_elements_positions.csv").open() as file:
        rows = list(csv.DictReader(file))
    aim = {"n": (0, 1, 0), "s": (0, -1, 0), "e": (1, 0, 0), "w": (-1, 0, 0)}
    data = loadmat(_file(folder / "data_rooge.mat"))
    microphones = _positions(rows, "mic")
    heard = data["mics"].T[:, None] - microphones
    return Dechorate(
        scene=_walls((5.705, 5.965, 2.355)),
        speed=346.98,
        microphones=microphones,
        loudspeakers=_positions(rows, "directional"),
        aims=np.array([aim[r["aiming_at"]] for r in rows if r["type"] == "directional"], float),
        arrivals=notes["toa"][[12, 11, 13, 8, 16, 3, 21]],
        responses=np.asarray(data["rirs"][:, :, 0].T, dtype=np.float64),
        sample_rate=int(data["fs"].item()),
        heard_at=np.linalg.norm(heard, axis=2).argmin(axis=1),
    )


def _positions(rows: list[dict[str, str]], kind: str) -> Array:
    return np.array([[float(r[axis]) for axis in "xyz"] for r in rows if r["type"] == kind])


def _walls(size: tuple[float, float, float]) -> Scene:
    """The box as a mesh of many triangles, as a scan gives it."""
    box = Scene.shoebox(size, absorption=0.2, scattering=0.1)
    cut = subdivide(box.vertices, box.faces, 0.5)
    return Scene(cut.vertices, cut.faces, box.face_material[cut.parent], box.materials)


@dataclass(frozen=True)
class BrasRoom:
    """The seminar room CR2, with the materials that BRAS fitted to its reverberation time.

    Args:
        scene: the room.
        sources: `[2, 3]` metres.
        listeners: `[5, 3]` metres.
        thirds: name of a parameter to hertz and its measured values by third octaves, `[2, n]`.
        measured: name of a parameter to its measured values by octaves, `[9]`: the plain mean of
            their three third octaves. NaN at 63 Hz and 16 kHz, where a third is missing.
        temperature: degrees Celsius.
        humidity: relative, per cent.
    """

    scene: Scene
    sources: Array
    listeners: Array
    thirds: Mapping[str, Array]
    measured: Mapping[str, Array]
    temperature: float = 19.5
    humidity: float = 41.7


def load_bras(folder: str | os.PathLike[str]) -> BrasRoom:
    """Read geometry, materials and measured parameters of CR2.

    Absorption and scattering of an octave are the plain mean of its three third octaves.

    Raises:
        DataError: a file is missing.
        GeometryError: the model cannot be read.
    """
    folder = Path(folder)
    mesh, names, index = load_ac3d(_file(folder / "scene9.ac"))
    materials = []
    for name in (n.rsplit("_", 1)[-1] for n in names):
        table = np.loadtxt(_file(folder / f"mat_CR2_{name}.csv"), delimiter=",")
        absorption, scattering = (octave_means(table[0], row) for row in table[1:])
        materials.append(Material(name, absorption, scattering, source="BRAS CR2, fitted"))
    thirds = {
        name: np.loadtxt(_file(folder / f"Evaluation_CR2_{name}.txt"), delimiter=",")
        for name in PARAMETERS
    }
    thirds["D50"] = thirds["D50"] * [[1.0], [0.01]]
    return BrasRoom(
        scene=Scene(mesh.vertices, mesh.faces[:, ::-1], index, tuple(materials)),
        sources=np.array([(0.931, -2.547, 0.723), (0.119, 2.880, 0.723)]),
        listeners=np.array(
            [
                (-0.993, 1.426, 1.230),
                (0.439, -0.147, 1.230),
                (1.361, -0.603, 1.230),
                (-1.110, -0.256, 1.230),
                (-0.998, -1.409, 1.230),
            ]
        ),
        thirds=thirds,
        measured={name: octave_means(*table) for name, table in thirds.items()},
    )


def octave_means(frequency: Array, values: Array) -> Array:
    """Mean `[9]` of the three third octaves of each octave band; NaN where one is missing."""
    wanted = np.array(OCTAVE_BANDS)[:, None] * 2.0 ** (np.array([-1, 0, 1]) / 3)
    apart = np.abs(np.log2(frequency / wanted[..., None]))
    found = np.asarray(values, dtype=np.float64)[apart.argmin(axis=-1)]
    return np.where(apart.min(axis=-1) < 0.1, found, np.nan).mean(axis=1)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise DataError("no such file", file=path, mend="get the data set, see its own pages")
    return path
