"""Responses that are written to disk as they are made: any number in bounded memory, resumable.

A folder holds `samples.npy` (float32 `[n, channel, time]`), `sources.npy`, `listeners.npy`,
`index.json` (what is being made, with a digest of all that decides it), `done.jsonl` (a line for
each bundle of responses that is safely on disk, with its checksum and errors) and, at the end,
`report.json`. A bundle's line follows its samples, so that whatever ends the process, no half-made
bundle counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.confidence import Confidence
from piavas.acoustics.field import ready
from piavas.acoustics.hearing import Group, Heard, Hearing, Pairs, summary
from piavas.errors import DataError
from piavas.files import atomic, read_json, write_json
from piavas.progress import track
from piavas.scene import ImpulseResponses, Scene

if TYPE_CHECKING:
    from piavas.acoustics.simulator import Simulator

FORMAT = "piavas-responses-1"
INDEX, DONE, SAMPLES, REPORT = "index.json", "done.jsonl", "samples.npy", "report.json"
SPARE = 1 << 26  # bytes of disk to leave free


def stream(
    simulator: Simulator, scene: Scene, pairs: Pairs, folder: str | os.PathLike[str]
) -> ImpulseResponses:
    """Make the responses of `pairs` in `folder`, or finish what was begun there.

    Raises:
        DataError: the folder holds other things, or the disk is too small.
        SimulationError: as `Simulator.__call__`.
    """
    started = time.process_time()
    hearing = simulator.prepare(ready(scene), pairs)
    store = Store.open(Path(folder), hearing, scene)
    pieces = [(group, piece) for group in hearing.groups for piece in group.pieces()]
    todo = [(i, *pieces[i]) for i in range(len(pieces)) if not store.holds(i, pieces[i][1])]
    traces = list(store.traces)
    for i, heard, trace in track(_made(hearing, todo), "simulate", len(todo)):
        traces += [trace] if trace not in traces else []
        samples = simulator.at_rate(heard.samples)
        store.add(i, replace(heard, samples=samples), trace)
    if todo or not (store.folder / REPORT).exists():
        spent = time.process_time() - started
        write_json(store.folder / REPORT, simulator.report(hearing, store.found(traces), spent))
    return load_responses(folder)


def _made(
    hearing: Hearing, todo: list[tuple[int, Group, Group]]
) -> Iterator[tuple[int, Heard, dict[str, Any]]]:
    """Bundles of `todo` (number, group, bundle) with what their trace was; each traced once."""
    last = field = None
    for i, group, piece in todo:
        if field is None or group is not last:
            last, field = group, hearing.field(group)
        yield i, hearing.hear(field, piece), field.report()


@dataclass(frozen=True)
class Store:
    """A folder of responses that grows.

    Args:
        folder: where.
        samples: the whole of them on disk, `[n, channel, time]`.
        done: lines of finished bundles by number.
    """

    folder: Path
    samples: NDArray[np.float32]
    done: dict[int, dict[str, Any]]

    @classmethod
    def open(cls, folder: Path, hearing: Hearing, scene: Scene) -> Store:
        """The store of what `hearing` makes: a new one, or the one that was begun.

        Raises:
            DataError: see `stream`.
        """
        pairs, simulator = hearing.pairs, hearing.simulator
        length = len(simulator.at_rate(np.zeros((1, 1, hearing.how.length), np.float32))[0, 0])
        shape = (len(pairs), hearing.channels, length)
        index = {
            "format": FORMAT,
            "digest": _digest(hearing, scene),
            "shape": list(shape),
            "sample_rate": simulator.sample_rate,
            "output": simulator.output,
        }
        if (folder / INDEX).exists():
            if read_json(folder / INDEX) != index:
                raise DataError(
                    "holds the responses of another scene or with other options",
                    file=folder,
                    mend="choose another folder, or delete this one",
                )
        else:
            _begin(folder, index, pairs)
        samples = np.lib.format.open_memmap(folder / SAMPLES, mode="r+")
        return cls(folder, samples, _journal(folder))

    def holds(self, number: int, piece: Group) -> bool:
        """Whether a bundle is on disk, its samples what its checksum says."""
        line = self.done.get(number)
        return line is not None and line["crc"] == _checksum(self.samples[piece.rows])

    def add(self, number: int, heard: Heard, trace: dict[str, Any]) -> None:
        """Write a bundle, and only when that is on disk its line."""
        self.samples[heard.rows] = heard.samples
        self.samples.flush()  # type: ignore[attr-defined]
        errors = {k: np.round(v, 6).tolist() for k, v in vars(heard.confidence).items()}
        crc, rows = _checksum(heard.samples), heard.rows.tolist()
        line = {"piece": number, "crc": crc, "rows": rows, "trace": trace, **errors}
        with (self.folder / DONE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.done[number] = line

    @property
    def traces(self) -> list[dict[str, Any]]:
        """What the traces of finished bundles were."""
        found: list[dict[str, Any]] = []
        for _, line in sorted(self.done.items()):
            found += [line["trace"]] if line["trace"] not in found else []
        return found

    def found(self, traces: list[dict[str, Any]]) -> dict[str, Any]:
        """What the report says of traces and errors."""
        lines = [line for _, line in sorted(self.done.items())]
        errors = Confidence.join(
            Confidence(*(np.array(line[k], dtype=np.float64) for k in ("level", "t30", "c50")))
            for line in lines
        )
        return summary(traces, errors)


def _begin(folder: Path, index: dict[str, Any], pairs: Pairs) -> None:
    """An empty store; its index comes last, so that a folder with one is whole.

    Raises:
        DataError: the folder holds other things, or the disk is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strangers = [p.name for p in folder.iterdir() if p.name not in _OURS]
    if strangers:
        raise DataError(
            f"holds {strangers[0]!r} and is no folder of responses",
            file=folder,
            mend="choose an empty or new folder",
        )
    needed, free = 4 * int(np.prod(index["shape"])) + SPARE, shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the disk has {free >> 20} MB free, the responses take {needed >> 20} MB",
            file=folder,
            mend="choose another disk, a lower sample rate, or fewer listeners",
        )
    (folder / DONE).unlink(missing_ok=True)
    shape = tuple(index["shape"])
    np.lib.format.open_memmap(folder / SAMPLES, mode="w+", dtype=np.float32, shape=shape).flush()
    for name, array in (("sources.npy", pairs.source), ("listeners.npy", pairs.poses)):
        with atomic(folder / name) as part:
            np.save(part, array)
    write_json(folder / INDEX, index)


