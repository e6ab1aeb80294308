"""Make shards in several processes of this machine."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from gan_denoise.console import Track, print_warning
from gan_denoise.errors import GanDenoiseError, OutputError
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shard_job import Job, make_shards
from gan_denoise.export.shard_manifest import Manifest
from gan_denoise.files import OUT_HINT
from gan_denoise.machine import hangup_signal
from gan_denoise.spawn import Context, ended_error, ignore_interrupts

END_S = 5.0  # for a worker to end before it is terminated again


def run_workers(count: int, graph: Graph, job: Job, manifest: Manifest, missing: Sequence[int], track: Track) -> None:
    """Make the shards `missing` in `count` processes, each of which takes the next one that no process makes.

    What a worker leaves that dies, another one makes; stderr gets a line. Raises what a worker raised, after ending the
    others, and OutputError when shards are missing because all workers died.
    """
    context = Context()
    workers = []
    try:
        for _ in range(min(count, max(len(missing), 1))):
            pipe, child_pipe = context.Pipe()
            process = context.Process(target=_work, args=(child_pipe,), daemon=True)
            process.start()
            workers.append((process, pipe))
            child_pipe.close()
        for _, pipe in workers:
            # Not an argument of the process: that is written to a pipe which never breaks if the process dies early.
            with contextlib.suppress(OSError):
                pipe.send((graph, job, manifest.description, manifest.made_with, missing))
        _follow([pipe for _, pipe in workers], track(range(2 * len(missing) * len(workers))))
        for process, _ in workers:
            process.join()
        ended = [process.exitcode for process, _ in workers if process.exitcode]
    finally:
        while running := [process for process, _ in workers if process.is_alive()]:
            for process in running:
                process.terminate()  # again if it goes on: an import may lose the handler's exception
            for process in running:
                process.join(END_S)
    if not all(job.path(number).exists() for number in missing):
        hint = "free some memory, or take fewer --workers; the same command goes on"
        raise ended_error(f"{job.out}: its workers ended with {', '.join(map(str, ended)) or 'files missing'}", hint)
    for code in ended:
        print_warning(f"warning: a worker ended with {code}; the others made its files")


def _follow(pipes: list[Connection], steps: Iterable[Any]) -> None:
    """Show the steps of the workers until all have ended; raises the error that one sends."""
    progress = iter(steps)
    while pipes:
        for pipe in wait(pipes):
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                pipes.remove(pipe)
                continue
            if isinstance(message, GanDenoiseError):
                raise message
            next(progress, None)


def _work(pipe: Connection) -> None:
    """The worker process: make shards until all are there, or the parent ends."""
    ignore_interrupts()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    if (hangup := hangup_signal()) is not None:
        signal.signal(hangup, signal.SIG_IGN)  # the parent ends its workers

    def track(items: Sequence[Any]) -> Iterable[Any]:
        for item in items:
            yield item
            try:
                pipe.send(item)
            except OSError:  # the parent has ended
                return

    with contextlib.suppress(EOFError, OSError):
        graph, job, description, made_with, missing = pipe.recv()
        try:
            make_shards(graph, job, Manifest(job.out, description, made_with), missing, track)
        except GanDenoiseError as error:
            pipe.send(error)
        except OSError as error:
            pipe.send(OutputError(f"{error.filename or job.out}: {error.strerror or error}", OUT_HINT))
