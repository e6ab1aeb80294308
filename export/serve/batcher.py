"""Join the rows of many callers into runs of a graph, and limit what is in use at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import InputError
from gan_denoise.export.runtime import Graph
from gan_denoise.export.serve.protocol import MAX_PIXELS, ServeError

Outputs = tuple[ArrayF32, ...]
Observe = Callable[[int, float, float], None]  # called with the rows of a run, how long the first waited, and its time
Results = list[Outputs | InputError]  # one for each job


class Quota:
    """How much of a limited thing is in use."""

    def __init__(self, name: str, unit: str, limit: int) -> None:
        self.name, self.unit, self.limit, self.used = name, unit, limit, 0

    @contextlib.contextmanager
    def lease(self) -> Iterator[Callable[[int], None]]:
        """A function that takes a number until the end of the block, and raises ServeError 503 beyond the limit."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self.used + count > self.limit:
                message = f"{self.name}: expected at most {self.limit} {self.unit}, got {count} more than {self.used}"
                raise ServeError(503, message, [(b"retry-after", b"1")])
            self.used += count
            taken += count

        try:
            yield take
        finally:
            self.used -= taken


@dataclass(frozen=True, slots=True)
class _Job:
    rows: ArrayF32
    future: asyncio.Future[Outputs]
    since: float


class Batcher:
    """Runs a graph in the thread of `pool` on at most `batch` rows at a time, joined from several callers.

    A run starts when `batch` rows wait, or the first of them has waited `delay_s`, and no other run of this graph is
    going on. Rows whose caller cancelled the future are dropped. Only images of equal size are joined. If a joined run
    fails, each caller's rows run alone, so that only those fail that cannot run.

    All methods are called in the thread of the event loop.
    """

    def __init__(self, graph: Graph, batch: int, delay_s: float, pool: ThreadPoolExecutor, observe: Observe) -> None:
        self._graph, self._batch, self._delay_s, self._pool, self._observe = graph, batch, delay_s, pool, observe
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[_Job] = deque()
        self._waiting = 0  # rows in `_jobs`
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False

    def submit(self, rows: ArrayF32) -> list[asyncio.Future[Outputs]]:
        """Futures of the outputs, for (N, ...) float32 `rows`: one for each micro-batch that they are cut into."""
        size = self._capacity(rows)
        futures = []
        for start in range(0, len(rows), size):
            job = _Job(rows[start : start + size], self._loop.create_future(), perf_counter())
            self._jobs.append(job)
            self._waiting += len(job.rows)
            futures.append(job.future)
        self._schedule()
        return futures

    def _capacity(self, rows: ArrayF32) -> int:
        """How many such rows run at once: large images take much memory."""
        if not self._graph.has_any_size:
            return self._batch
        pixels: int = rows[0, 0].size
        return max(1, min(self._batch, MAX_PIXELS // pixels))

    def _schedule(self) -> None:
        """Start a run now, or when the first job has waited long enough."""
        if self._is_running or not self._jobs:
            return
        rest_s = self._jobs[0].since + self._delay_s - perf_counter()
        if rest_s <= 0 or self._waiting >= self._capacity(self._jobs[0].rows):
            self._start()
        elif self._timer is None:
            self._timer = self._loop.call_later(rest_s, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs = self._take()
        if not jobs or self._is_running:
            return
        self._is_running = True
        self._pool.submit(self._work, jobs, perf_counter())

    def _take(self) -> list[_Job]:
        """The next jobs that fit into one run, in order."""
        taken: list[_Job] = []
        room = 0
        while self._jobs:
            job = self._jobs[0]
            if job.future.done():
                self._drop_first()
                continue
            if not taken:
                room = self._capacity(job.rows)
            elif job.rows.shape[1:] != taken[0].rows.shape[1:] or len(job.rows) > room:
                break
            room -= len(job.rows)
            taken.append(job)
            self._drop_first()
        return taken

    def _drop_first(self) -> None:
        self._waiting -= len(self._jobs.popleft().rows)

    def _work(self, jobs: list[_Job], start: float) -> None:
        """In the thread of the pool: run the graph on the jobs' rows."""
        results = _run(self._graph, [job.rows for job in jobs])
        with contextlib.suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._finish, jobs, results, start, perf_counter() - start)

    def _finish(self, jobs: list[_Job], results: Results, start: float, run_s: float) -> None:
        self._is_running = False
        self._observe(sum(len(job.rows) for job in jobs), start - jobs[0].since, run_s)
        for job, result in zip(jobs, results, strict=True):
            if job.future.done():
                continue  # the caller left meanwhile
            if isinstance(result, InputError):
                job.future.set_exception(ServeError(500, result.message))
            else:
                job.future.set_result(result)
        self._schedule()


def _run(graph: Graph, parts: list[ArrayF32]) -> Results:
    """The outputs of the graph for each part of the rows, or the error of a part that it cannot run."""
    try:
        outputs = graph(np.concatenate(parts))  # a copy: what came over the network is not aligned
    except InputError as error:
        return [error] if len(parts) == 1 else [result for part in parts for result in _run(graph, [part])]
    if len(parts) == 1:
        return [outputs]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return list(zip(*(np.split(output, ends) for output in outputs), strict=True))
