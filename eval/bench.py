"""The benchmark: how long each contender takes for a batch, in interleaved rounds, and that all agree."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from gan_denoise.errors import GateError
from gan_denoise.eval.contenders import CONTENDERS, FUSED, Worker, reason_to_skip
from gan_denoise.eval.peers import Array
from gan_denoise.export.runtime import latents
from gan_denoise.progress import Track, untracked

BATCHES = (1, 8, 64, 256)
ROUNDS = 10
WARM_UP = 3
TOLERANCE = 1e-4
UNSTABLE = 0.2

Rounds = list[list[float]]


def run_bench(
    model: Path | None,
    latent_size: int,
    threads: int = 0,
    repeats: int = 100,
    batches: Sequence[int] = BATCHES,
    track: Track = untracked,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows for every contender and batch, and why a contender was not measured, by its name.

    Each contender has a process of its own; its `repeats` calls a batch are spread over rounds in which the
    contenders take turns, so that a slow minute of the machine hits all of them. Outputs are compared after the
    timing: raises GateError when one differs from the fused graph's by more than 1e-4.
    """
    skipped = {name: reason for name in CONTENDERS if (reason := reason_to_skip(name, model))}
    with ExitStack() as stack:
        names = [name for name in CONTENDERS if name not in skipped]
        workers = [stack.enter_context(Worker(name, model, threads)) for name in names]
        latent_batches = {batch: latents(0, 0, batch, latent_size) for batch in batches}
        times = _time_in_turns(workers, latent_batches, repeats, track)
        for z in latent_batches.values():
            _check_agreement(workers, z)
    return [summary(name, batch, rounds) for (name, batch), rounds in times.items()], skipped


def summary(name: str, batch: int, rounds: Rounds) -> dict[str, Any]:
    """One row from the seconds of every call, by round.

    `images_per_s` counts all calls, not the typical one. `spread` is the difference between the slowest and the
    fastest round's median as a fraction of p50; above 0.2 the row is not `stable`.
    """
    calls = np.concatenate(rounds)
    p50, p90, p99 = np.percentile(calls, (50, 90, 99))
    medians = [np.median(calls_of_round) for calls_of_round in rounds]
    spread = float((max(medians) - min(medians)) / p50)
    return {
        "name": name,
        "batch": batch,
        "p50_ms": 1000 * float(p50),
        "p90_ms": 1000 * float(p90),
        "p99_ms": 1000 * float(p99),
        "images_per_s": float(batch * len(calls) / calls.sum()),
        "repeats": len(calls),
        "spread": spread,
        "stable": spread <= UNSTABLE,
    }


def compare(name: str, outputs: Sequence[Array], reference: Sequence[Array]) -> float:
    """The worst absolute difference from the fused graph's outputs. Raises GateError above 1e-4."""
    differences = [np.abs(a - b).max() for a, b in zip(outputs, reference, strict=True)]
    worst = float(np.max(differences))  # Python's max would lose a NaN
    if not worst <= TOLERANCE:
        batch = len(reference[0])
        raise GateError(f"{name}: {worst:.3g} off the fused graph found at batch {batch}, {TOLERANCE:g} or less wanted")
    return worst


def _time_in_turns(
    workers: list[Worker], latent_batches: dict[int, Array], repeats: int, track: Track
) -> dict[tuple[str, int], Rounds]:
    for worker in workers:
        for z in latent_batches.values():
            worker.time(z, WARM_UP)
    times: dict[tuple[str, int], Rounds] = {(w.name, batch): [] for batch in latent_batches for w in workers}
    for calls in track(_calls_per_round(repeats)):
        for batch, z in latent_batches.items():
            for worker in workers:
                times[worker.name, batch].append(worker.time(z, calls))
    return times


def _calls_per_round(repeats: int) -> list[int]:
    rounds = min(ROUNDS, repeats)
    return [len(part) for part in np.array_split(np.arange(repeats), rounds)]


def _check_agreement(workers: list[Worker], z: Array) -> None:
    reference = next(worker for worker in workers if worker.name == FUSED).run(z)
    for worker in workers:
        compare(worker.name, worker.run(z), reference)
