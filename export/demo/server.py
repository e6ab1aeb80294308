"""Serve a folder on this machine alone, with the headers that let a page use threads."""

from __future__ import annotations

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gan_denoise.errors import OutputError

HOST = "127.0.0.1"
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 as the base class has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: whoever asks is on this machine."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A socket that closes midway is no error: the browser left, or a signal ended the server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder` on loopback, bound and not yet running; port 0 is any free one.

    Raises OutputError when the port cannot be had.
    """
    try:
        return _Server((HOST, port), functools.partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise OutputError(
            f"--port: {port} found ({error.strerror}), a free one wanted", "--port 0 takes any"
        ) from error


def server_url(server: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{server.server_port}/"
