"""The command `serve`: check the options, take the port, answer until a signal."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from gan_denoise.console import print_result
from gan_denoise.errors import UsageError, missing_extra
from gan_denoise.options import (
    BATCH,
    MACHINE,
    JsonOption,
    ModelOption,
    Provider,
    ProviderOption,
    QuietOption,
    ThreadsOption,
)

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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Serve the model over HTTP by the Open Inference Protocol v2, with a log line in JSON for each request on stderr.

    It has neither TLS nor authentication: put a proxy in front to reach it from elsewhere. docs/serve.md shows how.
    A SIGTERM ends it after the requests in progress; --quiet writes no log.
    Example: gan-denoise serve --port 8000
    """
    size = parse_size(max_body)
    try:
        from gan_denoise.export.providers import check_installed
        from gan_denoise.export.serve.server import listen, run_server
        from gan_denoise.export.serve.service import Settings
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "starlette", "serve") from error
    check_installed(provider)
    settings = Settings(model, batch, delay_ms / 1000, queue, timeout, size, threads, provider)
    with listen(host, port) as listener:
        own_host, own_port = listener.getsockname()[:2]
        url = f"http://{f'[{own_host}]' if ':' in own_host else own_host}:{own_port}"
        print_result("serve", [url], as_json, (), url=url, settings={"batch": batch, "queue": queue})
        number = run_server(settings, listener, logs=not quiet)
    raise typer.Exit(128 + number)


def parse_size(text: str) -> int:
    """The number of bytes in a text such as 8MiB or 500000. Raises UsageError for others, and for 0."""
    match = re.fullmatch(r"([1-9][0-9]{0,11})(|KiB|MiB|GiB)", text, re.IGNORECASE)
    if match is None:
        raise UsageError.expected("--max-body", "a number of bytes, such as 8MiB or 500000", text)
    return int(match[1]) * UNITS[match[2].upper()]
