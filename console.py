"""What every command prints: results on stdout, progress and hints on stderr."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from gan_denoise import __version__

if TYPE_CHECKING:  # rich is slow to import
    from rich.console import Console
    from rich.table import Table

Track = Callable[[Sequence[Any]], Iterable[Any]]
SCHEMA = 1  # version of all JSON output; raise it when a key is renamed or removed

NUMBERS = re.compile(r"[-+\d.,/% ]*")  # one or more numbers

_quiet = False  # set by --quiet
_warned: set[str] = set()  # the problems that `warn_once` printed


def set_quiet(quiet: bool) -> bool:
    """Switch progress and hints off or on; the callback of --quiet."""
    global _quiet
    _quiet = quiet
    return quiet


def print_result(
    command: str, lines: Iterable[object], as_json: bool, next_command: Sequence[object], **facts: Any
) -> None:
    """Print the `lines`, then the `next:` hint, if any; or with `as_json` only a JSON object of `facts`.

    The object also holds the schema version, the command's name and the version; values that JSON lacks become strings.
    """
    if as_json:
        header = {"schema": SCHEMA, "command": command, "version": __version__}
        typer.echo(json.dumps(header | facts, indent=1, default=str))
        return
    for line in lines:
        typer.echo(str(line))
    if next_command:
        print_next(next_command)


def print_next(next_command: Sequence[object]) -> None:
    """Print the `next:` hint on stderr, from the arguments that follow `gan-denoise`."""
    words = list(map(str, next_command))
    print_status(f"next: gan-denoise {subprocess.list2cmdline(words) if os.name == 'nt' else shlex.join(words)}")


def model_option(model: object | None) -> tuple[object, ...]:
    """The arguments that select `model` in a `next:` hint; none for the shipped model."""
    return () if model is None else ("--model", model)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with the keys of all rows as header, in order of first appearance; None becomes an empty cell."""
    page = io.StringIO()
    writer = csv.DictWriter(page, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()


def shows_progress() -> bool:
    """Whether to draw progress bars: stderr is a terminal and --quiet was not given."""
    return sys.stderr is not None and sys.stderr.isatty() and not _quiet  # None: a Python without console


def print_status(line: str) -> None:
    """Print a status line on stderr, unless --quiet was given."""
    if not _quiet:
        typer.echo(line, err=True)


def warn_once(problem: str, path: object) -> None:
    """Print a warning about `path` on stderr; the same problem once in a process, whatever the path."""
    if problem not in _warned:
        _warned.add(problem)
        typer.echo(f"warning: {path}: {problem}", err=True)


def print_warning(line: str) -> None:
    """Print a line on stderr that matters for the result, also with --quiet."""
    typer.echo(line, err=True)


def rich_console(**options: Any) -> Console:
    """A rich console that prints strings literally: `[b]` is no markup and `:cat:` no emoji."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


def print_fitting(console: Console, table: Table) -> None:
    """Print a table so that no number is cut or broken: on a narrow terminal its numbers' titles are stacked.

    Where even that is too wide, each row is printed as lines `title: value`, with an empty line between rows.
    """
    from rich.text import Text

    if is_too_wide(console, table):
        stack_titles(table)
        if is_too_wide(console, table, shrunk=True):
            titles, cells = ([str(column.header) for column in table.columns], [[*c.cells] for c in table.columns])
            records = zip(*cells, strict=True)
            parts = [[f"{' '.join(t.split())}: {v}" for t, v in zip(titles, r, strict=True) if str(v)] for r in records]
            console.print(Text("\n\n".join([str(table.title), *map("\n".join, parts)])), soft_wrap=True)
            return
    console.print(table)


def is_too_wide(console: Console, table: Table, shrunk: bool = False) -> bool:
    """Whether a table is wider than the console; if `shrunk`, with its text folded to the longest words."""
    measured = console.measure(table, options=console.options.update(width=10_000))
    return (measured.minimum if shrunk else measured.maximum) > console.width


def stack_titles(table: Table) -> None:
    """Let no column of numbers be folded; its title has a line for each word instead."""
    from rich.text import Text

    for column in table.columns:
        if column.justify == "right" or all(NUMBERS.fullmatch(str(cell)) for cell in column.cells):
            column.no_wrap = True
            column.header = Text("\n".join(str(column.header).split()))


def untracked(items: Sequence[Any]) -> Iterable[Any]:
    """Return the items without showing progress."""
    return items


def tracked(description: str) -> Track:
    """A function that iterates over items with a progress bar on stderr, drawn on a terminal only."""

    def track(items: Sequence[Any]) -> Iterable[Any]:
        if not shows_progress():
            return items
        from rich.progress import track as rich_track

        return rich_track(items, description, console=rich_console(stderr=True), transient=True)

    return track
