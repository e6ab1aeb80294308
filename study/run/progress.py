"""Progress on stderr: a bar with images/s and time left on a terminal, else one line per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from gan_denoise.console import print_status, shows_progress
from gan_denoise.errors import importing


class EpochProgress:
    """Shows the progress of a stage and, if enabled, writes TensorBoard event files."""

    def __init__(self, folder: Path, epochs: int, epoch_steps: int, epoch_images: int, tensorboard: bool) -> None:
        self.name, self.epochs, self.epoch_steps = folder.name, epochs, epoch_steps
        self.images_per_step = epoch_images / epoch_steps
        self.folder, self.tensorboard = folder, tensorboard
        self.writer: Any = None
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _ImagesPerSecond(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
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
        total = self.epochs * self.epoch_steps * self.images_per_step
        self.task = self.bar.add_task(self.name, total=total, completed=round(step * self.images_per_step))

    def advance(self) -> None:
        """Count one more step."""
        self.bar.advance(self.task, self.images_per_step)

    def end_epoch(self, epoch: int, event: Mapping[str, float], warning: str) -> None:
        """Print the epoch's numbers and, if not empty, a warning."""
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in event.items())
        lines = [f"{self.name} epoch {epoch}/{self.epochs}  {numbers}", *([f"warning: {warning}"] if warning else [])]
        for line in lines:
            if self.bar.disable:
                print_status(line)
            else:
                self.bar.console.print(line, markup=False, highlight=False)
        if self.writer is not None:
            for name, value in event.items():
                self.writer.add_scalar(f"{self.name}/{name}", value, epoch)


class _ImagesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} images/s" if task.speed else "")


def _event_writer(folder: Path) -> Any:
    with importing("tensorboard", "tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter(str(folder / "tensorboard"))
