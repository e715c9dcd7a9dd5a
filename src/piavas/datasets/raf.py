"""RAF, Real Acoustic Fields (Chen et al., CVPR 2024): dense responses of a room.

`data/NNNNNN/` holds `rir.wav` (48 kHz, one channel, 4 s), `rx_pos.txt` (x, y, z of the microphone)
and `tx_pos.txt` (quaternion x, y, z, w of the loudspeaker, then x, y, z), in metres.
`metadata/data-split.json` lists `train`, `test` and `validation`, each flat or one list deep.

The axes are told as x to the front, y up, z to the left, which is left-handed: the house's x, y, z
are then RAF's x, z, y. Were they right-handed after all, the house's y would be -z, and left and
right would change places: `which_hand` asks the mesh of the room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piavas.audio import write_audio
from piavas.datasets.checks import Check
from piavas.datasets.rirset import Response, RirSet, check_header
from piavas.errors import DataError
from piavas.evaluate.responses import RAF_SECONDS
from piavas.files import atomic, read_json, write_json
from piavas.progress import track
from piavas.scene import Mesh, Pose

Array = NDArray[np.float64]
Hand = Literal["left", "right"]

RATE = 48_000
CUT = RAF_SECONDS
"""Seconds of a response that the benchmark compares."""
SPLIT_FILE = Path("metadata") / "data-split.json"
NAMES = {"train": "train", "test": "test", "validation": "val"}
"""The house's split of each list."""
FORWARD = np.array([1.0, 0.0, 0.0])
"""The loudspeaker's front in its own axes."""
HOUSE: dict[Hand, Array] = {
    "left": np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]),
    "right": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}
"""From RAF's axes to the house's, by the hand that RAF's are taken for."""
ITEM = re.compile(r"^\d{6}$")


def load_raf(
    root: str | os.PathLike[str],
    *,
    splits: str | os.PathLike[str] | None = None,
    hand: Hand = "left",
) -> RirSet:
    """Read a room of RAF, strictly; of sound files only the headers.

    Args:
        root: folder of `data/`.
        splits: JSON of the lists; None takes `metadata/data-split.json`.
        hand: of RAF's axes, see `which_hand`.

    Raises:
        DataError: no data, a position or list that is wrong, or a listed item that is missing.
        AudioError: a response that is missing, or not of one channel at 48 kHz.
    """
    root = Path(root)
    folders = list_items(root)
    known = {folder.name for folder in folders}
    split_of = read_splits(Path(splits) if splits is not None else root / SPLIT_FILE, known)
    responses = tuple(
        load_item(folder, split_of.get(folder.name, ""), hand)
        for folder in track(folders, "read positions")
    )
    return RirSet(root, "raf", responses, RATE, 1)


def list_items(root: Path) -> list[Path]:
    """The folders of the items, in order."""
    data = root / "data"
    if not data.is_dir():
        raise DataError("no such folder", file=data, mend="give the folder of a room of RAF")
    folders = sorted(path for path in data.iterdir() if ITEM.match(path.name))
    if not folders:
        raise DataError("holds no items 000000, 000001, ...", file=data, mend="complete the copy")
    return folders


def load_item(folder: Path, split: str, hand: Hand) -> Response:
    """One response and its places."""
    path = folder / "rir.wav"
    check_header(path, RATE, 1)
    listener = numbers(folder / "rx_pos.txt", 3)
    speaker = numbers(folder / "tx_pos.txt", 7)
    turn = rotation(speaker[:4], folder / "tx_pos.txt")
    way = HOUSE[hand]
    pose = Pose.at(way @ listener).matrix
    return Response(folder.name, path, way @ speaker[4:], pose, way @ turn @ FORWARD, split)


def numbers(file: Path, count: int) -> Array:
    """`count` finite numbers, apart by commas or spaces."""
    if not file.is_file():
        raise DataError("no such file", file=file, mend="complete the copy")
    words = file.read_text(encoding="utf-8", errors="replace").replace(",", " ").split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.empty(0)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise DataError(f"holds no {count} finite numbers", file=file, mend="copy it anew")
    return values


def rotation(quaternion: Array, file: Path) -> Array:
    """`[3, 3]` of a quaternion x, y, z, w (real part last)."""
    from scipy.spatial.transform import Rotation

    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > 0.01:
        raise DataError(
            f"its quaternion has length {length:.3g}, not 1",
            file=file,
            mend="give x, y, z, w, then the position",
        )
    return np.asarray(Rotation.from_quat(quaternion).as_matrix(), dtype=np.float64)


def read_splits(file: Path, known: set[str]) -> dict[str, str]:
    """The house's split of each item.

    Raises:
        DataError: missing, no lists, an item of no folder, or an item in two lists.
    """
    data = read_json(file)
    if not isinstance(data, dict) or set(data) - set(NAMES) or "train" not in data:
        raise DataError(
            f"is no object of {', '.join(NAMES)}", file=file, mend="use the data set's own file"
        )
    found: dict[str, str] = {}
    for key, value in data.items():
        for name in _flat(value, file, key):
            if name not in known:
                raise DataError(
                    f"data/{name}: no such folder", file=file, field=key, mend="complete the copy"
                )
            if name in found:
                raise DataError(
                    f"{name} is listed twice", file=file, field=key, mend="a split must not overlap"
                )
            found[name] = NAMES[key]
    return found


def _flat(value: Any, file: Path, key: str) -> list[str]:
    """Names of six digits out of a list, or a list of lists, of numbers or texts."""
    flat: list[Any] = []
    for entry in value if isinstance(value, list) else [value]:
        flat += entry if isinstance(entry, list) else [entry]
    names = [f"{int(e):06d}" if str(e).isdecimal() else str(e) for e in flat]
    if not isinstance(value, list) or any(not ITEM.match(name) for name in names):
        raise DataError(
            "is no list of items", file=file, field=key, mend='list "000000", "000001", ...'
        )
    return names


