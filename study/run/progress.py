"""Progress on stderr: a bar with images/s and time left on a terminal, else lines: one per epoch, some in between."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from gan_denoise.console import print_status, rich_console, shows_progress
from gan_denoise.errors import importing

INTERVAL_S = 30.0  # seconds between two lines, where there is no bar
ESTIMATE_STEPS = 50  # that the time of a stage is estimated from


class EpochProgress:
    """Shows the progress of a stage and, if enabled, writes TensorBoard event files.

    After ESTIMATE_STEPS steps the time of the stage is estimated. Without a bar a line with the time left is printed
    where the last line is `interval_s` seconds old.
    """

    def __init__(
        self,
        folder: Path,
        epochs: int,
        epoch_steps: int,
        epoch_images: int,
        tensorboard: bool,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.name, self.epochs, self.epoch_steps = folder.name, epochs, epoch_steps
        self.images_per_step = epoch_images / epoch_steps
        self.folder, self.tensorboard, self.interval_s = folder, tensorboard, interval_s
        self.step = self.first_step = 0
        self.started = self.printed = time.monotonic()
        self.writer: Any = None
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _ImagesPerSecond(),
            TimeRemainingColumn(),
            console=rich_console(stderr=True),
            disable=not shows_progress(),
        )

    def __enter__(self) -> EpochProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if self.writer is not None:
            self.writer.close()

    def start(self, step: int) -> None:
        """Show the bar, with `step` steps done. Raises InputError if TensorBoard is enabled but not installed."""
        self.writer = _event_writer(self.folder) if self.tensorboard else None
        self.step = self.first_step = step
        self.started = self.printed = time.monotonic()
        total = self.epochs * self.epoch_steps * self.images_per_step
        self.task = self.bar.add_task(self.name, total=total, completed=round(step * self.images_per_step))

    def advance(self) -> None:
        """Count one more step."""
        self.bar.advance(self.task, self.images_per_step)
        self.step += 1
        now, done = time.monotonic(), self.step - self.first_step
        total = self.epochs * self.epoch_steps
        left = (total - self.step) * (now - self.started) / done
        if done == ESTIMATE_STEPS and left >= self.interval_s:
            estimate = f"about {timedelta(seconds=round(left))} for this stage, by its first {ESTIMATE_STEPS} steps"
            self._print(f"{self.name}: {estimate}")
        elif self.bar.disable and now - self.printed >= self.interval_s:
            self.printed = now
            epoch = min(self.step // self.epoch_steps + 1, self.epochs)
            print_status(f"{self._epoch(epoch)}  {self.step / total:4.0%}, {timedelta(seconds=round(left))} left")

    def end_epoch(self, epoch: int, event: Mapping[str, float], warning: str) -> None:
        """Print the epoch's numbers and, if not empty, a warning."""
        numbers = "  ".join(f"{name} {value:<9.4g}" for name, value in event.items())  # aligned in all epochs
        lines = [f"{self._epoch(epoch)}  {numbers}".rstrip(), *([f"warning: {warning}"] if warning else [])]
        self.printed = time.monotonic()
        for line in lines:
            self._print(line)
        if self.writer is not None:
            for name, value in event.items():
                self.writer.add_scalar(f"{self.name}/{name}", value, epoch)

    def _print(self, line: str) -> None:
        if self.bar.disable:
            print_status(line)
        else:
            self.bar.console.print(line)

    def _epoch(self, epoch: int) -> str:
        return f"{self.name} epoch {epoch:{len(str(self.epochs))}}/{self.epochs}"


class _ImagesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} images/s" if task.speed else "")


def _event_writer(folder: Path) -> Any:
    with importing("tensorboard", "tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter(str(folder / "tensorboard"))
