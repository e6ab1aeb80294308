"""One HTTP connection of uvicorn, with limits for callers that send or read slowly, and for the size of a head."""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 2**10  # bytes of the request line and headers, give or take what is received at once
KEEP_ALIVE_S = 75  # longer than a proxy keeps an unused connection, so that it never sends to one just closed


class Connection(HttpToolsProtocol):
    """Closes the connection if a head does not arrive within `timeout_s`, or an answer is not read at all for as long.

    The application limits how long a body may take.
    """

    def __init__(self, timeout_s: float, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._timeout_s = timeout_s
        self._timer: TimerHandle | None = None  # until the head is complete
        self._stall_timer: TimerHandle | None = None  # while the caller reads more slowly than the answers come
        self._head_size = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_busy():
            return
        if self._timer is None:
            self._expect_head()  # the first bytes of another request
        self._head_size += len(data)
        if self._head_size > MAX_HEAD:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

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

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_size = 0
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
