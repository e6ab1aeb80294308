"""Images spread over workers; each piece is timed on the one thread that makes it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np

from gan_denoise.data.images import ImagesF32
from gan_denoise.errors import OutputError

Restore = Callable[[ImagesF32], ImagesF32]


def in_batches(restore: Restore, noisy: ImagesF32, batch: int, pool: Executor | None = None) -> tuple[ImagesF32, float]:
    """What `restore` makes of the images, `batch` of them in a call, and the processor's seconds for all of them.

    Those are the seconds of the threads that made the calls, so that neither the other workers nor other programs
    count; `restore` must not start threads of its own. Without a pool the calls are made here. Raises OutputError when
    a worker has died.
    """
    parts = [noisy[start : start + batch] for start in range(0, len(noisy), batch)]
    timed = partial(_timed, restore)
    try:
        done = list(map(timed, parts) if pool is None else pool.map(timed, parts))
    except BrokenExecutor as error:
        raise OutputError(f"worker: died ({error})", "free some memory, or --threads 1") from error
    return np.concatenate([restored for restored, _ in done]), sum(seconds for _, seconds in done)


@contextmanager
def processes(count: int) -> Iterator[Executor | None]:
    """A pool of `count` processes, or None for one: then this process is enough. What waits when it ends is dropped."""
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of onnxruntime's threads
    pool = ProcessPoolExecutor(count, context, initializer=_leave_interrupts_to_the_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _timed(restore: Restore, noisy: ImagesF32) -> tuple[ImagesF32, float]:
    start = time.thread_time()
    restored = restore(noisy)
    return restored, time.thread_time() - start


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
