"""A progress bar for whoever watches; silent otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Track = Callable[[Sequence[Any]], Iterable[Any]]


def untracked(items: Sequence[Any]) -> Iterable[Any]:
    """The items as they are."""
    return items


def tracked(description: str) -> Track:
    """A function that hands out items and shows on stderr how many are done; only on a terminal."""

    def track(items: Sequence[Any]) -> Iterable[Any]:
        if not sys.stderr.isatty():
            return items
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track
