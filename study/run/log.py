"""The run's log: one JSON line an event, finite numbers only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gan_denoise.errors import DivergedError, InputError
from gan_denoise.files import write_atomic


class RunLog:
    """Appends events to a JSON-lines file. Each has a `step`, so that a resumed run can drop what it will redo."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, **event: Any) -> None:
        """Write one event. Raises DivergedError when a number in it is NaN or infinite."""
        try:
            line = json.dumps(event, allow_nan=False)
        except ValueError as error:
            raise DivergedError(f"log: {event} found, finite numbers wanted") from error
        with self.path.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rewind(self, step: int) -> None:
        """Drop the events after `step`, and a last line that a crash cut short."""
        if self.path.exists():
            kept = [json.dumps(event) + "\n" for event in read_log(self.path) if event["step"] <= step]
            write_atomic(self.path, "".join(kept))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order; an unfinished last line is left out. Raises InputError when it is damaged."""
    try:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}), a log wanted", "another --out starts anew") from error
