"""The result tables of the speed benchmark, with settings and notes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_denoise.console import Track, print_warning, untracked
from gan_denoise.errors import GateError, InputError
from gan_denoise.eval.bench.backends import SIDE, THIRD_PARTY
from gan_denoise.eval.bench.profile import profile_rows
from gan_denoise.eval.bench.timing import BATCHES, PAUSE_S, WARM_UP, run_bench
from gan_denoise.eval.labels import OWN_PRECISION
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export import graph_size, runtime
from gan_denoise.export.provider_choice import load_for
from gan_denoise.machine import busy_cores, describe_machine, load_warning
from gan_denoise.options import Provider

NOTES = {
    "relative time": "time divided by the fused graph's, with a 95 % interval over rounds",
    "of SGEMM": f"operations per second as a fraction of onnxruntime's {SIDE}x{SIDE} matrix product",
    "largest difference": "of a pixel in [0, 1], from the fused graph's, before the timing",
    "threads": "each runtime's default waiting policy; onnxruntime's threads spin",
}
OWN_NOTE = "bfloat16 where the processor has it; the other rows are float32"


def bench_report(
    model: Path | None,
    repeats: int,
    threads: int,
    third_party: Sequence[str] = ("torch",),
    models: Mapping[str, Path] | None = None,
    track: Track = untracked,
    *,
    provider: Provider = Provider.cpu,
    pause_s: float = PAUSE_S,
    warm_up: int = WARM_UP,
    force_busy: bool = True,
) -> ResultTable:
    """The rows of `run_bench` for the built-in backends, those of `third_party` (keys of THIRD_PARTY), and `models`.

    `models` are other fused graphs by name, of the same latent size; `provider` is what `load_for` takes. On a busy
    machine the table gets the note `busy`.
    Raises as `run_bench`, InputError for a model of another latent size, and unless `force_busy` GateError on a busy
    machine.
    """
    fused = runtime.load_graph(runtime.FUSED, model, threads=1)  # one thread: no thread pool that disturbs the timing
    machine = describe_machine(threads)  # before this benchmark itself adds to the load
    multiply_adds = graph_size.graph_size_of_file(runtime.graph_file(runtime.FUSED, model)).multiply_adds
    precision = fused.metadata.get("precision", "float32")
    backends, incomparable = _comparable([name for key in third_party for name in THIRD_PARTY[key]], precision)
    hashes = {title: _describe_model(fused, title, path) for title, path in (models or {}).items()}
    busy = _check_busy(force_busy)
    provider = load_for(provider, runtime.FUSED, model, threads).provider
    own = {OWN_PRECISION: OWN_NOTE} if OWN_PRECISION in backends else {}
    rows, skipped = run_bench(
        model,
        fused.input_shape[0],
        threads,
        repeats,
        BATCHES,
        backends,
        multiply_adds,
        models,
        track,
        provider=provider,
        pause_s=pause_s,
        warm_up=warm_up,
    )
    return ResultTable(
        command="bench",
        title="Latency and throughput from z to image and denoised",
        rows=rows,
        model_sha256=fused.sha256,
        machine=machine,
        settings={
            "repeats": repeats,
            "third_party": ", ".join(third_party),
            **({"models": hashes} if hashes else {}),
            "precision": precision,
            "provider": str(provider),
        },
        notes=NOTES | own | busy,
        skipped=skipped | incomparable,
    )


def profile_report(
    model: Path | None,
    repeats: int,
    threads: int,
    *,
    batches: Sequence[int] = BATCHES,
    warm_up: int = WARM_UP,
    force_busy: bool = True,
) -> ResultTable:
    """The rows of `profile_rows` for the fused graph at each batch size.

    Raises as `runtime.load_graph`, and unless `force_busy` GateError on a busy machine.
    """
    fused = runtime.load_graph(runtime.FUSED, model, threads=1)
    machine = describe_machine(threads)
    busy = _check_busy(force_busy)
    return ResultTable(
        command="bench --profile",
        title="Time of each node of the fused graph, in one plain session",
        rows=[row for batch in batches for row in profile_rows(model, batch, repeats, threads, warm_up)],
        model_sha256=fused.sha256,
        machine=machine,
        settings={"repeats": repeats},
        notes={"ms": "mean of a call; the time that the session spends between nodes is not included"} | busy,
    )


def _check_busy(force: bool) -> dict[str, str]:
    """A note on a busy machine, which is also printed on stderr. Raises GateError there unless `force`."""
    warning = load_warning(busy_cores(), os.cpu_count() or 1)  # the cores of the machine, not of this process
    if warning is None:
        return {}
    if not force:
        raise GateError(warning, "wait until other programs end, or measure now with --force-busy")
    print_warning(warning)
    return {"busy": warning}


def _comparable(backends: Sequence[str], precision: str) -> tuple[list[str], dict[str, str]]:
    """The backends that compute the same images at this precision, and the others with the reason."""
    rounding = THIRD_PARTY["openvino"] if precision == "int8" else ()
    incomparable = {name: "rounds integers differently" for name in backends if name in rounding}
    return [name for name in backends if name not in incomparable], incomparable


def _describe_model(fused: runtime.Graph, title: str, path: Path) -> str:
    graph = runtime.load_graph(runtime.FUSED, path, threads=1)
    if graph.input_shape != fused.input_shape:
        raise InputError.expected(title, f"z of {fused.input_shape[0]}", graph.input_shape[0])
    return f"{path.name}, {graph.sha256[:12]}"
