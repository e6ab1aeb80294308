"""One HTTP connection of uvicorn, with limits for callers that send or read slowly, or send without end."""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 2**10  # bytes of the request line and headers, give or take what is received at once
OVERHEAD = 8  # times the largest body: more than chunks of one byte take
BAD_REQUEST = b'{"error":"HTTP: expected a request of HTTP/1.1, got other bytes"}'
KEEP_ALIVE_S = 75  # longer than a proxy keeps an unused connection, so that it never sends to one just closed


class Connection(HttpToolsProtocol):
    """Closes the connection if the caller is slow for `timeout_s`, or sends much more than a head and `max_body` bytes.

    Slow: no head, no end of a body that nobody waits for any more, an answer that is not read at all. The application
    limits how long and how large the body may be that it waits for.
    """

    def __init__(self, timeout_s: float, max_body: int, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._timeout_s, self._max_size = timeout_s, MAX_HEAD + OVERHEAD * max_body
        self._timer: TimerHandle | None = None  # until the caller has sent what it began
        self._stall_timer: TimerHandle | None = None  # while the caller reads more slowly than the answers come
        self._in_head = self._in_body = False
        self._size = 0  # bytes of the request so far

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._size += len(data)
        if self._in_head and self._timer is None:
            self._start_timer()
        if self._size > (MAX_HEAD if self._in_head else self._max_size):
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head, self._size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._start_timer()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the form of all errors."""
        lines = (b"HTTP/1.1 400 Bad Request", b"content-type: application/json", b"connection: close")
        length = b"content-length: %d" % len(BAD_REQUEST)
        self.transport.write(b"\r\n".join([*lines, length, b"", BAD_REQUEST]))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close an unused connection at once: closing it in order would wait for a caller that does not read."""
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._timeout_s, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self, unread: int) -> None:
        """Abort if in `timeout_s` nothing of the `unread` bytes is read."""

        def check() -> None:
            rest = self.transport.get_write_buffer_size()
            if rest < unread:
                self._watch_reader(rest)
            else:
                self.transport.abort()

        self._stall_timer = self.loop.call_later(self._timeout_s, check)
