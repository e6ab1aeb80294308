"""What a command tells on stderr while it works and when it is done, for whoever watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer

Track = Callable[[Sequence[Any]], Iterable[Any]]

_quiet = False  # since --quiet


def be_quiet(wanted: bool) -> bool:
    """From here on neither progress nor hints, if that is wanted; what --quiet calls."""
    global _quiet
    _quiet = wanted
    return wanted


def is_shown() -> bool:
    """Whether a bar may be drawn: stderr is a terminal, and --quiet was not given."""
    return sys.stderr.isatty() and not _quiet


def say(line: str) -> None:
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
