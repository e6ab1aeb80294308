"""One try of a run, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import join
from typing import Any, Protocol

from gan_denoise.study.sweep.plan import Place, Task

PROGRAM = ("-m", "gan_denoise.study.sweep.worker")
LAST_BYTES = 65_536  # of a log, to look for an error in


class Process(Protocol):
    """What a sweep asks of the process of a run: a child, or one on a cluster."""

    returncode: int | Any

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


@dataclass(slots=True)
class Running:
    """A process that makes a run, and its place."""

    task: Task
    place: Place
    log: Path
    process: Process
    stop: Callable[[], object]  # asks the process to save and end; see `study.sweep.worker`
    log_start: int  # where the output of this try begins
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def last_line(self) -> str:
        """The last line that it printed, empty without one."""
        return next(reversed(self._lines()), "")

    def error(self) -> str:
        """The error that it printed, else its last line, else its exit code."""
        lines = self._lines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or lines or [f"exit code {self.process.returncode}"])[-1]

    def _lines(self) -> list[str]:
        with self.log.open("rb") as file:
            file.seek(max(self.log_start, file.seek(0, os.SEEK_END) - LAST_BYTES))
            text = file.read().decode(errors="replace")
        return [stripped for line in text.splitlines() if (stripped := line.strip())]


def start_process(task: Task, place: Place, run: Path, log: Path) -> Running:
    """Start the command of a run at its place; it appends to `log` what it prints. Raises OSError."""
    process, log_start = start_program(PROGRAM, task, place, run, log)
    assert process.stdin is not None
    return Running(task, place, log, process, process.stdin.close, log_start)


def start_program(
    program: Sequence[str], task: Task, place: Place, run: Path, log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    """`start_process` for any program of Python's; returns the process and where its output begins in the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        output.write(f"$ {command_line(task, place, run)}  # {now}, {place}\n".encode())
        output.flush()
        log_start = output.tell()  # before the process writes, which moves the same position
        process = subprocess.Popen(
            [sys.executable, *_import_path(), *program, *_arguments(task, place, run)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **place.environment()},
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which stops its workers
        )
        return process, log_start


def command_line(task: Task, place: Place, run: Path) -> str:
    """The command of a run as a shell takes it."""
    return f"gan-denoise {join(_arguments(task, place, run))}"


def _arguments(task: Task, place: Place, run: Path) -> list[str]:
    """The arguments of a run; `study experiment` takes the folder of all experiments."""
    out = run.parent if task.arguments[:2] == ("study", "experiment") else run
    return [*task.arguments, "--threads", str(place.threads), "--out", str(out)]


def _import_path() -> list[str]:
    """-P, unless this process imports from the working folder too: a file there must not replace a module."""
    return [] if {"", os.getcwd()} & set(sys.path) else ["-P"]
