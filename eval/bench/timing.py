"""The benchmark: how long each contender takes for a batch, in interleaved rounds, and that all agree."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise.console import Track, untracked
from gan_denoise.data.images import ArrayF32
from gan_denoise.errors import GateError, InputError
from gan_denoise.eval.bench.backends import BUILTIN_BACKENDS, reason_to_skip, sgemm_gflops
from gan_denoise.eval.bench.worker import Worker
from gan_denoise.eval.labels import FUSED, PLAIN, SGEMM, TWO_GRAPHS
from gan_denoise.eval.metrics.confidence import ratio_interval
from gan_denoise.export.latents import latents

BATCHES = (1, 8, 64, 256)
ROUNDS = 10
WARM_UP = 3
PAUSE_S = 0.25  # between turns
TOLERANCE = 1e-4
UNSTABLE = 0.2

Rounds = list[list[float]]


def run_bench(
    model: Path | None,
    latent_size: int,
    threads: int = 0,
    repeats: int = 100,
    batches: Sequence[int] = BATCHES,
    others: Sequence[str] = (),
    multiply_adds: int | None = None,
    models: Mapping[str, Path] | None = None,
    track: Track = untracked,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows for the fused graph, plain sessions, `others` and the fused graphs of `models`, and why one has none.

    Each contender has a process of its own; its `repeats` calls a batch are spread over rounds in which the
    contenders take turns, so that a slow minute of the machine hits all of them. With the `multiply_adds` of an image
    SGEMM takes its turns too. Outputs are compared before the timing, but for those of `models`, which may compute
    something else: raises GateError when one differs from the fused graph's by more than 1e-4.
    """
    skipped: dict[str, str] = {}
    latent_batches = {batch: latents(0, 0, batch, latent_size) for batch in batches}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, model, threads)) for name in (FUSED, PLAIN)]
        for name in (TWO_GRAPHS, *others):
            found = reason_to_skip(name, model) or _started(name, model, threads, latent_batches[min(batches)], stack)
            if isinstance(found, Worker):
                workers.append(found)
            else:
                skipped[name] = found
        names = [worker.name for worker in workers]
        for z in latent_batches.values():
            _check_agreement(workers, z)
        strangers = [stack.enter_context(Worker(FUSED, path, threads, title)) for title, path in (models or {}).items()]
        peak = [] if multiply_adds is None else [stack.enter_context(Worker(SGEMM, model, threads))]
        times = _time_in_turns([*workers, *strangers, *peak], latent_batches, repeats, track)
    rows = []
    for batch in batches:
        for name in (*names, *(models or {})):
            row = {
                **timing_summary(name, batch, times[name, batch]),
                **relative_time(times[name, batch], times[FUSED, batch]),
            }
            if multiply_adds is not None and name in names:
                row["sgemm_fraction"] = sgemm_fraction(row, multiply_adds, times[SGEMM, batch])
            rows.append(row)
    return rows, skipped


def timing_summary(name: str, batch: int, rounds: Rounds) -> dict[str, Any]:
    """One row from the seconds of every call, by round.

    `images_per_s` counts all calls, not the typical one. `spread` is the difference between the slowest and the
    fastest round's median as a fraction of p50; above 0.2 the row is not `stable`. One round says nothing of both.
    """
    calls = np.concatenate(rounds)
    p50, p90, p99 = np.percentile(calls, (50, 90, 99))
    medians = _medians(rounds)
    spread = float((max(medians) - min(medians)) / p50) if len(medians) > 1 else None
    return {
        "name": name,
        "batch": batch,
        "p50_ms": 1000 * float(p50),
        "p90_ms": 1000 * float(p90),
        "p99_ms": 1000 * float(p99),
        "images_per_s": float(batch * len(calls) / calls.sum()),
        "repeats": len(calls),
        "spread": spread,
        "stable": None if spread is None else spread <= UNSTABLE,
    }


def relative_time(rounds: Rounds, fused: Rounds) -> dict[str, float | None]:
    """How many times the fused graph's time a contender takes, by the medians of the rounds that both had.

    `relative_time` is their geometric mean, with a 95 % interval where there are two rounds or more.
    """
    mine, theirs = _medians(rounds), _medians(fused)
    if len(mine) < 2:
        return {"relative_time": mine[0] / theirs[0], "relative_time_low": None, "relative_time_high": None}
    found = ratio_interval(theirs, mine)
    return {"relative_time": found.value, "relative_time_low": found.low, "relative_time_high": found.high}


def sgemm_fraction(row: dict[str, Any], multiply_adds: int, sgemm: Rounds) -> float:
    """What a contender computes in a second as a fraction of what SGEMM does in the same rounds."""
    gflops = 2 * multiply_adds * row["batch"] / (row["p50_ms"] / 1000) / 1e9
    return float(gflops / sgemm_gflops(float(np.median(np.concatenate(sgemm)))))


def _medians(rounds: Rounds) -> list[float]:
    return [float(np.median(calls)) for calls in rounds]


def compare(name: str, outputs: Sequence[ArrayF32], reference: Sequence[ArrayF32]) -> float:
    """The worst absolute difference from the fused graph's outputs. Raises GateError above 1e-4."""
    differences = [np.abs(a - b).max() for a, b in zip(outputs, reference, strict=True)]
    worst = float(np.max(differences))  # Python's max would lose a NaN
    if not worst <= TOLERANCE:
        batch = len(reference[0])
        raise GateError(f"{name}: {worst:.3g} off the fused graph found at batch {batch}, {TOLERANCE:g} or less wanted")
    return worst


def _time_in_turns(
    workers: list[Worker], latent_batches: dict[int, ArrayF32], repeats: int, track: Track
) -> dict[tuple[str, int], Rounds]:
    for worker in workers:
        for z in latent_batches.values():
            worker.time(z, WARM_UP)
    times: dict[tuple[str, int], Rounds] = {(w.name, batch): [] for batch in latent_batches for w in workers}
    shuffled = random.Random(0)
    for calls in track(_calls_per_round(repeats)):
        for batch, z in latent_batches.items():
            for worker in shuffled.sample(workers, len(workers)):  # who comes after whom must not decide
                time.sleep(PAUSE_S)  # the threads of the one before wait for work by spinning, on our cores
                times[worker.name, batch].append(worker.time(z, calls))
    return times


def _calls_per_round(repeats: int) -> list[int]:
    rounds = min(ROUNDS, repeats)
    return [len(part) for part in np.array_split(np.arange(repeats), rounds)]


def _started(name: str, model: Path | None, threads: int, z: ArrayF32, stack: ExitStack) -> Worker | str:
    """The contender once it has answered, for torch.compile compiles only then; why it cannot, if it is a peer."""
    try:
        worker = stack.enter_context(Worker(name, model, threads))
        worker.run(z)
    except InputError as error:
        if name in BUILTIN_BACKENDS:
            raise
        return error.message
    return worker


def _check_agreement(workers: list[Worker], z: ArrayF32) -> None:
    reference = next(worker for worker in workers if worker.name == FUSED).run(z)
    for worker in workers:
        compare(worker.name, worker.run(z), reference)
