"""Standard streams that are closed, missing or broken."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class _BestEffortFile(io.FileIO):
    """A file that drops what cannot be written: a terminal that hung up, a full disk, a pipe whose reader ended."""

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        try:
            written = super().write(content)
        except OSError:
            return size
        return size if written is None else written  # None: a non-blocking terminal that takes no more now


def prepare_streams() -> None:
    """Make all three standard streams usable; the start of the command line.

    A closed one becomes the null device, so that no output file gets its descriptor. stderr never fails, since lost
    progress is no reason to end. stdout escapes what its encoding lacks, as stderr does; its failures are errors.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        _reserve(number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if type(sys.stderr) is io.TextIOWrapper:  # not a stream that a caller of `main` put in its place
        raw = _BestEffortFile(sys.stderr.fileno(), "w", closefd=False)
        encoding = sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _reserve(number: int) -> None:
    """Open the null device as the descriptor `number` if that is closed."""
    try:
        os.fstat(number)
    except OSError:
        handle = os.open(os.devnull, os.O_RDWR)
        os.dup2(handle, number)  # inherited by child processes, unlike `handle`
        if handle != number:
            os.close(handle)
        else:
            os.set_inheritable(number, True)
