"""Denoise images on several workers; each batch is timed on the thread that computes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import one_line
from gan_denoise.spawn import Context, ended_error, ignore_interrupts

Restore = Callable[[ImagesF32], ImagesF32]
Part = TypeVar("Part")
Result = TypeVar("Result")


def in_batches(restore: Restore, noisy: ImagesF32, batch: int, pool: Executor | None = None) -> tuple[ImagesF32, float]:
    """Denoise images in batches; returns the images and the CPU seconds of all calls.

    The seconds are those of the threads that call `restore`, so that neither the other workers nor other programs
    count; `restore` must not start threads of its own. Without a pool the calls run in this thread. Raises OutputError
    when a worker process died, UsageError when it did because the script has no main guard.
    """
    parts = [noisy[start : start + batch] for start in range(0, len(noisy), batch)]
    results = map_in_pool(partial(timed, restore), parts, pool)
    return np.concatenate([restored for restored, _ in results]), sum(seconds for _, seconds in results)


def map_in_pool(function: Callable[[Part], Result], parts: Iterable[Part], pool: Executor | None) -> list[Result]:
    """The results of `function` for each part, from the workers of the pool, or from this thread without one.

    Raises as `in_batches`.
    """
    try:
        return list(map(function, parts) if pool is None else pool.map(function, parts))
    except BrokenExecutor as error:
        assert pool is not None
        pool.shutdown()  # the exit codes are known after it
        raise ended_error(f"worker: died ({one_line(error)})", "free some memory, or --threads 1") from error


@contextmanager
def processes(count: int) -> Iterator[Executor | None]:
    """A pool of `count` processes, or None for one, which needs no pool. Pending calls are cancelled at the end."""
    if count == 1:
        yield None
        return
    pool = ProcessPoolExecutor(count, Context(), initializer=ignore_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def timed(restore: Restore, noisy: ImagesF32) -> tuple[ImagesF32, float]:
    """The restored images and the CPU seconds of this thread."""
    start = time.thread_time()
    restored = restore(noisy)
    return restored, time.thread_time() - start
