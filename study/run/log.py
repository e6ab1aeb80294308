"""The log of a stage: one JSON line per event, finite numbers only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gan_denoise.errors import DivergedError, InputError
from gan_denoise.files import sync, write_atomic


class RunLog:
    """Appends events to a JSON-lines file. Each has a `step`, so a resumed run can drop the events that it repeats."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, **event: Any) -> None:
        """Append one event. Raises DivergedError if a number in it is NaN or infinite."""
        try:
            line = json.dumps(event, allow_nan=False)
        except ValueError as error:
            raise DivergedError.expected("log", "finite numbers", event) from error
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            sync(file.fileno())

    def rewind(self, step: int) -> None:
        """Drop the events after `step`, and an incomplete last line."""
        if self.path.exists():
            lines = [json.dumps(event) + "\n" for event in read_log(self.path) if event["step"] <= step]
            write_atomic(self.path, "".join(lines))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order, without an incomplete last line. Raises InputError if it is damaged."""
    try:
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error})", "train again with another --out") from error
