"""What every command prints: results on stdout, progress and hints on stderr."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from gan_denoise import __version__

Track = Callable[[Sequence[Any]], Iterable[Any]]
SCHEMA = 1  # version of all JSON output; raise it when a key is renamed or removed

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


def untracked(items: Sequence[Any]) -> Iterable[Any]:
    """Return the items without showing progress."""
    return items


def tracked(description: str) -> Track:
    """A function that iterates over items with a progress bar on stderr, drawn on a terminal only."""

    def track(items: Sequence[Any]) -> Iterable[Any]:
        if not shows_progress():
            return items
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track
