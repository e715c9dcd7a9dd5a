"""Steam Audio's library from a release: whole, checked, resumed, or not at all."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from piavas import install_steam
from piavas.cli import main
from piavas.errors import MissingDependencyError
from piavas.files import read_json
from piavas.install_steam import Release, install_steam_audio, library_member

LIBRARY = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def linux(monkeypatch):
    monkeypatch.setattr(install_steam.sys, "platform", "linux")
    monkeypatch.setattr(install_steam.platform, "machine", lambda: "x86_64")


def archive(members=None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in members or (*install_steam.LIBRARIES.values(), "steamaudio/THIRDPARTY.md"):
            if name not in made.namelist():
                made.writestr(name, b"licences" if name.endswith(".md") else LIBRARY)
    return out.getvalue()


def release(content: bytes, address: str) -> Release:
    return Release("9.9.9", address, len(content), hashlib.sha256(content).hexdigest())


class Server:
    """Serves one file; may end connections early or know no ranges."""

    def __init__(self, content: bytes, *, at_once: int | None = None, ranges: bool = True) -> None:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                given = self.headers.get("Range")
                start = int(given[6:-1]) if given and ranges else 0
                asked.append(given)
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                end = len(content) if at_once is None else start + at_once
                self.wfile.write(content[start:end])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/steamaudio_9.9.9.zip"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_library_and_licences_are_kept(tmp_path):
    content = archive()
    with Server(content) as server:
        known = release(content, server.address)
        path = install_steam_audio(tmp_path / "steam", release=known)
        again = install_steam_audio(tmp_path / "steam", release=known)
    assert path == again
    assert len(server.asked) == 1
    assert path.read_bytes() == LIBRARY
    assert path.name == library_member().rsplit("/", 1)[1]
    kept = [path.name, "LICENCE-STEAM-AUDIO.txt", "THIRDPARTY.md", "release.json"]
    assert names(path.parent) == sorted(kept)
    record = read_json(path.parent / "release.json")
    assert record["archive_sha256"] == known.sha256
    assert record["library_sha256"] == hashlib.sha256(LIBRARY).hexdigest()
    assert "Apache" in (path.parent / "LICENCE-STEAM-AUDIO.txt").read_text()


def test_download_goes_on_where_it_was_cut_off(tmp_path):
    content = archive()
    with Server(content, at_once=len(content) // 5 + 1) as server:
        known = release(content, server.address)
        with pytest.raises(MissingDependencyError, match="could not be downloaded"):
            install_steam_audio(tmp_path / "steam", release=known)
        (part,) = (tmp_path / "steam").iterdir()
        assert part.read_bytes() == content[: part.stat().st_size]
        path = install_steam_audio(tmp_path / "steam", release=known)
    assert path.read_bytes() == LIBRARY
    starts = [int(line[6:-1]) for line in server.asked[1:]]
    assert starts == sorted(starts) and len(set(starts)) == len(starts)
    assert not list(path.parent.glob(".*"))


def test_server_without_ranges_starts_anew(tmp_path):
    content = archive()
    with Server(content, ranges=False) as server:
        known = release(content, server.address)
        (tmp_path / "steam").mkdir()
        (tmp_path / "steam" / ".steamaudio_9.9.9.zip.part").write_bytes(content[:1000])
        path = install_steam_audio(tmp_path / "steam", release=known)
    assert path.read_bytes() == LIBRARY


def test_another_hash_is_refused_and_nothing_stays(tmp_path):
    content = archive()
    with Server(content) as server:
        known = replace(release(content, server.address), sha256="0" * 64)
        with pytest.raises(MissingDependencyError, match="sha256 is"):
            install_steam_audio(tmp_path / "steam", release=known)
    assert not (tmp_path / "steam").exists()


def test_longer_answer_is_cut_and_refused(tmp_path):
    content = archive()
    with (
        Server(content + bytes(10_000_000)) as server,
        pytest.raises(MissingDependencyError, match="sha256 is"),
    ):
        install_steam_audio(tmp_path / "steam", release=release(content, server.address))
    assert not (tmp_path / "steam").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [(archive(["steamaudio/README.md"]), "holds no"), (b"PK no zip", "cannot be unpacked")],
)
def test_archive_that_holds_something_else(tmp_path, content, why):
    file = tmp_path / "steamaudio.zip"
    file.write_bytes(content)
    with pytest.raises(MissingDependencyError, match=why):
        install_steam_audio(tmp_path / "steam", archive=file, release=release(content, "x"))
    assert file.exists()
    assert not list(tmp_path.rglob("*phonon*"))


def test_file_address_and_archive(tmp_path):
    content = archive()
    file = tmp_path / "steamaudio_9.9.9.zip"
    file.write_bytes(content)
    known = release(content, file.as_uri())
    assert install_steam_audio(tmp_path / "one", release=known).read_bytes() == LIBRARY
    given = install_steam_audio(tmp_path / "two", archive=file, release=known)
    assert given.read_bytes() == LIBRARY
    assert file.exists()


def test_damaged_library_is_replaced(tmp_path):
    content = archive()
    file = tmp_path / "steamaudio_9.9.9.zip"
    file.write_bytes(content)
    known = release(content, file.as_uri())
    path = install_steam_audio(tmp_path / "steam", release=known)
    path.write_bytes(b"half")
    assert install_steam_audio(tmp_path / "steam", release=known).read_bytes() == LIBRARY


def test_libraries_of_systems():
    assert library_member("linux", "x86_64").endswith("linux-x64/libphonon.so")
    assert library_member("win32", "AMD64").endswith("windows-x64/phonon.dll")
    assert library_member("darwin", "arm64").endswith("osx/libphonon.dylib")
    with pytest.raises(MissingDependencyError, match="no library for linux on aarch64"):
        library_member("linux", "aarch64")


def test_command_line_tells_without_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIAVAS_DATA", str(tmp_path))
    file = tmp_path / "wrong.zip"
    file.write_bytes(b"nothing")
    assert main(["install", "steam-audio", "--archive", str(file)]) == 2
    assert "sha256" in capsys.readouterr().err
    assert names(tmp_path) == ["wrong.zip"]
