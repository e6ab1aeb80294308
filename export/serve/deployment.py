"""Run the application as a Ray Serve deployment until a signal: Ray starts replicas and spreads requests to them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from gan_denoise.errors import OutputError, UsageError, one_line
from gan_denoise.export.serve.application import Application, log_to_stderr
from gan_denoise.export.serve.service import Settings
from gan_denoise.machine import stop_signals_call

NAME = "gan-denoise"  # of the application in Ray Serve
POLL_S = 0.1  # seconds between two looks for a signal
DRAIN_S = 0.1  # seconds between two looks whether a replica that ends has requests in progress
QUIET: dict[str, Any] = {"enable_access_log": False, "log_level": "ERROR"}  # the application has its own log


def parse_replicas(text: str) -> tuple[int, int]:
    """The least and the most replicas of a text such as 2 or 1-8. Raises UsageError for others."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?", text)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if least > most:
        raise UsageError.expected("--replicas", "a number or MIN-MAX, such as 2 or 1-8", text)
    return least, most


def run_on_ray(
    settings: Settings, host: str, port: int, replicas: tuple[int, int], logs: bool, started: Callable[[], object]
) -> int:
    """Serve on the connected cluster until a signal, and return its number; calls `started` once requests are answered.

    The first signal ends the replicas after their requests in progress; a second one ends this process at once. Raises
    OutputError if Ray cannot start them.
    """
    from ray import serve
    from ray.serve.exceptions import RayServeException

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    if settings.model is not None:  # a replica has another working folder
        settings = dataclasses.replace(settings, model=settings.model.absolute())

    def build() -> Application:
        return Application(settings, log_to_stderr if logs else lambda entry: None)

    application = serve.deployment(serve.ingress(build)()).options(**_describe(settings, replicas)).bind()
    errors: list[Exception] = []

    def start() -> None:
        try:
            serve.start(http_options={"host": host, "port": port}, logging_config=QUIET)
            serve.run(application, name=NAME, route_prefix="/", logging_config=QUIET)
            started()
        except Exception as error:
            errors.append(error)

    numbers: list[int] = []
    with stop_signals_call(numbers.append):
        threading.Thread(target=start, daemon=True).start()  # it waits while the cluster has too few processors
        while not numbers and not errors:
            time.sleep(POLL_S)
        with contextlib.suppress(RayServeException):  # Serve was not started yet
            serve.delete(NAME)
    if errors and not numbers:
        raise OutputError.expected("--on", "a deployment by Ray Serve", one_line(errors[0])) from errors[0]
    return numbers[0]


def _describe(settings: Settings, replicas: tuple[int, int]) -> dict[str, Any]:
    """What Ray Serve is told of the deployment. Each replica limits itself, and answers 503 to what is too much."""
    least, most = replicas
    scale: dict[str, Any] = {"num_replicas": least}
    if least < most:
        goal = settings.batch  # requests in progress: as many rows as one run of a graph takes
        scale = {"autoscaling_config": {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": goal}}
    return scale | {
        "name": NAME,
        "max_ongoing_requests": settings.queue,
        "ray_actor_options": {"num_cpus": settings.threads},
        "graceful_shutdown_wait_loop_s": DRAIN_S,
        "graceful_shutdown_timeout_s": settings.timeout_s,
    }
