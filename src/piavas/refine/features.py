"""`features.safetensors`: what images and physics tell of the places of a set of clips."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from piavas.errors import DataError
from piavas.files import atomic

if TYPE_CHECKING:
    from piavas.refine.clips import Clip
    from piavas.refine.network import RefinerConfig

FILE = "features.safetensors"
FORMAT = "piavas-features-1"
AXES = {"images": 2, "acoustics": 1}
"""Of the features of one clip, by kind."""


def check_features(values: ArrayLike, axes: int, field: str) -> NDArray[np.float32]:
    """`values` as float32: `[2, n]` with two axes, `[n]` with one.

    Raises:
        DataError: another shape, or not finite.
    """
    array = np.asarray(values, np.float32)
    if array.ndim != axes or not array.size or (axes == 2 and len(array) != 2):
        raise DataError(
            f"has the shape {array.shape}",
            field=field,
            mend=f"give [{'2, ' if axes == 2 else ''}features]",
        )
    if not np.isfinite(array).all():
        raise DataError("holds NaN or infinity", field=field, mend="compute it anew")
    return array


def save_features(
    folder: Path,
    names: Sequence[str],
    columns: Mapping[str, Sequence[NDArray[np.float32] | None]],
) -> None:
    """Write what is known of all clips; without anything, no file, and an older one goes.

    Args:
        folder: of the clips.
        names: of the clips.
        columns: "images" `[2, n]` and "acoustics" `[n]` of each clip, or None.

    Raises:
        DataError: a kind is known of some clips only, or in several numbers.
    """
    tensors = {}
    for kind, column in columns.items():
        known = [one for one in column if one is not None]
        if not known:
            continue
        if len(known) < len(names) or len({one.shape for one in known}) > 1:
            raise DataError(
                "is not known of all clips, or in several numbers",
                file=folder,
                field=kind,
                mend="import all clips in the same way",
            )
        tensors[kind] = np.stack(known)
    if not tensors:
        (folder / FILE).unlink(missing_ok=True)
        return
    with atomic(folder / FILE) as part:
        save_file(tensors, part, {"format": FORMAT, "names": json.dumps(list(names))})


def load_features(folder: Path, names: Sequence[str]) -> list[dict[str, NDArray[np.float32]]]:
    """What is known of each clip by kind; nothing where there is no file.

    Raises:
        DataError: the file is corrupt, or of other clips.
    """
    path = folder / FILE
    if not path.is_file():
        return [{} for _ in names]
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            tensors = {kind: file.get_tensor(kind) for kind in AXES if kind in file.keys()}  # noqa: SIM118
            held = json.loads(facts.get("names", "[]"))
    except (SafetensorError, OSError, ValueError) as problem:
        raise DataError(f"is corrupt: {problem}", file=path, mend="import the clips anew") from None
    if facts.get("format") != FORMAT or any(len(t) != len(held) for t in tensors.values()):
        raise DataError(f"is no file of format {FORMAT}", file=path, mend="import the clips anew")
    row = {name: i for i, name in enumerate(held)}
    for name in names:
        if name not in row:
            raise DataError("knows nothing of it", file=path, field=name, mend="import anew")
    return [{kind: tensor[row[name]] for kind, tensor in tensors.items()} for name in names]


def with_known(
    config: RefinerConfig, clips: Sequence[Clip], *, images: bool = False, acoustics: bool = False
) -> RefinerConfig:
    """`config` of a network that takes what these clips know.

    Args:
        config: the shape of the network.
        clips: to be learnt from.
        images: whether it sees images.
        acoustics: whether it knows the numbers of the room.

    Raises:
        DataError: the clips do not know what is asked for.
    """
    rows: Sequence[Any] = getattr(clips, "rows", clips)
    if not len(rows):
        raise DataError("there are none to learn from", field="clips", mend="give some")
    first = rows[0]
    counts: dict[str, Any] = {}
    for kind, wanted in (("images", images), ("acoustics", acoustics)):
        if not wanted:
            continue
        known = first.get(kind) if isinstance(first, dict) else getattr(first, kind)
        if known is None:
            raise DataError(
                "is not known of the clips",
                file=getattr(clips, "folder", None),
                field=kind,
                mend=f"import them with --{kind}",
            )
        counts[kind] = int(np.shape(known)[-1])
    return replace(config, **counts)
