"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from piavas.errors import DataError, PiavasError


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    The temporary name keeps the suffix, so writers that choose a format by suffix work.
    On any exception, an interrupt included, the old file is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        # mkstemp makes private files; the result has the rights a plain open would give.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN is refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike[str], *, error: type[PiavasError] = DataError) -> Any:
    """Read JSON.

    Raises:
        error: the file is missing or is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise error("no such file", file=path, mend="check the path")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise error(f"is not JSON: {problem}", file=path, mend="write it anew") from None


def check_target(path: str | os.PathLike[str], suffix: str) -> Path:
    """`path` as one that can be written, asked before long work and not after it.

    Raises:
        DataError: another suffix, a folder, or a file where its folder must be.
    """
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise DataError(f"does not end in {suffix}", file=path, mend="give such a name")
    above = next((parent for parent in path.parents if parent.exists()), None)
    if path.is_dir() or (above is not None and not above.is_dir()):
        raise DataError("cannot be written there", file=path, mend="choose another path")
    return path
