"""Serve a folder on loopback, with the cross-origin isolation headers that WebAssembly threads need."""

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
    extensions_map = {  # noqa: RUF012 as in the base class
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
        """Log nothing: all requests come from this machine."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore sockets that close early: the browser left, or a signal stopped the server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of `folder`, bound to a loopback port and not yet running; port 0 selects any free port.

    Raises OutputError if the port cannot be bound.
    """
    try:
        return _Server((HOST, port), functools.partial(_Handler, directory=str(folder)))
    except OSError as error:
        got = f"{port} ({error.strerror})"
        raise OutputError.expected("--port", "a free port", got, "--port 0 selects a free port") from error


def server_url(server: ThreadingHTTPServer) -> str:
    """The address of the server."""
    return f"http://{HOST}:{server.server_port}/"
