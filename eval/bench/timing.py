"""The benchmark: the time of each backend for a batch, in interleaved rounds, after a check that all agree."""

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
from gan_denoise.eval.labels import FUSED, OWN_PRECISION, PLAIN, SGEMM, TWO_GRAPHS
from gan_denoise.eval.metrics.confidence import ratio_interval
from gan_denoise.export.latents import latents
from gan_denoise.export.provider_choice import TOLERANCE
from gan_denoise.options import Provider

BATCHES = (1, 8, 64, 256)
ROUNDS = 10
WARM_UP = 3
PAUSE_S = 0.25  # between turns: the threads of the previous backend wait for work by spinning, on the same cores
UNSTABLE = 0.2
LARGEST = float(np.finfo(np.float32).max)  # which neither infinity nor NaN is below

Rounds = list[list[float]]


def run_bench(
    model: Path | None,
    latent_size: int,
    threads: int = 0,
    repeats: int = 100,
    batches: Sequence[int] = BATCHES,
    third_party: Sequence[str] = (),
    multiply_adds: int | None = None,
    models: Mapping[str, Path] | None = None,
    track: Track = untracked,
    *,
    provider: Provider = Provider.cpu,
    pause_s: float = PAUSE_S,
    warm_up: int = WARM_UP,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows for the fused graph, plain sessions, `third_party` backends and the fused graphs of `models`, on the CPU.

    Another `provider` adds the row `fused, PROVIDER`.

    Also returns the backends that were skipped, with the reason. Each backend has its own process; its `repeats` calls
    per batch size are spread over rounds in which the backends take turns, with `pause_s` seconds between them, so
    that a slow minute of the machine affects all of them. With the `multiply_adds` of an image, SGEMM is timed too.
    Outputs are compared before the timing, except those of `models`, which may compute different images: raises
    GateError when one differs from the fused graph's by more than TOLERANCE. The provider and OpenVINO at its own
    precision may differ by any finite number; `largest_difference` is shown beside the times.
    """
    latent_batches = {batch: latents(0, 0, batch, latent_size) for batch in batches}
    with ExitStack() as stack:
        workers, skipped = _start_workers(model, threads, third_party, latent_batches[min(batches)], stack)
        loose = [OWN_PRECISION]
        if provider is not Provider.cpu:
            loose.append(f"{FUSED}, {provider}")
            workers.insert(1, stack.enter_context(Worker(FUSED, model, threads, loose[-1], provider)))
        names = [worker.name for worker in workers]
        differences = {batch: _check_agreement(workers, z, loose) for batch, z in latent_batches.items()}
        workers += [stack.enter_context(Worker(FUSED, path, threads, title)) for title, path in (models or {}).items()]
        if multiply_adds is not None:
            workers.append(stack.enter_context(Worker(SGEMM, model, threads)))
        times = _time_in_turns(workers, latent_batches, repeats, track, pause_s, warm_up)
    rows = []
    for batch in batches:
        for name in (*names, *(models or {})):
            row = {
                **timing_summary(name, batch, times[name, batch]),
                **relative_time(times[name, batch], times[FUSED, batch]),
                "largest_difference": differences[batch].get(name),
            }
            if multiply_adds is not None and name in names:
                row["sgemm_fraction"] = sgemm_fraction(row, multiply_adds, times[SGEMM, batch])
            rows.append(row)
    return rows, skipped


def _start_workers(
    model: Path | None, threads: int, third_party: Sequence[str], z: ArrayF32, stack: ExitStack
) -> tuple[list[Worker], dict[str, str]]:
    """Workers of the backends that can run, and the reasons why others are skipped."""
    workers = [stack.enter_context(Worker(name, model, threads)) for name in (FUSED, PLAIN)]
    skipped: dict[str, str] = {}
    for name in (TWO_GRAPHS, *third_party):
        worker = reason_to_skip(name, model) or _start_worker(name, model, threads, z, stack)
        if isinstance(worker, Worker):
            workers.append(worker)
        else:
            skipped[name] = worker
    return workers, skipped


def _start_worker(name: str, model: Path | None, threads: int, z: ArrayF32, stack: ExitStack) -> Worker | str:
    """A worker after its first call, in which torch.compile compiles; for a third-party backend, why it failed."""
    try:
        worker = stack.enter_context(Worker(name, model, threads))
        worker.run(z)
    except InputError as error:
        if name in BUILTIN_BACKENDS:
            raise
        return error.message
    return worker


def timing_summary(name: str, batch: int, rounds: Rounds) -> dict[str, Any]:
    """One row from the seconds of every call, by round.

    `images_per_s` is over all calls, not the median call. `spread` is the difference between the slowest and the
    fastest round's median as a fraction of p50; above 0.2 the row is not `stable`. Both are None for one round.
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
    """The time of a backend divided by the fused graph's, from the medians of paired rounds.

    `relative_time` is the geometric mean of the ratios, with a 95 % interval for two rounds or more.
    """
    medians, fused_medians = _medians(rounds), _medians(fused)
    if len(medians) < 2:
        return {"relative_time": medians[0] / fused_medians[0], "relative_time_low": None, "relative_time_high": None}
    ratio = ratio_interval(fused_medians, medians)
    return {"relative_time": ratio.value, "relative_time_low": ratio.low, "relative_time_high": ratio.high}


def sgemm_fraction(row: dict[str, Any], multiply_adds: int, sgemm: Rounds) -> float:
    """Operations a second of a backend as a fraction of those of SGEMM in the same rounds."""
    gflops = 2 * multiply_adds * row["batch"] / (row["p50_ms"] / 1000) / 1e9
    return float(gflops / sgemm_gflops(float(np.median(np.concatenate(sgemm)))))


def _medians(rounds: Rounds) -> list[float]:
    return [float(np.median(calls)) for calls in rounds]


def compare(
    name: str, outputs: Sequence[ArrayF32], reference: Sequence[ArrayF32], tolerance: float = TOLERANCE
) -> float:
    """The largest absolute difference from the fused graph's outputs. Raises GateError above `tolerance`."""
    differences = [np.abs(a - b).max() for a, b in zip(outputs, reference, strict=True)]
    largest = float(np.max(differences))  # Python's max would lose a NaN
    if not largest <= tolerance:
        batch = len(reference[0])
        expected = f"outputs within {tolerance:g} of the fused graph's at batch {batch}"
        raise GateError.expected(name, expected, f"a difference of {largest:.3g}")
    return largest


def _time_in_turns(
    workers: list[Worker],
    latent_batches: dict[int, ArrayF32],
    repeats: int,
    track: Track,
    pause_s: float,
    warm_up: int,
) -> dict[tuple[str, int], Rounds]:
    for worker in workers:
        for z in latent_batches.values():
            worker.time(z, warm_up)
    times: dict[tuple[str, int], Rounds] = {(w.name, batch): [] for batch in latent_batches for w in workers}
    random_order = random.Random(0)
    for calls in track(_calls_per_round(repeats)):
        for batch, z in latent_batches.items():
            for worker in random_order.sample(workers, len(workers)):  # a fixed order would bias the comparison
                time.sleep(pause_s)
                times[worker.name, batch].append(worker.time(z, calls))
    return times


def _calls_per_round(repeats: int) -> list[int]:
    rounds = min(ROUNDS, repeats)
    return [len(part) for part in np.array_split(np.arange(repeats), rounds)]


def _check_agreement(workers: list[Worker], z: ArrayF32, loose: Sequence[str]) -> dict[str, float]:
    """The largest difference of each worker's outputs from the fused graph's. Raises as `compare`, but for `loose`."""
    reference = next(worker for worker in workers if worker.name == FUSED).run(z)
    limits = {worker.name: LARGEST if worker.name in loose else TOLERANCE for worker in workers}
    return {worker.name: compare(worker.name, worker.run(z), reference, limits[worker.name]) for worker in workers}
