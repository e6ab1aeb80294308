"""One try of a run, in a process on a Ray cluster, whose nodes share the folder of the sweep."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_denoise import ray_cluster
from gan_denoise.errors import GanDenoiseError, OutputError
from gan_denoise.study.sweep.plan import Place, Task
from gan_denoise.study.sweep.process import PROGRAM, Running, start_program
from gan_denoise.study.sweep_folder import SweepFolder

POLL_S = 0.2  # seconds between two looks at a process


class RemoteProcess:
    """A task that runs a process, as `Running` asks for it. What ends it, if not the process, is added to the log."""

    def __init__(self, task: Any, log: Path) -> None:
        self.returncode: int | None = None
        self._task, self._log, self._stops, self._cancelled = task, log, False, False

    def stop(self) -> None:
        """Let the next `poll` cancel the task: a handler of signals, which calls this, may have interrupted Ray."""
        self._stops = True

    def poll(self) -> int | None:
        """The exit code of the process, -9 if it was lost, that of the error if it was not started; None until then."""
        if self.returncode is None:
            if self._stops and not self._cancelled:
                self._cancelled = True
                ray_cluster.cancel([self._task])
            if ray_cluster.wait([self._task], 0)[0]:
                self.returncode = self._result()
        return self.returncode

    def wait(self) -> int:
        """Wait for the exit code."""
        while (code := self.poll()) is None:
            time.sleep(POLL_S)
        return code

    def _result(self) -> int:
        try:
            return int(ray_cluster.result(self._task))
        except ray_cluster.Lost as error:
            line, code = f"lost: {error}", -signal.SIGKILL
        except GanDenoiseError as error:
            line, code = f"error: {error.message}", error.exit_code
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        return code


def start_task(task: Task, place: Place, run: Path, log: Path) -> Running:
    """`start_process` on a node that has the processors and the GPU of the place; Ray chooses which GPU."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    arguments = (PROGRAM, task, dataclasses.replace(place, gpu=None), run, log)
    (started,) = ray_cluster.submit(1, run_process, *arguments, cpus=place.threads, gpus=int(place.gpu is not None))
    process = RemoteProcess(started, log)
    return Running(task, place, log, process, process.stop, log.stat().st_size)


def run_process(program: Sequence[str], task: Task, place: Place, run: Path, log: Path) -> int:
    """The task: run the process to its end and return its exit code; if the task is cancelled, it saves and ends.

    If the task is killed, the process notices it; see `study.sweep.worker`.
    """
    if not SweepFolder(run.parent).record.exists():
        got, hint = f"none on node {ray_cluster.node_name()}", "--out must name a folder that all nodes share"
        raise OutputError.expected(run.parent, "the folder of the sweep on all nodes", got, hint)
    process, _ = start_program(program, task, place, run, log)
    assert process.stdin is not None
    while True:
        try:
            if (code := process.poll()) is not None:
                return code
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            process.stdin.close()
