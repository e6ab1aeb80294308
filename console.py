"""What every command prints: results on stdout, progress and hints on stderr."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from gan_denoise import __version__
from gan_denoise.errors import UsageError

OUTPUT, MACHINE = "Output", "Machine"  # panels of a help

Track = Callable[[Sequence[Any]], Iterable[Any]]

_quiet = False  # since --quiet


def be_quiet(wanted: bool) -> bool:
    """From here on neither progress nor hints, if that is wanted; what --quiet calls."""
    global _quiet
    _quiet = wanted
    return wanted


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.", rich_help_panel=OUTPUT)]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print a markdown table.", rich_help_panel=OUTPUT)]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, numbers unrounded.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=be_quiet, help="No progress, no hints.", rich_help_panel=OUTPUT)
]


def check_one_format(as_json: bool, as_markdown: bool = False, as_csv: bool = False) -> None:
    """Raises UsageError when more than one is wanted."""
    wanted = {"--json": as_json, "--markdown": as_markdown, "--csv": as_csv}
    found = [name for name, given in wanted.items() if given]
    if len(found) > 1:
        raise UsageError(f"{' '.join(found)}: {len(found)} found, one wanted")


def print_result(command: str, lines: Iterable[object], as_json: bool, then: Sequence[object], **facts: Any) -> None:
    """Print what was done, one of `lines` each, or `facts` as JSON alone; then hint at the command that comes next."""
    if as_json:
        typer.echo(json.dumps({"command": command, "version": __version__, **facts}, indent=1, default=str))
        return
    for line in lines:
        typer.echo(str(line))
    print_next(then)


def print_next(then: Sequence[object]) -> None:
    """Name the command that comes next on stderr, by its arguments after `gan-denoise`."""
    print_status(f"next: gan-denoise {shlex.join(map(str, then))}")


def model_option(model: object | None) -> tuple[object, ...]:
    """The arguments that name a model once more; none for the shipped one."""
    return () if model is None else ("--model", model)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line of all rows' keys in the order in which they first appear, and a line a row; None is empty."""
    page = io.StringIO()
    writer = csv.DictWriter(page, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()


def is_shown() -> bool:
    """Whether a bar may be drawn: stderr is a terminal, and --quiet was not given."""
    return sys.stderr.isatty() and not _quiet


def print_status(line: str) -> None:
    """Print a line of progress on stderr, unless --quiet was given."""
    if not _quiet:
        typer.echo(line, err=True)


def untracked(items: Sequence[Any]) -> Iterable[Any]:
    """The items as they are."""
    return items


def tracked(description: str) -> Track:
    """A function that hands out items and shows how many are done and the time left; only on a terminal."""

    def track(items: Sequence[Any]) -> Iterable[Any]:
        if not is_shown():
            return items
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track