def which_hand(positions: ArrayLike, mesh: Mesh) -> dict[Hand, float]:
    """The share of positions that lie inside the room, by the hand that RAF's axes are taken for.

    Args:
        positions: `[n, 3]` as the files have them.
        mesh: the room's OBJ as `piavas.load_mesh(path, up="y")` gives it, in the house's axes.
    """
    points = np.asarray(positions, dtype=np.float64)
    return {
        hand: float((np.abs(winding_number(points @ way.T, mesh)) > 0.5).mean())
        for hand, way in HOUSE.items()
    }


def winding_number(points: Array, mesh: Mesh) -> Array:
    """How often a mesh winds about each point `[n]`: 1 inside, 0 outside, holes blur it.

    Sum of the triangles' solid angles (van Oosterom and Strackee 1983) over 4 pi.
    """
    total = np.empty(len(points))
    for i, point in enumerate(points):
        a, b, c = np.moveaxis(mesh.triangles - point, 1, 0)
        x, y, z = (np.linalg.norm(side, axis=1) for side in (a, b, c))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        rest = (
            x * y * z
            + np.einsum("ij,ij->i", a, b) * z
            + np.einsum("ij,ij->i", b, c) * x
            + np.einsum("ij,ij->i", c, a) * y
        )
        total[i] = np.arctan2(volume, rest).sum() / (2 * np.pi)
    return total


def write_raf(
    root: str | os.PathLike[str],
    responses: Sequence[Response],
    samples: Iterable[NDArray[np.floating]],
    *,
    hand: Hand = "left",
) -> Path:
    """Write a room in the layout of RAF, `validation` flat and the other lists one deep.

    Args:
        root: folder of `data/`; the split file is written last.
        responses: places in the house's convention; they are numbered in order.
        samples: `[1, time]` at 48 kHz of each.
        hand: of RAF's axes.

    Raises:
        DataError: no responses.
        AudioError: samples of several channels, not finite or empty.
    """
    root = Path(root)
    if not responses:
        raise DataError("no responses", file=root, mend="give at least one")
    back = HOUSE[hand].T
    lists: dict[str, list[str]] = {name: [] for name in NAMES}
    listeners, speakers = [], []
    for i, (response, signal) in enumerate(zip(responses, samples, strict=True)):
        folder = root / "data" / f"{i:06d}"
        write_audio(folder / "rir.wav", np.atleast_2d(signal), RATE, subtype="FLOAT")
        axis = FORWARD if response.axis is None else back @ response.axis
        listeners.append(_line(back @ response.pose[:3, 3]))
        speakers.append(_line([*quaternion_to(axis), *(back @ response.source)]))
        _write_text(folder / "rx_pos.txt", listeners[-1])
        _write_text(folder / "tx_pos.txt", speakers[-1])
        for key, split in NAMES.items():
            if response.split == split:
                lists[key].append(folder.name)
    _write_text(root / "metadata" / "all_rx_pos.txt", "".join(listeners))
    _write_text(root / "metadata" / "all_tx_pos.txt", "".join(speakers))
    nested = {k: names if k == "validation" else [names] for k, names in lists.items()}
    write_json(root / SPLIT_FILE, nested)
    return root


def quaternion_to(axis: Array) -> Array:
    """x, y, z, w of the smallest rotation that takes the loudspeaker's front to `axis`."""
    way = axis / np.linalg.norm(axis)
    cosine = float(FORWARD @ way)
    if cosine < -1 + 1e-9:
        return np.array([0.0, 1.0, 0.0, 0.0])
    raw = np.append(np.cross(FORWARD, way), 1 + cosine)
    return np.asarray(raw / np.linalg.norm(raw))


def _line(values: Iterable[float]) -> str:
    return ",".join(repr(float(value)) for value in values) + "\n"


def _write_text(path: Path, text: str) -> None:
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def check_raf(root: str | os.PathLike[str], mesh: Mesh | None = None) -> Check:
    """Look at every item of a room of RAF, and say what is missing or wrong.

    Args:
        root: folder of `data/`.
        mesh: the room, in the house's axes, to ask for the hand of the positions.

    Raises:
        DataError: `root` is no folder.
    """
    check = Check(Path(root))
    if not check.root.is_dir():
        raise DataError("no such folder", file=root, mend="check the path")
    folders = check.look("items", partial(list_items, check.root)) or []
    for folder in track(folders, "check"):
        check.look(folder.name, partial(load_item, folder, "", "left"))
    known = {folder.name for folder in folders}
    split_of = check.look("splits", partial(read_splits, check.root / SPLIT_FILE, known))
    if split_of is not None:
        _note_splits(check, split_of, known)
    if mesh is not None and check.good:
        shares = which_hand([numbers(f / "rx_pos.txt", 3) for f in folders[:200]], mesh)
        told = ", ".join(f"{hand}-handed {100 * share:.0f} %" for hand, share in shares.items())
        check.note("axes", f"positions inside the mesh if taken as {told}")
    return check


def _note_splits(check: Check, split_of: Mapping[str, str], known: set[str]) -> None:
    counts = {split: list(split_of.values()).count(split) for split in NAMES.values()}
    shares = ", ".join(f"{split} {100 * n / len(known):.0f} %" for split, n in counts.items())
    check.note("splits", f"{shares}; published ones train 80, val 5, test 15 %")
    if left := known - set(split_of):
        check.note("splits", f"{len(left)} items are in no list")
