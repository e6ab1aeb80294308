"""The command `demo`: write the browser page and serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import model_option, print_result
from gan_denoise.errors import UsageError
from gan_denoise.options import ForceOption, JsonOption, ModelFolderOption, QuietOption


def demo(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write.", show_default="with --serve, a temporary folder")
    ] = None,
    model: ModelFolderOption = None,
    early: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Show this model beside it: an early epoch of the run, by `export RUN --epoch 1`.",
            show_default="for the shipped model, that of the paper after one epoch",
        ),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the page on this machine until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the server; 0 = any free port.")] = 8000,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a web page that runs the model in the browser, for any static host, or serve it on this machine.

    The page of the shipped model also denoises photographs that its reader chooses.

    Example: gan-denoise demo --serve
    Example: gan-denoise demo --model exported --early exported-1 --out public
    """
    if out is None and not serve:
        raise UsageError.expected("--out", "a folder", "none", "--serve shows the page without --out")
    from gan_denoise.export.demo.site import write_site

    if out is not None:
        write_site(model, out, force, early)
        print_result("demo", [out], as_json, ("demo", *model_option(model), "--serve"), written=[out])
    if serve:
        _serve(model, early, out, port)


def _serve(model: Path | None, early: Path | None, out: Path | None, port: int) -> None:
    """Serve the folder `out`, or the page in a temporary folder, until a signal."""
    import signal
    from tempfile import TemporaryDirectory

    from gan_denoise.export.demo.server import make_server, server_url
    from gan_denoise.export.demo.site import write_site

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for background jobs
    try:
        with TemporaryDirectory() as temporary, make_server(out or Path(temporary), port) as server:
            if out is None:
                write_site(model, Path(temporary), early=early)
            typer.echo(f"{server_url(server)}  press Ctrl-C to stop", err=True)
            server.serve_forever()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
