"""Bring Steam Audio's library to this machine: one file of the official release, by its hash."""

from __future__ import annotations

import platform
import shutil
import sys
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from piavas.errors import DataError, MissingDependencyError
from piavas.files import atomic, read_json, write_json
from piavas.install import data_folder, digest
from piavas.progress import track

FOLDER = "steam-audio"
RECORD = "release.json"
LICENCE = "THIRDPARTY.md"
CHUNK = 1 << 20
TRIES = 3
NOTE = """\
Steam Audio {version}, {address}
Copyright 2017-2023 Valve Corporation. Licensed under the Apache License, Version 2.0:
https://www.apache.org/licenses/LICENSE-2.0
Of the release only the library for this system is kept, with THIRDPARTY.md, the licences of what
is built into it. Steam Audio is a trademark of Valve Corporation.
"""
LIBRARIES = {
    ("linux", "x86_64"): "steamaudio/lib/linux-x64/libphonon.so",
    ("win32", "x86_64"): "steamaudio/lib/windows-x64/phonon.dll",
    ("darwin", "x86_64"): "steamaudio/lib/osx/libphonon.dylib",
    ("darwin", "arm64"): "steamaudio/lib/osx/libphonon.dylib",
}
MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Release:
    """An archive that is known.

    Args:
        version: of the library.
        address: of the zip.
        size: bytes.
        sha256: of the zip, hexadecimal.
    """

    version: str
    address: str
    size: int
    sha256: str


RELEASE = Release(
    "4.8.1",
    "https://github.com/ValveSoftware/steam-audio/releases/download/v4.8.1/steamaudio_4.8.1.zip",
    181_171_027,
    "4a0aa5ec1176f38f0b0993a37c2259d9e86f27e22d5e24f83ec4c3cb9a1d5449",
)


def library_member(system: str | None = None, machine: str | None = None) -> str:
    """Name in the release of the library for this system, or for the one that is named.

    Raises:
        MissingDependencyError: the release has none.
    """
    system = system or sys.platform
    machine = (machine or platform.machine()).lower()
    member = LIBRARIES.get((system, MACHINES.get(machine, machine)))
    if member is None:
        raise MissingDependencyError(
            f"the Steam Audio release has no library for {system} on {machine}",
            mend="build it from its source and point PIAVAS_STEAM_AUDIO at it",
        )
    return member


def install_steam_audio(
    folder: Path | None = None, *, archive: Path | None = None, release: Release = RELEASE
) -> Path:
    """Put Steam Audio's library into the data folder.

    The release is downloaded, going on where an earlier try was cut off, and its SHA-256 is
    checked before anything is taken out of it. Kept are the library, the licences and a record;
    each is placed whole or not at all, the library last.

    Args:
        folder: target; None is `steam-audio` in `data_folder()`.
        archive: a copy of the release that is already here; None downloads it.
        release: which one.

    Returns:
        The path of the library.

    Raises:
        MissingDependencyError: no network, another hash, or no library for this system.
    """
    member = library_member()
    folder = folder or data_folder() / FOLDER
    library = folder / Path(member).name
    if _is_installed(library, release):
        return library
    if archive is not None:
        _check(archive, release)
        return _unpack(archive, member, library, release)
    part = folder / f".{Path(release.address).name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _download(part, release)
        try:
            _check(part, release)
            return _unpack(part, member, library, release)
        finally:
            part.unlink(missing_ok=True)
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def _is_installed(library: Path, release: Release) -> bool:
    record = library.with_name(RECORD)
    if not (library.is_file() and record.is_file()):
        return False
    try:
        known = read_json(record)
    except DataError:
        return False
    return (
        isinstance(known, dict)
        and known.get("archive_sha256") == release.sha256
        and known.get("library_sha256") == digest(library)
    )


def _download(part: Path, release: Release) -> None:
    """Make `part` as long as the release, in up to `TRIES` connections."""
    problem: Exception | None = None
    for _ in range(TRIES):
        try:
            _go_on(part, release)
        except (OSError, HTTPException) as now:
            problem = now
        if part.is_file() and part.stat().st_size >= release.size:
            return
    if part.is_file() and not part.stat().st_size:
        part.unlink()
    raise MissingDependencyError(
        f"Steam Audio could not be downloaded: {problem or 'the connection ends early'}",
        file=release.address,
        mend="run it again, it goes on where it was; or download the file and pass it as --archive",
    )


def _go_on(part: Path, release: Release) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if have >= release.size:
        return
    request = urllib.request.Request(release.address, headers={"User-Agent": "piavas"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=60) as answer:
        # A server that knows no ranges sends everything from the start.
        mode = "ab" if have and getattr(answer, "status", None) == 206 else "wb"
        with open(part, mode) as out:
            _copy(answer, out, release.size - (have if mode == "ab" else 0))


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """At most one byte more than `size`, so that a wrong answer cannot fill the disk."""
    left = size + 1
    for _ in track(range(-(-left // CHUNK)), "download Steam Audio"):
        chunk = source.read(min(CHUNK, left))
        if not chunk:
            return
        target.write(chunk)
        left -= len(chunk)


def _check(archive: Path, release: Release) -> None:
    if not archive.is_file():
        raise MissingDependencyError("no such file", file=archive, mend="check the path")
    found = digest(archive)
    if found != release.sha256:
        raise MissingDependencyError(
            f"this is not Steam Audio {release.version}: its sha256 is {found}",
            file=archive,
            mend=f"get {release.address} with the sha256 {release.sha256}",
        )


def _unpack(archive: Path, member: str, library: Path, release: Release) -> Path:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
            licence = next((n for n in names if n.endswith(LICENCE)), None)
            if member not in names:
                raise MissingDependencyError(
                    f"holds no {member}", file=archive, mend="get the official release"
                )
            if licence is not None:
                _take(opened, licence, library.with_name(LICENCE))
            with atomic(library.with_name("LICENCE-STEAM-AUDIO.txt")) as part:
                part.write_text(
                    NOTE.format(version=release.version, address=release.address), encoding="utf-8"
                )
            _take(opened, member, library)
    except (zipfile.BadZipFile, EOFError) as problem:
        raise MissingDependencyError(
            f"cannot be unpacked: {problem}", file=archive, mend="get the official release"
        ) from None
    record = {
        "version": release.version,
        "address": release.address,
        "archive_sha256": release.sha256,
        "library_sha256": digest(library),
    }
    write_json(library.with_name(RECORD), record)
    return library


def _take(opened: zipfile.ZipFile, member: str, target: Path) -> None:
    with atomic(target) as part, opened.open(member) as source, open(part, "wb") as out:
        shutil.copyfileobj(source, out)
