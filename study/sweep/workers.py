"""Run the tasks of a sweep side by side: bases first, lost runs again, failed ones named, all stopped by a signal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from gan_denoise.console import print_status, print_warning
from gan_denoise.errors import Interrupted, LockedError
from gan_denoise.machine import stop_signals_call
from gan_denoise.study.sweep.plan import Place, Task
from gan_denoise.study.sweep.process import Running, start_process
from gan_denoise.study.sweep_folder import Outcome, SweepFolder

POLL_S = 0.2  # seconds between two looks at the workers
STATUS_S = 60.0  # seconds between two lines on what is running
TRIES = 4  # of a run whose process is lost
STOPPED = (129, 130, 143)  # exit codes after a signal that the sweep did not send
SHOWN = 60  # characters of a worker's last line


@dataclass(slots=True)
class Workers:
    """The state of `run_tasks`."""

    sweep: SweepFolder
    waiting: list[Task]
    free: list[Place]
    record: Callable[[Task, Outcome], None]  # called when a run has ended, well or not
    done: dict[str, Outcome] = field(default_factory=dict)  # by the name of the run; those of earlier calls too
    running: list[Running] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)  # seconds of the lost tries of a run
    stop_signal: int = 0
    start: Callable[[Task, Place, Path, Path], Running] = start_process

    def start_next(self) -> None:
        """Start runs at the free places."""
        while self.free and (task := self._next_ready()) is not None:
            self.waiting.remove(task)
            self.tries[task.name] = self.tries.get(task.name, 0) + 1
            place = self.free.pop(0)
            self.running.append(self.start(task, place, self.sweep.run(task.name), self.sweep.log(task.name)))
            again = f", try {self.tries[task.name]}" if self.tries[task.name] > 1 else ""
            print_status(f"sweep: {task.name} started ({place}{again})")

    def _next_ready(self) -> Task | None:
        """The first waiting run whose base is finished; runs whose base failed are given up."""
        for task in list(self.waiting):
            base = self.done.get(task.after) if task.after else None
            if base is not None and base.exit_code:
                self.waiting.remove(task)
                self._end(task, Outcome(task.arguments, base.exit_code, 0.0, f"{task.after} failed, which it needs"))
            elif task.after is None or base is not None:
                return task
        return None

    def collect(self) -> None:
        """Take the runs that have ended."""
        for ended in [one for one in self.running if one.process.poll() is not None]:
            self.running.remove(ended)
            self.free.insert(0, ended.place)
            ended.stop()  # closes the pipe
            task, code = ended.task, ended.process.returncode
            seconds = self.spent.pop(task.name, 0.0) + ended.seconds
            if self.stop_signal and code:
                continue
            if _is_lost(code) and self.tries[task.name] < TRIES:
                self.spent[task.name] = seconds
                self.waiting.insert(0, task)
                print_warning(f"warning: {task.name} {_describe(code)}; it resumes from its last checkpoint")
                continue
            error = "" if not code else f"{_describe(code)} {TRIES} times" if _is_lost(code) else ended.error()
            self._end(task, Outcome(task.arguments, code if code >= 0 else 128 - code, round(seconds, 1), error))

    def _end(self, task: Task, outcome: Outcome) -> None:
        self.done[task.name] = outcome
        self.record(task, outcome)
        if outcome.exit_code:
            print_warning(f"warning: {task.name} failed (exit code {outcome.exit_code}): {outcome.error}")
        else:
            total = len(self.done) + len(self.waiting) + len(self.running)
            time_used = timedelta(seconds=round(outcome.seconds))
            print_status(f"sweep: {task.name} finished in {time_used}; {len(self.done)} of {total}{self._left()}")

    def _left(self) -> str:
        """The estimated time left, by the finished runs of the same kind or else of all kinds; empty without any."""
        left = [(task, 0.0) for task in self.waiting] + [(one.task, one.seconds) for one in self.running]
        times = {name: outcome.seconds for name, outcome in self.done.items() if not outcome.exit_code}
        if not left or not times:
            return ""
        places = len(self.free) + len(self.running)
        seconds = sum(max(_expected(task.kind, times) - spent, 0.0) for task, spent in left) / min(places, len(left))
        return f", about {timedelta(seconds=round(seconds))} left"

    def print_running(self) -> None:
        """One line on what runs now, with the last line of each log."""
        parts = [f"{one.task.name} ({one.last_line()[:SHOWN].strip()})" for one in self.running]
        print_status(f"sweep: running {'; '.join(parts)}{self._left()}")

    def stop(self, number: int = 0) -> None:
        """Ask all workers to save and end; a handler of signals."""
        self.stop_signal = number
        for one in self.running:
            one.stop()


def run_tasks(
    tasks: Sequence[Task],
    places: Sequence[Place],
    sweep: SweepFolder,
    earlier: dict[str, Outcome],
    record: Callable[[Task, Outcome], None],
    start: Callable[[Task, Place, Path, Path], Running] = start_process,
) -> dict[str, Outcome]:
    """Run all tasks that are not finished among the outcomes `earlier`; returns the outcome of each run by its name.

    A process that ends by a signal, or finds its run in use, is started again, TRIES times in all; its run resumes
    from its checkpoint. `start` starts the process of a run, here or on a cluster. A run that fails stops no other but
    those that need it. The first SIGINT, SIGTERM or SIGHUP stops all workers, which save checkpoints, and raises
    Interrupted; so the workers end if this raises anything.
    """
    waiting = [task for task in tasks if task.name not in earlier]
    workers = Workers(sweep, waiting, list(places), record, dict(earlier), start=start)
    printed = time.monotonic()
    try:
        with stop_signals_call(workers.stop):
            while workers.running or (workers.waiting and not workers.stop_signal):
                if not workers.stop_signal:
                    workers.start_next()
                if workers.stop_signal:  # it may have come while a process was started
                    workers.stop(workers.stop_signal)
                if time.monotonic() - printed >= STATUS_S and workers.running:
                    printed = time.monotonic()
                    workers.print_running()
                time.sleep(POLL_S)
                workers.collect()
    finally:
        workers.stop(workers.stop_signal)
        for one in workers.running:
            one.process.wait()
    if workers.stop_signal:
        finished = sum(not outcome.exit_code for outcome in workers.done.values())
        message = f"stopped with {finished} of {len(tasks)} runs finished; checkpoints saved"
        raise Interrupted(message, "the same command resumes", workers.stop_signal)
    return workers.done


def _is_lost(code: int) -> bool:
    """Whether a process ended by a signal of another, or because its run is in use: that may pass."""
    return code < 0 or code in STOPPED or code == LockedError.exit_code


def _describe(code: int) -> str:
    if code == LockedError.exit_code:
        return "is in use by another process"
    return f"was ended by signal {-code if code < 0 else code - 128}"


def _expected(kind: str, times: dict[str, float]) -> float:
    """The mean seconds of the finished runs of this kind, or of all."""
    same = [seconds for name, seconds in times.items() if name.rpartition("-")[0] == kind]
    return sum(same or times.values()) / len(same or times)
