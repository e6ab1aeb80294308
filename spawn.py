"""Worker processes, started afresh: a forked one would copy locks that the parent's threads hold.

A new process imports the script that started it. A script that starts workers outside `if __name__ == "__main__":`
would start more of them there; such a process ends with the exit code NO_GUARD instead, which names the mistake.
"""

from __future__ import annotations

import signal
import sys
from multiprocessing.context import SpawnContext, SpawnProcess

from gan_denoise.errors import GanDenoiseError, OutputError, UsageError

NO_GUARD = 86  # an exit code that no shell and no signal uses
GUARD = 'if __name__ == "__main__":'


class _Process(SpawnProcess):
    def start(self) -> None:
        try:
            super().start()
        except RuntimeError:  # by multiprocessing, in a process that is still importing the script
            sys.exit(NO_GUARD)
        _started.append(self)


class Context(SpawnContext):
    """A multiprocessing context whose processes end without a traceback where the script has no main guard."""

    Process = _Process


_started: list[_Process] = []


def ended_error(message: str, hint: str = "") -> GanDenoiseError:
    """The error for a worker process that ended: an OutputError, or a UsageError if the script has no main guard."""
    if any(process.exitcode == NO_GUARD for process in _started):
        return UsageError.expected("script", f"{GUARD} around the calls that start worker processes", "none")
    return OutputError(message, hint)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C, which reaches the whole group of processes: the parent ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
