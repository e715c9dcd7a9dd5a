"""Bring the default head to this machine: MIT KEMAR, from wherever it can be had, by its hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from piavas.errors import MissingDependencyError
from piavas.files import atomic

KEMAR_FILE = "MIT_KEMAR_normal_pinna.sofa"
KEMAR_DIGEST = "2768ac841213a7ae11d1ea7fd0f25a69b39216102dc5dd913ea6ba0f0dc57e28"
KEMAR_LICENCE = (
    "MIT Media Lab: free, provided the authors are cited (Gardner and Martin 1994, 1995)"
)
SYSTEM_FOLDER = Path("/usr/share/libmysofa")
SYSTEM_FILES = (KEMAR_FILE, "default.sofa")
ADDRESSES = (
    "https://sofacoustics.org/data/database/mit/mit_kemar_normal_pinna.sofa",
    "https://raw.githubusercontent.com/hoene/libmysofa/main/share/MIT_KEMAR_normal_pinna.sofa",
)
NOTE = """\
MIT_KEMAR_normal_pinna.sofa
HRTF measurements of a KEMAR dummy-head microphone, Bill Gardner and Keith Martin, MIT Media Lab.
Copyright 1994 by the MIT Media Laboratory. Provided free with no restrictions on use,
provided the authors are cited when the data is used in any research or commercial application.

W. G. Gardner and K. D. Martin, "HRTF measurements of a KEMAR", J. Acoust. Soc. Am. 97 (1995)
3907-3908; the same, MIT Media Lab Perceptual Computing Technical Report 280 (1994).
"""


def data_folder() -> Path:
    """Where installed data lies: `PIAVAS_DATA`, or `~/.local/share/piavas`."""
    return Path(os.environ.get("PIAVAS_DATA") or Path.home() / ".local/share/piavas").expanduser()


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def is_kemar(path: Path) -> bool:
    """Whether `path` is the very MIT KEMAR file that results are quoted for."""
    return path.is_file() and digest(path) == KEMAR_DIGEST


def find_kemar(folder: Path | None = None) -> Path | None:
    """The MIT KEMAR file in the data folder or the system's libmysofa folder, else None."""
    places = [
        (folder or data_folder()) / KEMAR_FILE,
        *(SYSTEM_FOLDER / name for name in SYSTEM_FILES),
    ]
    return next((place for place in places if is_kemar(place)), None)


def install_hrtf(folder: str | os.PathLike[str] | None = None) -> Path:
    """Put the default head-related transfer function into the data folder.

    Tried in order: the file that is already there, the system's libmysofa, the Debian package
    `libmysofa1` (downloaded and unpacked without root), the public SOFA databases. Only a file
    of the right SHA-256 is accepted; it is placed whole or not at all, with a licence note.

    Args:
        folder: target; None is `data_folder()`.

    Returns:
        The path of the SOFA file.

    Raises:
        MissingDependencyError: nothing worked; the message lists what was tried.
    """
    target = (Path(folder) if folder is not None else data_folder()) / KEMAR_FILE
    if is_kemar(target):
        return target
    tried: list[str] = []
    with tempfile.TemporaryDirectory(prefix="piavas-hrtf-") as scratch:
        for name, way in _ways():
            found, problem = _attempt(way, Path(scratch))
            if found is not None:
                return _place(found, target)
            tried.append(f"{name}: {problem}")
    raise MissingDependencyError(
        "MIT KEMAR could not be had; tried " + "; ".join(tried),
        file=target,
        mend=f"install the package libmysofa1, or put {KEMAR_FILE} (sha256 {KEMAR_DIGEST}) here",
    )


Way = Callable[[Path], Path]


def _ways() -> list[tuple[str, Way]]:
    downloads: list[tuple[str, Way]] = [(url, partial(download, url)) for url in ADDRESSES]
    return [("the system's libmysofa", system_file), ("apt-get download", from_apt), *downloads]


def _attempt(way: Way, scratch: Path) -> tuple[Path | None, str]:
    """What `way` brought, if its hash is right, and else why not."""
    try:
        found = way(scratch)
    except (OSError, subprocess.SubprocessError) as problem:
        return None, str(problem) or type(problem).__name__
    return (found, "") if is_kemar(found) else (None, f"{found} has another sha256")


def _place(found: Path, target: Path) -> Path:
    with atomic(target.with_name("LICENCE-MIT-KEMAR.txt")) as part:
        part.write_text(NOTE, encoding="utf-8")
    with atomic(target) as part:
        shutil.copyfile(found, part)
    return target


def system_file(_scratch: Path) -> Path:
    """The file of an installed libmysofa.

    Raises:
        FileNotFoundError: there is none.
    """
    for name in SYSTEM_FILES:
        if (SYSTEM_FOLDER / name).is_file():
            return SYSTEM_FOLDER / name
    raise FileNotFoundError(f"no {KEMAR_FILE} in {SYSTEM_FOLDER}")


def from_apt(scratch: Path) -> Path:
    """Download the Debian package `libmysofa1` and unpack it in `scratch`; needs no root.

    Raises:
        FileNotFoundError: there is no apt here, or the package holds no such file.
        subprocess.SubprocessError: apt or dpkg failed.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FileNotFoundError("this system has no apt-get")
    try:
        _apt("download", "libmysofa1", cwd=scratch)
    except subprocess.CalledProcessError:
        # An empty package index is the usual reason in a fresh container; only root may fill it.
        if os.geteuid() != 0:
            raise
        _apt("update", cwd=scratch)
        _apt("download", "libmysofa1", cwd=scratch)
    package = next(iter(sorted(scratch.glob("libmysofa1_*.deb"))), None)
    if package is None:
        raise FileNotFoundError("apt-get brought no package")
    tree = scratch / "libmysofa1"
    subprocess.run(
        ["dpkg-deb", "-x", str(package), str(tree)], check=True, capture_output=True, timeout=120
    )
    found = sorted(tree.rglob(KEMAR_FILE)) or sorted(tree.rglob("default.sofa"))
    if not found:
        raise FileNotFoundError(f"{package.name} holds no {KEMAR_FILE}")
    return found[0]


def _apt(*words: str, cwd: Path) -> None:
    # apt drops to the user _apt where it can, who must be able to write here.
    options = ["-q", "-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else ["-q"]
    subprocess.run(
        ["apt-get", *options, *words], cwd=cwd, check=True, capture_output=True, timeout=300
    )


def download(url: str, scratch: Path) -> Path:
    """Fetch `url` over HTTPS into `scratch`.

    Raises:
        OSError: no network, no such address, or a server error.
    """
    target = scratch / "download.sofa"
    request = urllib.request.Request(url, headers={"User-Agent": "piavas"})
    with urllib.request.urlopen(request, timeout=60) as answer, open(target, "wb") as handle:
        shutil.copyfileobj(answer, handle)
    return target
