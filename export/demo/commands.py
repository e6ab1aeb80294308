"""The command demo: write the page, serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import model_option, print_result
from gan_denoise.errors import UsageError
from gan_denoise.options import ForceOption, JsonOption, ModelFolderOption, QuietOption


def demo(
    out: Annotated[
        Path | None, typer.Option(help="The folder to write.", show_default="with --serve, one for the time being")
    ] = None,
    model: ModelFolderOption = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it on this machine until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the server; 0 is any free one.")] = 8000,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the model as a page that runs it in the browser: a folder for any static host, or for this machine.

    Example: gan-denoise demo --serve
    Example: gan-denoise demo --out public
    """
    if out is None and not serve:
        raise UsageError("--out: none found, a folder wanted", "--serve alone shows the page without keeping it")
    from gan_denoise.export.demo.site import write_site

    if out is not None:
        write_site(model, out, force)
        print_result("demo", [out], as_json, ("demo", *model_option(model), "--serve"), written=[out])
    if serve:
        _serve(model, out, port)


def _serve(model: Path | None, out: Path | None, port: int) -> None:
    """Serve the folder `out`, or the page in a temporary one, until a signal comes."""
    import signal
    from tempfile import TemporaryDirectory

    from gan_denoise.export.demo.server import make_server, server_url
    from gan_denoise.export.demo.site import write_site

    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have it ignored in what they start with &
    try:
        with TemporaryDirectory() as temporary, make_server(out or Path(temporary), port) as server:
            if out is None:
                write_site(model, Path(temporary))
            typer.echo(f"{server_url(server)}  until Ctrl-C", err=True)
            server.serve_forever()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
