"""The tables of times with everything that they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_denoise.errors import InputError
from gan_denoise.eval import operations
from gan_denoise.eval.bench import BATCHES, run_bench
from gan_denoise.eval.contenders import PEERS, SIDE
from gan_denoise.eval.machine import describe_machine
from gan_denoise.eval.profile import profile_rows
from gan_denoise.eval.tables import Report
from gan_denoise.export import runtime
from gan_denoise.progress import Track, untracked


def bench_report(
    model: Path | None,
    repeats: int,
    threads: int,
    peers: Sequence[str] = ("torch",),
    models: Mapping[str, Path] | None = None,
    track: Track = untracked,
) -> Report:
    """The timings of `run_bench` against `peers` (of PEERS); `settings["not measured"]` maps contenders to reasons.

    `models` are other fused graphs by name, of latents of the same size. Raises what `run_bench` raises, and InputError
    for a model of others.
    """
    fused = runtime.load(runtime.FUSED, model, threads=1)  # one thread starts no pool that could disturb
    machine = describe_machine(threads)  # before the load is our own
    size = operations.of_file(runtime.file_of(runtime.FUSED, model)).multiply_adds
    names = [name for peer in peers for name in PEERS[peer]]
    precision = fused.metadata.get("precision", "float32")
    otherwise = PEERS["openvino"] if precision == "int8" else ()
    rounding = {name: "rounds integers otherwise" for name in names if name in otherwise}
    others = [name for name in names if name not in rounding]
    hashes = {title: _sha256_beside(fused, title, path) for title, path in (models or {}).items()}
    rows, skipped = run_bench(model, fused.input_shape[0], threads, repeats, BATCHES, others, size, models, track)
    return Report(
        command="bench",
        title="z to image and denoised: a process each, in turn",
        rows=rows,
        model_sha256=fused.sha256,
        machine=machine,
        settings={
            "repeats": repeats,
            "peers": ", ".join(peers),
            **({"other models": hashes} if hashes else {}),
            "ratio": "of the time to the fused graph's, 95 % interval over rounds",
            "of_sgemm": f"operations a second as a share of onnxruntime's own product of {SIDE}x{SIDE} matrices",
            "precision": precision,
            "spinning": "as each runtime has it by itself; onnxruntime's threads spin",
            "not measured": skipped | rounding,
        },
    )


def profile_report(model: Path | None, repeats: int, threads: int) -> Report:
    """The rows of `profile_rows` for the fused graph at each batch. Raises as `runtime.load`."""
    fused = runtime.load(runtime.FUSED, model, threads=1)
    machine = describe_machine(threads)
    return Report(
        command="bench --profile",
        title="The fused graph node by node, in one plain session",
        rows=[row for batch in BATCHES for row in profile_rows(model, batch, repeats, threads)],
        model_sha256=fused.sha256,
        machine=machine,
        settings={"repeats": repeats, "ms": "of a call, mean; what the session adds between nodes is not in it"},
    )


def _sha256_beside(fused: runtime.Graph, title: str, path: Path) -> str:
    other = runtime.load(runtime.FUSED, path, threads=1)
    if other.input_shape != fused.input_shape:
        raise InputError(f"{title}: z of {other.input_shape[0]} found, {fused.input_shape[0]} wanted")
    return f"{path.name}, {other.sha256[:12]}"
