"""The route that runs a model: read the body, check it, wait for the graph, write the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
from starlette.types import Receive, Scope, Send

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError
from gan_denoise.export.serve.batcher import Batcher, Outputs
from gan_denoise.export.serve.protocol import (
    BINARY,
    HEADER_LENGTH,
    JSON,
    VERSION,
    Headers,
    ServeError,
    parse_request,
    write_response,
)
from gan_denoise.export.serve.service import Service

CLOSE: Headers = [(b"connection", b"close")]  # where the rest of the body will not be read
CONTENT_TYPES = (JSON, BINARY, b"")  # tritonclient sends none


class CallerLeft(Exception):
    """The caller closed the connection before the answer."""


class Infer:
    """The ASGI application of the route `infer`; it raises the errors that the application answers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises GanDenoiseError, and CallerLeft."""
        with self._service.request():
            headers, body = await self._answer(scope, receive)
            headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Headers, bytes]:
        service, record, names = self._service, scope["record"], scope["path_params"]
        settings = service.settings
        served = service.find(names["name"], names.get("version", VERSION))
        model, record.model = served.model, served.model.name
        headers = dict(scope["headers"])
        _check_headers(headers, settings.max_body)
        with service.bodies.lease() as take_bytes, service.rows.lease() as take_rows:
            try:
                async with asyncio.timeout(settings.timeout_s):
                    body = await _read_body(receive, settings.max_body, take_bytes)
                    request = parse_request(body, headers.get(HEADER_LENGTH), model, settings.max_rows)
                    rows = model.rows(request)
                    take_rows(len(rows))
                    record.rows = len(rows)
                    outputs = await _run(served.batcher, rows, receive)
            except TimeoutError:
                if not record.rows:
                    raise ServeError(408, f"body: expected it within {settings.timeout_s:g} s", CLOSE) from None
                raise ServeError(504, f"model: expected an answer within {settings.timeout_s:g} s") from None
            return write_response(model, request, outputs)


def too_large(limit: int) -> ServeError:
    """The error of a body of more than `limit` bytes."""
    return ServeError(413, f"body: expected at most {limit} bytes, got more")


def _check_headers(headers: dict[bytes, bytes], max_body: int) -> None:
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > max_body:
        raise too_large(max_body)
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind not in CONTENT_TYPES:
        raise InputError.expected("content-type", f"{JSON.decode()} or {BINARY.decode()}", repr(kind.decode("latin1")))
    if (encoding := headers.get(b"content-encoding", b"identity")) != b"identity":
        raise InputError.expected("content-encoding", "none", repr(encoding.decode("latin1")))


async def _read_body(receive: Receive, limit: int, take_bytes: Callable[[int], None]) -> bytes:
    """The whole body. Raises ServeError 413 beyond the limit, CallerLeft if the connection is closed before its end."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerLeft
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        take_bytes(len(part))
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _run(batcher: Batcher, rows: ArrayF32, receive: Receive) -> Outputs:
    """The outputs for the rows. Raises CallerLeft, and drops the rows, if the connection is closed meanwhile."""
    futures = batcher.submit(rows)

    def drop(_: object = None) -> None:
        for future in futures:
            future.cancel()

    left = asyncio.ensure_future(receive())  # the body was read, so the next message is http.disconnect
    left.add_done_callback(drop)
    try:
        results = [await future for future in futures]
    except asyncio.CancelledError:
        if left.done():
            raise CallerLeft from None
        raise
    finally:
        left.cancel()
        drop()
    return results[0] if len(results) == 1 else tuple(np.concatenate(parts) for parts in zip(*results, strict=True))
