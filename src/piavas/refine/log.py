"""The log of a training run: a JSON line for each step, and TensorBoard's if asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from piavas.errors import MissingDependencyError
from piavas.files import atomic

LOG, BOARD = "log.jsonl", "tensorboard"


@dataclass(frozen=True)
class Log:
    """Where the steps of a run are written.

    Args:
        lines: a file of JSON lines.
        board: TensorBoard's writer, or None.
    """

    lines: TextIO
    board: Any = None

    def write(self, entry: Mapping[str, Any]) -> None:
        """One step."""
        self.lines.write(json.dumps(entry) + "\n")
        self.lines.flush()
        for name in ("loss", "gradient"):
            if self.board is not None and entry[name] is not None:
                self.board.add_scalar(name, entry[name], entry["step"])


@contextmanager
def open_log(folder: Path, step: int, tensorboard: bool = False) -> Iterator[Log]:
    """The log in `folder`, without the steps after `step`, which will be taken again.

    Raises:
        MissingDependencyError: TensorBoard is asked for and not installed.
    """
    board = _board(folder / BOARD, step) if tensorboard else None
    folder.mkdir(parents=True, exist_ok=True)
    _forget(folder / LOG, step)
    with (folder / LOG).open("a", encoding="utf-8") as lines:
        try:
            yield Log(lines, board)
        finally:
            if board is not None:
                board.close()


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingDependencyError(
            "TensorBoard is not installed",
            field="tensorboard",
            mend="run `pip install 'piavas[tensorboard]'`, or leave it out",
        ) from None
    return SummaryWriter(str(folder), purge_step=step + 1)


def _forget(path: Path, step: int) -> None:
    """Drop lines of steps after the checkpoint."""
    if not path.exists():
        return
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    with atomic(path) as part:
        part.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
