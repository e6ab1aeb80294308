"""Run the application on uvicorn until a signal, after which the requests in progress are still answered."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import uvicorn

from gan_denoise.errors import OutputError, UsageError
from gan_denoise.export.serve.application import Application, log_to_stderr
from gan_denoise.export.serve.connection import KEEP_ALIVE_S, Connection
from gan_denoise.export.serve.service import Settings
from gan_denoise.machine import stop_signals

BACKLOG = 1024  # connections that wait to be accepted


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the port; 0 selects a free one.

    Raises UsageError if this machine has no such address, OutputError if the port cannot be bound.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError.expected("--host", "an address of this machine", f"{host} ({error})") from error
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        got = f"{port} on {host} ({os.strerror(error.errno or 0)})"  # `strerror` of `error` repeats the address
        raise OutputError.expected("--port", "a free port", got, "--port 0 selects a free port") from error


def run_server(settings: Settings, listener: socket.socket, logs: bool) -> int:
    """Serve until a signal, and return its number.

    The first signal lets no more requests in and waits for those in progress, which `settings` limits in time; a second
    one ends the server at once.
    """
    application = Application(settings, log_to_stderr if logs else lambda entry: None)
    config = uvicorn.Config(
        application,
        loop="auto",  # uvloop, where it is installed
        http=cast(Any, functools.partial(Connection, settings.timeout_s, settings.max_body)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",  # the application logs, errors included
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,  # the drain has waited; only callers that do not read are left
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_serve(application, _Server(config), listener))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_serve`: uvicorn closes its port first, so that nobody could ask whether it is ready."""
        yield


async def _serve(application: Application, server: uvicorn.Server, listener: socket.socket) -> int:
    numbers: list[int] = []
    loop, tasks = asyncio.get_running_loop(), set()

    async def drain() -> None:
        await application.service.drain()
        server.should_exit = True

    def stop(number: int) -> None:
        numbers.append(number)
        if len(numbers) == 1:
            tasks.add(loop.create_task(drain()))  # the loop itself keeps no reference
        else:
            server.should_exit = server.force_exit = True

    for number in stop_signals():
        signal.signal(number, lambda number, _: loop.call_soon_threadsafe(stop, number))
    await server.serve(sockets=[listener])
    return numbers[0]
