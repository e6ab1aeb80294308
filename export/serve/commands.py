"""The command `serve`: check the options, take the port, answer until a signal."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from gan_denoise.console import print_result
from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.options import (
    BATCH,
    MACHINE,
    JsonOption,
    ModelOption,
    OnOption,
    Provider,
    ProviderOption,
    QuietOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from gan_denoise.export.serve.service import Settings

LIMITS = "Limits"  # a panel in the help
UNITS = {"": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
MAX_QUEUE = 1_000_000


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 = all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 = any free port.")] = 8000,
    model: ModelOption = None,
    batch: Annotated[
        int, typer.Option(min=1, max=1024, help="Most rows in one run of a graph.", rich_help_panel=MACHINE)
    ] = BATCH,
    delay_ms: Annotated[
        float,
        typer.Option(min=0, max=1000, help="How long a row waits for others to join it.", rich_help_panel=MACHINE),
    ] = 2,
    threads: ThreadsOption = 0,
    provider: ProviderOption = Provider.cpu,
    queue: Annotated[
        int,
        typer.Option(min=1, max=MAX_QUEUE, help="Most rows that wait or run; others get 503.", rich_help_panel=LIMITS),
    ] = 1024,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Most seconds for a request; then 504.", rich_help_panel=LIMITS)
    ] = 5,
    max_body: Annotated[
        str, typer.Option(metavar="SIZE", help="Largest body of a request; others get 413.", rich_help_panel=LIMITS)
    ] = "8MiB",
    on: OnOption = None,
    replicas: Annotated[
        str | None,
        typer.Option(
            metavar="N|MIN-MAX",
            help="With --on: servers behind one port; Ray adds some under load, up to MAX.",
            show_default="1",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Serve the model over HTTP by the Open Inference Protocol v2, with a log line in JSON for each request on stderr.

    It has neither TLS nor authentication: put a proxy in front to reach it from elsewhere. docs/serve.md shows how.
    A SIGTERM ends it after the requests in progress; --quiet writes no log.
    Example: gan-denoise serve --port 8000
    Example: gan-denoise serve --port 8000 --on ray --replicas 1-8
    """
    size = parse_size(max_body)
    if replicas is not None and on is None:
        raise UsageError.expected("--replicas", "--on beside it", "none", "--on ray")
    try:
        from gan_denoise.export.providers import check_installed
        from gan_denoise.export.serve.server import listen, run_server
        from gan_denoise.export.serve.service import Settings
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "starlette", "serve") from error
    check_installed(provider)
    settings = Settings(model, batch, delay_ms / 1000, queue, timeout, size, threads or int(on is not None), provider)

    stdout = sys.stdout

    def print_address(address: tuple[str, int]) -> None:
        url = f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
        with contextlib.redirect_stdout(stdout):  # `connect` keeps it from Ray
            print_result("serve", [url], as_json, (), url=url, settings={"batch": batch, "queue": queue})

    with listen(host, port) as listener:
        own_address = listener.getsockname()[:2]
        if on is None:
            print_address(own_address)
            raise typer.Exit(128 + run_server(settings, listener, logs=not quiet))
    number = _serve_on_ray(on, settings, own_address, replicas or "1", not quiet, lambda: print_address(own_address))
    raise typer.Exit(128 + number)


def _serve_on_ray(
    on: str, settings: Settings, address: tuple[str, int], replicas: str, logs: bool, started: Callable[[], None]
) -> int:
    """Serve on a Ray cluster until a signal, and return its number."""
    from gan_denoise.export.serve.deployment import parse_replicas, run_on_ray
    from gan_denoise.ray_cluster import connect

    count = parse_replicas(replicas)
    with connect(on) as cluster:
        cluster.tasks(settings.threads)  # warns if no node has so many processors
        return run_on_ray(settings, *address, count, logs, started)


def parse_size(text: str) -> int:
    """The number of bytes in a text such as 8MiB or 500000. Raises UsageError for others, and for 0."""
    match = re.fullmatch(r"([1-9][0-9]{0,11})(|KiB|MiB|GiB)", text, re.IGNORECASE)
    if match is None:
        raise UsageError.expected("--max-body", "a number of bytes, such as 8MiB or 500000", text)
    return int(match[1]) * UNITS[match[2].upper()]
