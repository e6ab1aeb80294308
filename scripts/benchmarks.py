"""Writes docs/benchmarks.md and docs/why_fuse.svg: `make bench`, on an idle machine (25 to 40 minutes)."""

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
from gan_denoise.eval.labels import FUSED, PLAIN, TWO_GRAPHS
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.result_table import ResultTable, to_markdown
from gan_denoise.export import latents, runtime
from gan_denoise.export.package.quantize import FLOAT16, INT8, quantize
from gan_denoise.machine import computes_bfloat16, load_average, load_warning
from gan_denoise.study.report import plots

SCRIPTS = Path(__file__).resolve().parent
DOCS = SCRIPTS.parent / "docs"
PROGRAM = str(Path(sys.executable).parent / "gan-denoise")
PEERS = ("torch", "compile", "openvino")
IMAGES = 10_000
STARTS = 11
ROUNDS, SECONDS = 5, 6
STAGES = ("paper gan", "best gan", "best denoiser", "best joint")
KERAS = "Keras, paper gan"
KERAS_PYTHON = DOCS.parent / ".keras/bin/python"  # `make .keras/installed`: an environment of its own
MANY = (110_000, 220_000)  # images: beyond 100,000 they go to shards
BARE = "import typer\na = typer.Typer()\na.command()(lambda: None)\na.command('b')(lambda: None)\na()"
# A process of its own runs the command: what a child holds counts from the fork, when it is a copy of its parent.
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
    """All sections, one after the other: nothing may disturb a timing."""
    sources.load_fashion_mnist()  # before a quarter of an hour is spent
    _wait_for_quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {precision: folder / f"{precision}.onnx" for precision in (FLOAT16, INT8)}
        agreement = {precision: _write(precision, file) for precision, file in models.items()}
        speed = bench_report(None, 100, 0, PEERS, models, tracked("timing"))
        if missing := speed.settings["not measured"]:
            raise SystemExit(f"not measured: {missing}")
        plots.draw_bars(_gains(speed.rows), DOCS / "why_fuse.svg", "images a call", "speed, two graphs in turn = 1")
        sections = [
            _inference(speed),
            _precisions(speed.rows, models, agreement),
            _training(),
            _start_up(folder),
            _memory(folder),
        ]
    (DOCS / "benchmarks.md").write_text("\n\n".join([_HEAD, *sections]) + "\n")


def _wait_for_quiet() -> None:
    """What was installed or built just before still shows in the load: five minutes for it to fall."""
    for _ in range(30):
        if not (warning := load_warning(load_average(), os.cpu_count() or 1)):
            return
        time.sleep(10)
    raise SystemExit(warning)


def _write(precision: str, file: Path) -> float:
    content, agreement = quantize(None, precision)
    file.write_bytes(content)
    return agreement


def _gains(rows: Rows) -> dict[str, dict[str, float]]:
    """How many times as fast as two graphs in turn each step is, by batch."""
    ratios = {(row["name"], row["batch"]): row["relative_time"] for row in rows}
    return {str(batch): {name: ratios[TWO_GRAPHS, batch] / ratios[name, batch] for name in STEPS} for batch in BATCHES}


def _inference(speed: ResultTable) -> str:
    return "\n\n".join(
        [
            "## Inference",
            "`fused` is the graph as this package runs it, `one plain session` the same file in one session of "
            "onnxruntime, `two graphs` generator and denoiser in turn, in a session each. All give the same "
            "images to 1e-4, but for the other models (`float16`, `int8`).",
            to_markdown(speed),
            "![Speed by batch](why_fuse.svg)",
        ]
    )