_OURS = {INDEX, DONE, SAMPLES, REPORT, "sources.npy", "listeners.npy"}


def _digest(hearing: Hearing, scene: Scene) -> str:
    """SHA-256 of all that decides the samples."""
    from piavas import __version__

    options = asdict(replace(hearing.simulator, hrtf=None))
    head = getattr(hearing.listener, "hrtf", None)
    text = json.dumps([options, head.digest if head is not None else "", __version__])
    sha = hashlib.sha256(text.encode())
    materials = [np.stack([m.absorption, m.scattering, m.transmission]) for m in scene.materials]
    arrays = (scene.vertices, scene.faces, scene.face_material, *materials)
    for array in (*arrays, hearing.pairs.places, hearing.pairs.poses):
        sha.update(np.ascontiguousarray(array).tobytes())
    for source in hearing.pairs.sources:
        if source.directivity is not None:
            probe = np.concatenate([np.eye(3), -np.eye(3)])
            sha.update(source.pressure(probe).tobytes())
    return sha.hexdigest()


def _checksum(samples: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(samples).data)


def _journal(folder: Path) -> dict[int, dict[str, Any]]:
    """Lines of finished bundles; a last line that was cut off counts for nothing."""
    path = folder / DONE
    if not path.exists():
        return {}
    raw = path.read_bytes()
    if raw and not raw.endswith(b"\n"):
        whole = raw[: raw.rfind(b"\n") + 1]
        with atomic(path) as part:
            part.write_bytes(whole)
        raw = whole
    try:
        lines = [json.loads(line) for line in raw.splitlines()]
        return {line["piece"]: line for line in lines}
    except (ValueError, KeyError, TypeError):
        raise DataError("is damaged", file=path, mend="delete the folder and start anew") from None


def load_responses(folder: str | os.PathLike[str], *, verify: bool = False) -> ImpulseResponses:
    """What `Simulator.stream` wrote; samples are read from disk when they are used.

    Args:
        folder: that it wrote.
        verify: read all samples and hold them against their checksums.

    Raises:
        DataError: no such folder, a run that is not finished, or a file that was cut off or
            changed.
    """
    folder = Path(folder)
    index = read_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise DataError(f"is no {FORMAT}", file=folder / INDEX, mend="check the path")
    shape = tuple(index["shape"])
    if not (folder / REPORT).exists():
        raise DataError(
            f"is not finished: {len(_journal(folder))} bundles of {shape[0]} responses are there",
            file=folder,
            mend="run the same simulation again, it goes on where it stopped",
        )
    try:
        samples = np.load(folder / SAMPLES, mmap_mode="r", allow_pickle=False)
        source = np.load(folder / "sources.npy", allow_pickle=False)
        listeners = np.load(folder / "listeners.npy", allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise DataError(
            f"is cut off or damaged: {problem}", file=folder, mend="run the same simulation again"
        ) from None
    if samples.shape != shape or samples.dtype != np.float32:
        raise DataError("is not what its index says", file=folder / SAMPLES, mend="make it anew")
    if verify:
        _verify(folder, samples)
    return ImpulseResponses(
        samples,
        index["sample_rate"],
        index["output"],
        source,
        listeners,
        read_json(folder / REPORT),
    )


def _verify(folder: Path, samples: NDArray[np.float32]) -> None:
    for number, line in _journal(folder).items():
        if line["crc"] != _checksum(samples[np.array(line["rows"])]):
            raise DataError(
                f"bundle {number} is damaged",
                file=folder / SAMPLES,
                mend="run the same simulation again, it makes that bundle anew",
            )
