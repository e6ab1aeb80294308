"""The front door: mounts the commands that data, study, export and eval bring, and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from gan_denoise import __version__
from gan_denoise.data import commands as data_commands
from gan_denoise.errors import GanDenoiseError, OutputError
from gan_denoise.eval import commands as eval_commands
from gan_denoise.export import commands as export_commands
from gan_denoise.export.demo import commands as demo_commands
from gan_denoise.study import commands as study_commands
from gan_denoise.study.train import commands as train_commands

app = typer.Typer(
    name="gan-denoise",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
MODEL, STUDY = "Use the model", "Do the study"  # panels of the help
app.command(rich_help_panel=MODEL)(export_commands.generate)
app.command(rich_help_panel=MODEL)(export_commands.denoise)
app.command(rich_help_panel=MODEL)(demo_commands.demo)
app.command(rich_help_panel=MODEL)(eval_commands.bench)
app.add_typer(eval_commands.app, name="eval", rich_help_panel=MODEL)
app.command(rich_help_panel=MODEL)(export_commands.export)
app.add_typer(data_commands.app, name="data", rich_help_panel=STUDY)
app.add_typer(train_commands.app, name="train", rich_help_panel=STUDY)
app.add_typer(study_commands.study_app, name="study", rich_help_panel=STUDY)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gan-denoise {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
) -> None:
    """A GAN and a denoiser on Fashion-MNIST: train, export, fuse, generate, measure.

    Example: gan-denoise generate -n 64 --out grid.png
    """


def main() -> None:
    """Run the command line; an error of ours is one line, a hint and its exit code."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that temporary files go
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does with what its encoding lacks
    try:
        _run()
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(1)  # the reader has seen enough
    except GanDenoiseError as error:
        _leave(error)
    except OSError as error:  # stdout is full, a name is too long: whatever no command expected
        _discard_stdout()
        _leave(
            OutputError(
                f"{error.filename or 'output'}: {error.strerror or error}", "choose another place, or free space"
            )
        )


def _run() -> None:
    try:
        app()
    finally:
        if sys.stdout is not None:  # as it is when it was closed
            sys.stdout.flush()  # here, where its error can still be told


def _discard_stdout() -> None:
    """Let what stdout did not take go, or Python would try once more at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(error: GanDenoiseError) -> NoReturn:
    with contextlib.suppress(OSError):  # stderr may be full too
        if "--debug" in sys.argv:
            traceback.print_exc()
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
