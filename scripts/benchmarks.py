"""Write docs/benchmarks.md and docs/why_fuse.svg (`make bench`), on an idle machine (25 to 40 minutes)."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gan_denoise.console import tracked
from gan_denoise.data import sources
from gan_denoise.data.images import to_uint8
from gan_denoise.eval.bench.tables import bench_report
from gan_denoise.eval.bench.timing import BATCHES
from gan_denoise.eval.labels import FUSED, OWN_PRECISION, PLAIN, TWO_GRAPHS
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.result_table import ResultTable, to_markdown
from gan_denoise.export import latents, runtime
from gan_denoise.export.package.quantize import FLOAT16, INT8, quantize
from gan_denoise.machine import busy_cores, computes_bfloat16, load_warning
from gan_denoise.markdown import markdown_table
from gan_denoise.study.report import plots

SCRIPTS = Path(__file__).resolve().parent
DOCS = SCRIPTS.parent / "docs"
PROGRAM = str(Path(sys.executable).parent / "gan-denoise")
THIRD_PARTY = ("torch", "compile", "openvino")
IMAGES = 10_000
STARTS = 11
ROUNDS, SECONDS = 5, 6
STAGES = ("paper gan", "best gan", "best denoiser", "best joint")
KERAS = "Keras, paper gan"
KERAS_PYTHON = DOCS.parent / ".keras/bin/python"  # a separate environment: `make .keras/installed`
MANY = (110_000, 220_000)  # images: above 100,000 they are written as shards
BARE = "import typer\na = typer.Typer()\na.command()(lambda: None)\na.command('b')(lambda: None)\na()"
# A small process runs the command: the peak memory of a child includes the copy of its parent at the fork.
PEAK = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
STEPS = (TWO_GRAPHS, PLAIN, FUSED, "int8")

Rows = Sequence[Mapping[str, Any]]


def main() -> None:
    """Measure all sections in sequence, so that none disturbs the timing of another."""
    sources.load_fashion_mnist()  # fails here, not after a quarter of an hour
    _wait_for_quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {precision: folder / f"{precision}.onnx" for precision in (FLOAT16, INT8)}
        agreement = {precision: _write(precision, file) for precision, file in models.items()}
        speed = bench_report(None, 100, 0, THIRD_PARTY, models, tracked("timing"))
        if speed.skipped.keys() - {OWN_PRECISION}:  # which processors without bfloat16 do not have
            raise SystemExit(f"not measured: {speed.skipped}")
        plots.draw_bars(_gains(speed.rows), DOCS / "why_fuse.svg", "images per call", "speed, two graphs = 1")
        sections = [
            _inference(speed),
            _precisions(speed.rows, models, agreement),
            _training(),
            _start_up(folder),
            _memory(folder),
        ]
    (DOCS / "benchmarks.md").write_text("\n\n".join([_HEAD, *sections]) + "\n")


def _wait_for_quiet() -> None:
    """Wait up to five minutes until earlier installs and builds have ended; then measure in any case."""
    for _ in range(30):
        if not load_warning(busy_cores(), os.cpu_count() or 1):
            return
        time.sleep(10)  # `bench_report` warns and marks its rows


def _write(precision: str, file: Path) -> float:
    content, agreement = quantize(None, precision)
    file.write_bytes(content)
    return agreement


def _gains(rows: Rows) -> dict[str, dict[str, float]]:
    """The speed relative to two separate graphs, by batch size and step."""
    ratios = {(row["name"], row["batch"]): row["relative_time"] for row in rows}
    return {str(batch): {name: ratios[TWO_GRAPHS, batch] / ratios[name, batch] for name in STEPS} for batch in BATCHES}


def _inference(speed: ResultTable) -> str:
    return "\n\n".join(
        [
            "## Inference",
            "`fused` is the graph as this package runs it, `one plain session` the same file in one session of "
            "onnxruntime, `two graphs` generator and denoiser in two sessions. All give the same images to within "
            f"1e-4, except the other models (`float16`, `int8`) and `{OWN_PRECISION}`.",
            to_markdown(speed),
            "![Speed by batch](why_fuse.svg)",
        ]
    )


def _precisions(rows: Rows, models: Mapping[str, Path], agreement: Mapping[str, float]) -> str:
    network, fused = ffd.load_network(), runtime.SHIPPED / runtime.FUSED.file
    ratios = {(row["name"], row["batch"]): row["relative_time"] for row in rows}
    lines = []
    for name, file in {"float32": fused, **models}.items():
        outputs = runtime.load_graph(runtime.FUSED, file).batched(latents.latents(0, 0, IMAGES))
        raw, denoised = (ffd.distance(to_uint8(images), network) for images in outputs)
        times = [1.0 if name == "float32" else ratios[name, batch] for batch in BATCHES]
        speed = " / ".join(f"{1 / ratio:.2f}" for ratio in times)
        psnr = f"{agreement[name]:.1f}" if name in agreement else ""
        lines.append([name, f"{file.stat().st_size / 1e6:.1f}", f"{raw:.4f}", f"{denoised:.4f}", psnr, speed])
    batches = " / ".join(map(str, BATCHES))
    heads = ["", "MB", "FFD-1 raw", "FFD-1 denoised", "PSNR to float32, dB", f"speed at batch {batches}, float32 = 1"]
    return "\n\n".join(
        [
            "## Quantization",
            "`gan-denoise quantize float16|int8`. float16 halves the size of the weights and computes in float32. int8 "
            "computes the denoiser's inner convolutions in integers; processors with VNNI gain most.",
            markdown_table(heads, lines),
        ]
    )


def _training() -> str:
    cores, runs = str(os.cpu_count()), {}
    for precision in ("float32", *(["bfloat16"] if computes_bfloat16() else [])):
        common = ["--threads", cores, "--precision", precision, "--seconds", str(SECONDS)]
        for stage in STAGES:
            runs[f"`{stage}`", precision] = [sys.executable, str(SCRIPTS / "training_step.py"), stage, *common]
        runs[KERAS, precision] = [str(KERAS_PYTHON), str(SCRIPTS / "keras_step.py"), *common]
    results: dict[tuple[str, str], list[dict[str, float]]] = {run: [] for run in runs}
    for _ in range(ROUNDS):
        for run, command in runs.items():
            results[run].append(json.loads(_run(command).splitlines()[-1]))
    lines = []
    for (name, precision), rounds in results.items():
        speeds = [result["images_per_s"] for result in rounds]
        fraction = statistics.median(result.get("gflops", 0) / result.get("sgemm_gflops", 1) for result in rounds)
        keras = [result["images_per_s"] for result in results[KERAS, precision]]
        ratio = statistics.median(speed / reference for speed, reference in zip(speeds, keras, strict=True))
        lines.append(
            [
                name,
                precision,
                f"{statistics.median(speeds):,.0f}",
                f"{min(speeds):,.0f} to {max(speeds):,.0f}",
                f"{fraction:.0%}" if fraction else "",
                f"{ratio:.2f}" if name == f"`{STAGES[0]}`" else "",
            ]
        )
    heads = ["step", "precision", "images/s, median", "range", "of SGEMM", "relative to Keras"]
    return "\n\n".join(
        [
            "## Training",
            f"One training step on {cores} threads, each in its own process, in {ROUNDS} interleaved rounds of "
            f"{SECONDS} seconds. Batch size 256 for the paper's GAN, 64 for `best`. Keras runs the paper's GAN with "
            "the training step of TensorFlow's DCGAN tutorial, which needs one discriminator pass less, because both "
            "networks learn from the same one. Of SGEMM: operations per second as a fraction of PyTorch's 1024x1024 "
            "float32 matrix product.",
            markdown_table(heads, lines),
        ]
    )


def _start_up(folder: Path) -> str:
    commands = {
        "`--help` of a minimal typer program": [sys.executable, "-c", BARE, "--help"],
        "`gan-denoise --help`": [PROGRAM, "--help"],
        "`gan-denoise generate -n 16`": [PROGRAM, "generate", "-n", "16", "--force", "--out", str(folder / "g.png")],
    }
    times = _in_turn({name: partial(_run, command) for name, command in commands.items()}, STARTS)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    minimal = next(iter(medians.values()))
    lines = [
        [name, f"{median:.2f}", f"{min(times[name]):.2f} to {max(times[name]):.2f}", f"{median / minimal:.2f}"]
        for name, median in medians.items()
    ]
    heads = ["", "seconds, median", "range", "relative time"]
    return "\n\n".join(["## Start-up", f"{STARTS} starts each, interleaved.", markdown_table(heads, lines)])


def _memory(folder: Path) -> str:
    commands = {
        f"`generate -n {n:,} --out FOLDER`": [PROGRAM, "generate", "-n", str(n), "--out", str(folder / str(n))]
        for n in MANY
    }
    commands[f"`eval generation -n {IMAGES:,}`"] = [PROGRAM, "eval", "generation", "-n", str(IMAGES)]
    lines = []
    for name, command in commands.items():
        start = time.perf_counter()
        peak = int(_run([sys.executable, "-c", PEAK, *command]))
        lines.append([name, f"{time.perf_counter() - start:.0f}", f"{peak / 1e6:.0f}"])
    return "\n\n".join(["## Memory", markdown_table(["", "seconds", "peak, MB"], lines)])


def _in_turn(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def _run(command: Sequence[str]) -> str:
    """Run a command and return its stdout; exits on failure."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


_HEAD = """# Benchmarks

How fast are inference, training and start-up, and how much memory do they use?

Written by `make bench`. Machines differ and are shared with other work: quote ratios, which come from interleaved
rounds."""

if __name__ == "__main__":
    main()
