"""A folder on localhost, for one person's browser."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from piavas.errors import DataError

TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".flac": "audio/flac"}


class Quiet(SimpleHTTPRequestHandler):
    """Files with the types that browsers demand of modules, and nothing on the terminal."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        """Let the browser ask each time whether a file is new: pages are exported anew."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of `folder` on localhost; port 0 takes a free one.

    Raises:
        DataError: there is no page, or the port is taken.
    """
    if not (folder / "index.html").is_file():
        raise DataError("holds no page", file=folder, mend="run piavas listen or export web")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    except OSError as problem:
        raise DataError(
            f"port {port} cannot be had: {problem}", field="port", mend="choose another"
        ) from None
