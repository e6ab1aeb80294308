"""Progress over pixels: megapixels a second and the time left, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gan_denoise.console import rich_console, shows_progress
from gan_denoise.export.denoise.tiling import Advance, ignore

if TYPE_CHECKING:  # rich is slow to import
    from rich.progress import Task


@contextmanager
def show_progress(pixels: int) -> Iterator[Advance]:
    """A function that takes the number of pixels just done, of `pixels` in all; it draws a bar on a terminal only."""
    if not shows_progress():
        yield ignore
        return
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(describe_speed(task.completed, task.speed))

    columns = (TextColumn("denoise"), BarColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=rich_console(stderr=True), transient=True) as progress:
        task = progress.add_task("denoise", total=pixels or None)
        yield lambda done: progress.advance(task, done)


def describe_speed(pixels: float, pixels_per_s: float | None) -> str:
    """Megapixels done, and megapixels per second, such as `12 MP, 2.4 MP/s`."""
    return f"{pixels / 1e6:.0f} MP" + (f", {pixels_per_s / 1e6:.1f} MP/s" if pixels_per_s else "")
