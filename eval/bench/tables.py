"""The tables of times with everything that they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_denoise.console import Track, untracked
from gan_denoise.errors import InputError
from gan_denoise.eval.bench.backends import SIDE, THIRD_PARTY
from gan_denoise.eval.bench.profile import profile_rows
from gan_denoise.eval.bench.timing import BATCHES, run_bench
from gan_denoise.eval.result_table import ResultTable
from gan_denoise.export import graph_size, runtime
from gan_denoise.machine import describe_machine


def bench_report(
    model: Path | None,
    repeats: int,
    threads: int,
    peers: Sequence[str] = ("torch",),
    models: Mapping[str, Path] | None = None,
    track: Track = untracked,
) -> ResultTable:
    """The timings of `run_bench` against `peers` (of PEERS); `settings["not measured"]` maps contenders to reasons.

    `models` are other fused graphs by name, of latents of the same size. Raises what `run_bench` raises, and InputError
    for a model of others.
    """
    fused = runtime.load_graph(runtime.FUSED, model, threads=1)  # one thread starts no pool that could disturb
    machine = describe_machine(threads)  # before the load is our own
    size = graph_size.graph_size_of_file(runtime.graph_file(runtime.FUSED, model)).multiply_adds
    names = [name for peer in peers for name in THIRD_PARTY[peer]]
    precision = fused.metadata.get("precision", "float32")
    otherwise = THIRD_PARTY["openvino"] if precision == "int8" else ()
    rounding = {name: "rounds integers otherwise" for name in names if name in otherwise}
    others = [name for name in names if name not in rounding]
    hashes = {title: _sha256_beside(fused, title, path) for title, path in (models or {}).items()}
    rows, skipped = run_bench(model, fused.input_shape[0], threads, repeats, BATCHES, others, size, models, track)
    return ResultTable(
        command="bench",
        title="z to image and denoised: a process each, in turn",
        rows=rows,
        model_sha256=fused.sha256,
        machine=machine,
        settings={
            "repeats": repeats,
            "peers": ", ".join(peers),
            **({"other models": hashes} if hashes else {}),
            "relative_time": "of the time to the fused graph's, 95 % interval over rounds",
            "sgemm_fraction": f"operations a second as a share of onnxruntime's own product of {SIDE}x{SIDE} matrices",
            "precision": precision,
            "spinning": "as each runtime has it by itself; onnxruntime's threads spin",
            "not measured": skipped | rounding,
        },
    )


def profile_report(model: Path | None, repeats: int, threads: int) -> ResultTable:
    """The rows of `profile_rows` for the fused graph at each batch. Raises as `runtime.load`."""
    fused = runtime.load_graph(runtime.FUSED, model, threads=1)
    machine = describe_machine(threads)
    return ResultTable(
        command="bench --profile",
        title="The fused graph node by node, in one plain session",
        rows=[row for batch in BATCHES for row in profile_rows(model, batch, repeats, threads)],
        model_sha256=fused.sha256,
        machine=machine,
        settings={"repeats": repeats, "ms": "of a call, mean; what the session adds between nodes is not in it"},
    )


def _sha256_beside(fused: runtime.Graph, title: str, path: Path) -> str:
    other = runtime.load_graph(runtime.FUSED, path, threads=1)
    if other.input_shape != fused.input_shape:
        raise InputError(f"{title}: z of {other.input_shape[0]} found, {fused.input_shape[0]} wanted")
    return f"{path.name}, {other.sha256[:12]}"
