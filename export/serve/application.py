"""The ASGI application: routes, errors as {"error": ...}, a line of the access log and metrics for each request."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from time import perf_counter
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from gan_denoise import __version__
from gan_denoise.errors import GanDenoiseError
from gan_denoise.export.serve.infer import CallerLeft, Infer
from gan_denoise.export.serve.metrics import CONTENT_TYPE
from gan_denoise.export.serve.openapi import describe_api
from gan_denoise.export.serve.protocol import VERSION, ServeError
from gan_denoise.export.serve.service import Service, Settings

MODEL = "/v2/models/{name}"
MODEL_VERSION = MODEL + "/versions/{version}"
CLIENT_CLOSED = 499  # in log and metrics: the caller left, and nothing was sent
REQUEST_ID = re.compile(rb"[\w.:-]{1,64}")
MAX_PATH = 200  # characters in the log


@dataclass(slots=True)
class Record:
    """What log and metrics say of a request; the routes fill in model and rows."""

    id: str
    model: str = ""  # the name of a model that exists, or empty
    rows: int = 0
    status: int = 0
    sent: int = 0
    error: str = ""


def log_to_stderr(entry: dict[str, Any]) -> None:
    """Write a line of JSON to stderr; nothing if that is full or closed, which must stop no server."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}) + "\n")


class Application:
    """An ASGI 3 application of the models that the settings name. `log` gets a dict for each request and problem."""

    def __init__(self, settings: Settings, log: Callable[[dict[str, Any]], None] = log_to_stderr) -> None:
        self.service = Service(settings, lambda problem: log({"problem": problem}), lambda note: log({"note": note}))
        self._log = log
        self._request_ids = map(f"{uuid4().hex[:12]}-{{}}".format, count(1))
        routes = self._list_routes()
        self._kinds: dict[Any, str] = {route.endpoint: route.name for route in routes}
        self._router = Router(routes, redirect_slashes=False, lifespan=lambda _: self.service.run())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, count it and log it; or start and stop the service, as the ASGI server asks."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        start = perf_counter()
        record = scope["record"] = Record(self._request_id(scope))
        scope["app"] = self  # so that the router raises HTTPException for a path or method that does not exist
        own_header = (b"x-request-id", record.id.encode())

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"].append(own_header)
            else:
                record.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._router(scope, receive, observed_send)
        except CallerLeft:
            record.status = CLIENT_CLOSED
        except Exception as error:
            response, record.error = _describe_error(error)
            if not record.status:
                await response(scope, receive, observed_send)
        self._observe(scope, record, perf_counter() - start)

    def _request_id(self, scope: Scope) -> str:
        """The caller's `X-Request-Id`, if it is short and plain, or a new one."""
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        return given.decode() if REQUEST_ID.fullmatch(given) else next(self._request_ids)

    def _observe(self, scope: Scope, record: Record, seconds: float) -> None:
        route = self._kinds.get(scope.get("endpoint", ""), "other")
        if served := self.service.served.get(record.model):
            served.metrics.observe_request(route, record.status, seconds)
        else:
            self.service.metrics.requests.labels(route, "", record.status).inc()
        client = scope.get("client")
        entry = {
            "id": record.id,
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:MAX_PATH],
            "status": record.status,
            "ms": round(1000 * seconds, 2),
            "bytes": record.sent,
        }
        if record.rows:
            entry |= {"model": record.model, "rows": record.rows}
        self._log({**entry, "error": record.error} if record.error else entry)

    # --- routes ---------------------------------------------------------------------------------

    def _list_routes(self) -> list[Route]:
        infer = Infer(self.service)
        return [
            Route(f"{MODEL}/infer", infer, methods=["POST"], name="infer"),
            Route(f"{MODEL_VERSION}/infer", infer, methods=["POST"], name="infer"),
            Route("/v2/health/live", self._get_live, name="health"),
            Route("/v2/health/ready", self._get_ready, name="health"),
            Route(f"{MODEL}/ready", self._get_model_ready, name="health"),
            Route(f"{MODEL_VERSION}/ready", self._get_model_ready, name="health"),
            Route("/v2", self._get_server, name="metadata"),
            Route(MODEL, self._get_model, name="metadata"),
            Route(MODEL_VERSION, self._get_model, name="metadata"),
            Route("/metrics", self._get_metrics, name="metrics"),
            Route("/openapi.json", self._get_api, name="openapi"),
        ]

    async def _get_live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _get_ready(self, request: Request) -> Response:
        if self.service.problem:
            return JSONResponse({"ready": False, "error": self.service.problem}, 503)
        return JSONResponse({"ready": True})

    async def _get_model_ready(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.service.find(name, request.path_params.get("version", VERSION))
        return JSONResponse({"name": name, "ready": True})

    async def _get_server(self, request: Request) -> Response:
        return JSONResponse({"name": "gan-denoise", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def _get_model(self, request: Request) -> Response:
        served = self.service.find(request.path_params["name"], request.path_params.get("version", VERSION))
        return JSONResponse(served.model.describe())

    async def _get_metrics(self, request: Request) -> Response:
        return Response(self.service.metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def _get_api(self, request: Request) -> Response:
        return JSONResponse(describe_api(self.service))


def _describe_error(error: Exception) -> tuple[Response, str]:
    """The answer {"error": ...} to an exception, and what the log says of it."""
    match error:
        case ServeError():
            return _error(error.message, error.status, error.headers), error.message
        case GanDenoiseError():
            return _error(error.message, 400), error.message
        case HTTPException():
            headers = [(name.encode(), value.encode()) for name, value in (error.headers or {}).items()]
            return _error(error.detail, error.status_code, headers), ""
        case _:
            return _error("internal error; the log of the server has it", 500), traceback.format_exc()


def _error(message: str, status: int, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:
    response = JSONResponse({"error": message}, status)
    response.raw_headers.extend(headers)
    return response
