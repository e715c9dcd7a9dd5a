"""What makes a generated data set one that can be checked: its options, a readme, its hashes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from piavas import __version__
from piavas.errors import DataError
from piavas.files import atomic, read_json, write_json

MANIFEST, README, SUMS, WORK = "benchmark.json", "README.txt", "SHA256SUMS", "work"
FORMAT = "piavas-benchmark-1"


def begin(root: Path, layout: str, options: Mapping[str, Any]) -> bool:
    """Claim `root` for a set of these options; whether it already holds all of it, unharmed.

    Raises:
        DataError: it holds something else, or files that are not as they were written.
    """
    manifest = {"format": FORMAT, "version": __version__, "layout": layout, "options": options}
    path = root / MANIFEST
    if not path.exists():
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise DataError("holds something else", file=root, mend="give a new folder")
        write_json(path, manifest)
    elif read_json(path) != manifest:
        raise DataError(
            "is a benchmark of other options or of another version",
            file=path,
            mend="give a new folder",
        )
    if not (root / SUMS).exists():
        return False
    check_sums(root)
    shutil.rmtree(root / WORK, ignore_errors=True)
    return True


def finish(root: Path, readme: str) -> None:
    """Write the readme and, last, the hashes; what was only needed on the way goes."""
    _write(root / README, readme)
    _write(root / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums_of(root).items()))
    shutil.rmtree(root / WORK, ignore_errors=True)


def sums_of(root: Path) -> dict[str, str]:
    """SHA-256 of every file of a set, by its name relative to `root`, in order of names."""
    files = [path for path in root.rglob("*") if path.is_file()]
    names = {path.relative_to(root).as_posix(): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(names.items())
        if name != SUMS and not name.startswith(f"{WORK}/")
    }


def check_sums(root: Path) -> int:
    """Compare every file with `SHA256SUMS`.

    Returns:
        how many there are.

    Raises:
        DataError: a file is missing, more than was written, or another; it is named.
    """
    path = root / SUMS
    if not path.is_file():
        raise DataError("no such file", file=path, mend="generate the set to its end")
    lines = path.read_text(encoding="utf-8").splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = sums_of(root)
    odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
    if odd:
        why = "is missing" if odd[0] not in found else "is not as it was written"
        raise DataError(
            f"{why} ({len(odd)} of {len(wanted)} files)",
            file=root / odd[0],
            mend="generate the set anew in a new folder",
        )
    return len(found)


def _write(path: Path, text: str) -> None:
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")