def _precisions(rows: Rows, models: Mapping[str, Path], agreement: Mapping[str, float]) -> str:
    network, fused = ffd.load_network(), runtime.SHIPPED / runtime.FUSED.file
    ratios = {(row["name"], row["batch"]): row["relative_time"] for row in rows}
    lines = []
    for name, file in {"float32": fused, **models}.items():
        image_psnr = runtime.load_graph(runtime.FUSED, file).batched(latents.latents(0, 0, IMAGES))
        raw, denoised = (ffd.distance(to_uint8(images), network) for images in image_psnr)
        times = [1.0 if name == "float32" else ratios[name, batch] for batch in BATCHES]
        speed = " / ".join(f"{1 / ratio:.2f}" for ratio in times)
        near = f"{agreement[name]:.1f}" if name in agreement else ""
        lines.append([name, f"{file.stat().st_size / 1e6:.1f}", f"{raw:.4f}", f"{denoised:.4f}", near, speed])
    batches = " / ".join(map(str, BATCHES))
    heads = ["", "MB", "FFD-1 raw", "FFD-1 denoised", "dB from float32", f"speed at batch {batches}, float32 = 1"]
    return "\n\n".join(
        [
            "## Fewer bits",
            "`gan-denoise quantize float16|int8`. float16 keeps weights in half the space and computes in "
            "float32. int8 computes the denoiser's inner convolutions in integers; with VNNI it gains most.",
            _table(heads, lines),
        ]
    )


def _training() -> str:
    cores, runs = str(os.cpu_count()), {}
    for precision in ("float32", *(["bfloat16"] if computes_bfloat16() else [])):
        common = ["--threads", cores, "--precision", precision, "--seconds", str(SECONDS)]
        for stage in STAGES:
            runs[f"`{stage}`", precision] = [sys.executable, str(SCRIPTS / "training_step.py"), stage, *common]
        runs[KERAS, precision] = [str(KERAS_PYTHON), str(SCRIPTS / "keras_step.py"), *common]
    found: dict[tuple[str, str], list[dict[str, float]]] = {run: [] for run in runs}
    for _ in range(ROUNDS):
        for run, command in runs.items():
            found[run].append(json.loads(_run(command).splitlines()[-1]))
    lines = []
    for (name, precision), results in found.items():
        speeds = [result["images_per_s"] for result in results]
        share = statistics.median(result.get("gflops", 0) / result.get("sgemm_gflops", 1) for result in results)
        keras = [result["images_per_s"] for result in found[KERAS, precision]]
        ratio = statistics.median(ours / theirs for ours, theirs in zip(speeds, keras, strict=True))
        lines.append(
            [
                name,
                precision,
                f"{statistics.median(speeds):,.0f}",
                f"{min(speeds):,.0f} to {max(speeds):,.0f}",
                f"{share:.0%}" if share else "",
                f"{ratio:.2f}" if name == f"`{STAGES[0]}`" else "",
            ]
        )
    heads = ["step", "precision", "images/s, median", "range", "of sgemm", "ratio to Keras"]
    return "\n\n".join(
        [
            "## Training",
            f"One training step on {cores} threads, a process each, in turn, {ROUNDS} rounds of {SECONDS} seconds. The "
            "paper's GAN in batches of 256, all of `best` in batches of 64. Keras is the paper's GAN in the step of "
            "TensorFlow's DCGAN tutorial, which saves a pass of the discriminator: both networks learn from the same "
            "one. of sgemm: operations a second as a share of PyTorch's own product of 1024x1024 float32 matrices.",
            _table(heads, lines),
        ]
    )


def _start_up(folder: Path) -> str:
    commands = {
        "a bare typer program's `--help`": [sys.executable, "-c", BARE, "--help"],
        "`gan-denoise --help`": [PROGRAM, "--help"],
        "`gan-denoise generate -n 16`": [PROGRAM, "generate", "-n", "16", "--force", "--out", str(folder / "g.png")],
    }
    times = _in_turn({name: partial(_run, command) for name, command in commands.items()}, STARTS)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    bare = next(iter(medians.values()))
    lines = [
        [name, f"{median:.2f}", f"{min(times[name]):.2f} to {max(times[name]):.2f}", f"{median / bare:.2f}"]
        for name, median in medians.items()
    ]
    heads = ["", "seconds, median", "range", "relative_time"]
    return "\n\n".join(["## Start-up", f"{STARTS} starts each, in turn.", _table(heads, lines)])


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
    return "\n\n".join(["## Memory", _table(["", "seconds", "peak, MB"], lines)])


def _in_turn(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def _run(command: Sequence[str]) -> str:
    """Run it to its end; what it printed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


_HEAD = """# Benchmarks

Written by `make bench`. Machines differ and are shared: quote ratios. They come from rounds in which all took turns."""

if __name__ == "__main__":
    main()
