"""Entry point: mount the commands of data, study, export and eval, and turn errors into exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, NoReturn

import typer

from gan_denoise import __version__
from gan_denoise.data import commands as data_commands
from gan_denoise.dependencies import broken_dependency
from gan_denoise.errors import GanDenoiseError, OutputError, UsageError
from gan_denoise.eval import commands as eval_commands
from gan_denoise.export import commands as export_commands
from gan_denoise.export.demo import commands as demo_commands
from gan_denoise.export.denoise import commands as denoise_commands
from gan_denoise.export.package import commands as package_commands
from gan_denoise.export.serve import commands as serve_commands
from gan_denoise.machine import hangup_signal, stop_signals, torchrun_count, torchrun_rank
from gan_denoise.paths import expand_argument
from gan_denoise.streams import prepare_streams
from gan_denoise.study import commands as study_commands
from gan_denoise.study.train import commands as train_commands

app = typer.Typer(
    name="gan-denoise",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
REPEAT_S = 2.0  # seconds until a command that goes on after a signal is stopped again
_stopped_by: list[int] = []  # the stop signals that this process received
MODEL, STUDY = "Use the model", "Do the study"  # panels in the help
app.command(rich_help_panel=MODEL)(export_commands.generate)
app.command(rich_help_panel=MODEL)(denoise_commands.denoise)
app.command(rich_help_panel=MODEL)(demo_commands.demo)
app.command(rich_help_panel=MODEL)(serve_commands.serve)
app.command(rich_help_panel=MODEL)(eval_commands.bench)
app.add_typer(eval_commands.app, name="eval", rich_help_panel=MODEL)
app.command(rich_help_panel=MODEL)(export_commands.export)
app.add_typer(package_commands.app, name="package", rich_help_panel=MODEL)
app.command(rich_help_panel=MODEL)(package_commands.quantize)
app.add_typer(data_commands.app, name="data", rich_help_panel=STUDY)
app.add_typer(train_commands.app, name="train", rich_help_panel=STUDY)
app.add_typer(study_commands.study_app, name="study", rich_help_panel=STUDY)


def _print_version(version: bool) -> None:
    if version:
        typer.echo(f"gan-denoise {__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print a traceback for errors.")] = False,
) -> None:
    """Train a GAN and a denoiser on Fashion-MNIST, export both as one ONNX graph, and measure the result.

    Example: gan-denoise generate -n 64 --out grid.png
    """
    if torchrun_count() > 1:
        _check_torchrun(context.invoked_subcommand)


def _check_torchrun(command: str | None) -> None:
    """Raise UsageError for a command that several processes cannot share. Results are those of the first process."""
    if torchrun_rank():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        if command != "train":
            raise typer.Exit(UsageError.exit_code)
    elif command != "train":
        hint = "train each stage by torchrun; `study run` without it skips what is finished"
        raise UsageError.expected("torchrun", "the command `train`", command, hint)


def main() -> None:
    """Run the command line. A GanDenoiseError prints one line and a hint, and exits with its code."""
    prepare_streams()
    for number in stop_signals():
        if number != signal.SIGINT or signal.getsignal(number) is signal.default_int_handler:
            signal.signal(number, _stop)
    try:
        _run()
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(1)  # the reader of the pipe ended, for example `head`
    except GanDenoiseError as error:
        _exit_with(error)
    except OSError as error:  # not handled by the command: stdout is full, a name is too long
        _discard_stdout()
        message = f"{error.filename or 'output'}: {error.strerror or error}"
        hint = "write to another place, or free some space"
        _exit_with(broken_dependency(error) or OutputError(message, hint))
    except Exception as error:
        broken = broken_dependency(error)
        if broken is None:
            raise
        _exit_with(broken)
    finally:
        _repeat(0)


def _run() -> None:
    arguments = [expand_argument(argument) for argument in sys.argv[1:]]
    try:
        app(arguments)
    finally:
        sys.stdout.flush()  # flush here, where `main` can still report the error


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End the command so that temporary files are removed; raises again every REPEAT_S until it has ended.

    While a compiled module is imported, the exception that is raised here is lost or becomes an ImportError.
    """
    _stopped_by.append(number)
    if number == hangup_signal():
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt this
    _repeat(REPEAT_S)
    _raise_stop()


def _raise_stop(*_: object) -> NoReturn:
    if _stopped_by[0] == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + _stopped_by[0])


def _repeat(seconds: float) -> None:
    """Call `_raise_stop` at this interval; 0 ends it. Windows has no such timer."""
    if sys.platform != "win32" and _stopped_by:
        signal.signal(signal.SIGALRM, _raise_stop)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def _discard_stdout() -> None:
    """Send what stdout did not accept to /dev/null, since Python would try to write it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_with(error: GanDenoiseError) -> NoReturn:
    if _stopped_by:
        sys.exit(128 + _stopped_by[0])
    with contextlib.suppress(OSError):  # stderr may be full as well
        if "--debug" in sys.argv:
            traceback.print_exc()
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
