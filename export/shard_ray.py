"""Make shards in tasks on a Ray cluster, whose nodes share the folder."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gan_denoise import ray_cluster
from gan_denoise.console import Track, print_warning
from gan_denoise.errors import OutputError
from gan_denoise.export.runtime import Graph
from gan_denoise.export.shard_job import Job, made_with, make_shards
from gan_denoise.export.shard_manifest import Facts, Manifest, check_made_with
from gan_denoise.files import OUT_HINT
from gan_denoise.machine import stop_signals_call
from gan_denoise.options import Provider

POLL_S = 0.5  # seconds between two looks at the folder
RETRIES = 3  # lost processes or nodes of a command before no more tasks are started


def run_tasks(
    count: int, graph: Graph, job: Job, manifest: Manifest, missing: Sequence[int], track: Track, other_machine: bool
) -> None:
    """Make the shards `missing` in `count` tasks with the threads of `graph` each; each takes the next free one.

    Raises what a task raised, after ending the others: an OutputError where a node does not see the folder, or would
    make other bits and `other_machine` is not set; and an OutputError when shards are missing because tasks were lost.
    """
    arguments = (graph, job, manifest.description, manifest.made_with, missing, other_machine)
    gpus = int(graph.provider is Provider.cuda)

    def submit(tasks: int) -> list[Any]:
        return ray_cluster.submit(tasks, make_on_node, *arguments, cpus=graph.threads, gpus=gpus)

    numbers: list[int] = []
    with stop_signals_call(numbers.append):  # an exception that a signal raises inside of Ray would be lost
        running = submit(min(count, len(missing)))
        try:
            lost = _follow(running, submit, job, track(missing), numbers)
        finally:
            ray_cluster.cancel_and_wait(running)
    if numbers:
        signal.raise_signal(numbers[0])
    if not all(job.path(number).exists() for number in missing):
        raise OutputError(f"{job.out}: its tasks were lost: {'; '.join(lost)}", "the same command goes on")
    for reason in lost:
        print_warning(f"warning: a task was lost, and others made its files: {reason}")


def _follow(
    running: list[Any], submit: Callable[[int], list[Any]], job: Job, steps: Iterable[int], stopped: list[int]
) -> list[str]:
    """Show the files as they appear until all tasks have ended or a signal came; returns why tasks were lost.

    Removes ended tasks from `running`. A lost task is submitted again here, RETRIES times in all: Ray 2.60 itself
    aborts at times ("Tried to complete task that was not pending") where it retries a task whose process was killed.
    """
    lost: list[str] = []
    progress = iter(steps)
    awaited = next(progress, None)
    while running and not stopped:
        ended, running[:] = ray_cluster.wait(running, POLL_S)
        while awaited is not None and job.path(awaited).exists():
            awaited = next(progress, None)
        for task in ended:
            try:
                ray_cluster.result(task)
            except ray_cluster.Lost as error:
                lost.append(str(error))
                if len(lost) <= RETRIES:
                    running += submit(1)
    return lost


def make_on_node(
    graph: Graph, job: Job, description: Facts, theirs: Facts, missing: Sequence[int], other_machine: bool
) -> None:
    """The task: check the node, then make shards until all are there."""
    node = f" on node {ray_cluster.node_name()}"
    manifest = Manifest(job.out, description, made_with(graph, job))
    if not manifest.describes(manifest.read()):
        hint = "--out must name a folder that all nodes share"
        raise OutputError.expected(
            job.out, "the folder of this command on all nodes", f"another one or none{node}", hint
        )
    if not other_machine:
        check_made_with(job.out, theirs, manifest.made_with, node)
    try:
        make_shards(graph, job, manifest, missing)
    except OSError as error:
        raise OutputError(f"{error.filename or job.out}: {error.strerror or error}{node}", OUT_HINT) from error
